"""Compiled loops of the co-engagement graph; each runs without the interpreter's lock."""

# numba infers the types of compiled loops
# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-incomplete-defs=False
# mypy: disallow-untyped-calls=False, check-untyped-defs=False
import numba as nb
import numpy as np

ONE = 1 << 24
"""A count of 1. Counts are whole multiples of 2^-24, so that their sum does not depend on the order."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_DIGIT = 11
"""Bits that one pass of the sort looks at."""


@nb.njit(nogil=True, cache=True)
def distinct_rows(bounds, nodes, shift, first_row, stamp, popularity, items, ends):
    """Keep the first event of each item in each row.

    Args:
        bounds: [R + 1] offsets of the rows.
        nodes: Items of the rows, plus ``shift``.
        shift: What makes an item of a node.
        first_row: Number of the first row among all.
        stamp: [I] int32, one more than the last row that has the item; starts as zeros.
        popularity: [I] rows that have the item; added to.
        items: As long as ``nodes``; filled.
        ends: [R + 1]; filled with the offsets of the rows that are kept.
    """
    kept = 0
    ends[0] = 0
    for row in range(len(bounds) - 1):
        mark = np.int32(first_row + row + 1)
        for at in range(bounds[row], bounds[row + 1]):
            item = nodes[at] - shift
            if stamp[item] != mark:
                stamp[item] = mark
                popularity[item] += 1
                items[kept] = item
                kept += 1
        ends[row + 1] = kept


@nb.njit(nogil=True, cache=True)
def emit_pairs(keys, values, fill, items, ends, users, seed, window, rate, num_items, row, done):
    """Append the pairs of rows until all are done or the arrays are full: (fill, row, pairs of it done).

    Pairs are numbered by their later place, then by their earlier one; draw t of a user is a function of the
    seed, the user and t.

    Args:
        keys: A pair (a, b), a < b, becomes a I + b.
        values: Counts, in units of 2^-24.
        fill: Records that are there.
        items: Distinct items of the rows.
        ends: [R + 1] their offsets.
        users: [R] what names the user of a row.
        seed: uint64.
        window: Largest distance of two places.
        rate: Draws per item of a row.
        num_items: I.
        row: Where to go on.
        done: Pairs of that row that are there.
    """
    size, rows, width = len(keys), len(ends) - 1, np.uint64(num_items)
    while row < rows:
        begin = ends[row]
        length = ends[row + 1] - begin
        reach = min(window, length - 1)
        pairs = reach * (reach + 1) // 2 + (length - 1 - reach) * reach if length > 1 else 0
        draws = min(pairs, np.int64(np.ceil(length * rate)))
        stop = min(draws, done + size - fill)
        if not draws:
            pass
        elif draws == pairs:
            early, late = _unrank(done, reach)
            for _ in range(done, stop):
                keys[fill] = _key(items[begin + early], items[begin + late], width)
                values[fill] = ONE
                fill += 1
                early += 1
                if early == late:
                    late += 1
                    early = max(0, late - reach)
        else:
            value = np.uint64(pairs / draws * ONE + 0.5)
            stream = _mix(seed ^ _mix((np.uint64(users[row]) + np.uint64(1)) * _GOLDEN))
            for draw in range(done, stop):
                bits = _mix(stream + (np.uint64(draw) + np.uint64(1)) * _GOLDEN)
                rank = np.int64(np.float64(bits >> np.uint64(11)) * 2.0**-53 * pairs)
                early, late = _unrank(min(rank, pairs - 1), reach)
                keys[fill] = _key(items[begin + early], items[begin + late], width)
                values[fill] = value
                fill += 1
        if stop < draws:
            return fill, row, stop
        row, done = row + 1, 0
    return fill, row, done


@nb.njit(nogil=True, cache=True)
def sort_records(keys, values, other_keys, other_values, bits):
    """Sort by the lowest ``bits`` of the keys; True if the result is in the other arrays.

    By digits from the lowest (radix sort): a pass is two reads and a write, whatever the number of records.
    """
    passes = max(1, (bits + _DIGIT - 1) // _DIGIT)
    mask = np.uint64((1 << _DIGIT) - 1)
    counts = np.zeros((passes, 1 << _DIGIT), np.int64)
    for key in keys:
        for number in range(passes):
            counts[number, (key >> np.uint64(number * _DIGIT)) & mask] += 1
    swapped = False
    for number in range(passes):
        shift, at = np.uint64(number * _DIGIT), 0
        cursor = counts[number]
        for digit in range(1 << _DIGIT):
            here = cursor[digit]
            cursor[digit] = at
            at += here
        if swapped:
            _scatter(other_keys, other_values, keys, values, shift, mask, cursor)
        else:
            _scatter(keys, values, other_keys, other_values, shift, mask, cursor)
        swapped = not swapped
    return swapped


@nb.njit(nogil=True, cache=True)
def sum_sorted(left_keys, left_values, right_keys, right_values, out_keys, out_values):
    """Merge two sorted lists, summing the values of a key; the number of keys.

    The right list may lie in the output's arrays, behind as many places as the left one is long.
    """
    i, j, fill = 0, 0, 0
    left, right = len(left_keys), len(right_keys)
    while i < left or j < right:
        if j == right or (i < left and left_keys[i] <= right_keys[j]):
            key, value = left_keys[i], left_values[i]
            i += 1
        else:
            key, value = right_keys[j], right_values[j]
            j += 1
        if fill and out_keys[fill - 1] == key:
            out_values[fill - 1] += value
        else:
            out_keys[fill], out_values[fill] = key, value
            fill += 1
    return fill


@nb.njit(nogil=True, cache=True)
def mirror_sorted(keys, values, num_items, out_keys, out_values):
    """The pairs (b, a) of sorted, distinct pairs (a, b), sorted."""
    width = np.uint64(num_items)
    cursor = np.zeros(num_items + 1, np.int64)
    for key in keys:
        cursor[np.int64(key % width) + 1] += 1
    for item in range(num_items):
        cursor[item + 1] += cursor[item]
    for at in range(len(keys)):
        first = keys[at] // width
        second = keys[at] - first * width
        to = cursor[np.int64(second)]
        cursor[np.int64(second)] = to + 1
        out_keys[to] = second * width + first
        out_values[to] = values[at]


@nb.njit(nogil=True, cache=True)
def merge_blocks(keys, values, at, stop, more, out_keys, out_values, fill):
    """Move the smallest records of all runs to the output, summing the values of a key; how many are there.

    Ends when the output is full, or the block of a run with more behind it is used up, or all are.

    Args:
        keys: [K, B] a block of each run.
        values: [K, B].
        at: [K] where each block goes on; moved.
        stop: [K] where it ends.
        more: [K] whether the run goes on behind it.
        out_keys: Filled from ``fill`` on; the record before it may be added to.
        out_values: Likewise.
        fill: Records that are there.
    """
    heap = np.empty(len(at), np.int64)
    head = np.empty(len(at), np.uint64)
    size = 0
    for run in range(len(at)):
        if at[run] < stop[run]:
            heap[size], head[run] = run, keys[run, at[run]]
            size += 1
    for place in range(size // 2 - 1, -1, -1):
        _sift(heap, head, size, place)
    while size:
        run = heap[0]
        key, value = head[run], values[run, at[run]]
        if fill and out_keys[fill - 1] == key:
            out_values[fill - 1] += value
        elif fill == len(out_keys):
            return fill
        else:
            out_keys[fill], out_values[fill] = key, value
            fill += 1
        at[run] += 1
        if at[run] < stop[run]:
            head[run] = keys[run, at[run]]
        elif more[run]:
            return fill
        else:
            size -= 1
            heap[0] = heap[size]
        _sift(heap, head, size, 0)
    return fill


@nb.njit(nogil=True, cache=True)
def finish_records(keys, values, num_items, weighting, popularity, degrees, indices, weights):
    """Neighbours and weights of sorted records, and how many each row has.

    Args:
        keys: Sorted records.
        values: Their counts.
        num_items: I.
        weighting: 0 for the count, 1 for log(1 + count), 2 for 1.
        popularity: [I] to divide by the root of the product of two; empty to leave that out.
        degrees: [I]; added to.
        indices: Filled.
        weights: Filled.
    """
    width = np.uint64(num_items)
    for at in range(len(keys)):
        row = np.int64(keys[at] // width)
        column = np.int64(keys[at] - np.uint64(row) * width)
        weight = np.float64(values[at]) / ONE
        if weighting == 1:
            weight = np.log1p(weight)
        elif weighting == 2:
            weight = 1.0
        if len(popularity):
            weight /= np.sqrt(np.float64(popularity[row]) * np.float64(popularity[column]))
        degrees[row] += 1
        indices[at] = column
        weights[at] = weight


@nb.njit(nogil=True, cache=True)
def _unrank(rank, window):
    """The places (early, late) of a numbered pair, at most ``window`` apart.

    Late places 1..window have as many partners as their number, a triangle; later ones have ``window``.
    """
    triangle = window * (window + 1) // 2
    if rank >= triangle:
        if window == 0:
            return 0, 1
        rest = rank - triangle
        late = window + 1 + rest // window
        return late - window + rest % window, late
    late = np.int64((1 + np.sqrt(1.0 + 8.0 * rank)) / 2)
    if late * (late - 1) // 2 > rank:  # the root of a large number may be rounded up
        late -= 1
    if (late + 1) * late // 2 <= rank:
        late += 1
    return rank - late * (late - 1) // 2, late


@nb.njit(nogil=True, cache=True)
def _key(one, two, width):
    first, second = np.uint64(min(one, two)), np.uint64(max(one, two))
    return first * width + second


@nb.njit(nogil=True, cache=True)
def _mix(x):
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@nb.njit(nogil=True, cache=True)
def _scatter(keys, values, out_keys, out_values, shift, mask, cursor):
    for at in range(len(keys)):
        digit = (keys[at] >> shift) & mask
        to = cursor[digit]
        cursor[digit] = to + 1
        out_keys[to] = keys[at]
        out_values[to] = values[at]


@nb.njit(nogil=True, cache=True)
def _sift(heap, head, size, place):
    """Move a run down to where no run below it comes first."""
    while True:
        child = 2 * place + 1
        if child >= size:
            return
        if child + 1 < size and head[heap[child + 1]] < head[heap[child]]:
            child += 1
        if head[heap[place]] <= head[heap[child]]:
            return
        heap[place], heap[child] = heap[child], heap[place]
        place = child
