"""Counting pairs of items: sorted runs of (pair, count), summed in memory, and on disk where that is full."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from g2rec.graph._pairs_kernels import merge_blocks, mirror_sorted, sort_records, sum_sorted

_FIRST = 1 << 20
"""Records that there is room for at the start; it doubles when half of them are distinct pairs."""
_BLOCK = 1 << 18
"""Records of a run that are read at a time, where memory allows."""
RECORD = 40
"""Bytes a record takes: key and count, the same for sorting, and a fifth while the arrays grow."""

Keys = NDArray[np.uint64]


class PairCounter:
    """Counts pairs (a, b) of items, in order of the pairs, within a bound of memory.

    Records are appended as they come. When there is no room left, the new ones are sorted and merged with
    those that are sorted already, equal pairs summed. Where more than half of the room is still taken, it is
    doubled up to ``most``, and beyond that the sorted run is written to ``folder``, as it is and by (b, a).
    Counts are whole numbers, so neither their order nor the number of runs changes a sum.

    Args:
        num_items: I; a pair is the number a I + b.
        most: Records in memory; None for any number.
        folder: Where runs are written; made when it is needed. Not used without ``most``.
    """

    _keys: Keys
    _values: Keys
    _other_keys: Keys
    _other_values: Keys

    def __init__(self, num_items: int, most: int | None = None, folder: Path | None = None) -> None:
        self.num_items, self.most, self.folder = num_items, most, folder
        self.fill = 0
        """Records in the arrays."""
        self.spilled = 0
        """Distinct pairs of all runs on disk, together."""
        self._sorted = 0
        self._runs: list[_Run] = []
        self._free()
        self._allocate(_FIRST if most is None else min(_FIRST, most))

    @property
    def room(self) -> tuple[Keys, Keys]:
        """Keys and counts; records are written to them from ``fill`` on."""
        return self._keys, self._values

    @property
    def num_runs(self) -> int:
        """Runs on disk, each with its mirror image."""
        return len(self._runs) // 2

    def make_room(self) -> None:
        """Sum what is there; write it to disk if it still takes more than half."""
        self._sum()
        size = len(self._keys)
        if 2 * self._sorted <= size:
            return
        if self.most is None or size < self.most:
            self._allocate(2 * size if self.most is None else min(2 * size, self.most))
        else:
            self._spill()

    def finish(self) -> "list[Run]":
        """All counts, as runs of sorted records in which (a, b) and (b, a) are listed."""
        self._sum()
        if self._runs:
            self._spill()
            self._free()
            return list(self._runs)
        n = self._sorted
        mirror_sorted(
            self._keys[:n], self._values[:n], self.num_items, self._other_keys[:n], self._other_values[:n]
        )
        runs: list[Run] = [
            _Held(self._keys[:n], self._values[:n]),
            _Held(self._other_keys[:n], self._other_values[:n]),
        ]
        self._free()
        return runs

    def close(self) -> None:
        """Remove what was written."""
        self._free()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _sum(self) -> None:
        old, new = slice(0, self._sorted), slice(self._sorted, self.fill)
        bits = (self.num_items**2 - 1).bit_length()
        swapped = sort_records(
            self._keys[new], self._values[new], self._other_keys[new], self._other_values[new], bits
        )
        keys, values = (self._other_keys, self._other_values) if swapped else (self._keys, self._values)
        self.fill = self._sorted = sum_sorted(
            self._keys[old], self._values[old], keys[new], values[new], self._other_keys, self._other_values
        )
        self._keys, self._other_keys = self._other_keys, self._keys
        self._values, self._other_values = self._other_values, self._values

    def _spill(self) -> None:
        assert self.folder is not None
        n = self._sorted
        if not n:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        keys, values = self._other_keys[:n], self._other_values[:n]
        mirror_sorted(self._keys[:n], self._values[:n], self.num_items, keys, values)
        for each in ((self._keys[:n], self._values[:n]), (keys, values)):
            self._runs.append(_Run(self.folder / f"run-{len(self._runs)}.u64", *each))
        self.spilled += n
        self.fill = self._sorted = 0

    def _allocate(self, size: int) -> None:
        """Arrays of ``size`` records; those that are sorted are kept."""
        n = self._sorted
        self._other_keys = self._other_values = np.empty(0, np.uint64)
        self._keys, self._values = _longer(self._keys[:n], size), _longer(self._values[:n], size)
        self._other_keys, self._other_values = np.empty(size, np.uint64), np.empty(size, np.uint64)

    def _free(self) -> None:
        self._keys = self._values = self._other_keys = self._other_values = np.empty(0, np.uint64)


def _longer(array: Keys, size: int) -> Keys:
    longer = np.empty(size, np.uint64)
    longer[: len(array)] = array
    return longer


class Run(Protocol):
    """Sorted records that are read a block at a time."""

    length: int
    """Records."""

    def read(self, start: int, keys: Keys, values: Keys) -> int:
        """Fill two arrays from record ``start`` on; how many there were."""


class _Held:
    """In memory."""

    def __init__(self, keys: Keys, values: Keys) -> None:
        self.length, self._keys, self._values = len(keys), keys, values

    def read(self, start: int, keys: Keys, values: Keys) -> int:
        size = min(len(keys), self.length - start)
        keys[:size] = self._keys[start : start + size]
        values[:size] = self._values[start : start + size]
        return size


class _Run:
    """On disk: the keys, then the counts."""

    def __init__(self, path: Path, keys: Keys, values: Keys) -> None:
        self.path, self.length = path, len(keys)
        with path.open("wb") as file:
            for array in (keys, values):
                file.write(array.data.cast("B"))

    def read(self, start: int, keys: Keys, values: Keys) -> int:
        size = min(len(keys), self.length - start)
        with self.path.open("rb", buffering=0) as file:
            for array, first in ((keys, start), (values, self.length + start)):
                file.seek(8 * first)
                into, done = array[:size].data.cast("B"), 0
                while done < len(into):
                    got = file.readinto(into[done:])
                    if not got:
                        raise OSError(f"{self.path} is shorter than it was")
                    done += got
        return size


def merge_runs(
    runs: list[Run], memory: int | None, say: Callable[[int, int], None]
) -> Iterator[tuple[Keys, Keys]]:
    """Blocks of the records of all runs in order, equal pairs summed; a block is overwritten by the next.

    Args:
        runs: Each sorted.
        memory: Bytes to hold at a time; None for any number.
        say: Called with records read and their total.
    """
    total = sum(run.length for run in runs)
    if not total:
        return
    size = min(_BLOCK, max(run.length for run in runs))
    if memory is not None:
        size = min(size, max(1024, memory // (16 * (len(runs) + 1))))
    keys, values = np.empty((len(runs), size), np.uint64), np.empty((len(runs), size), np.uint64)
    at, stop, read = (np.zeros(len(runs), np.int64) for _ in range(3))
    length = np.array([run.length for run in runs], np.int64)
    full = max(2, size)
    out: tuple[Any, Any] = np.empty(full, np.uint64), np.empty(full, np.uint64)
    fill = 0
    while (at < stop).any() or (read < length).any():
        for number in np.flatnonzero((at == stop) & (read < length)):
            at[number], stop[number] = 0, runs[number].read(int(read[number]), keys[number], values[number])
            read[number] += stop[number]
        fill = merge_blocks(keys, values, at, stop, read < length, *out, fill)
        if fill == full:  # the last record may not be whole yet
            yield out[0][: fill - 1], out[1][: fill - 1]
            for array in out:
                array[0] = array[fill - 1]
            fill = 1
            say(int((read - stop + at).sum()), total)
    yield out[0][:fill], out[1][:fill]
    say(total, total)
