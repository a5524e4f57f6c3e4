"""Naming prototypes by the items that stand for them."""

import itertools

import numpy as np
from numpy.typing import NDArray

from g2rec.prototypes._interests import InterestPrototypes


def top_items(
    prototypes: InterestPrototypes, popularity: NDArray[np.int64], num_items: int = 5
) -> list[NDArray[np.int64]]:
    """The items that a reader would name each prototype by.

    score_ia = p_ia log(1 + popularity_i): popularity alone would show the same blockbusters everywhere,
    membership alone would show items that nobody knows.

    Args:
        prototypes: The prototypes.
        popularity: [I] training events of each item.
        num_items: Items a prototype, at most.

    Returns:
        Item indices of each prototype, best first; empty for one that no item belongs to.
    """
    score = prototypes.weights * np.log1p(popularity.astype(np.float64))[:, None]
    column = prototypes.indices.ravel()
    item = np.repeat(np.arange(prototypes.num_items), prototypes.indices.shape[1])
    order = np.lexsort((item, -score.ravel(), column))
    starts = np.searchsorted(column[order], np.arange(prototypes.num_prototypes + 1))
    ranked, value = item[order], score.ravel()[order]
    named = []
    for start, stop in itertools.pairwise(starts):
        best = slice(start, min(start + num_items, stop))
        named.append(ranked[best][value[best] > 0])
    return named
