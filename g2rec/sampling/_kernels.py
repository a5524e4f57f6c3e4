"""The compiled loops of the neighbour sampler; compiled on first use and cached beside this file.

One call samples one batch, on one thread and without the GIL: batches run side by side. Time goes to waiting
for memory, so a few rows are in flight, each in one of three steps that ask for the cache lines of the next:
choose positions, read the neighbours there (`_read`), number them (`_enter`). Numbers are handed out by an
open-addressing hash table, at most two thirds full, with node and number in one 8-byte slot.
"""

import numba as nb
import numpy as np

from g2rec.intrinsics import multiply_high, prefetch
from g2rec.sampling._random import GOLDEN, MIX_1, MIX_2, TREE

_RING = 8
"""Rows in flight: one is chosen from while the neighbours of an earlier one arrive, and the one before that
is numbered. With 8 to 16 neighbours each they fill a core's queue of outstanding cache misses."""
_CHUNK = 1024
"""Neighbours in flight where whole rows are taken."""
_AHEAD = 24
"""Nodes between the one whose degree is read and the one whose cache line is asked for."""
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)


@nb.njit(inline="always")
def mix(x):
    """The SplitMix64 finaliser."""
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


@nb.njit(inline="always")
def row_key(key, node, tree):
    """Key of a row's draws."""
    return mix(key ^ mix(np.uint64(node) * GOLDEN + np.uint64(tree) * TREE))


@nb.njit(inline="always")
def draw(key, counter, size):
    """A number in [0, size)."""
    return np.int64(multiply_high(mix(key + np.uint64(counter + 1) * GOLDEN), np.uint64(size)))


@nb.njit(inline="always")
def uniform(key, counter):
    """A float in (0, 1), of 53 bits."""
    bits = mix(key + np.uint64(counter + 1) * GOLDEN) >> np.uint64(11)
    return (np.float64(bits) + 0.5) * (1.0 / 9007199254740992.0)


@nb.njit(inline="always")
def home(node, tree, shift):
    """The slot of the hash table where a node's search begins."""
    return (np.uint64(node) * GOLDEN ^ np.uint64(tree) * TREE) >> shift


@nb.njit
def grown(array, used, size):
    """The array, or a larger copy of its first ``used`` values."""
    if len(array) >= size:
        return array
    larger = np.empty(max(size, 2 * len(array)), array.dtype)
    larger[:used] = array[:used]
    return larger


@nb.njit
def table_for(table, bits, size, nodes, trees, many_trees, known):
    """A table with room for ``size`` nodes, holding the known ones; grows, never shrinks, within a batch."""
    wanted = np.int64(8)
    while (1 << wanted) < size + size // 2:
        wanted += 1
    if wanted <= bits:
        return table, bits
    table = grown(table, 0, 1 << wanted)
    table[: 1 << wanted] = 0
    shift, mask = np.uint64(64 - wanted), np.uint64((1 << wanted) - 1)
    for place in range(known):
        slot = home(nodes[place], trees[place] if many_trees else np.int32(0), shift)
        while table[slot] != 0:
            slot = (slot + _ONE) & mask
        table[slot] = np.int64(np.uint64(nodes[place]) << _32 | np.uint64(place + 1))
    return table, wanted


@nb.njit(inline="always")
def number(table, shift, mask, node, tree, many_trees, nodes, trees, known):
    """The place of (tree, node) among ``nodes``; ``known`` if it is new, and then it is entered."""
    slot = home(node, tree, shift)
    while True:
        entry = np.uint64(table[slot])
        if entry == np.uint64(0):
            nodes[np.uint64(known)] = np.int32(node)
            if many_trees:
                trees[known] = np.int32(tree)
            table[slot] = np.int64(np.uint64(node) << _32 | np.uint64(known + 1))
            return known
        if entry >> _32 == np.uint64(node):
            place = np.int64(entry & _LOW) - 1
            if not many_trees or trees[place] == tree:
                return place
        slot = (slot + _ONE) & mask


@nb.njit
def prefix_end(times, begin, end, cut):
    """The end of the part of a row that is strictly before the cut."""
    while begin < end:
        middle = (begin + end) // 2
        if times[middle] < cut:
            begin = middle + 1
        else:
            end = middle
    return end


@nb.njit
def is_excluded(excluded, first, last, neighbour):
    """Whether a neighbour is in the sorted range."""
    while first < last:
        middle = (first + last) // 2
        if excluded[middle] < neighbour:
            first = middle + 1
        elif excluded[middle] > neighbour:
            last = middle
        else:
            return True
    return False


@nb.njit
def excluded_range(excluded_nodes, node):
    """Where a node's excluded neighbours begin and end."""
    return np.searchsorted(excluded_nodes, node), np.searchsorted(excluded_nodes, node + 1)


@nb.njit
def _among(positions, first, last, position):
    for at in range(first, last):  # noqa: SIM110 - numba compiles no any()
        if positions[np.uint64(at)] == position:
            return True
    return False


@nb.njit
def _choose(
    indices, weights, excluded, begin, degree, fanout, replace, key, most, first, last, positions, at, keys
):
    """Positions of one row that needs care: weighted, or with excluded neighbours. Returns where they end.

    Draws are repeated until they are allowed. A row where that takes long is read as a whole: then the
    remaining places are filled by reservoir sampling, or by the smallest of the exponential clocks
    -log(u) / w (Efraimidis and Spirakis 2006). Both leave the distribution of successive draws unchanged.
    """
    weighted = len(weights) > 0
    start, end = at, at + fanout
    tries = np.int64(0)
    limit = 8 * fanout + 32 + (degree >> 2 if weighted else 0) if replace or degree > 2 * fanout else 0
    while at < end and tries < limit:
        position = begin + draw(key, 2 * tries, degree)
        chance = uniform(key, 2 * tries + 1) if weighted else 0.0
        tries += 1
        if weighted and chance * most >= weights[position]:
            continue
        if not replace and _among(positions, start, at, position):
            continue
        if is_excluded(excluded, first, last, indices[position]):
            continue
        positions[at] = position
        at += 1
    tries *= 2
    while at < end:  # once without replacement; else once for each place
        room = np.int64(1) if replace else end - at
        seen = np.int64(0)
        for position in range(begin, begin + degree):
            if weighted and not weights[position] > 0:
                continue
            if not replace and _among(positions, start, at, position):
                continue
            if is_excluded(excluded, first, last, indices[position]):
                continue
            if weighted:
                clock = -np.log(uniform(key, tries)) / weights[position]
                tries += 1
                place = min(seen, room - 1)
                if seen < room or clock < keys[place]:
                    while place > 0 and keys[place - 1] > clock:
                        keys[place] = keys[place - 1]
                        positions[at + place] = positions[at + place - 1]
                        place -= 1
                    keys[place] = clock
                    positions[at + place] = position
            else:
                place = seen
                if seen >= room:
                    place = draw(key, tries, seen + 1)
                    tries += 1
                if place < room:
                    positions[at + place] = position
            seen += 1
        at += min(seen, room)
        if seen == 0 or not replace:
            break
    return at


@nb.njit(inline="always")
def _read(indices, positions, first, last, tree, table, shift, keep_ids, edge_ids, edges):
    """Put the neighbours in the place of their positions, and ask for their slots of the table."""
    for at in range(first, last):
        position = np.uint64(positions[np.uint64(at)])
        node = np.int64(indices[position])
        if keep_ids:
            edge_ids[edges + at - first] = np.int64(position)
        positions[np.uint64(at)] = node
        prefetch(table, np.int64(home(node, tree, shift)))


@nb.njit(inline="always")
def _enter(
    indptr, neighbours, first, last, tree, table, shift, mask, many_trees, look_ahead, nodes, trees, known,
    sources, edges,
):  # fmt: skip
    """Number the neighbours; returns the nodes and edges known."""
    for at in range(first, last):
        node = neighbours[np.uint64(at)]
        place = number(table, shift, mask, node, tree, many_trees, nodes, trees, known)
        if place == known:
            if look_ahead:
                prefetch(indptr, node)
            known += 1
        sources[np.uint64(edges)] = np.int32(place)
        edges += 1
    return known, edges


@nb.njit(cache=True, nogil=True, error_model="numpy")
def sample_batch(
    indptr, indices, times, weights, heaviest, seeds, cuts, excluded_nodes, excluded, fanouts, keys, replace,
    want_degrees, want_ids, workspace,
):  # fmt: skip
    """Sample one batch, hop by hop.

    Args:
        indptr: [N + 1] offsets.
        indices: [E] neighbours.
        times: [E], rising within a row; read where ``cuts`` are given.
        weights: [E], or empty for uniform draws.
        heaviest: [N] largest weight of each row, or empty.
        seeds: [S] nodes, which may repeat.
        cuts: [S] times, or None (compiled apart). With them every seed is a tree of its own.
        excluded_nodes: [X] sorted; with ``excluded``, [X], the pairs not to be sampled.
        excluded: [X] neighbours, sorted within a node.
        fanouts: [H]; -1 takes all.
        keys: [H] of the hops.
        replace: Draw with replacement.
        want_degrees: Also look up the degrees of the nodes of the last hop.
        want_ids: Also give the position of each edge in ``indices``; None, compiled apart, leaves them out.
        workspace: Arrays of earlier batches of this thread, to be used again.

    Returns:
        nodes [n], seed places [S], sources and targets [2, e], degrees [n] or [0], edge positions [e] or [0],
        nodes and edges known after each hop [H + 1], and the workspace.
    """
    table, nodes, trees, begins, degrees, counts, sources, positions, clocks = workspace
    many_trees, keep_ids = cuts is not None, want_ids is not None
    num_hops = len(fanouts)
    nodes, trees = grown(nodes, 0, len(seeds)), grown(trees, 0, len(seeds))
    table, bits = table_for(table, np.int64(0), len(seeds), nodes, trees, many_trees, 0)
    shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
    seed_index = np.empty(len(seeds), np.int64)
    known = np.int64(0)
    for at in range(len(seeds)):
        prefetch(indptr, seeds[at])
        tree = np.int32(at) if many_trees else np.int32(0)
        seed_index[at] = number(table, shift, mask, seeds[at], tree, many_trees, nodes, trees, known)
        if seed_index[at] == known:
            known += 1
    # where the excluded neighbours of a node begin, by node
    ban_bits = np.int64(1)
    while (1 << ban_bits) < 2 * len(excluded):
        ban_bits += 1
    ban_shift, ban_mask = np.uint64(64 - ban_bits), np.uint64((1 << ban_bits) - 1)
    bans = np.full(1 << ban_bits if len(excluded) > 0 else 0, -1, np.int64)
    for at in range(len(excluded)):
        if at == 0 or excluded_nodes[at] != excluded_nodes[at - 1]:
            slot = home(excluded_nodes[at], 0, ban_shift)
            while bans[slot] >= 0:
                slot = (slot + _ONE) & ban_mask
            bans[slot] = at

    nodes_per_hop, edges_per_hop = np.empty(num_hops + 1, np.int64), np.zeros(num_hops + 1, np.int64)
    nodes_per_hop[0] = known
    edge_ids = np.empty(_CHUNK if keep_ids else 0, np.int64)
    start, edges = np.int64(0), np.int64(0)
    for hop in range(num_hops):
        end = known
        begins, degrees = grown(begins, start, end), grown(degrees, start, end)
        fanout = np.int64(fanouts[hop])
        room = np.int64(0)
        for at in range(start, end):
            node = np.uint64(nodes[np.uint64(at)])
            begin, last = indptr[node], indptr[node + _ONE]
            if cuts is not None:
                last = prefix_end(times, begin, last, cuts[trees[at]])
            degree = last - begin
            begins[at], degrees[at] = begin, degree
            if fanout < 0 or (replace and degree > 0):
                room += degree if fanout < 0 else fanout
            else:
                room += min(degree, fanout)
        counts = grown(counts, start, end)
        sources = grown(sources, edges, edges + room)
        if keep_ids:
            edge_ids = grown(edge_ids, edges, edges + room)
        nodes, trees = grown(nodes, known, known + room), grown(trees, known, known + room)
        table, bits = table_for(table, bits, known + room, nodes, trees, many_trees, known)
        shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        positions = grown(positions, 0, _CHUNK if fanout < 0 else _RING * fanout)
        clocks = grown(clocks, 0, max(fanout, 1))
        look_ahead = hop + 1 < num_hops
        read = edges  # edges whose neighbours were read
        for row in range(start, end if fanout < 0 else end + _RING - 1):
            if row < end:
                node, begin, degree = nodes[row], begins[row], degrees[row]
                tree = trees[row] if many_trees else np.int32(0)
                first, last = np.int64(0), np.int64(0)
                if len(bans) > 0:
                    slot = home(node, 0, ban_shift)
                    while bans[slot] >= 0 and excluded_nodes[bans[slot]] != node:
                        slot = (slot + _ONE) & ban_mask
                    if bans[slot] >= 0:
                        first = bans[slot]
                        last = first
                        while last < len(excluded) and excluded_nodes[last] == node:
                            last += 1
                if fanout < 0:
                    before = edges
                    for chunk in range(begin, begin + degree, _CHUNK):
                        stop = np.int64(0)
                        for position in range(chunk, min(chunk + _CHUNK, begin + degree)):
                            if first == last or not is_excluded(excluded, first, last, indices[position]):
                                positions[stop] = position
                                stop += 1
                        _read(indices, positions, 0, stop, tree, table, shift, keep_ids, edge_ids, edges)
                        known, edges = _enter(
                            indptr, positions, 0, stop, tree, table, shift, mask, many_trees, look_ahead,
                            nodes, trees, known, sources, edges,
                        )  # fmt: skip
                    counts[row] = np.int32(edges - before)
                    continue
                opened = (row % _RING) * fanout
                filled = opened
                if degree == 0 or fanout == 0:
                    pass
                elif degree <= fanout and not replace and first == last:
                    prefetch(indices, begin)
                    prefetch(indices, begin + degree - 1)
                    for j in range(degree):
                        positions[filled + j] = begin + j
                    filled += degree
                elif len(weights) > 0 or first < last:
                    most = np.float64(heaviest[node]) if len(weights) > 0 else 0.0
                    filled = _choose(
                        indices, weights, excluded, begin, degree, fanout, replace,
                        row_key(keys[hop], node, tree), most, first, last, positions, filled, clocks,
                    )  # fmt: skip
                else:
                    key = row_key(keys[hop], node, tree)
                    marks = np.uint64(0)  # a bit for each position modulo 64: most draws need no search
                    for j in range(fanout):
                        if replace:
                            position = begin + draw(key, j, degree)
                        else:  # Floyd 1987: a uniform subset in as many draws as it has members
                            top = degree - fanout + j
                            place = draw(key, j, top + 1)
                            mark = _ONE << np.uint64(place & 63)
                            if marks & mark and _among(positions, opened, filled, begin + place):
                                place = top
                                mark = _ONE << np.uint64(place & 63)
                            marks |= mark
                            position = begin + place
                        positions[filled] = position
                        filled += 1
                        prefetch(indices, position)
                counts[row] = np.int32(filled - opened)
            earlier = row - _RING + 2
            if start <= earlier < end:
                opened = (earlier % _RING) * fanout
                tree = trees[earlier] if many_trees else np.int32(0)
                stop = opened + counts[earlier]
                _read(indices, positions, opened, stop, tree, table, shift, keep_ids, edge_ids, read)
                read += counts[earlier]
            earlier -= 1
            if start <= earlier:
                opened = (earlier % _RING) * fanout
                tree = trees[earlier] if many_trees else np.int32(0)
                known, edges = _enter(
                    indptr, positions, opened, opened + counts[earlier], tree, table, shift, mask, many_trees,
                    look_ahead, nodes, trees, known, sources, edges,
                )  # fmt: skip
        start = end
        nodes_per_hop[hop + 1], edges_per_hop[hop + 1] = known, edges

    out_nodes = np.empty(known, np.int64)
    for at in range(known):
        out_nodes[at] = nodes[at]
    edge_index = np.empty((2, edges), np.int64)
    for at in range(edges):
        edge_index[0, at] = sources[at]
    at = np.int64(0)
    for row in range(start):
        for _ in range(counts[row]):
            edge_index[1, at] = row
            at += 1
    out_degrees = np.empty(known if want_degrees else 0, np.int64)
    if want_degrees:
        out_degrees[:start] = degrees[:start]
        for at in range(start, known):
            prefetch(indptr, np.int64(nodes[np.uint64(min(at + _AHEAD, known - 1))]))
            node = np.uint64(nodes[np.uint64(at)])
            begin, last = indptr[node], indptr[node + _ONE]
            if cuts is not None:
                last = prefix_end(times, begin, last, cuts[trees[at]])
            out_degrees[np.uint64(at)] = last - begin
    used = (table, nodes, trees, begins, degrees, counts, sources, positions, clocks)
    return (
        out_nodes, seed_index, edge_index, out_degrees, edge_ids[: edges if keep_ids else 0].copy(),
        nodes_per_hop, edges_per_hop, used,
    )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def row_maxima(indptr, weights, first, last):
    """Largest weight of each row of a range of nodes; 0 where a row is empty."""
    most = np.zeros(last - first, np.float32)
    for node in range(first, last):
        for position in range(indptr[node], indptr[node + 1]):
            most[node - first] = max(most[node - first], weights[position])
    return most
