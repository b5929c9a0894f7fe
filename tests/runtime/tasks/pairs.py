"""Pairs of sentences with labels, and what transformers itself makes of them."""

import torch

PAIRS = [
    ("A man plays.", "Someone plays."), ("It rains.", "The sun shines."), ("Dogs run.", "A dog is running."),
    ("He left.", "He stayed."), ("Two cats sleep.", "Cats are asleep."), ("The film is dull .", 'She said "no" .'),
    ("Nobody came to the meeting on Monday.", "The meeting was well attended."), ("Why?", "Who asked, and when?"),
]  # fmt: skip
LABELS = [1, 0, 1, 0, 0, 1, 1, 0]
OF_THREE = [2, 0, 1, 0, 2, 1, 1, 2]
SCORES = [4.6, 0.2, 3.8, 1.0, 5.0, 0.0, 1.4, 2.5]


def logits_of(folder, texts):
    """Logits [texts, classes] by transformers itself."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return torch.cat([model(**tokenizer(*text, return_tensors="pt")).logits for text in texts])
