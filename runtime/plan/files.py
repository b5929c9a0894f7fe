"""Plans as folders: plan.json, weights.safetensors, tokenizer/, adapters/. Saving is atomic; loading trusts nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.check import PlanError, check_plan
from tilewright.runtime.plan.migration import READABLE, migrated
from tilewright.runtime.plan.records import FileRecord, PlanDocument, TensorRecord
from tilewright.runtime.plan.stored_tensors import check_file, read_tensors, stored_once, without_numbers
from tilewright.runtime.storage.atomic_folder import FolderKind, atomic_folder, put_back
from tilewright.runtime.storage.weights_file import write_weights
from tilewright.targets.draws_version import VERSION
from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.paths import FOLDER, kind_of, shown_path

PLAN_FILE = "plan.json"
WEIGHTS_FILE = "weights.safetensors"
TOKENIZER_FOLDER = "tokenizer"
ADAPTERS_FOLDER = "adapters"
LARGEST_PLAN_FILE = 2**30  # bytes of JSON
LARGEST_TOKENIZER_FILE = 2**28  # bytes
READINGS = 100
"""Largest number of times that a plan is read anew which other processes replace meanwhile."""


def _files_of(document: Mapping[str, Any]) -> set[str]:
    """Files that saving wrote besides plan.json; other files that a stranger's plan may name are not its own."""

    def named(records: Any) -> list[Any]:
        found = [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
        return [record.get("file") for record in found]

    tokenizer, adapters = named(document.get("tokenizer")), document.get("adapters")
    listed = [one.get("weights") for one in adapters if isinstance(one, dict)] if isinstance(adapters, list) else []
    return {
        WEIGHTS_FILE,
        *(f"{TOKENIZER_FOLDER}/{name}" for name in tokenizer if isinstance(name, str)),
        *(f"{ADAPTERS_FOLDER}/{name}" for name in named(listed) if isinstance(name, str)),
    }


PLAN = FolderKind("a plan", PLAN_FILE, frozenset({"schema_version", "tilewright_version", "model", "graph"}), _files_of)
"""Kind of folder that plans on disk are."""


Tensors = Mapping[str, Tensor]
Parts = tuple[PlanDocument, dict[str, Tensor], dict[str, bytes]]
"""Document, tensors by name, and tokenizer files by name."""


def write(
    document: PlanDocument,
    tensors: Tensors,
    tokenizer_files: Mapping[str, bytes],
    folder: Path,
    *,
    overwrite: bool,
    weights_in: Path | None = None,
) -> PlanDocument:
    """Write a plan as a folder, whole or not at all; see ``Plan.save``. Returns the document, which names the files.

    weights_in: a folder with the plan's file of weights as the document says it is, which is not written again.
    """
    with atomic_folder(folder, PLAN, overwrite=overwrite) as new:
        records, weights = _write_base(document, tensors, new, weights_in)
        adapters = [_write_adapter(one, tensors, new / ADAPTERS_FOLDER) for one in document.adapters]
        if tokenizer_files:
            (new / TOKENIZER_FOLDER).mkdir()
        for name, content in tokenizer_files.items():
            (new / TOKENIZER_FOLDER / name).write_bytes(content)
        tokenizer = _tokenizer_records(tokenizer_files)
        files = {"tensors": records, "weights": weights, "tokenizer": tokenizer, "adapters": adapters}
        whole = document.model_copy(update=files)
        (new / PLAN_FILE).write_text(readable_json(whole.model_dump(mode="json")) + "\n", encoding="utf-8")
    return whole


def _write_base(
    document: PlanDocument, tensors: Tensors, new: Path, weights_in: Path | None
) -> tuple[dict[str, TensorRecord], FileRecord | None]:
    """Write the tensors of the plan without its adapters. Returns their records and the file's."""
    if document.weights is not None and weights_in is not None and _is_there(weights_in, document.weights):
        _put(weights_in / document.weights.file, new / WEIGHTS_FILE)
        return document.tensors, document.weights.model_copy(update={"file": WEIGHTS_FILE})
    return _write_tensors(document, tensors, new / WEIGHTS_FILE)


def _write_tensors(
    document: PlanDocument, tensors: Tensors, file: Path
) -> tuple[dict[str, TensorRecord], FileRecord | None]:
    of_adapters = {key for record in document.adapters for key in record.tensors}
    stored, records = stored_once({key: tensor for key, tensor in tensors.items() if key not in of_adapters})
    if document.weights is None:
        return records, None
    digest, size = write_weights(file, stored)
    return records, FileRecord(file=WEIGHTS_FILE, sha256=digest, bytes=size)


def _tokenizer_records(tokenizer_files: Mapping[str, bytes]) -> list[FileRecord]:
    return [
        FileRecord(file=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, content in sorted(tokenizer_files.items())
    ]


def _write_adapter(record: AdapterRecord, tensors: Tensors, folder: Path) -> AdapterRecord:
    """Write the tensors of an adapter. Returns its record, which names the file."""
    folder.mkdir(exist_ok=True)
    stored, records = stored_once({key: tensors[key] for key in record.tensors})
    file = f"{record.name}.safetensors"
    digest, size = write_weights(folder / file, stored)
    written = FileRecord(file=file, sha256=digest, bytes=size)
    return record.model_copy(update={"tensors": records, "weights": written})


def _is_there(folder: Path, record: FileRecord) -> bool:
    """True if a file is in the folder as its record says."""
    try:
        check_file(folder, record, "plan")
    except InputError:
        return False
    return True


def _put(source: Path, destination: Path) -> None:
    """Give a file that is never changed a second name; where the system cannot, copy it."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)


def read(folder: Path) -> Parts:
    """Read and validate a plan; see ``load`` in runtime/plan/plan.py."""
    for _ in range(READINGS):
        before = _identity(folder)
        try:
            parts = _read(folder)
        except InputError:
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:
            return parts
    raise InputError(f"plan {folder} cannot be read: another process replaces it again and again")


def _identity(folder: Path) -> tuple[int, int]:
    """Identity of a folder: another once another plan has taken its place. Raises ``InputError`` without a folder."""
    if kind_of(folder) is None:
        put_back(folder)
    if kind_of(folder) != FOLDER:
        raise InputError(f"there is no plan folder {shown_path(folder)}")
    state = folder.stat()
    return state.st_ino, state.st_ctime_ns


def _read(folder: Path) -> Parts:
    document = _read_document(folder)
    if document.weights is not None:
        check_file(folder, document.weights, "plan")
    tokenizer_files = {}
    for record in document.tokenizer:
        if record.bytes > LARGEST_TOKENIZER_FILE:
            raise InputError(f"plan {folder}: {record.file} of its tokenizer is {record.bytes:,} bytes")
        check_file(folder / TOKENIZER_FOLDER, record, "plan")
        tokenizer_files[record.file] = (folder / TOKENIZER_FOLDER / record.file).read_bytes()
    tensors = (
        read_tensors(folder / document.weights.file, document.tensors)
        if document.weights is not None
        else without_numbers(document.tensors)
    )
    for one in document.adapters:
        check_file(folder / ADAPTERS_FOLDER, one.weights, "plan")
        for key, tensor in read_tensors(folder / ADAPTERS_FOLDER / one.weights.file, one.tensors).items():
            if key in tensors:
                raise InputError(f"plan {folder}: adapter {one.name!r} has a tensor {key!r} that is there already")
            tensors[key] = tensor
    try:
        check_plan(document, tensors)
    except (InputError, PlanError) as error:
        raise InputError(f"plan {folder}: {error}") from error
    return document, tensors, tokenizer_files


def _read_document(folder: Path) -> PlanDocument:
    path = folder / PLAN_FILE
    if not path.is_file():
        raise InputError(f"folder {str(folder)!r} holds no {PLAN_FILE}, so it is not a plan")
    if path.stat().st_size > LARGEST_PLAN_FILE:
        raise InputError(f"{path} is {path.stat().st_size} bytes, allowed are {LARGEST_PLAN_FILE}")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is not int or version not in READABLE:
        shown = ", ".join(map(str, READABLE))
        raise InputError(f"{path} has schema version {version!r}; this tilewright reads versions {shown}")
    try:
        document = PlanDocument.model_validate(migrated(content))
    except ValidationError as error:
        raise InputError(f"plan {folder}: {first_problem(error, PlanDocument)}") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply to be a plan") from error
    if document.draws > VERSION:
        raise InputError(
            f"plan {folder} was made by a newer version of tilewright, {document.tilewright_version[:80]}: its random "
            f"numbers are of version {document.draws}, this one draws those of version {VERSION}"
        )
    return document


def readable_json(value: Any, indent: str = "") -> str:
    """JSON with what fits in a line on one line, and the keys in the order given."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or len(flat) + len(indent) <= 118:
        return flat
    deeper = indent + " "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {readable_json(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [readable_json(item, deeper) for item in value]
        opening, closing = "[", "]"
    return opening + "\n" + deeper + f",\n{deeper}".join(items) + "\n" + indent + closing


OF_OPTIONS = {"decisions": True, "uses": {"__all__": {"largest_input", "simulated_error"}}}
SAID: Mapping[str, Any] = {
    "schema_version": True,
    "tilewright_version": True,
    "draws": True,
    "adapters": True,
    "decisions": True,
    "verification": True,
    "check": True,
    "assignment": True,
    "notes": True,
    "unused_tensors": True,
    "weights_of_model": True,
    "layers": {
        "__all__": {
            "reason": True,
            "predicted_loss": True,
            "has_factors": True,
            "parts": {"__all__": {"stored"}},
            "options": {"__all__": OF_OPTIONS},
        }
    },
    "matmuls": {"__all__": {"reason"}},
}
"""Parts of a document that say how it came about, and change nothing of what a chip does."""


def unwritten_sha256(document: PlanDocument, tensors: Tensors, tokenizer_files: Mapping[str, bytes]) -> str:
    """SHA-256 as of ``document_sha256`` that a plan in memory will have once it is written."""
    records, weights = _write_tensors(document, tensors, Path(os.devnull))
    files = {"tensors": records, "weights": weights, "tokenizer": _tokenizer_records(tokenizer_files)}
    return document_sha256(document.model_copy(update=files))


def document_sha256(document: PlanDocument) -> str:
    """SHA-256 of what a plan does on a chip, in hexadecimal: measurements of it are kept by this name."""
    content = document.model_dump(mode="json", exclude=SAID)
    for layer in content["layers"]:
        layer["options"] = [option for option in layer["options"] if option["target"] == layer["target"]]
    used = {option["programming"] for layer in content["layers"] for option in layer["options"]}
    content["programming"] = [method for method in content["programming"] if method["name"] in used]
    return hashlib.sha256(readable_json(content).encode()).hexdigest()
