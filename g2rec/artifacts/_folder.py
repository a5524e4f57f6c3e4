"""A hand-over on disk: arrays, tables and tensors in one folder with a manifest.

Layout of a folder::

    manifest.json            format version, kind, shapes, dtypes, sizes, SHA-256, made_from, config, meta
    <name>.npy               numpy arrays, memory-mapped when opened
    <name>.parquet           tables
    <name>.safetensors       groups of torch tensors (model weights)

Nothing is pickled. A folder is written under a temporary name and renamed when it is whole.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from g2rec.artifacts._fingerprint import fingerprint, to_plain
from g2rec.artifacts._io import disk_error, hash_file, read_json, replace_path, temporary_sibling, write_json
from g2rec.errors import ArtifactError

FORMAT_VERSION = 1


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
        ArtifactError: If the disk refuses the write; the old folder, if any, is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        temporary.mkdir()
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
            entry["bytes"] = (temporary / name).stat().st_size
            entry["sha256"] = hash_file(temporary / name)
        body = {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "files": files,
            "config": to_plain(config),
            "made_from": dict(made_from or {}),
            "meta": to_plain(dict(meta or {})),
        }
        write_json(temporary / "manifest.json", {**body, "content_hash": fingerprint(body)})
        replace_path(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise
    return open_folder(path, kind, verify=False)


def open_folder(path: Path, kind: str, *, verify: bool = True) -> Folder:
    """Open a folder and check that it is whole and of the kind that is expected.

    Args:
        path: The folder.
        kind: The kind that it must be.
        verify: Hash every file (about 1 GB/s); sizes are checked in any case.

    Raises:
        ArtifactError: If the folder is missing, of another kind or version, or was changed.
    """
    if not path.is_dir():
        raise ArtifactError(
            f"expected a {kind} folder at {path}, found none; run the stage that writes it first"
        )
    manifest = read_json(path / "manifest.json")
    try:
        _check(path, manifest, kind, verify)
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}/manifest.json lacks {error}; remove the folder and run its stage again"
        ) from None
    return Folder(path, manifest)


def _check(path: Path, manifest: Mapping[str, Any], kind: str, verify: bool) -> None:
    if manifest["format_version"] != FORMAT_VERSION:
        version = manifest["format_version"]
        raise ArtifactError(
            f"{path} has format {version}, this g2rec reads {FORMAT_VERSION}; run its stage again"
        )
    if manifest["kind"] != kind:
        raise ArtifactError(f"expected a {kind} folder at {path}, found a {manifest['kind']}; check the path")
    body = {key: value for key, value in manifest.items() if key != "content_hash"}
    if manifest["content_hash"] != fingerprint(body):
        raise ArtifactError(
            f"{path}/manifest.json does not match its own hash; remove the folder and run its stage again"
        )
    for name, entry in manifest["files"].items():
        file = path / name
        size = file.stat().st_size if file.is_file() else None
        if size != entry["bytes"]:
            came = "is missing" if size is None else f"has {size} bytes"
            raise ArtifactError(f"{file} should have {entry['bytes']} bytes, it {came}; run its stage again")
        if verify and hash_file(file) != entry["sha256"]:
            raise ArtifactError(f"{file} does not match the checksum in its manifest; run its stage again")
