"""The events of a dataset as integer codes, and the order in which each user's events happened."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from g2rec.errors import DataError
from g2rec.recipes import RawDataset

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class EventCodes:
    """The events as codes of the sorted distinct ids, so that codes do not depend on the file's order.

    Attributes:
        user: int64 [M], code into ``user_ids``.
        item: int64 [M], code into ``item_keys``.
        user_ids: Distinct users.
        item_keys: Distinct items, of the events and of the item table.
        item_rows: int64, row of the raw item table for each item code; -1 where it is not listed.
        time: int64 [M] seconds, or None where incomplete.
        clock: int64 [M] seconds on which one user's events are ordered, or None.
        position: int64 [M] order in the file or sequence, or None.
    """

    user: Array
    item: Array
    user_ids: pa.Array
    item_keys: pa.Array
    item_rows: Array
    time: Array | None
    clock: Array | None
    position: Array | None

    @property
    def num_users(self) -> int:
        """Distinct users."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Distinct items, listed ones without events included."""
        return len(self.item_keys)

    @classmethod
    def read(cls, raw: RawDataset) -> "EventCodes":
        """Encode a dataset; no events at all is a `DataError`."""
        if raw.num_events == 0:
            raise DataError(f"{raw.name} has no events; check the file that it was read from")
        user_ids, user = _encode(raw.events["user"].combine_chunks())
        listed = raw.items["item"].combine_chunks()
        events_item = raw.events["item"].combine_chunks()
        keys, codes = _encode(pa.concat_arrays([listed, events_item.cast(listed.type)]))
        item_rows = np.full(len(keys), -1, np.int64)
        item_rows[codes[: len(listed)]] = np.arange(len(listed))
        time = _numbers(raw.events, "time")
        return cls(
            user=user,
            item=codes[len(listed) :],
            user_ids=user_ids,
            item_keys=keys,
            item_rows=item_rows,
            time=time,
            clock=_numbers(raw.events, "clock") if "clock" in raw.events.column_names else time,
            position=_numbers(raw.events, "position"),
        )


def _encode(values: pa.Array) -> tuple[pa.Array, Array]:
    """Sorted distinct values, and the code of each value."""
    distinct = values.unique().sort()
    codes = pc.index_in(values, value_set=distinct).to_numpy(zero_copy_only=False)
    return distinct, codes.astype(np.int64)


def _numbers(table: pa.Table, name: str) -> Array | None:
    """A column as int64, or None where it is absent or has gaps."""
    if name not in table.column_names or table[name].null_count:
        return None
    return np.asarray(table[name].cast(pa.int64()).to_numpy())


def rank_events(raw: RawDataset, log: EventCodes, ties: str, seed: int) -> Array:
    """Rank of every event such that sorting by (user, rank) puts each user's events oldest first."""
    size = len(log.user)
    # one key per row of the file, drawn before anything is filtered: dropping an event moves no other
    shuffled = np.random.default_rng(seed).permutation(size)
    if log.clock is None and log.position is None:
        if "time" in raw.events.column_names:
            raise DataError(
                f"{raw.events['time'].null_count:,} events of {raw.name} have no time and the file gives no "
                "other order; fill them in, or name a column of positions in the recipe (columns: order)"
            )
        if ties == "file_order":
            raise DataError(
                f"{raw.name} has neither times nor positions, so its file order means nothing; "
                "use ties=shuffle, which holds out random events"
            )
        return shuffled
    if ties == "file_order" or log.clock is None:
        keys = [log.position if log.position is not None else np.arange(size)]
        if log.clock is not None:
            keys.append(log.clock)
    else:
        keys = [shuffled, log.clock]
    rank = np.empty(size, np.int64)
    rank[np.lexsort(tuple(keys))] = np.arange(size)
    return rank
