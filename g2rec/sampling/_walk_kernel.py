"""The compiled loop of the random-walk sampler; see `_kernels` for the tables and the random numbers."""

import numba as nb
import numpy as np

from g2rec.intrinsics import prefetch
from g2rec.sampling._kernels import (
    draw,
    excluded_range,
    grown,
    is_excluded,
    number,
    prefix_end,
    row_key,
    table_for,
    uniform,
)

_TRIES = 8
"""Draws before a walk that meets only excluded edges ends."""


@nb.njit
def _walk(
    indptr, indices, times, cut, excluded_nodes, excluded, origin, key, num_walks, walk_length, restart, at,
    visits,
):  # fmt: skip
    """Nodes of the origin's own side that walks from it visit, in ``visits``; returns how many.

    All walks of a node take their steps together, so that their cache misses overlap.
    """
    count = np.int64(0)
    at[:num_walks] = origin
    for step in range(2 * walk_length):
        for walk in range(num_walks):
            if at[walk] >= 0:
                prefetch(indptr, at[walk])
        for walk in range(num_walks):
            node = at[walk]
            if node < 0:
                continue
            counter = (step * num_walks + walk) * (_TRIES + 1)
            begin, end = indptr[node], indptr[node + 1]
            if cut is not None:
                end = prefix_end(times, begin, end, cut)
            first, last = np.int64(0), np.int64(0)
            if len(excluded) > 0:
                first, last = excluded_range(excluded_nodes, node)
            at[walk] = -1
            for attempt in range(_TRIES if end > begin else 0):
                neighbour = np.int64(indices[begin + draw(key, counter + attempt, end - begin)])
                if first == last or not is_excluded(excluded, first, last, neighbour):
                    at[walk] = neighbour
                    break
            if step % 2 == 1 and at[walk] >= 0:
                if at[walk] != origin:
                    visits[count] = at[walk]
                    count += 1
                if uniform(key, counter + _TRIES) < restart:
                    at[walk] = -1
    return count


@nb.njit(cache=True, nogil=True, error_model="numpy")
def walk_batch(
    indptr, indices, times, seeds, cuts, excluded_nodes, excluded, num_neighbors, keys, num_walks,
    walk_length, restart,
):  # fmt: skip
    """Sample one batch of important neighbours; arguments and results as in `_kernels.sample_batch`."""
    many_trees = cuts is not None
    num_hops = len(num_neighbors)
    nodes, trees = np.empty(max(len(seeds), 16), np.int32), np.empty(max(len(seeds), 16), np.int32)
    table, bits = table_for(np.empty(16, np.int64), np.int64(0), len(seeds), nodes, trees, many_trees, 0)
    shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
    seed_index = np.empty(len(seeds), np.int64)
    known = np.int64(0)
    for place in range(len(seeds)):
        tree = np.int32(place) if many_trees else np.int32(0)
        seed_index[place] = number(table, shift, mask, seeds[place], tree, many_trees, nodes, trees, known)
        known = max(known, seed_index[place] + 1)
    sources, targets = np.empty(16, np.int64), np.empty(16, np.int64)
    shares = np.empty(16, np.float32)
    nodes_per_hop, edges_per_hop = np.empty(num_hops + 1, np.int64), np.zeros(num_hops + 1, np.int64)
    nodes_per_hop[0] = known
    at, visits = np.empty(num_walks, np.int64), np.empty(num_walks * walk_length, np.int64)
    times_seen = np.empty(num_walks * walk_length, np.int64)
    start, edges = np.int64(0), np.int64(0)
    for hop in range(num_hops):
        end = known
        most = min(np.int64(num_neighbors[hop]), len(visits))
        room = (end - start) * most
        sources, targets = grown(sources, edges, edges + room), grown(targets, edges, edges + room)
        shares = grown(shares, edges, edges + room)
        nodes, trees = grown(nodes, known, known + room), grown(trees, known, known + room)
        table, bits = table_for(table, bits, known + room, nodes, trees, many_trees, known)
        shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        for row in range(start, end):
            tree = trees[row] if many_trees else np.int32(0)
            key = row_key(keys[hop], nodes[row], tree)
            origin = np.int64(nodes[row])
            cut = None if cuts is None else cuts[tree]
            count = _walk(
                indptr, indices, times, cut, excluded_nodes, excluded, origin, key, num_walks, walk_length,
                restart, at, visits,
            )  # fmt: skip
            distinct = np.int64(0)
            for visit in range(count):
                place = np.int64(0)
                while place < distinct and visits[place] != visits[visit]:
                    place += 1
                if place == distinct:
                    visits[place] = visits[visit]
                    times_seen[place] = 0
                    distinct += 1
                times_seen[place] += 1
            row_edges, total = edges, np.int64(0)
            for _ in range(min(most, distinct)):
                best = np.int64(0)  # the first visited of the most visited
                for place in range(1, distinct):
                    if times_seen[place] > times_seen[best]:
                        best = place
                number_of = number(table, shift, mask, visits[best], tree, many_trees, nodes, trees, known)
                known = max(known, number_of + 1)
                sources[edges], targets[edges] = number_of, row
                shares[edges] = times_seen[best]
                total += times_seen[best]
                times_seen[best] = 0
                edges += 1
            for edge in range(row_edges, edges):
                shares[edge] /= np.float32(total)
        start = end
        nodes_per_hop[hop + 1], edges_per_hop[hop + 1] = known, edges
    edge_index = np.empty((2, edges), np.int64)
    edge_index[0], edge_index[1] = sources[:edges], targets[:edges]
    degrees = np.empty(known, np.int64)
    for place in range(known):
        begin, last = indptr[nodes[place]], indptr[nodes[place] + 1]
        if cuts is not None:
            last = prefix_end(times, begin, last, cuts[trees[place]])
        degrees[place] = last - begin
    return (
        nodes[:known].astype(np.int64), seed_index, edge_index, degrees, shares[:edges].copy(), nodes_per_hop,
        edges_per_hop,
    )  # fmt: skip
