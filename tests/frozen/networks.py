"""The small networks that frozen plans are of, with numbers of fixed seeds: the same for every release."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizerFast

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "chip", "drifts", "slowly", "tiles", "hold", "weights"]


class Attention(nn.Module):
    """Attention over tokens: a matrix that is used twice, with samples along another dimension the second time, a tied
    one, and features of very different size. It sums floats nowhere but in a softmax over few tokens, so that its bits
    on a chip are the same on many processors.
    """

    WIDTH, HEADS, VOCABULARY = 20, 2, 16

    def __init__(self, *, halves: bool = False) -> None:
        """halves: join pairs of tokens, so that the network runs on an even number of them alone."""
        super().__init__()
        torch.manual_seed(0)
        self.halves = halves
        self.embedding = nn.Embedding(self.VOCABULARY, self.WIDTH)
        self.query, self.key, self.value = (nn.Linear(self.WIDTH, self.WIDTH) for _ in range(3))
        self.mixed = nn.Linear(self.WIDTH, self.WIDTH)
        self.words = nn.Linear(self.WIDTH, self.VOCABULARY, bias=False)
        with torch.no_grad():
            self.embedding.weight[:, 3] *= 8
        self.words.weight = self.embedding.weight
        self.eval()

    def heads(self, x: Tensor) -> Tensor:
        """[batch, tokens, width] -> [batch, heads, tokens, width of a head]."""
        return x.view(x.shape[0], x.shape[1], self.HEADS, -1).transpose(1, 2)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        """ids: [batch, tokens]."""
        x = self.embedding(ids)
        query, key, value = self.heads(self.query(x)), self.heads(self.key(x)), self.heads(self.value(x))
        shares = torch.softmax(query @ key.transpose(-1, -2) * 0.05, dim=-1)
        x = torch.relu(self.mixed((shares @ value).transpose(1, 2).reshape(x.shape)))
        x = self.mixed(x.transpose(0, 1)).transpose(0, 1)
        words = self.words(torch.relu(x))
        if not self.halves:
            return {"words": words}
        return {"words": words, "halves": words.view(x.shape[0], x.shape[1] // 2, 2, self.VOCABULARY).amax(2)}


class Recurrent(nn.Module):
    """A long short-term memory over steps, whose layers are read in a loop."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.memory = nn.LSTM(6, 10, batch_first=True, bidirectional=True)
        self.last = nn.Linear(20, 3)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, steps, 6]."""
        return self.last(self.memory(x)[0])  # type: ignore[no-any-return]


def steps(batch: int, length: int) -> Tensor:
    """Inputs for ``Recurrent``."""
    return torch.randn(batch, length, 6, generator=torch.Generator().manual_seed(1))


def token_ids(batch: int, tokens: int) -> Tensor:
    """Token ids for ``Attention``."""
    return torch.randint(0, Attention.VOCABULARY, (batch, tokens), generator=torch.Generator().manual_seed(1))


def write_adapter(folder: Path) -> Path:
    """An adapter of ``Attention`` as peft saves one: rank 2 beside query and value, and a matrix in place of mixed."""
    width, numbers = Attention.WIDTH, torch.Generator().manual_seed(4)
    shapes = {
        "query.lora_A.weight": (2, width),
        "query.lora_B.weight": (width, 2),
        "value.lora_A.weight": (2, width),
        "value.lora_B.weight": (width, 2),
        "mixed.weight": (width, width),
        "mixed.bias": (width,),
    }
    tensors = {f"base_model.model.{name}": torch.randn(shape, generator=numbers) / 4 for name, shape in shapes.items()}
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "modules_to_save": ["mixed"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def write_convolution(path: Path) -> Path:
    """An ONNX file of an opset that is converted: a convolution with a batch norm behind it, and a matrix."""
    numbers = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        scale = np.sqrt(np.prod(shape[1:]))
        return np.asarray(numbers.standard_normal(shape) / scale, dtype=np.float32)

    tensors = {
        "patches.weight": drawn(3, 2, 3, 3),
        "patches.bias": drawn(3),
        "norm.scale": np.abs(drawn(3)) + 0.5,
        "norm.shift": drawn(3),
        "norm.mean": drawn(3),
        "norm.variance": np.abs(drawn(3)) + 0.5,
        "classes.weight": drawn(5, 27),
        "classes.bias": drawn(5),
    }
    norm = ["norm.scale", "norm.shift", "norm.mean", "norm.variance"]
    nodes = [
        helper.make_node("Conv", ["image/in:0", "patches.weight", "patches.bias"], ["a"], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["a", *norm], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "classes.weight", "classes.bias"], ["classes"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("image/in:0", TensorProto.FLOAT, ["batch", 2, 7, 7])],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=6), path)
    return path


def images(batch: int) -> Tensor:
    """Images for the convolution."""
    return torch.randn(batch, 2, 7, 7, generator=torch.Generator().manual_seed(2))


def write_sentences(folder: Path) -> Path:
    """A HuggingFace folder: a DistilBERT of one layer, its tokenizer, and a tensor that is no part of it."""
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(WORDS),
        dim=16,
        n_layers=1,
        n_heads=2,
        hidden_dim=20,
        max_position_embeddings=8,
        initializer_range=0.4,
    )
    DistilBertModel(config).eval().save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors") | {"left.over": torch.ones(3)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    DistilBertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def sentence_ids() -> Tensor:
    """Token ids for the DistilBERT, as its tokenizer makes them of two sentences."""
    return torch.tensor([[2, 5, 6, 7, 8, 3], [2, 9, 10, 11, 3, 0]])
