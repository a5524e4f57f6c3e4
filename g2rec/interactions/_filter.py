"""Which events are kept: no repeats, and users and items with enough of the others."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def keep_first(user: Array, item: Array, order: Array) -> Array:
    """Mark each user's first event with each item.

    Args:
        user: int [M] user codes from 0.
        item: int [M] item codes from 0.
        order: int [M] rows in the order of time, a permutation.

    Returns:
        bool [M], in the order of the input.
    """
    key = user.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    first = np.unique(key[order], return_index=True)[1]
    keep = np.zeros(len(user), bool)
    keep[order[first]] = True
    return keep


def k_core(user: Array, item: Array, min_user_events: int, min_item_events: int) -> Array:
    """Drop users and items with too few events, again and again until nothing changes.

    The result is the largest set of events in which every user has ``min_user_events`` and every item
    ``min_item_events``; it does not depend on the order of dropping.

    Args:
        user: int [M] user codes from 0.
        item: int [M] item codes from 0.
        min_user_events: Events that a user must keep; 0 or 1 keeps all.
        min_item_events: Events that an item must keep.

    Returns:
        bool [M]: the events that stay.
    """
    keep = np.ones(len(user), bool)
    left = len(user)
    while left:
        per_user = np.bincount(user[keep], minlength=1 + int(user.max()))
        per_item = np.bincount(item[keep], minlength=1 + int(item.max()))
        keep &= (per_user[user] >= min_user_events) & (per_item[item] >= min_item_events)
        before, left = left, int(keep.sum())
        if left == before:
            break
    return keep
