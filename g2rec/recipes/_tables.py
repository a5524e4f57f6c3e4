"""Checks on columns that every reader shares; each failure names the file, the column and the row."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from g2rec.errors import DataError


@dataclass(frozen=True)
class Tables:
    """What a raw reader gives: events and items in the form of ``RawDataset``."""

    events: pa.Table
    items: pa.Table


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file.

    Raises:
        DataError: If it is missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{path} is not a whole Parquet file ({first[:120]}); get it again") from None


def take_column(table: pa.Table, name: str, path: Path) -> pa.Array:
    """One column as a single array.

    Raises:
        DataError: If it is missing; the message lists those present.
    """
    if name not in table.column_names:
        raise DataError(f"{path} has no column {name}; it has {', '.join(table.column_names)}")
    column = table[name].combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def as_ids(
    values: pa.Array, name: str, path: Path, *, integers: bool = False, gaps: bool = False
) -> pa.Array:
    """Identifiers as int64 or strings.

    Args:
        values: The column.
        name: Its name.
        path: The file, for messages.
        integers: Whether only whole numbers will do; text that holds them is converted.
        gaps: Whether nulls may stay; a NaN is one of them then.

    Raises:
        DataError: For a null or a NaN without ``gaps``, or text where numbers are wanted, with the row
            (from 1).
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if gaps and pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if values.null_count and not gaps:
        row = _first(pc.is_null(values))
        raise DataError(f"{path}: column {name} has no value in row {row}; drop or fill that row")
    if pa.types.is_floating(values.type):
        missing = pc.is_null(values).to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            raise DataError(f"{path}: column {name} has {numbers[bad[0]]} in row {bad[0] + 1}; drop that row")
        bad = np.flatnonzero(numbers != np.floor(numbers))
        if len(bad):
            raise DataError(
                f"{path}: column {name} should hold ids, row {bad[0] + 1} has {numbers[bad[0]]}; "
                "check the column"
            )
        bad = np.flatnonzero(np.abs(numbers) > 2**53)
        if len(bad):  # beyond, floats skip whole numbers: several ids may have become one
            raise DataError(
                f"{path}: column {name} holds ids as floats, which are not exact beyond 2^53, "
                f"row {bad[0] + 1} has {numbers[bad[0]]}; give whole numbers or text"
            )
        return pa.array(numbers.astype(np.int64), mask=missing)
    if pa.types.is_integer(values.type):
        if pa.types.is_uint64(values.type) and (pc.max(values).as_py() or 0) >= 2**63:
            values = values.cast(pa.string())  # hashes
            return _whole_numbers(values, name, path) if integers else values
        return values.cast(pa.int64())
    if pa.types.is_nested(values.type):
        raise DataError(
            f"{path}: column {name} should hold ids, numbers or text, got {values.type}; check the column"
        )
    if str(values.type) == "extension<arrow.uuid>":
        values = pa.array([None if value is None else str(value) for value in values.to_pylist()])
    try:
        text = values.cast(pa.string())
    except pa.ArrowException:
        raise DataError(
            f"{path}: column {name} should hold ids, numbers or text, it holds {values.type}; "
            "write them as text, UUIDs for example as 00000000-0000-..."
        ) from None
    return _whole_numbers(text, name, path) if integers else text


def as_seconds(values: pa.Array, name: str, path: Path, *, gaps: bool = False) -> pa.Array:
    """Times as int64 seconds since 1970: from numbers, timestamps, dates, or ISO text (UTC if no zone).

    Args:
        values: The column.
        name: Its name.
        path: The file, for messages.
        gaps: Whether nulls may stay.

    Raises:
        DataError: For text that is no time, a NaN, a null without ``gaps``, or a negative time, with the row.
    """
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _text_times(values.cast(pa.string()), name, path)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        # floor, so that times before 1970 do not round towards it
        unit = values.type.unit if pa.types.is_timestamp(values.type) else "us"
        values = pc.floor_temporal(values.cast(pa.timestamp(unit)), unit="second")
        values = values.cast(pa.timestamp("s")).cast(pa.int64())
    if values.null_count and not gaps:
        row = _first(pc.is_null(values))
        raise DataError(f"{path}: column {name} has no time in row {row}; drop or fill that row")
    if pa.types.is_floating(values.type):
        bad = pc.fill_null(pc.invert(pc.is_finite(values)), False)
        if pc.any(bad).as_py():
            row = _first(bad)
            raise DataError(
                f"{path}: column {name} has {values[row - 1]} in row {row}; drop or fill that row"
            )
        values = pc.floor(values).cast(pa.int64())
    if not pa.types.is_integer(values.type):
        raise DataError(
            f"{path}: column {name} should hold times, it holds {values.type}; name another column"
        )
    values = values.cast(pa.int64())
    negative = pc.fill_null(pc.less(values, 0), False)
    if pc.any(negative).as_py():
        row = _first(negative)
        raise DataError(
            f"{path}: column {name} has the negative time {values[row - 1]} in row {row}; "
            "times are seconds since 1970"
        )
    return values


def read_rows(path: Path, separator: str, num_fields: int, encoding: str = "utf-8") -> list[list[str]]:
    """Read separated lines of a raw text file; fields after the last wanted one are kept whole.

    Raises:
        DataError: If the file is missing, is not text, or a line has too few fields (with its number).
    """
    try:
        text = path.read_text(encoding=encoding)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not {encoding} text (byte {error.start}); get it again") from None
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split(separator)
        if len(fields) < num_fields:
            raise DataError(
                f"{path}: line {number} has {len(fields)} fields separated by {separator!r}, "
                f"expected {num_fields}; get the file again"
            )
        rows.append(fields)
    return rows


def make_events(path: Path, user: Sequence[Any], item: Sequence[Any], time: Sequence[Any] | None) -> pa.Table:
    """An event table in file order; text ids that are all whole numbers become integers beforehand."""
    columns = {
        "user": as_ids(pa.array(user), "user", path),
        "item": as_ids(pa.array(item), "item", path),
    }
    if time is not None:
        columns["time"] = as_seconds(pa.array(time), "time", path)
    columns["position"] = pa.array(np.arange(len(user), dtype=np.int64))
    return pa.table(columns)


def integers(texts: Sequence[str], name: str, path: Path) -> pa.Array:
    """Text as whole numbers; the first that is none is named with its row."""
    return _whole_numbers(pa.array(texts, pa.string()), name, path)


def _whole_numbers(text: pa.Array, name: str, path: Path) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(text)
    good = pc.match_substring_regex(trimmed, r"^[+-]?[0-9]{1,18}$")
    if not pc.all(good).as_py() and len(text):
        row = _first(pc.invert(good))
        raise DataError(
            f"{path}: column {name} should hold whole numbers, row {row} has {text[row - 1].as_py()!r}"
        )
    return trimmed.cast(pa.int64())


_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def _text_times(text: pa.Array, name: str, path: Path) -> pa.Array:
    """ISO 8601 dates and times, or numbers in text."""
    seconds: list[float | None] = []
    for row, value in enumerate(text.to_pylist(), start=1):
        if value is None or not value.strip():
            seconds.append(None)
        elif _NUMBER.fullmatch(value.strip()):
            seconds.append(float(value))
        else:
            try:
                moment = datetime.datetime.fromisoformat(value.strip())
            except ValueError:
                raise DataError(
                    f"{path}: column {name} should hold times (seconds or ISO dates), row {row} has {value!r}"
                ) from None
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            seconds.append(moment.timestamp())
    return pa.array(seconds, pa.float64())


def _first(mask: pa.Array) -> int:
    """Row number, from 1, of the first true value."""
    return int(pc.index(mask, True).as_py()) + 1
