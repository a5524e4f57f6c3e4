"""Memberships of items that came after the fit, from the items that they are engaged with."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from g2rec.errors import DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes._interests import InterestPrototypes, Memberships


def neighbour_memberships(
    prototypes: InterestPrototypes,
    graph: CoEngagementGraph,
    items: NDArray[np.integer],
    *,
    gamma: float = 1.0,
) -> Memberships:
    """Where modularity would put some items, all others staying where they are.

    g_ia = sum_j w_ij p_ja / sum_j w_ij - gamma m_a;   p_ia ~ max(g_ia, 0) over its R largest

    j over the neighbours that are not among ``items``, m = P^T k / W the prototypes' shares of all strength.
    An embedding of a new item is a mean over its users, half of whose events may be noise; here what is
    common to all items is taken off. On `synthetic` with 16 and 64 interests, half of all events being noise,
    the adjusted mutual information of items held out of training with the planted interests is .96 and .98 by
    their neighbours, .75 and .72 by their embeddings.

    Args:
        prototypes: Of all items of the graph; rows of ``items`` are not looked at.
        graph: With the edges that came after the fit.
        items: Which items to place.
        gamma: Resolution, dimensionless; the one of the fit.

    Returns:
        Memberships of ``items``, heaviest first; as they were for an item without such a neighbour.

    Raises:
        DataError: If graph and prototypes are of different items.
    """
    if prototypes.num_items != graph.num_items:
        raise DataError(
            f"memberships cover {prototypes.num_items} items, the graph has {graph.num_items}; "
            "build the graph over the items of the fit"
        )
    C, nonzeros = prototypes.num_prototypes, prototypes.indices.shape[1]
    known = np.ones(graph.num_items)
    known[items] = 0
    P = prototypes.memberships.matrix(C).multiply(known[:, None]).tocsr()
    mass = P.T @ graph.strength()
    shape = (graph.num_items, graph.num_items)
    rows = csr_matrix((graph.weights, graph.indices, graph.indptr), shape=shape)[items].astype(np.float64)
    total = rows @ known
    gain = (rows @ P).tocsr()
    gain.data /= np.maximum(np.repeat(total, np.diff(gain.indptr)), 1e-12)
    gain.data -= gamma * mass[gain.indices] / max(float(mass.sum()), 1e-12)
    return _heaviest(gain, prototypes.memberships, items, nonzeros)


def _heaviest(
    gain: csr_matrix, before: Memberships, items: NDArray[np.integer], nonzeros: int
) -> Memberships:
    """The largest gains of each row, scaled to sum to 1; rows without a gain above 0 as before."""
    indices, weights = before.indices[items].copy(), before.weights[items].copy()
    for row in range(len(items)):
        inside = slice(gain.indptr[row], gain.indptr[row + 1])
        order = np.argsort(-gain.data[inside], kind="stable")[:nonzeros]
        column, value = gain.indices[inside][order], np.maximum(gain.data[inside][order], 0)
        if not len(order) or value[0] <= 0:
            continue
        if len(column) < nonzeros:
            rest = np.setdiff1d(before.indices[items[row]], column)[: nonzeros - len(column)]
            column, value = np.append(column, rest), np.append(value, np.zeros(len(rest)))
        indices[row], weights[row] = column, value / value.sum()
    return Memberships(indices, weights)
