"""Arrays of strangers: measured by their headers before any memory is taken for them."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest

from tilewright.runtime.storage import arrays, memory_budget
from tilewright.runtime.storage.arrays import read_arrays, write_arrays
from tilewright.runtime.storage.sample_files import read_samples
from tilewright.targets.errors import InputError


def header(shape, kind="<f8", **more):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": kind, "fortran_order": False, "shape": shape, **more})
    return content.getvalue()


def magic(text):
    """A header with any text in it."""
    padded = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


def archive(path, *members, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def refusal(path):
    with pytest.raises(InputError) as error:
        read_arrays(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    return str(error.value)


def test_what_was_written_is_read(tmp_path):
    given: dict[str, np.ndarray] = {
        "ids": np.arange(6).reshape(2, 3), "x": np.asfortranarray(np.ones((2, 4), np.float32)), "0-d": np.array(True),
        "empty": np.empty((0, 3)), "big endian": np.arange(3, dtype=">i4"), "half": np.ones(3, np.float16),
    }  # fmt: skip
    write_arrays(tmp_path / "one.npz", given)
    np.savez_compressed(tmp_path / "two.npz", allow_pickle=False, **given)
    for name in ("one.npz", "two.npz"):
        found = read_arrays(tmp_path / name)
        assert list(found) == list(given)
        for key, value in given.items():
            assert np.array_equal(found[key], value)
            assert found[key].dtype == value.dtype


def test_headers_that_lie(tmp_path):
    data = bytes(80)
    for content in (
        header((2**38,)),
        header((2**38,)) + data,
        header((2**62, 2**62)) + data,
        header((11,)) + data,
        header((9,)) + data,
        header((10,), "<f4") + data,
        header((-1,)) + data,
        header((10,), "|O") + data,
        magic("{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 9000 + "}") + data,
        magic("{'descr': __import__('os'), 'fortran_order': False, 'shape': (10,)}") + data,
        magic("{'descr': '<f8', 'fortran_order': False, 'shape': 10}") + data,
        magic("{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776,)}"),
        magic("{'descr': '<f8'}") + data,
        b"\x93NUMPY\x09\x00" + data,
        b"",
        b"text",
    ):
        assert "not a readable .npz" in refusal(archive(tmp_path / "x.npz", ("ids.npy", content)))


def test_archives_that_lie(tmp_path):
    whole = archive(tmp_path / "x.npz", ("ids.npy", header((1000,)) + bytes(8000))).read_bytes()
    for at in range(0, len(whole), 7):
        (tmp_path / "x.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            read_arrays(tmp_path / "x.npz")
        except InputError as error:
            assert "\n" not in str(error)
    for length in range(0, len(whole), 11):
        (tmp_path / "x.npz").write_bytes(whole[:length])
        refusal(tmp_path / "x.npz")
    good = header((1,)) + bytes(8)
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive(tmp_path / "x.npz", ("a.npy", good), ("a.npy", good))
    assert "there twice" in refusal(twice)
    assert "is not an array" in refusal(archive(tmp_path / "x.npz", ("a.txt", good)))
    assert "neither" in refusal(archive(tmp_path / "x.npz", ("a.npy", good), how=zipfile.ZIP_LZMA))
    assert "holds no arrays" in refusal(archive(tmp_path / "x.npz"))


def test_bombs_are_counted_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_budget, "memory_left", lambda: 100_000)
    content = header((2**20,)) + bytes(2**23)
    path = archive(tmp_path / "bomb.npz", ("ids.npy", content))
    assert path.stat().st_size < 20_000
    assert "8,388,608 bytes of memory, and there are 100,000" in refusal(path)
    small = header((10_000,), "|u1") + bytes(10_000)
    path = archive(tmp_path / "many.npz", *[(f"{number}.npy", small) for number in range(11)])
    assert "would take 110,000 bytes" in refusal(path)
    monkeypatch.setattr(arrays, "LARGEST_INDEX", 400)
    assert "a list of contents" in refusal(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    os.mkfifo(tmp_path / "pipe.txt")
    np.save(tmp_path / "one.npy", np.ones(3))
    assert "named pipe" in refusal(tmp_path / "pipe.npz")
    assert "no file" in refusal(tmp_path / "none.npz")
    assert "one array without a name" in refusal((tmp_path / "one.npy").rename(tmp_path / "one.npz"))
    with pytest.raises(InputError, match="named pipe"):
        read_samples(tmp_path / "pipe.txt", "calibration")
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="allowed are"):
        read_samples(tmp_path / "large.txt", "calibration")
    (tmp_path / "latin.txt").write_bytes(b"\xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_samples(tmp_path / "latin.txt", "calibration")


def test_memory_that_is_left_is_within_every_limit(monkeypatch, tmp_path):
    assert 2**20 < memory_budget.memory_left() < 2**50
    (tmp_path / "group").write_text("5000000\n")
    monkeypatch.setattr(memory_budget, "_GROUP", (tmp_path / "group", tmp_path / "none"))
    assert memory_budget.memory_left() == 5_000_000
    with pytest.raises(InputError, match="outputs would take 5,000,001 bytes of memory, and there are 5,000,000"):
        memory_budget.check_memory(5_000_001, "outputs")
