"""Plans whose files are changed: weights, tokenizer, and what plan.json says of both."""

import hashlib
import json
import random
import shutil
import struct

import numpy as np

from tests.fuzz import bases, hostile, plans, trees
from tests.fuzz.program import called
from tilewright import load
from tilewright.compiler.cli import evaluate_command
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError

BASES = ("mlp", "mixed", "cnn", "bert")
SPECIAL = (0, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F7FFFFF, 0x00000001)
"""Bits of float32 zero, infinities, NaN, the largest and the smallest."""


def warm():
    plans.warm()


def run(seed, folder):
    choose = random.Random(f"weights {seed}")
    base = choose.choice(BASES)
    shutil.copytree(bases.plans()[base], folder, dirs_exist_ok=True)
    document = json.loads((folder / "plan.json").read_text())
    tokenizer = sorted((folder / "tokenizer").iterdir()) if (folder / "tokenizer").is_dir() else []
    if tokenizer and choose.random() < 0.4:
        change_json(choose.choice(tokenizer), choose)
    elif choose.random() < 0.2:
        _tie_or_untie(document, choose)
    else:
        path = folder / document["weights"]["file"]
        path.write_bytes(weights(path.read_bytes(), choose))
    if choose.random() < 0.9:
        _describe_anew(document, folder)
    (folder / "plan.json").write_text(json.dumps(document))
    ended = plans.commands(folder, base, choose, folder)
    if tokenizer and ended != "refused at load":
        _encode(folder, choose)
    return ended


def weights(content, choose):
    """A safetensors file with another header, other numbers, or damaged."""
    kind = choose.randrange(4)
    if kind == 0:
        return trees.damage(content, choose)
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    if kind == 1:
        for _ in range(choose.choice((1, 1, 10))):
            struct.pack_into("<I", data, choose.randrange(len(data) // 4) * 4, choose.choice(SPECIAL))
    elif kind == 2:
        for _ in range(choose.choice((1, 1, 2))):
            trees.edit(header, choose)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    claimed = len(text) if kind != 3 else choose.choice((0, 1, len(text) - 1, 2**31, 2**63, 2**64 - 1, 10**8))
    return struct.pack("<Q", claimed) + text + data


def _tie_or_untie(document, choose):
    """Tensors stored in each other's place, or described otherwise than they are."""
    records = list(document["tensors"].values())
    record = choose.choice(records)
    match choose.randrange(3):
        case 0:
            record["stored_as"] = choose.choice(records)["stored_as"]
        case 1:
            record["dtype"] = choose.choice(("float16", "int64", "bool", "float64", "complex64", hostile.text(choose)))
        case 2:
            record["shape"] = choose.choice(records)["shape"]


def change_json(path, choose):
    if choose.random() < 0.3:
        path.write_bytes(trees.damage(path.read_bytes(), choose))
        return
    content = json.loads(path.read_text())
    for _ in range(choose.choice((1, 1, 3))):
        trees.edit(content, choose)
    path.write_text(json.dumps(content), errors="surrogatepass")


def _describe_anew(document, folder):
    for record, place in [
        (document["weights"], folder),
        *((file, folder / "tokenizer") for file in document["tokenizer"]),
    ]:
        content = (place / record["file"]).read_bytes()
        record |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _encode(folder, choose):
    """Texts through a tokenizer that may be anything, by hand and by the command."""
    try:
        encoded = TextEncoder(load(folder)).encode(["a cat sat", "", "x" * 1000, hostile.text(choose)])
    except InputError:
        return
    for arrays in encoded:
        assert all(np.asarray(array).ndim == 1 for array in arrays.values())
    data = folder / "dev.tsv"
    rows = [f"{n}\t\t\t\t\t\t\t{n % 6}\ta cat sat\tthe dog sat" for n in range(4)]
    data.write_text(
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tscore\tsentence1\tsentence2\n" + "\n".join(rows)
    )
    called(evaluate_command.evaluate_command, plan=folder, data=data, times="1s", repeats=1)
