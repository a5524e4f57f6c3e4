"""Counting the events of every node, and placing them in its row."""

import contextlib
import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from g2rec.errors import DataError
from g2rec.graph._build_ids import read_nodes
from g2rec.graph._build_kernels import count_degrees, place_events, scan_times, sort_rows
from g2rec.graph._build_log import EventLog, Progress, ahead, as_seconds, changed

_CHUNK_BYTES = 1 << 24
_AHEAD = 3
"""Batches that a thread may lag behind the other."""
_EARLIEST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Events:
    """A run of events."""

    stop: int
    """Number of the event behind the last."""
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: NDArray[Any]
    """Seconds, int32 or int64; empty without times."""
    weights: NDArray[np.float32]
    """Empty without weights."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The events of a log as node numbers, seconds and weights."""

    log: EventLog
    user: str
    item: str
    time: str | None
    weight: str | None
    user_nodes: Path | None
    """Where users were looked up; none if the column holds node numbers."""
    item_nodes: Path | None

    def fields(self, wide_times: bool) -> dict[str, str]:
        """The files of edges, and their types."""
        found = {"indices.npy": "<i4"}
        if self.time is not None:
            found["times.npy"] = "<i8" if wide_times else "<i4"
        if self.weight is not None:
            found["weights.npy"] = "<f4"
        return found

    def events(self) -> Iterator[Events]:
        """All events in order."""
        plain = [] if self.user_nodes else [self.user]
        plain += [] if self.item_nodes else [self.item]
        plain += [name for name in (self.time, self.weight) if name is not None]
        if not plain:
            plain = [self.user]
        for at, batch in self.log.batches(plain):
            size = len(batch[plain[0]])
            times: NDArray[np.integer[Any]] = np.empty(0, np.int32)
            weights = np.empty(0, np.float32)
            if self.time is not None:
                times = as_seconds(batch[self.time], self.time)
            if self.weight is not None:
                weights = _as_weights(batch[self.weight].to_numpy(zero_copy_only=False), self.weight)
            nodes = [
                batch[name].to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
                if file is None
                else read_nodes(file, at, size)
                for name, file in ((self.user, self.user_nodes), (self.item, self.item_nodes))
            ]
            yield Events(at + size, nodes[0], nodes[1], times, weights)


@dataclass(frozen=True)
class Degrees:
    """What one pass over the events tells."""

    num_users: int
    indptr: NDArray[np.int64]
    """[N + 1] offsets of the rows."""
    rising: bool
    """Whether times never fall in the whole log, so that rows need no sorting."""
    wide_times: bool
    """Whether a time needs 64 bits."""


def count_events(columns: Columns, num_users: int, num_items: int, progress: Progress) -> Degrees:
    """Count the events of every node.

    Raises:
        DataError: If a value does not fit, or a node is out of range.
    """
    indptr = np.zeros(num_users + num_items + 1, dtype=np.int64)
    users, items = indptr[1 : num_users + 1], indptr[num_users + 1 :]
    low, high, rising, last = 2**31, -(2**31) - 1, True, _EARLIEST
    seen = False

    def count_users(events: Events) -> bool:
        return bool(count_degrees(users, events.users))

    def count_items(events: Events) -> bool:
        nonlocal low, high, rising, last, seen
        if len(events.times):
            early, late, in_order = scan_times(events.times, np.int64(last))
            low, high = (min(low, early), max(high, late)) if seen else (early, late)
            rising, last, seen = rising and in_order, int(events.times[-1]), True
        return bool(count_degrees(items, events.items))

    for events, fits in _in_pairs(columns.events(), count_users, count_items):
        if not all(fits):
            raise changed(columns.log.files[0].path)
        progress("counting", events.stop, columns.log.num_events)
    np.cumsum(indptr, out=indptr)
    wide = seen and not -(2**31) <= low <= high < 2**31
    return Degrees(num_users, indptr, bool(rising), bool(wide))


def place_part(
    columns: Columns,
    degrees: Degrees,
    part: tuple[int, int],
    out: dict[str, NDArray[Any]],
    progress: Progress,
    name: str = "",
) -> None:
    """Fill the rows of a range of nodes, by two threads, each for the half of the edges.

    Args:
        columns: The log.
        degrees: Its counts.
        part: First node, and the one behind the last.
        out: Arrays of the part's edges, by the names of their files.
        progress: Told of every batch.
        name: What to call the part.

    Raises:
        DataError: If the log is not the one that was counted.
    """
    indptr, (first, last) = degrees.indptr, part
    base, end = int(indptr[first]), int(indptr[last])
    middle = int(np.searchsorted(indptr, (base + end) // 2, side="left"))
    middle = min(max(middle, first), last)
    halves = [_Rows(degrees, low, high, base, out) for low, high in ((first, middle), (middle, last))]
    for events, fits in _in_pairs(columns.events(), halves[0].place, halves[1].place):
        if not all(fits):
            raise changed(columns.log.files[0].path)
        progress(f"placing{name}", events.stop, columns.log.num_events)
    if sum(half.placed for half in halves) != end - base:
        raise changed(columns.log.files[0].path)
    if columns.time is not None and not degrees.rising:
        progress(f"sorting{name}", 0, 1)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda half: half.sort(), halves))
        progress(f"sorting{name}", 1, 1)


class _Rows:
    """A range of rows that one thread fills."""

    def __init__(
        self, degrees: Degrees, low: int, high: int, base: int, out: dict[str, NDArray[Any]]
    ) -> None:
        self.users = low, min(high, degrees.num_users)
        self.items = max(low, degrees.num_users) - degrees.num_users, high - degrees.num_users
        self.num_users, self.placed = degrees.num_users, 0
        self.offsets, self.base = degrees.indptr[low : high + 1], base
        self.cursor = self.offsets[:-1] - base
        self.nodes = out["indices.npy"]
        self.times = out.get("times.npy", np.empty(0, np.int32))
        self.weights = out.get("weights.npy", np.empty(0, np.float32))

    def place(self, events: Events) -> bool:
        """Append a run of events to these rows; whether they were expected."""
        sides = []
        if self.users[0] < self.users[1]:
            sides.append((events.users, events.items, self.num_users, self.users, 0))
        if self.items[0] < self.items[1]:
            before = max(0, self.users[1] - self.users[0])
            sides.append((events.items, events.users, 0, self.items, before))
        for own, other, shift, (low, high), before in sides:
            placed = place_events(
                own, other, np.int32(shift), events.times, events.weights, low, high,
                self.cursor[before : before + high - low], self.nodes, self.times, self.weights,
            )  # fmt: skip
            if placed < 0:
                return False
            self.placed += placed
        return True

    def sort(self) -> None:
        """Sort these rows by time."""
        self.cursor = np.empty(0, np.int64)  # makes room for the bounds
        sort_rows(self.offsets - self.base, self.nodes, self.times, self.weights)


class PartWriter:
    """An .npy file that is written part after part, and hashed on the way.

    With ordinary writes: filling a mapped file was five times slower.
    """

    def __init__(self, path: Path, length: int, dtype: str) -> None:
        self.path, self.length, self.dtype = path, length, np.dtype(dtype)
        self._digest = hashlib.sha256()
        self._file: BinaryIO

    def open(self, done: int) -> None:
        """Begin, or go on behind the first ``done`` values."""
        header = _header(self.length, self.dtype)
        keep = len(header) + done * self.dtype.itemsize if done else 0
        self._file = self.path.open("r+b" if done else "w+b")
        if not done:
            self._write(memoryview(header))
        while keep:
            chunk = self._file.read(min(_CHUNK_BYTES, keep))
            if not chunk:
                raise DataError(f"{self.path} is shorter than it was; remove {self.path.parent.parent}")
            self._digest.update(chunk)
            keep -= len(chunk)

    def write(self, values: NDArray[Any]) -> None:
        """Append values."""
        if len(values):  # an empty view cannot be cast
            self._write(values.data.cast("B"))

    def finish(self) -> str:
        """End the file; its SHA-256."""
        self._file.close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Close the file as it is, whatever the disk says; nothing if it is finished."""
        with contextlib.suppress(OSError, AttributeError):
            self._file.close()

    def _write(self, content: memoryview) -> None:
        for start in range(0, len(content), _CHUNK_BYTES):
            chunk = content[start : start + _CHUNK_BYTES]
            self._file.write(chunk)
            self._digest.update(chunk)
        self._file.flush()


def _header(length: int, dtype: np.dtype[Any]) -> bytes:
    """What numpy.save would write before the values of a vector."""
    buffer = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _as_weights(values: NDArray[Any], column: str) -> NDArray[np.float32]:
    if values.dtype.kind not in "iuf":
        raise DataError(f"column {column} should hold positive weights, got {values.dtype}; convert it")
    weights = values.astype(np.float32)
    fits = (weights > 0) & (weights < np.inf)
    if not fits.all():
        wrong = values[np.flatnonzero(~fits)[0]]
        raise DataError(f"column {column} should hold positive weights, got {wrong}; drop such events")
    return weights


def _in_pairs(
    batches: Iterator[Events], one: Callable[[Events], bool], two: Callable[[Events], bool]
) -> Iterator[tuple[Events, list[bool]]]:
    """Give every batch to two threads, in order in each; yield it when both are done."""
    pending: deque[tuple[Events, list[Future[bool]]]] = deque()
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for events in ahead(batches):
            pending.append((events, [first.submit(one, events), second.submit(two, events)]))
            if len(pending) > _AHEAD:
                done, futures = pending.popleft()
                yield done, [future.result() for future in futures]
        while pending:
            done, futures = pending.popleft()
            yield done, [future.result() for future in futures]
