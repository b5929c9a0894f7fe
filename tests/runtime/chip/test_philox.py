"""The counter-based generator makes the words that its authors publish."""

import torch

from tilewright.runtime.chip.philox import random_words

KNOWN = [
    # kat_vectors of Random123 1.14: counter, key, words of philox4x32 with seven rounds
    ((0, 0, 0, 0), 0, (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0_A4093822,
        (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A),
    ),
]


def test_known_answers():
    for counter, key, words in KNOWN:
        assert random_words(key, torch.tensor([counter[1:]]), 1, first=counter[0])[0, 0].tolist() == list(words)


def test_blocks_and_lines_are_independent_of_how_many_are_made():
    places = torch.stack([torch.arange(50), torch.zeros(50, dtype=torch.int64), torch.ones(50, dtype=torch.int64)], 1)
    whole = random_words(12345, places, 1000)
    assert torch.equal(random_words(12345, places[10:20], 300), whole[10:20, :300])


def test_every_bit_of_key_and_counter_counts():
    place = [1, 2, 3]
    made = [random_words(5, torch.tensor([place]), 1)]
    made += [random_words(5 ^ 1 << bit, torch.tensor([place]), 1) for bit in range(64)]
    for word in range(3):
        for bit in range(32):
            other = [number ^ (1 << bit) * (at == word) for at, number in enumerate(place)]
            made.append(random_words(5, torch.tensor([other]), 1))
    assert len({tuple(words.flatten().tolist()) for words in made}) == 1 + 64 + 96
