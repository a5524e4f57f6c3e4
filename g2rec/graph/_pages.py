"""Pages of mapped arrays: whether they fit into memory, entering them ahead of use, leaving them after."""

import contextlib
import logging
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)
_POPULATE_READ = 22
"""MADV_POPULATE_READ of Linux 5.14, which Python does not name yet."""


def may_hold(path: Path, arrays: Sequence[NDArray[Any]], wanted: bool | None) -> bool:
    """Whether to enter the pages of arrays: if that is wanted, or not said and they fit into free memory."""
    size = sum(array.nbytes for array in arrays)
    free = available_bytes()
    if wanted or free is None or size <= free:
        return True
    logger.warning(
        "%s holds %.1f GB and %.1f GB of memory are free: its pages are read from disk as they are used",
        path,
        size / 1e9,
        free / 1e9,
    )
    return False


def enter_pages(array: NDArray[Any]) -> None:
    """Enter all pages of a mapped array into the page tables; nothing happens where that is not possible."""
    mapped = getattr(array, "_mmap", None)
    if isinstance(array, np.memmap) and isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):
        with contextlib.suppress(OSError, ValueError):
            mapped.madvise(_POPULATE_READ)


def leave_pages(array: NDArray[Any] | None) -> None:
    """Take all pages of a mapped array out of the page tables; they come back as they are used."""
    mapped = getattr(array, "_mmap", None)
    if isinstance(array, np.memmap) and isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):
        with contextlib.suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None
