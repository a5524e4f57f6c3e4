"""Sums over all neighbours, for exact inference on graphs and values larger than memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from g2rec.errors import DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling._neighbor import read_only

_PARTS = 8
"""Ranges of nodes for each thread, of about the same number of edges."""


def sum_neighbors(
    graph: InteractionGraph,
    values: NDArray[np.float32],
    first: int,
    last: int,
    *,
    scale: NDArray[np.float32] | None = None,
    num_threads: int = 2,
) -> NDArray[np.float32]:
    """Add up the values of all neighbours of a range of nodes, all users or all items.

    s_n = sum_{w in N(n)} scale_w values_w

    Args:
        graph: Read row by row.
        values: [I, D] of the items where the nodes are users, [U, D] of the users where they are items; may
            be memory-mapped.
        first: First node.
        last: Behind the last node.
        scale: Factor of each row of the values; ones if not given.
        num_threads: Threads that add.

    Returns:
        [last - first, D].

    Raises:
        DataError: If the nodes are of both sides, or the values not of the other.
    """
    from g2rec.sampling import _aggregate_kernel

    users = last <= graph.num_users
    rows = graph.num_items if users else graph.num_users
    if (not users and first < graph.num_users) or len(values) != rows:
        raise DataError(
            f"expected nodes of one side and values of the {rows} on the other, got nodes {first} to {last} "
            f"and {len(values)} values; users are nodes [0, {graph.num_users})"
        )
    indptr, indices = read_only(graph.indptr), read_only(graph.indices)
    flat = read_only(values).reshape(-1)
    factors = read_only(np.zeros(0, np.float32) if scale is None else scale)
    out = np.empty((last - first, values.shape[1]), np.float32)
    edges = np.linspace(int(indptr[first]), int(indptr[last]), num_threads * _PARTS + 1)
    cuts = np.searchsorted(indptr[first : last + 1], edges[1:-1]) + first
    bounds = np.concatenate(([first], cuts, [last])).clip(first, last)

    def add(part: int) -> None:
        low, high = int(bounds[part]), int(bounds[part + 1])
        shift = graph.num_users if users else 0
        _aggregate_kernel.add_rows(
            indptr, indices, shift, flat, factors, low, high, out[low - first : high - first]
        )

    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(add, range(len(bounds) - 1)))
    return out
