"""A small network, and adapters of it as the library peft saves them, written by hand."""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

BEFORE = "base_model.model."
WIDTH, CLASSES = 24, 3


class Classifier(nn.Module):
    """Attention with a fused matrix, and channels of very different size, so that factors are folded into matrices."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Linear(16, WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.up, self.down = nn.Linear(WIDTH, 40), nn.Linear(40, WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)
        with torch.no_grad():
            self.norm.weight[3] *= 30
            self.up.weight[5] *= 40

    def forward(self, x):
        """Logits [batch, classes] of x [batch, tokens, 16]."""
        x = self.norm(self.first(x))
        shares = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2) / 5, -1)
        x = self.down(torch.relu(self.up(shares @ self.value(x))))
        return {"logits": self.classifier(x.mean(1))}


def inputs(batch=6):
    return torch.randn(batch, 5, 16, generator=torch.Generator().manual_seed(1))


def write(folder: Path, tensors: dict[str, torch.Tensor], **config: object) -> Path:
    """A folder of an adapter. tensors: by names without what peft writes before them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({BEFORE + name: value.contiguous() for name, value in tensors.items()},
              folder / "adapter_model.safetensors")  # fmt: skip
    content = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder


def low_rank(module, outputs, inputs, rank=2, seed=0, *, zero=False):
    """Tensors of a low-rank pair. zero: B is zero, as when training begins."""
    generator = torch.Generator().manual_seed(seed + len(module))
    a = torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs)
    b = torch.zeros(outputs, rank) if zero else torch.randn(outputs, rank, generator=generator) / 4
    return {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}


def beside_all(seed=0, *, zero=False):
    """Low-rank tensors beside every linear layer of ``Classifier``."""
    shapes = {"first": (WIDTH, 16), "query": (WIDTH, WIDTH), "value": (WIDTH, WIDTH), "up": (40, WIDTH),
              "down": (WIDTH, 40), "classifier": (CLASSES, WIDTH)}  # fmt: skip
    pairs = [low_rank(name, *shape, seed=seed, zero=zero) for name, shape in shapes.items()]
    return {key: tensor for pair in pairs for key, tensor in pair.items()}


def head(outputs, seed=0):
    """A classifier of another task."""
    generator = torch.Generator().manual_seed(seed)
    return {"classifier.weight": torch.randn(outputs, WIDTH, generator=generator) / 5,
            "classifier.bias": torch.randn(outputs, generator=generator)}  # fmt: skip


def merged(tensors, scale):
    """The network with B A in its matrices, and the adapter's own matrices in place of its own."""
    network = Classifier().eval()
    modules = dict(network.named_modules())
    with torch.no_grad():
        for name, tensor in tensors.items():
            module, _, what = name.partition(".lora_A.")
            if what:
                other = tensors[f"{module}.lora_B.weight"]
                modules[module].weight += scale * other @ tensor
            elif "lora" not in name:
                module, _, what = name.rpartition(".")
                setattr(modules[module], what, nn.Parameter(tensor))
    return network
