"""A hand-over on disk: arrays, tables and tensors in one folder with a manifest.

Layout of a folder::

    manifest.json            format version, kind, shapes, dtypes, sizes, SHA-256, made_from, config, meta
    <name>.npy               numpy arrays, memory-mapped when opened
    <name>.parquet           tables
    <name>.safetensors       groups of torch tensors (model weights)

Nothing is pickled. A folder is written under a temporary name and renamed when it is whole.
"""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from g2rec.artifacts._fingerprint import fingerprint, to_plain
from g2rec.artifacts._io import (
    check_replaceable,
    disk_error,
    hash_file,
    read_json,
    replace_path,
    temporary_sibling,
    write_json,
)
from g2rec.errors import ArtifactError

FORMAT_VERSION = 1
_SMALL_BYTES = 1 << 26
"""Folders that are hashed without threads."""


@dataclass(frozen=True)
class Folder:
    """An opened and checked folder."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the artefact wants to remember beside its arrays: plain JSON."""
        return self.manifest["meta"]  # type: ignore[no-any-return]

    @property
    def content_hash(self) -> str:
        """One hash of everything in the folder; what a later artefact lists under ``made_from``."""
        return str(self.manifest["content_hash"])

    def has(self, name: str) -> bool:
        """Whether the folder holds the file ``name`` (with its ending)."""
        return name in self.manifest["files"]

    def array(self, name: str, *, mmap: bool = True) -> np.ndarray[Any, Any]:
        """One array, memory-mapped read-only unless ``mmap`` is off."""
        file = self._file(f"{name}.npy")
        return np.load(file, mmap_mode="r" if mmap else None, allow_pickle=False)  # type: ignore[no-any-return]

    def table(self, name: str) -> pa.Table:
        """One table."""
        return pq.read_table(self._file(f"{name}.parquet"))

    def tensors(self, name: str, device: str = "cpu") -> dict[str, torch.Tensor]:
        """One group of tensors, such as a state dict."""
        return load_file(self._file(f"{name}.safetensors"), device=device)

    def _file(self, name: str) -> Path:
        if name not in self.manifest["files"]:
            held = ", ".join(sorted(self.manifest["files"]))
            raise ArtifactError(f"{self.path} holds {held}, not {name}; run the stage that writes it again")
        return self.path / name


def save_folder(
    path: Path,
    kind: str,
    *,
    arrays: Mapping[str, np.ndarray[Any, Any]] | None = None,
    tables: Mapping[str, pa.Table] | None = None,
    tensors: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
    config: Any = None,
    made_from: Mapping[str, str] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Folder:
    """Write a folder whole or not at all, replacing what stood there.

    Args:
        path: The folder's final name.
        kind: What the folder is, such as ``"interaction_graph"``; checked when it is opened.
        arrays: Arrays by name; names carry no ending.
        tables: Tables by name.
        tensors: Groups of tensors by name.
        config: The configuration (a dataclass or plain values) that it was made with.
        made_from: Content hashes of the artefacts that it was made from, by kind.
        meta: Plain values that the artefact needs when it is loaded.

    Raises:
        ArtifactError: If the disk refuses the write, or something stands there that g2rec did not write;
            it is untouched.
    """
    check_replaceable(path)
    temporary = temporary_sibling(path)
    try:
        temporary.mkdir(parents=True)
        files: dict[str, dict[str, Any]] = {}
        for name, array in (arrays or {}).items():
            np.save(temporary / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
            files[f"{name}.npy"] = {"dtype": str(array.dtype), "shape": list(array.shape)}
        for name, table in (tables or {}).items():
            pq.write_table(table, temporary / f"{name}.parquet")
            files[f"{name}.parquet"] = {"rows": table.num_rows, "columns": table.column_names}
        for name, group in (tensors or {}).items():
            save_file(
                {key: t.detach().cpu().contiguous() for key, t in group.items()},
                temporary / f"{name}.safetensors",
            )
            files[f"{name}.safetensors"] = {"shapes": {key: list(t.shape) for key, t in group.items()}}
        for name, entry in files.items():
            entry["sha256"] = hash_file(temporary / name)
        _write_manifest(temporary, kind, files, config, made_from, meta)
        replace_path(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise
    return open_folder(path, kind, verify=False)


def adopt_folder(
    written: Path,
    path: Path,
    kind: str,
    *,
    checksums: Mapping[str, str] | None = None,
    config: Any = None,
    made_from: Mapping[str, str] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Folder:
    """Turn a plain folder of finished files into a folder of its final name, replacing what stood there.

    For arrays too large for `save_folder`, which holds them in memory.

    Args:
        written: Holds ``.npy`` and ``.parquet`` files and nothing else, on the file system of ``path``.
        path: The folder's final name.
        kind: What the folder is.
        checksums: SHA-256 of files, by name, where they are known; others are read.
        config: The configuration that it was made with.
        made_from: Content hashes of the artefacts that it was made from, by kind.
        meta: Plain values that the artefact needs when it is loaded.

    Raises:
        ArtifactError: If the disk refuses the write, or something stands there that g2rec did not write;
            it and ``written`` are untouched.
    """
    check_replaceable(path)
    try:
        (written / "manifest.json").unlink(missing_ok=True)
        files: dict[str, dict[str, Any]] = {}
        for file in sorted(written.iterdir()):
            if file.suffix == ".npy":
                array = np.load(file, mmap_mode="r", allow_pickle=False)
                files[file.name] = {"dtype": str(array.dtype), "shape": list(array.shape)}
            else:
                table = pq.ParquetFile(file)
                files[file.name] = {"rows": table.metadata.num_rows, "columns": table.schema_arrow.names}
            known = (checksums or {}).get(file.name)
            files[file.name]["sha256"] = hash_file(file) if known is None else known
        _write_manifest(written, kind, files, config, made_from, meta)
        replace_path(written, path)
    except OSError as error:
        raise disk_error(path, error) from error
    return open_folder(path, kind, verify=False)


def open_folder(
    path: Path, kind: str, *, verify: bool = True, progress: Callable[[int, int], None] | None = None
) -> Folder:
    """Open a folder and check that it is whole and of the kind that is expected.

    Args:
        path: The folder.
        kind: The kind that it must be.
        verify: Hash every file (more than 1 GB/s, several at once); sizes are checked in any case.
        progress: Called with the bytes hashed and their total.

    Raises:
        ArtifactError: If the folder is missing, of another kind or version, or was changed.
    """
    if not (path / "manifest.json").exists():
        lacking = "its manifest.json is missing" if path.is_dir() else "found none"
        raise ArtifactError(
            f"expected a folder of kind {kind} at {path}, {lacking}; check the path, or run its stage first"
        )
    manifest = read_json(path / "manifest.json")
    try:
        _check(path, manifest, kind)
        if verify:
            _verify(path, manifest, progress)
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}/manifest.json lacks {error}; remove the folder and run its stage again"
        ) from None
    return Folder(path, manifest)


def _write_manifest(
    folder: Path,
    kind: str,
    files: Mapping[str, dict[str, Any]],
    config: Any,
    made_from: Mapping[str, str] | None,
    meta: Mapping[str, Any] | None,
) -> None:
    for name, entry in files.items():
        entry["bytes"] = (folder / name).stat().st_size
    body = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "files": files,
        "config": to_plain(config),
        "made_from": dict(made_from or {}),
        "meta": to_plain(dict(meta or {})),
    }
    write_json(folder / "manifest.json", {**body, "content_hash": fingerprint(body)})


def _check(path: Path, manifest: Mapping[str, Any], kind: str) -> None:
    if manifest["format_version"] != FORMAT_VERSION:
        version = manifest["format_version"]
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise ArtifactError(
            f"{path} has format {str(version)[:20]}, this g2rec reads {FORMAT_VERSION}; "
            + ("update g2rec" if newer else "run its stage again")
        )
    if manifest["kind"] != kind:
        found = manifest["kind"]
        raise ArtifactError(
            f"expected a folder of kind {kind} at {path}, found one of kind {found}; check the path"
        )
    body = {key: value for key, value in manifest.items() if key != "content_hash"}
    if manifest["content_hash"] != fingerprint(body):
        raise ArtifactError(
            f"{path}/manifest.json does not match its own hash; remove the folder and run its stage again"
        )
    for name, entry in manifest["files"].items():
        if Path(name).name != name:
            raise ArtifactError(f"{path}/manifest.json names {name[:60]!r}, a file elsewhere; get it again")
        file = path / name
        size = file.stat().st_size if file.is_file() else None
        if size != entry["bytes"]:
            came = "is missing" if size is None else f"has {size} bytes"
            raise ArtifactError(f"{file} should have {entry['bytes']} bytes, it {came}; run its stage again")


def _verify(path: Path, manifest: Mapping[str, Any], progress: Callable[[int, int], None] | None) -> None:
    """Hash all files; large ones in threads of their own."""
    files = manifest["files"]
    total, done, lock = sum(entry["bytes"] for entry in files.values()), 0, threading.Lock()

    def report(more: int) -> None:
        nonlocal done
        with lock:
            done += more
            if progress is not None:
                progress(done, total)

    def check(name: str) -> None:
        if hash_file(path / name, report) != files[name]["sha256"]:
            raise ArtifactError(
                f"{path / name} does not match the checksum in its manifest; run its stage again"
            )

    if total < _SMALL_BYTES:
        for name in files:
            check(name)
        return
    with ThreadPoolExecutor(min(len(files), os.cpu_count() or 1)) as pool:
        largest_first = sorted(files, key=lambda name: -files[name]["bytes"])
        for _ in pool.map(check, largest_first):
            pass
