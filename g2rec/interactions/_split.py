"""Which events are kept, and which part each belongs to."""

from typing import Any

import numpy as np

from g2rec.errors import DataError
from g2rec.interactions._codes import EventCodes
from g2rec.interactions._filter import k_core, keep_first
from g2rec.interactions._interactions import TEST, TRAIN, VALIDATION
from g2rec.recipes import Filters, RawDataset

Array = np.ndarray[Any, Any]


def filter_events(log: EventCodes, rank: Array, filters: Filters, allowed: Array) -> Array:
    """The allowed events that survive de-duplication and the k-core."""
    rows = np.flatnonzero(allowed)
    if filters.deduplicate and len(rows):
        rows = rows[keep_first(log.user[rows], log.item[rows], np.argsort(rank[rows]))]
    if len(rows):
        rows = rows[k_core(log.user[rows], log.item[rows], filters.min_user_events, filters.min_item_events)]
    keep = np.zeros(len(allowed), bool)
    keep[rows] = True
    return keep


def split_temporal(
    raw: RawDataset, log: EventCodes, rank: Array, filters: Filters, quantiles: tuple[float, float]
) -> tuple[Array, Array, Array, Array]:
    """Parts, kept events, cold items and cold users of the global temporal split."""
    if log.time is None:
        gaps = raw.events["time"].null_count if "time" in raw.events.column_names else raw.num_events
        raise DataError(
            f"a temporal split needs the time of every event, {raw.name} lacks it for {gaps:,} of "
            f"{raw.num_events:,}; use split=leave_one_out"
        )
    first, second = np.quantile(log.time, quantiles, method="higher")
    part = np.select([log.time < first, log.time < second], [TRAIN, VALIDATION], TEST).astype(np.uint8)
    before = part == TRAIN
    if not before.any():
        raise DataError(
            f"no event of {raw.name} lies before the validation window: more than a share of "
            f"{1 - quantiles[0]:.2g} have the first time of all; use split=leave_one_out or larger quantiles"
        )
    keep = filter_events(log, rank, filters, before)
    core_item = np.bincount(log.item[keep], minlength=log.num_items) > 0
    core_user = np.bincount(log.user[keep], minlength=log.num_users) > 0
    early_item = np.bincount(log.item[before], minlength=log.num_items) > 0
    early_user = np.bincount(log.user[before], minlength=log.num_users) > 0
    # an event after the cut is kept unless the filters removed its user or its item; an item that the
    # item table does not list would enter the catalogue by a later event, so it is left out
    cold_item = ~early_item & (log.item_rows >= 0)
    cold_user = ~early_user
    later = ~before & (core_item | cold_item)[log.item] & (core_user | cold_user)[log.user]
    if filters.deduplicate:
        later &= filter_events(log, rank, Filters(), keep | later)
    present = np.bincount(log.user[later], minlength=log.num_users) > 0
    if not later.any() and keep.any():
        raise DataError(
            f"no event of {raw.name} is left after the cut; choose smaller quantiles or lower filters"
        )
    return (
        part,
        (keep | later) if keep.any() else keep,
        np.flatnonzero(cold_item),
        np.flatnonzero(cold_user & present),
    )


def leave_one_out(user_index: Array, fresh: Array | None = None) -> Array:
    """Last event: test; last but one: validation; users with fewer than three events only train.

    With ``fresh``, which marks the events that may be targets, the last two of these are; the events between
    them belong to validation and those after them to the test, as what is fitted must not see them.
    """
    targets = np.arange(len(user_index)) if fresh is None else np.flatnonzero(fresh)
    last = np.flatnonzero(np.diff(user_index[targets], append=-1))
    last = last[np.diff(last, prepend=-1) >= 3]
    users = int(user_index[-1]) + 1 if len(user_index) else 0
    position = np.arange(len(user_index))
    part = np.full(len(user_index), TRAIN, np.uint8)
    for name, rows in ((VALIDATION, targets[last - 1]), (TEST, targets[last])):
        begin = np.full(users, len(user_index))
        begin[user_index[rows]] = rows
        part[position >= begin[user_index]] = name
    return part
