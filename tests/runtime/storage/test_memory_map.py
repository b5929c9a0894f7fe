"""Weights in files: mapped, handed back, and the same numbers again."""

import errno
import os
import subprocess
import sys

import pytest
import torch

from tilewright.runtime.storage import memory_map
from tilewright.runtime.storage.memory_map import MappedFile, ScratchFile, hand_back, used
from tilewright.runtime.storage.weights_file import WeightsFile, write_weights
from tilewright.targets.errors import InputError


def test_a_mapped_file_is_the_same_after_handing_back(tmp_path):
    numbers = torch.randn(3000)
    (tmp_path / "f").write_bytes(numbers.numpy().tobytes())
    mapped = MappedFile(tmp_path / "f").tensor(torch.float32, [30, 100], 0)
    assert torch.equal(mapped, numbers.view(30, 100))
    hand_back()
    assert torch.equal(mapped, numbers.view(30, 100))


def test_what_is_written_to_a_scratch_file_stays():
    file = ScratchFile(2**20)
    tensors = [file.empty([100, 7], torch.float32) for _ in range(3)]
    values = [torch.randn(100, 7) for _ in range(3)]
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)
    hand_back()
    for tensor, value in zip(tensors, values, strict=True):
        assert torch.equal(tensor, value)
    tensors[0].mul_(2)
    hand_back()
    assert torch.equal(tensors[0], values[0] * 2)
    with pytest.raises(ValueError, match="must"):
        file.empty([2**20], torch.float32)


def test_a_full_disk_is_one_sentence(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match=r"no room for 1,000 bytes of weights .*set TMPDIR"):
        ScratchFile(1000)


def test_weights_of_every_type_and_place(tmp_path):
    tensors = {
        "byte": torch.arange(3, dtype=torch.uint8),
        "after": torch.randn(4, dtype=torch.float64),  # starts at byte 3
        "none": torch.empty(0, 5),
        "half": torch.randn(2, 3).to(torch.bfloat16),
        "flag": torch.tensor([True, False]),
        "number": torch.tensor(7),
    }
    write_weights(tmp_path / "w", tensors)
    file = WeightsFile(tmp_path / "w")
    for name, tensor in tensors.items():
        read = file.read(name)
        assert read.dtype == tensor.dtype
        assert read.shape == tensor.shape
        assert torch.equal(read, tensor)


def test_pages_go_back_once_many_were_used(tmp_path, monkeypatch):
    handed = []
    monkeypatch.setattr(memory_map, "hand_back", lambda: handed.append(1))
    monkeypatch.setattr(memory_map, "RESIDENT", 1000)
    monkeypatch.setattr(memory_map, "_used", 0)
    (tmp_path / "f").write_bytes(bytes(2000))
    tensor = MappedFile(tmp_path / "f").tensor(torch.uint8, [600], 0)
    used(tensor)
    assert not handed
    used(tensor)
    assert handed


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what memory a process has")
def test_a_file_that_is_read_many_times_does_not_stay_in_memory(tmp_path):
    size = 256 * 2**20
    with (tmp_path / "f").open("wb") as file:
        file.truncate(size)
    program = f"""
import resource, torch
from pathlib import Path
from tilewright.runtime.storage import memory_map
memory_map.RESIDENT = 2**24
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
parts = memory_map.MappedFile(Path({str(tmp_path / "f")!r})).tensor(torch.uint8, [64, {size // 64}], 0)
for part in parts:
    memory_map.used(part).max()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < size / 4, "256 MB went by"
