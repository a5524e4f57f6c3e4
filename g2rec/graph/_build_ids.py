"""Ids of a log become node numbers, within a bound of memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from g2rec.errors import DataError
from g2rec.graph._build_id_kernels import assign, grow, hash_text
from g2rec.graph._build_log import EventLog, Progress, ahead

_MAX_NODES = 2**31 - 1
_FIRST_SLOTS = 1 << 16
_FULL = 0.6
_MOVE_ROWS = 1 << 22


@dataclass(frozen=True)
class NodeIds:
    """How a column becomes node numbers."""

    size: int
    """Nodes."""
    mapped: bool
    """Whether they are looked up in the mapped file; else the column holds them as they are."""


def as_they_are(log: EventLog, column: str, progress: Progress) -> NodeIds | None:
    """Whether whole numbers can serve as node numbers: all in [0, events) and below 2^31.

    Then nothing is looked up, and numbers that never occur are nodes without events.

    Raises:
        DataError: If the ids are neither whole numbers nor text, or differ in kind between files.
    """
    types = log.types(column)
    whole = [pa.types.is_integer(kind) for kind in types]
    text = [_is_text(kind) for kind in types]
    if not all(whole) and not all(text):
        kind = next(kind for kind, fits in zip(types, whole if any(whole) else text, strict=True) if not fits)
        raise DataError(
            f"column {column} should hold ids as whole numbers or as text in every file, got {kind}; "
            "convert it"
        )
    if not all(whole):
        return None
    bounds = log.bounds(column)
    if bounds is None:
        low, high = [], []
        for at, batch in ahead(log.batches([column])):
            values = batch[column].to_numpy(zero_copy_only=False)
            if len(values):
                low.append(int(values.min()))
                high.append(int(values.max()))
            progress(f"range of {column}", at + len(values), log.num_events)
        bounds = min(low), max(high)
    if bounds[0] >= 0 and bounds[1] < min(log.num_events, _MAX_NODES):
        return NodeIds(bounds[1] + 1, False)
    return None


def map_ids(log: EventLog, column: str, out: Path, table: Path, room: int, progress: Progress) -> NodeIds:
    """Number ids by first occurrence, out of core.

    The distinct ids are held in a hash table, which takes at most ``room`` bytes: where it would grow beyond,
    the ids are split by hash into twice as many partitions, each of which takes one pass over the column.
    Text is known by a 128-bit hash: that two of a billion ids share theirs has a chance of about
    10^18 / 2^129 = 1e-21.

    Args:
        log: The events.
        column: Their ids, whole numbers or text.
        out: Where the node of every event goes, as plain int32.
        table: Where the ids go, as Parquet with the column ``id``; row n is node n.
        room: Bytes for the table.
        progress: Told of every batch.

    Raises:
        DataError: If there are more than 2^31 - 1 distinct ids.
    """
    bits = 0
    while True:
        firsts = _number(log, column, out, bits, room, progress)
        if firsts is not None:
            break
        bits += 1
    if bits:  # numbered partition by partition so far
        order = np.argsort(firsts, kind="stable")
        rank = np.empty(len(firsts), dtype=np.int32)
        rank[order] = np.arange(len(firsts), dtype=np.int32)
        firsts = firsts[order]
        with out.open("r+b") as file:
            for start in range(0, log.num_events, _MOVE_ROWS):
                size = min(_MOVE_ROWS, log.num_events - start)
                _write_at(file, start, rank[_read_at(file, start, size)])
                progress(f"order of {column}", start + size, log.num_events)
    _write_table(log, column, firsts, table, progress)
    return NodeIds(len(firsts), True)


def read_nodes(path: Path, start: int, size: int) -> NDArray[np.int32]:
    """Nodes of a run of events."""
    return np.fromfile(path, dtype=np.int32, count=size, offset=4 * start)


def _number(
    log: EventLog, column: str, out: Path, bits: int, room: int, progress: Progress
) -> NDArray[np.int64] | None:
    """Number the ids by partition; the event at which each occurs first, or None if they are too many."""
    firsts: list[NDArray[np.int64]] = []
    text = _is_text(log.types(column)[0])
    done = 0
    with out.open("w+b") as file:
        for part in range(1 << bits):
            slots = _FIRST_SLOTS
            high, low, value = _empty(slots, text)
            count = np.array([done], dtype=np.int64)
            for at, keys_high, keys_low in ahead(_keys(log, column)):
                size = len(keys_high)
                nodes = np.empty(size, np.int32) if not part else _read_at(file, at, size)
                fresh = np.empty(size, dtype=np.int64)
                start = found = 0
                while start < size:
                    start, found = assign(
                        keys_high, keys_low, part, bits, high, low, value,
                        count, int(slots * _FULL) + done, start, nodes, fresh, found,
                    )  # fmt: skip
                    if start < size:  # the table is full
                        # the table, one of twice its size, and where each id occurs first
                        each = 3 * (20 if text else 12) + 8
                        if each * slots > room and slots > _FIRST_SLOTS:
                            return None
                        slots *= 2
                        bigger = _empty(slots, text)
                        grow(high, low, value, *bigger)
                        high, low, value = bigger
                if count[0] > _MAX_NODES:
                    raise DataError(
                        f"column {column} has more than {_MAX_NODES} distinct ids, which is all that a graph "
                        "holds; split the log"
                    )
                firsts.append(fresh[:found] + at)
                _write_at(file, at, nodes)
                step = f"ids of {column}" + (f", part {part + 1} of {1 << bits}" if bits else "")
                progress(step, at + size, log.num_events)
            done = int(count[0])
    return np.concatenate(firsts)


def _keys(log: EventLog, column: str) -> Iterator[tuple[int, NDArray[np.uint64], NDArray[np.uint64]]]:
    """Ids as 64 bits, or as a 128-bit hash in two halves."""
    none = np.empty(0, dtype=np.uint64)
    for at, batch in log.batches([column]):
        values = batch[column]
        if not _is_text(values.type):
            plain = values.to_numpy(zero_copy_only=False)
            yield at, plain.astype(np.int64 if plain.dtype.kind == "i" else np.uint64).view(np.uint64), none
            continue
        values = values.cast(pa.large_binary())
        _, offsets, data = values.buffers()
        bounds = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
        content = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, np.uint8)
        high, low = np.empty((2, len(values)), dtype=np.uint64)
        hash_text(bounds, content, high, low)
        yield at, high, low


def _write_table(
    log: EventLog, column: str, firsts: NDArray[np.int64], path: Path, progress: Progress
) -> None:
    """Take every id where it occurs first."""
    writer = None
    try:
        for at, batch in ahead(log.batches([column])):
            values = batch[column]
            start, stop = np.searchsorted(firsts, (at, at + len(values)))
            found = pa.table({"id": values.take(pa.array(firsts[start:stop] - at))})
            if writer is None:
                writer = pq.ParquetWriter(path, found.schema, compression="zstd")
            if len(found):
                writer.write_table(found.cast(writer.schema))
            progress(f"table of {column}", at + len(values), log.num_events)
    finally:
        if writer is not None:
            writer.close()


def _empty(slots: int, text: bool) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32]]:
    value = np.full(slots, -1, dtype=np.int32)
    return np.empty(slots, np.uint64), np.empty(slots if text else 0, np.uint64), value


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _read_at(file: Any, start: int, size: int) -> NDArray[np.int32]:
    file.seek(4 * start)
    return np.frombuffer(bytearray(file.read(4 * size)), dtype=np.int32)


def _write_at(file: Any, start: int, nodes: NDArray[np.int32]) -> None:
    file.seek(4 * start)
    file.write(nodes.data)
