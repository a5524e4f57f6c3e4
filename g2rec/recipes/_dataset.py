"""The hand-over from recipes to interactions: events and items as the files have them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class RawDataset:
    """Events and items as parsed, before ids are mapped and anything is filtered.

    Attributes:
        name: The recipe's name.
        events: Columns ``user``, ``item`` (int64 or string), and where known ``time`` (int64 seconds since
            1970, may hold nulls), ``clock`` (int64 seconds, orders one user's events without nulls) and
            ``position`` (int64, order in the file or in the user's sequence).
        items: Columns ``item`` (unique, same type as in events), ``item_id`` (the public identifier) and
            ``title`` (string, may be null), then whatever the source knows. It may list items without events.
        content: Given item features, row = row of ``items``; None where there are none.
        users: One row per user where the source describes its users (ground truth of the generator).
        source: Where the files came from, for people.
    """

    name: str
    events: pa.Table
    items: pa.Table
    content: np.ndarray[Any, Any] | None = None
    users: pa.Table | None = None
    source: str = ""

    @property
    def num_users(self) -> int:
        """Users with at least one event."""
        return len(self.events["user"].unique())

    @property
    def num_items(self) -> int:
        """Items with at least one event."""
        return len(self.events["item"].unique())

    @property
    def num_events(self) -> int:
        """Rows of the event table."""
        return int(self.events.num_rows)
