"""An event log on disk, read a million rows at a time."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from g2rec.errors import DataError

BATCH_ROWS = 1 << 20
_BUFFER_BYTES = 1 << 22
_SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
T = TypeVar("T")


@dataclass(frozen=True)
class LogFile:
    """One Parquet file of a log, and how to tell whether it has changed."""

    path: Path
    size: int
    """Bytes."""
    mtime_ns: int
    """Nanoseconds since 1970."""
    rows: int
    """Events."""
    first: int
    """Number of its first event in the whole log."""


class EventLog:
    """Parquet files, one event a row, in the order given.

    Args:
        paths: The files.
        columns: The columns that will be read; every file must have them.

    Raises:
        DataError: If a file is missing or damaged, lacks a column, or no file has a row.
    """

    def __init__(self, paths: Sequence[Path], columns: Sequence[str]) -> None:
        self.files: list[LogFile] = []
        self.columns = tuple(columns)
        first = 0
        for path in paths:
            with _parquet(path) as file:
                names = file.schema_arrow.names
                rows = file.metadata.num_rows
            missing = [name for name in columns if name not in names]
            if missing:
                raise DataError(
                    f"{path} has no column {missing[0]}; it has {', '.join(names)}; "
                    "name the columns of users, items and times"
                )
            stat = path.stat()
            self.files.append(LogFile(path.resolve(), stat.st_size, stat.st_mtime_ns, rows, first))
            first += rows
        self.num_events = first
        if not first:
            raise DataError(f"the log {_name(paths)} has no events; check the path")

    def state(self) -> list[list[Any]]:
        """What changes when a file does."""
        return [[str(file.path), file.size, file.mtime_ns, file.rows] for file in self.files]

    def types(self, column: str) -> list[pa.DataType]:
        """The type of a column in every file."""
        found = []
        for file in self.files:
            with _parquet(file.path) as opened:
                kind = opened.schema_arrow.field(column).type
                found.append(kind.value_type if pa.types.is_dictionary(kind) else kind)
        return found

    def bounds(self, column: str) -> tuple[int, int] | None:
        """Smallest and largest value of a column of whole numbers, if all files keep statistics."""
        low, high = [], []
        for file in self.files:
            with _parquet(file.path) as opened:
                meta = opened.metadata
                at = (
                    [meta.row_group(0).column(c).path_in_schema for c in range(meta.num_columns)].index(
                        column
                    )
                    if meta.num_row_groups
                    else 0
                )
                for group in range(meta.num_row_groups):
                    if not meta.row_group(group).num_rows:
                        continue
                    kept = meta.row_group(group).column(at).statistics
                    if kept is None or not kept.has_min_max:
                        return None
                    low.append(int(kept.min))
                    high.append(int(kept.max))
        return min(low), max(high)

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, pa.Array]]]:
        """Runs of events in order: the number of the first, and the columns; without nulls."""
        for file in self.files:
            at = file.first
            try:
                with _parquet(file.path) as opened:
                    names = list(dict.fromkeys(columns))
                    for batch in opened.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                        held = {name: self._whole(file, name, batch.column(name)) for name in names}
                        yield at, held
                        at += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise _damaged(file.path, error) from None
            if at != file.first + file.rows:
                raise changed(file.path)

    def _whole(self, file: LogFile, name: str, values: pa.Array) -> pa.Array:
        if values.null_count:
            with _parquet(file.path) as opened:
                nulls = sum(
                    batch.column(0).null_count for batch in opened.iter_batches(BATCH_ROWS, columns=[name])
                )
            raise DataError(f"{file.path}: column {name} has {nulls} rows without a value; drop or fill them")
        return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def find_files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """The Parquet files of a path, a folder, a pattern, or a list of files, sorted unless listed.

    Raises:
        DataError: If there is none.
    """
    if not isinstance(source, str | Path):
        return [Path(each) for each in source]
    path = Path(source)
    if path.is_dir():
        found = sorted(path.glob("*.parquet")) or sorted(path.rglob("*.parquet"))
        found = [each for each in found if not each.name.startswith((".", "_"))]
    elif path.is_file() or not set("*?[") & set(str(source)):
        found = [path]
    else:
        found = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    if not found:
        raise DataError(f"found no .parquet file under {source}; check the path")
    return found


def write_log(batches: Iterable[pa.RecordBatch], columns: Sequence[str], folder: Path) -> list[Path]:
    """Keep the columns of a stream of batches as one Parquet file.

    Raises:
        DataError: If a batch lacks a column or the batches differ in type.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, writer = folder / "events.parquet", None
    try:
        for batch in batches:
            missing = [name for name in columns if name not in batch.schema.names]
            if missing:
                raise DataError(
                    f"a batch of events has no column {missing[0]}; it has {', '.join(batch.schema.names)}"
                )
            table = pa.Table.from_batches([batch]).select(list(columns))
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False)
            elif table.schema != writer.schema:
                raise DataError(
                    f"batches of events must have one schema, got {writer.schema} and {table.schema}"
                )
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise DataError("the stream of events has no batch; check where it comes from")
    return [path]


def as_seconds(values: pa.Array, column: str) -> NDArray[np.integer[Any]]:
    """Seconds since 1970, int32 or int64; fractions of timestamps are cut off downwards.

    Raises:
        DataError: For other types, or floats that are not whole.
    """
    kind, plain = values.type, _plain(values)
    if pa.types.is_integer(kind):
        return plain if plain.dtype == np.int32 else plain.astype(np.int64)
    if pa.types.is_floating(kind):
        bad = np.flatnonzero(~np.isfinite(plain) | (plain != np.floor(plain)))
        if len(bad):
            raise DataError(
                f"column {column} should hold whole seconds since 1970, got {plain[bad[0]]}; "
                "round the times or write them as timestamps"
            )
        return plain.astype(np.int64)
    if pa.types.is_timestamp(kind):
        return np.asarray(np.floor_divide(_plain(values.view(pa.int64())), _SECONDS[kind.unit]))
    if pa.types.is_date(kind):
        return _plain(values.cast(pa.date32()).view(pa.int32())).astype(np.int64) * 86_400
    raise DataError(
        f"column {column} should hold times as whole seconds since 1970, timestamps or dates, got {kind}; "
        "convert it"
    )


def ahead(items: Iterable[T], depth: int = 3) -> Iterator[T]:
    """The same items, made in a thread of their own, at most ``depth`` in advance."""
    line: queue.Queue[Any] = queue.Queue(depth)
    closed, end = threading.Event(), object()

    def put(value: Any) -> None:
        while not closed.is_set():
            try:
                line.put(value, timeout=0.1)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in items:
                put((item, None))
                if closed.is_set():
                    return
            put((end, None))
        except BaseException as error:  # handed to the reader
            put((end, error))

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = line.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        closed.set()
        thread.join()


def changed(path: Path) -> DataError:
    """For a file that is not what it was a moment ago."""
    return DataError(f"{path} changed while the graph was built; let it be written first and run again")


Progress = Callable[[str, int, int], None]
"""Called with the name of the step, what is done, and the total."""


def _plain(values: pa.Array) -> NDArray[Any]:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path") from None
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    first = str(error).splitlines()[0].rstrip(".")
    return DataError(f"{path} is not a whole Parquet file ({first[:120]}); get it again")


def _name(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"of {len(paths)} files"
