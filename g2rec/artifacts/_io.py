"""Small file operations that never leave half a file behind."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from g2rec.errors import ArtifactError

_CHUNK_BYTES = 1 << 22


def hash_file(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits; ``progress`` is called with the bytes of each chunk."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        chunk = memoryview(bytearray(min(_CHUNK_BYTES, max(1, path.stat().st_size))))
        while size := handle.readinto(chunk):
            digest.update(chunk[:size])
            if progress is not None:
                progress(size)
    return digest.hexdigest()


def temporary_sibling(path: Path) -> Path:
    """A hidden, unique path beside ``path``, so that a rename stays on one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:6]}.tmp")


def replace_path(temporary: Path, final: Path) -> None:
    """Move a finished file or folder to its final name; what stood there is removed.

    A file is replaced atomically. A folder cannot be: the old one is moved aside first, so a reader
    finds the old folder, none, or the new one, never a mixture.
    """
    if temporary.is_dir() and final.exists():
        aside = temporary_sibling(final)
        final.rename(aside)
        temporary.rename(final)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.replace(final)


def check_replaceable(path: Path) -> None:
    """Refuse a place for a folder where something stands that g2rec did not write.

    Raises:
        ArtifactError: If there is a file, or a folder that holds anything and has no manifest of ours.
    """
    if not path.name:
        raise ArtifactError(f"expected a folder's name to write to, got {str(path)!r}; name a new folder")
    if path.is_dir():
        try:
            said = (path / "manifest.json").read_text()
        except (OSError, UnicodeDecodeError):
            said = ""
        try:
            found = json.loads(said)
            ours = isinstance(found, dict) and {"kind", "format_version", "content_hash"} <= found.keys()
        except (ValueError, RecursionError):  # damaged; ours begin so
            ours = said.replace(" ", "").replace("\n", "").startswith('{"format_version"')
        if ours or not any(path.iterdir()):
            return
    if path.exists():
        what = "a folder with other files" if path.is_dir() else "a file"
        raise ArtifactError(
            f"{path} is {what}, which g2rec did not write and does not replace; choose another place"
        )


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text, in UTF-8, whole or not at all."""
    temporary = temporary_sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        replace_path(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def read_json(path: Path) -> Any:
    """Read JSON; a missing or damaged file is an `ArtifactError`."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{path} is missing; run the stage that writes it first") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is not valid JSON ({error}); remove it and run its stage again"
        ) from None


def disk_error(path: Path, error: OSError) -> ArtifactError:
    """The one sentence for a write that failed, such as on a full disk."""
    reason = error.strerror or str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    mend = "free some space" if full else "mend that or choose another place"
    return ArtifactError(f"writing {path} failed: {reason}; nothing was changed there, {mend} and run again")
