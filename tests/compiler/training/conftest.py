"""Sentences to train on, and the folder of a small model that is trained on them."""

import pytest
from transformers import BertForSequenceClassification

SENTENCES = [
    ("a fine and moving film", 1), ("dull from the first minute", 0), ("the actors are a joy", 1),
    ("it never comes to life", 0), ("warm, funny and wise", 1), ("a waste of two hours", 0),
    ("I would watch it again", 1), ("nothing in it is true", 0),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder like GLUE's SST-2: 32 sentences to train on, 8 to evaluate on."""
    folder = tmp_path_factory.mktemp("data")
    for file, times in (("train.tsv", 4), ("dev.tsv", 1)):
        rows = [f"{text}\t{label}" for text, label in SENTENCES * times]
        (folder / file).write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def base(small_model):
    """Folder of a small BERT with a head of two classes, and its tokenizer."""
    return small_model(BertForSequenceClassification, ("negative", "positive"))[0]


@pytest.fixture(scope="module")
def plan(small_model):
    """A plan of the base."""
    return small_model(BertForSequenceClassification, ("negative", "positive"))[1]
