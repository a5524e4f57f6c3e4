"""Hard communities, where the free-logit memberships start."""

import networkit as nk
import numpy as np
from numpy.typing import NDArray

from g2rec.graph import CoEngagementGraph


def community_partition(
    graph: CoEngagementGraph, *, gamma: float = 1.0, seed: int = 0, iterations: int = 5
) -> NDArray[np.int32]:
    """Communities by Leiden (networkit's ParallelLeiden, MIT), largest first.

    It runs on one thread: with several it is fast but its result depends on their timing, and every
    artefact here repeats from its seed (0.2 s for Beauty's half a million edges).

    Args:
        graph: The item graph; an item without edges is a community of its own.
        gamma: Resolution, dimensionless.
        seed: Decides the visiting order.
        iterations: Rounds of Leiden.

    Returns:
        [I] community of each item, numbered by falling size from 0.
    """
    source, target, weight = graph.edge_list()
    once = source < target
    network = nk.GraphFromCoo(
        (weight[once].astype(np.float64), (source[once].astype(np.uint64), target[once].astype(np.uint64))),
        graph.num_items,
        weighted=True,
        directed=False,
    )
    threads = nk.getMaxNumberOfThreads()
    nk.setNumberOfThreads(1)
    nk.setSeed(seed, False)
    try:
        leiden = nk.community.ParallelLeiden(network, iterations=iterations, gamma=gamma)
        leiden.run()
        found = np.asarray(leiden.getPartition().getVector(), dtype=np.int64)
    finally:
        nk.setNumberOfThreads(threads)
    _, label, size = np.unique(found, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int32)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size), dtype=np.int32)
    return rank[label]
