"""The compiled loops of the neighbour sampler; compiled on first use and cached beside this file.

Random numbers are counter-based: the SplitMix64 finaliser (Steele, Lea and Flood 2014) of a key made of
(seed, epoch, step, hop), the node, and the number of the draw. So they depend on what is sampled, not on
which thread samples it or when.
"""

import numba as nb
import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TREE = np.uint64(0xD6E8FEB86659FD93)


@nb.njit(cache=True, inline="always")
def _mix(x):  # type: ignore[no-untyped-def]
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@nb.njit(cache=True, inline="always")
def _draw(key, counter, size):  # type: ignore[no-untyped-def]
    """A number in [0, size) from 53 random bits."""
    bits = _mix(key + np.uint64(counter + 1) * _GOLDEN) >> np.uint64(11)
    return np.int64(np.float64(bits) * (1.0 / 9007199254740992.0) * size)


@nb.njit(cache=True)
def _is_excluded(pairs, begin, end, neighbour):  # type: ignore[no-untyped-def]
    while begin < end:
        middle = (begin + end) // 2
        if pairs[middle] < neighbour:
            begin = middle + 1
        else:
            end = middle
    return begin < len(pairs) and pairs[begin] == neighbour


@nb.njit(cache=True, parallel=True)
def row_ends(indptr, times, nodes, cuts, ends):  # type: ignore[no-untyped-def]
    """The end of each node's row, or of its part strictly before the cut; rows are sorted by time."""
    for f in nb.prange(len(nodes)):
        begin, end = indptr[nodes[f]], indptr[nodes[f] + 1]
        if len(cuts) > 0:
            while begin < end:
                middle = (begin + end) // 2
                if times[middle] < cuts[f]:
                    begin = middle + 1
                else:
                    end = middle
        ends[f] = end


@nb.njit(cache=True, parallel=True)
def sample_rows(  # type: ignore[no-untyped-def]
    indptr, indices, nodes, trees, ends, excluded, fanout, replace, key, offsets, out, got
):
    """Draw up to ``fanout`` neighbours of each node into ``out[offsets[f]:]``; ``got[f]`` says how many.

    Without replacement, positions already taken or excluded are drawn again; a row so short that this
    would take long is listed and shuffled instead. Both are uniform over the neighbours that remain.
    """
    num_nodes = np.int64(len(indptr) - 1)
    for f in nb.prange(len(nodes)):
        node = nodes[f]
        begin, degree = indptr[node], ends[f] - indptr[node]
        place = offsets[f]
        first = np.searchsorted(excluded, node * num_nodes)
        last = np.searchsorted(excluded, (node + 1) * num_nodes)
        wanted = degree if fanout < 0 else np.int64(fanout)
        if degree == 0 or wanted == 0:
            got[f] = 0
            continue
        if (fanout < 0 or (not replace and degree <= fanout)) and first == last:
            for j in range(degree):
                out[place + j] = indices[begin + j]
            got[f] = degree
            continue
        row_key = _mix(key ^ _mix(np.uint64(node) * _GOLDEN + np.uint64(trees[f]) * _TREE))
        found, tries = np.int64(0), np.int64(0)
        limit = np.int64(0)
        if fanout >= 0 and (replace or degree > 2 * fanout):
            limit = 8 * wanted + 32
        chosen = np.empty(max(wanted, 1) if limit > 0 else 1, dtype=np.int64)
        while found < wanted and tries < limit:
            position = _draw(row_key, tries, degree)
            tries += 1
            fresh = True
            if not replace:
                for j in range(found):
                    if chosen[j] == position:
                        fresh = False
                        break
            if not fresh:
                continue
            neighbour = np.int64(indices[begin + position])
            if first < last and _is_excluded(excluded, first, last, node * num_nodes + neighbour):
                continue
            chosen[found] = position
            out[place + found] = neighbour
            found += 1
        if found < wanted and (limit == 0 or tries >= limit):
            rest = np.empty(degree, dtype=np.int64)
            size = np.int64(0)
            for position in range(degree):
                taken = False
                if not replace:
                    for j in range(found):
                        if chosen[j] == position:
                            taken = True
                            break
                if taken:
                    continue
                neighbour = np.int64(indices[begin + position])
                if first < last and _is_excluded(excluded, first, last, node * num_nodes + neighbour):
                    continue
                rest[size] = neighbour
                size += 1
            while found < wanted and size > 0:
                if fanout < 0:
                    for j in range(size):
                        out[place + j] = rest[j]
                    found = size
                    break
                pick = _draw(row_key, tries, size)
                tries += 1
                out[place + found] = rest[pick]
                found += 1
                if not replace:
                    size -= 1
                    rest[pick] = rest[size]
        got[f] = found


@nb.njit(cache=True)
def relabel(nodes, trees, num_known, start, offsets, got, drawn, num_nodes, source, target):  # type: ignore[no-untyped-def]
    """Number the drawn neighbours: known (tree, node) pairs keep their place in ``nodes``, others are added.

    An open-addressing hash table, at most half full. Returns the nodes known and the edges written.
    """
    capacity = np.int64(16)
    while capacity < 2 * len(nodes):
        capacity *= 2
    mask = np.uint64(capacity - 1)
    table = np.full(capacity, -1, dtype=np.int64)
    for position in range(num_known):
        slot = _mix(np.uint64(trees[position] * num_nodes + nodes[position])) & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = position
    edges = np.int64(0)
    for f in range(len(got)):
        tree = trees[start + f]
        for j in range(got[f]):
            node = np.int64(drawn[offsets[f] + j])
            slot = _mix(np.uint64(tree * num_nodes + node)) & mask
            while table[slot] >= 0:
                known = table[slot]
                if nodes[known] == node and trees[known] == tree:
                    break
                slot = (slot + np.uint64(1)) & mask
            if table[slot] < 0:
                table[slot] = num_known
                nodes[num_known] = node
                trees[num_known] = tree
                num_known += 1
            source[edges] = table[slot]
            target[edges] = start + f
            edges += 1
    return num_known, edges
