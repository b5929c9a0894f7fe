"""Networks kept on disk between compilations: the same model on another target is not traced again.

A kept network is data, as a plan is; one that is damaged is traced anew. See ``cache_folder`` for where they lie.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tilewright.compiler.network.network import Network
from tilewright.compiler.network.network_document import NetworkDocument, network_document, network_of
from tilewright.runtime.plan.records import FileRecord
from tilewright.runtime.plan.stored_tensors import check_file, read_tensors, stored_once, without_numbers
from tilewright.runtime.storage.atomic_folder import FolderKind, atomic_folder
from tilewright.runtime.storage.cache_folder import MOST_KEPT, bytes_in, cache_folder
from tilewright.runtime.storage.weights_file import write_weights
from tilewright.targets.errors import InputError

NETWORKS = "networks"
DOCUMENT, TENSORS, TOKENIZER = "network.json", "tensors.safetensors", "tokenizer"
LARGEST_NETWORK = 2**32
"""Bytes of tensors beyond which a network is not kept."""
FREE = 4
"""Multiple of a network's bytes that must be free on the disk for it to be kept."""


def _own_files(document: dict[str, Any]) -> set[str]:
    return {TENSORS, *(f"{TOKENIZER}/{record['file']}" for record in document["tokenizer"])}


KEPT = FolderKind("a kept network", DOCUMENT, frozenset({"written_by", "key", "graph"}), _own_files)


def find(key: str | None) -> Network | None:
    """The network that was kept under this key; None if there is none, or it is damaged."""
    folder = _folder(key)
    if folder is None:
        return None
    try:
        if not folder.is_dir():
            return None
        document = NetworkDocument.model_validate_json((folder / DOCUMENT).read_text(encoding="utf-8"))
        network = _read(folder, document) if document.key == key else None
        os.utime(folder)
    except (InputError, ValidationError, KeyError, OSError, ValueError):
        return None
    return network


def _read(folder: Path, document: NetworkDocument) -> Network:
    tokenizer = {}
    for record in document.tokenizer:
        check_file(folder / TOKENIZER, record, "kept network")
        tokenizer[record.file] = (folder / TOKENIZER / record.file).read_bytes()
    if document.weights is None:
        return network_of(document, without_numbers(document.tensors), tokenizer)
    check_file(folder, document.weights, "kept network")
    return network_of(document, read_tensors(folder / TENSORS, document.tensors), tokenizer)


def keep(network: Network, key: str | None) -> None:
    """Keep a lowered network under its key, if it has one and the disk has room; that it fails is none of compiling."""
    folder = _folder(key)
    if folder is None or key is None:
        return
    document, tensors = network_document(network, key)
    stored, records = stored_once(tensors)
    size = sum(tensor.nbytes for tensor in stored.values() if not tensor.is_meta)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if size > LARGEST_NETWORK or shutil.disk_usage(folder.parent).free < FREE * size:
            return
        with atomic_folder(folder, KEPT, overwrite=True) as new:
            weights, tokenizer = None, []
            if network.traced.has_weights:
                digest, written = write_weights(new / TENSORS, stored)
                weights = FileRecord(file=TENSORS, sha256=digest, bytes=written)
            (new / TOKENIZER).mkdir()
            for name, content in network.traced.tokenizer_files.items():
                (new / TOKENIZER / name).write_bytes(content)
                sha256 = hashlib.sha256(content).hexdigest()
                tokenizer.append(FileRecord(file=name, sha256=sha256, bytes=len(content)))
            update = {"tensors": records, "weights": weights, "tokenizer": tokenizer}
            (new / DOCUMENT).write_text(document.model_copy(update=update).model_dump_json(), encoding="utf-8")
        _make_room()
    except (OSError, InputError):  # no permission, no room, or something else has the name
        return


def _make_room() -> None:
    """Remove the networks that were not used for longest, until the others take no more than is allowed."""
    newest_first = sorted(_folders(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    taken = 0
    for folder in newest_first:
        taken += bytes_in(folder)
        if taken > MOST_KEPT:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(key: str | None) -> Path | None:
    cache = cache_folder()
    return None if cache is None or key is None else cache / NETWORKS / key


def _folders() -> Iterator[Path]:
    """Folders of kept networks; whatever else is there is not touched."""
    cache = cache_folder()
    if cache is None or not (cache / NETWORKS).is_dir():
        return
    for folder in (cache / NETWORKS).iterdir():
        if (folder / DOCUMENT).is_file():
            yield folder
