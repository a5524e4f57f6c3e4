"""Soft modularity, exact, of sparse memberships on a weighted graph."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from g2rec.errors import DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes._interests import InterestPrototypes, Memberships

_EDGES = 1 << 20
"""Edges whose memberships are held at a time."""


def soft_modularity(
    memberships: Memberships, graph: CoEngagementGraph, num_prototypes: int, gamma: float = 1.0
) -> float:
    """Soft modularity of memberships P on a graph with weights w and strengths k.

    Q = sum_{(i,j)} w_ij p_i . p_j / W - gamma ||P^T k||^2 / W^2, the sum over both directions and W the
    total weight. With hard memberships it is Newman's modularity at resolution gamma. No dense
    items x C matrix is made: time is O(rho |E|).

    Args:
        memberships: One row an item.
        graph: Symmetric, without self-loops.
        num_prototypes: C.
        gamma: Resolution, dimensionless.
    """
    if len(memberships.indices) != graph.num_items:
        raise DataError(
            f"memberships cover {len(memberships.indices)} items, the graph has {graph.num_items}; "
            "fit both on the same interactions"
        )
    total = float(np.sum(graph.weights, dtype=np.float64))
    if total == 0:
        return 0.0
    P = memberships.matrix(num_prototypes)
    agree = 0.0
    for rows in _row_blocks(graph.indptr):
        begin, end = int(graph.indptr[rows.start]), int(graph.indptr[rows.stop])
        indptr = np.asarray(graph.indptr[rows.start : rows.stop + 1]) - begin
        block = csr_matrix(
            (graph.weights[begin:end].astype(np.float64), graph.indices[begin:end], indptr),
            shape=(rows.stop - rows.start, graph.num_items),
        )
        agree += float((block @ P).multiply(P[rows.start : rows.stop]).sum())
    mass = P.T @ graph.strength()
    return agree / total - gamma * float(mass @ mass) / total**2


def modularity_report(
    prototypes: InterestPrototypes,
    graph: CoEngagementGraph,
    gamma: float = 1.0,
    start: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """Modularity at the start, as it is and after hardening, how soft the memberships are, how evenly used.

    Args:
        prototypes: The fitted prototypes.
        graph: Symmetric, without self-loops.
        gamma: Resolution, dimensionless.
        start: [I] the partition that the fit began from, any number of labels; its modularity is None
            without one.
    """
    began = None
    if start is not None:
        labels = Memberships(start.astype(np.int32)[:, None], np.ones((len(start), 1), np.float32))
        began = soft_modularity(labels, graph, int(start.max(initial=0)) + 1, gamma)
    usage = prototypes.usage()
    hard = prototypes.memberships.hardened()
    entropy = float(-(usage * np.log(np.maximum(usage, 1e-30))).sum())
    C = prototypes.num_prototypes
    return {
        "method": prototypes.method,
        "modularity_start": began,
        "modularity": soft_modularity(prototypes.memberships, graph, C, gamma),
        "modularity_hardened": soft_modularity(hard, graph, C, gamma),
        "softness": prototypes.softness(),
        "prototypes_used": len(np.unique(prototypes.dominant())),
        "usage_perplexity": float(np.exp(entropy)),
    }


def _row_blocks(indptr: np.ndarray[Any, Any]) -> list[slice]:
    """Slices of rows with about ``_EDGES`` edges each."""
    num_rows = len(indptr) - 1
    cuts = np.searchsorted(indptr, np.arange(0, int(indptr[-1]) + 1, _EDGES))
    bounds = np.unique(np.concatenate(([0], cuts, [num_rows])).clip(0, num_rows))
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
