"""One category an item, from whichever column of the catalogue has it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pat
from numpy.typing import NDArray

_COLUMNS = ("category", "categories", "genres", "dominant_interest")
_MOST_VALUES = 50
"""A path of categories is cut at its deepest level with no more values than this."""
_CLEAR = 0.6
"""Weight from which on a planted interest counts as an item's own."""


@dataclass(frozen=True)
class ItemLabels:
    """Categories of the items, as numbers and names."""

    source: str
    """Where they come from, in words."""
    index: NDArray[np.int64]
    """[I] category of each item, -1 for none."""
    names: tuple[str, ...]
    """Name of each category."""


def item_labels(items: pa.Table) -> ItemLabels | None:
    """Find the categories of a catalogue.

    The first of these columns that tells items apart: ``category``; ``categories``, a path from general to
    specific, cut at the deepest level with at most 50 values (a shorter path counts by its last element);
    ``genres``, the first of each item; ``dominant_interest`` of the synthetic recipe, where its weight is at
    least .6.

    Args:
        items: The items table of an `Interactions`.

    Returns:
        The labels, or None where there is no such column with two values or more.
    """
    for column in _COLUMNS:
        if column not in items.column_names:
            continue
        values = items[column].to_pylist()
        kind = items[column].type
        source = f"the column {column}"
        if pat.is_list(kind) or pat.is_large_list(kind):
            if column == "genres":
                values, source = _at_level(values, 1), "the first genre of each item"
            else:
                level = _deepest(values)
                values, source = _at_level(values, level), f"level {level} of the column {column}"
        elif column == "dominant_interest" and "dominant_weight" in items.column_names:
            weights = items["dominant_weight"].to_pylist()
            pairs = zip(values, weights, strict=True)
            values = [f"interest {value}" if (weight or 0) >= _CLEAR else None for value, weight in pairs]
            source = f"the column {column} where its weight is at least {_CLEAR:g}"
        labels = _encode(values, source)
        if len(labels.names) > 1:
            return labels
    return None


def _deepest(paths: Sequence[Sequence[Any] | None]) -> int:
    longest = max((len(path) for path in paths if path), default=1)
    best = 1
    for level in range(1, longest + 1):
        if len(set(_at_level(paths, level)) - {None}) <= _MOST_VALUES:
            best = level
    return best


def _at_level(paths: Sequence[Sequence[Any] | None], level: int) -> list[Any]:
    return [path[min(level, len(path)) - 1] if path else None for path in paths]


def _encode(values: Sequence[Any], source: str) -> ItemLabels:
    counts = Counter(str(value) for value in values if value is not None and str(value).strip())
    names = tuple(sorted(counts))
    number = {name: index for index, name in enumerate(names)}
    index = [-1 if value is None else number.get(str(value), -1) for value in values]
    return ItemLabels(source, np.array(index, dtype=np.int64), names)
