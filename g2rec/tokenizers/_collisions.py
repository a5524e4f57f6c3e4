"""An ID of its own for every item."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from g2rec.errors import ConfigError

CollisionMethod = Literal["reassign", "dedup_token"]
LevelCost = Callable[[NDArray[np.int64], NDArray[np.int32]], NDArray[np.float64]]
"""``cost(items, prefixes [n, l])`` gives [n, V]: how badly each code of level l fits each item there."""


def resolve_collisions(
    codes: NDArray[np.int32],
    cost: LevelCost,
    codebook_size: int,
    *,
    method: CollisionMethod = "reassign",
    taken: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """Give every item an ID of its own, without a catalogue-sized extra vocabulary.

    ``reassign`` walks the levels from the first to the last. Under a prefix of l codes there is room for
    V^(L-l) items; where a branch holds more than its room, those that lose least move to a sibling branch
    with room and are quantized anew below it. On the last level, items that share a prefix are matched
    to codes at the least total cost (Hungarian method). Zero collisions by induction over the levels.
    ``dedup_token`` adds one level that counts the items of each ID (TIGER, arXiv 2305.05065).

    Args:
        codes: [I, L] greedy codes.
        cost: Fit of all codes of a level, for items under given prefixes; called where it is needed.
        codebook_size: V.
        method: How to resolve.
        taken: [X, L or L + 1] IDs that other items hold and keep.

    Returns:
        [I, L] codes, or [I, L + 1] with a deduplication level.

    Raises:
        ConfigError: If there are more items than IDs.
    """
    if method == "dedup_token":
        return _count(codes, codebook_size, taken)
    num_items, num_levels = codes.shape
    held = np.empty((0, num_levels), dtype=np.int32) if taken is None else taken
    room = codebook_size**num_levels  # a Python integer: no overflow
    if num_items + len(held) > room:
        raise ConfigError(
            f"{num_levels} levels of {codebook_size} codes make {room} IDs, the catalogue has "
            f"{num_items + len(held)} items; raise num_levels or codebook_size"
        )
    codes = codes.copy()
    for level in range(num_levels):
        _settle(codes, held, level, cost, codebook_size)
    return codes


def _settle(
    codes: NDArray[np.int32], held: NDArray[np.int32], level: int, cost: LevelCost, size: int
) -> None:
    """Move items between the branches of ``level`` until each branch has room for those it holds."""
    num_items, num_levels = codes.shape
    room = min(size ** (num_levels - level - 1), np.iinfo(np.int64).max)
    both = np.concatenate([codes, held])
    _, group, count = np.unique(both[:, : level + 1], axis=0, return_inverse=True, return_counts=True)
    over = np.flatnonzero(count[group[:num_items]] > room)
    if not len(over):
        return
    _, parent = np.unique(both[:, :level], axis=0, return_inverse=True) if level else (0, np.zeros(len(both)))
    parent = np.asarray(parent, dtype=np.int64)
    order = np.argsort(parent, kind="stable")
    starts = np.searchsorted(parent[order], np.arange(int(parent.max()) + 2))
    for label in np.unique(parent[over]):
        members = order[starts[label] : starts[label + 1]]
        items, others = members[members < num_items], members[members >= num_items]
        free = room - np.bincount(both[others, level], minlength=size)
        fit = cost(items, codes[items, :level])
        if room == 1:
            columns = np.flatnonzero(free > 0)
            rows, chosen = linear_sum_assignment(fit[:, columns])
            codes[items[rows], level] = columns[chosen]
        else:
            chosen = _spill(codes[items, level], fit, free)
            moved = np.flatnonzero(chosen != codes[items, level])
            codes[items[moved], level] = chosen[moved]
            for below in range(level + 1, num_levels):
                again = cost(items[moved], codes[items[moved], :below])
                codes[items[moved], below] = again.argmin(axis=1)


def _spill(code: NDArray[np.int32], fit: NDArray[np.float64], free: NDArray[np.int64]) -> NDArray[np.int32]:
    """Greedily move the items that lose least from overfull branches to siblings with room."""
    code = code.copy()
    left = free - np.bincount(code, minlength=len(free))
    own = fit[np.arange(len(code)), code]
    while (left < 0).any():
        full = np.flatnonzero(left < 0)[0]
        inside = np.flatnonzero(code == full)
        loss = np.where(left[None, :] > 0, fit[inside] - own[inside, None], np.inf)
        target = loss.argmin(axis=1)
        order = np.argsort(loss[np.arange(len(inside)), target], kind="stable")[: -left[full]]
        for place in order:  # a target may fill up on the way; the rest waits for the next round
            if left[target[place]] > 0:
                code[inside[place]] = target[place]
                left[target[place]] -= 1
                left[full] += 1
    return code


def _count(codes: NDArray[np.int32], size: int, taken: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """Append the running number of each item among those with the same codes."""
    num_levels = codes.shape[1]
    held = np.empty((0, num_levels + 1), dtype=np.int32) if taken is None else taken
    both = np.concatenate([held[:, :num_levels], codes])
    _, group = np.unique(both, axis=0, return_inverse=True)
    group = np.asarray(group).ravel()
    used = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(used, group[: len(held)], held[:, -1] + 1)
    new = group[len(held) :]
    order = np.argsort(new, kind="stable")
    starts = np.searchsorted(new[order], new[order])
    number = np.empty(len(new), dtype=np.int64)
    number[order] = np.arange(len(new)) - starts
    number += used[new]
    if number.max(initial=0) >= size:
        raise ConfigError(
            f"one ID is shared by {int(number.max()) + 1} items, the deduplication level has {size} codes; "
            "use reassign, or raise codebook_size"
        )
    return np.concatenate([codes, number[:, None].astype(np.int32)], axis=1)
