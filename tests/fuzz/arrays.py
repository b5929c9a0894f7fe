"""Files of inputs, changed: names, types, shapes, numbers, and the bytes of the file."""

import io
import random
import zipfile

import numpy as np

from tests.fuzz import bases, hostile, plans, trees
from tests.fuzz.program import called
from tilewright.compiler.cli import run_command as running

BASES: dict[str, dict[str, np.ndarray]] = {
    "mlp": {"ids": np.ones((2, 5), np.int64)},
    "cnn": {"x": np.full((2, 3, 8, 8), 0.5, np.float32)},
    "bert": {"input_ids": np.ones((2, 6), np.int64), "attention_mask": np.ones((2, 6), np.int64)},
}
TYPES = ("f4", "f8", "f2", "i1", "i8", "u8", "?", "c8", "S3", "U2", "M8[s]", ">f4", "O", "V4")
HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
    "{'descr': [('a', '<f4', (1000000, 1000000))], 'fortran_order': False, 'shape': (2, 5), }",
    "{'descr': '<f4', 'fortran_order': 7, 'shape': 5, }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }",
    "__import__('os').getcwd()",
    "{" * 5000,
)


def warm():
    plans.warm()


def run(seed, folder):
    choose = random.Random(f"arrays {seed}")
    base = choose.choice(list(BASES))
    path = folder / "inputs.npz"
    path.write_bytes(_file(dict(BASES[base]), choose))
    batch = choose.choice((64, 1, 3))
    ran = called(running.run_command, bases.plans()[base], path, folder / "out.npz", batch_size=batch, time="0")
    return "ran" if ran else "refused"


def _file(arrays, choose):
    kind = choose.randrange(6)
    if kind == 0:
        return _zipped(
            {name: _bytes(array) for name, array in arrays.items()} | {"ids.npy": _odd_header(choose)}, choose
        )
    if kind == 1:
        return trees.damage(_zipped({f"{name}.npy": _bytes(array) for name, array in arrays.items()}, choose), choose)
    if kind == 2:
        return trees.damage(_bytes(next(iter(arrays.values()))), choose)
    for _ in range(choose.choice((1, 1, 2))):
        _change(arrays, choose)
    return _zipped({f"{name}.npy": _bytes(array) for name, array in arrays.items()}, choose)


def _change(arrays, choose):
    if not arrays:
        return
    name = choose.choice(list(arrays))
    array = arrays[name]
    match choose.randrange(6):
        case 0:
            del arrays[name]
        case 1:
            arrays[hostile.text(choose)] = arrays.pop(name)
        case 2:
            arrays[name] = array.astype(choose.choice(TYPES))
        case 3:
            shapes = [
                (),
                (0,),
                array.shape[1:],
                (1, *array.shape),
                (*array.shape, 1),
                (0, *array.shape[1:]),
                (3, 7),
                (1, 1),
            ]
            arrays[name] = np.ones(choose.choice(shapes), array.dtype)
        case 4:
            value = hostile.number(choose)
            with np.errstate(all="ignore"):
                arrays[name] = np.full(array.shape, float(max(min(value, 1e308), -1e308))).astype(array.dtype)
        case 5:
            arrays[name] = (
                np.repeat(array, choose.choice((0, 3, 40)), choose.randrange(array.ndim)) if array.ndim else array
            )


def _bytes(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def _odd_header(choose):
    header = choose.choice(HEADERS).encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(40)


def _zipped(files, choose):
    content = io.BytesIO()
    pack = choose.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(content, "w", pack) as archive:
        for name, data in files.items():
            written = name.encode("utf-8", "replace").decode()
            archive.writestr(written.partition("\0")[0] or "nameless", data)  # zipfile ends a name there
        if choose.random() < 0.03:
            archive.writestr("bomb.npy", _large_zeros())
    return content.getvalue()


def _large_zeros():
    """An array of 2 GiB that takes two MiB in a file."""
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (536870912,), }"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(2**28)
