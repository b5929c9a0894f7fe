"""Small models with random weights and a real tokenizer, and their plans."""

from functools import cache

import pytest
import torch

import tilewright
from tests.conftest import small_bert_config


@pytest.fixture(scope="session")
def small_model(minilm_folder, tmp_path_factory):
    """Maker of a folder and a plan: of a class of transformers, and its classes by number or by name."""
    from transformers import AutoTokenizer

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
