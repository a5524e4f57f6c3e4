"""External IDs, in whatever people keep them, and the way from them to rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from g2rec.errors import ConfigError, DataError

ExternalId = str | int
Ids = Any
"""A list of external IDs, or a column of them: numpy, pandas, polars, Arrow."""


def column_values(column: Any, what: str) -> list[Any]:
    """The values of a list, or of a numpy, pandas, polars or Arrow column, as Python values.

    Libraries are not imported but asked: for Arrow's C interface, else for ``to_list`` or ``tolist``.

    Args:
        column: A column.
        what: What it holds, for the message.

    Raises:
        DataError: If it is no column.
    """
    if isinstance(column, list | tuple):
        return list(column)
    if isinstance(column, str | bytes | Mapping):
        raise DataError(f"expected a list of {what}, got {_short(column)}; put it into a list")
    try:
        if hasattr(column, "__arrow_c_stream__"):
            column = pa.chunked_array(column)
        elif hasattr(column, "__arrow_c_array__"):
            column = pa.array(column)
    except (pa.ArrowException, ImportError, TypeError, ValueError):
        pass  # a column of mixed objects, say: its own method knows
    if isinstance(column, pa.Array | pa.ChunkedArray):
        if pa.types.is_struct(column.type):
            raise DataError(f"expected one column of {what}, got a table; take one column of it")
        return column.to_pylist()  # type: ignore[no-any-return]
    for method in ("to_list", "tolist"):
        if hasattr(column, method):
            values = getattr(column, method)()
            if isinstance(values, list):
                return values
    if isinstance(column, Sequence | range):
        return list(column)
    raise DataError(
        f"expected a list, array or column of {what}, got a {type(column).__name__}; make a list of it"
    )


def as_ids(column: Ids, what: str) -> list[str]:
    """External IDs as text: ``5``, ``5.0`` (as pandas writes it beside a gap) and ``"5"`` are one ID.

    Raises:
        DataError: If a value is missing, or is no ID.
    """
    keys = []
    for place, value in enumerate(column_values(column, what)):
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DataError(
                f"expected {what} as text or whole numbers, got {_short(value)} at position {place}; mend it"
            )
        keys.append(str(value))
    return keys


def find(known: Mapping[str, int], key: str, noun: str) -> int:
    """The row of an ID.

    Raises:
        DataError: If it is unknown.
    """
    try:
        return known[key]
    except KeyError:
        example = next(iter(known), "")
        raise DataError(
            f"expected one of the {len(known)} known {noun}s (such as {example!r}), got {_short(key)}; "
            "check the ID"
        ) from None


def known_rows(known: Mapping[str, int], column: Ids, what: str) -> NDArray[np.int32]:
    """Rows of those IDs that are known: a shop's list may name items that came after the fit."""
    return np.array([known[key] for key in as_ids(column, what) if key in known], dtype=np.int32)


def one_a_row(value: Any, num_rows: int, what: str) -> list[Any]:
    """A value for all rows, or a list with one for each, as one for each.

    Raises:
        ConfigError: If the list has another length.
    """
    if value is None or isinstance(value, str | int | bool | np.generic):
        return [value] * num_rows
    values = column_values(value, what)
    if len(values) != num_rows:
        raise ConfigError(
            f"expected one {what} for all or one for each of {num_rows} histories, got {len(values)}; "
            "give as many as there are histories"
        )
    return values


def lists_a_row(value: Any, num_rows: int, what: str) -> list[Any]:
    """A list of IDs for all rows, or a column that has a list or None for each, as one for each."""
    if value is None:
        return [None] * num_rows
    values = column_values(value, what)
    if any(item is None or not isinstance(item, str | int | float | np.generic) for item in values):
        return one_a_row(values, num_rows, what)
    return [values] * num_rows


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
