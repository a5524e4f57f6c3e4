"""Compiled loops that number ids: a hash table with open addressing, and a hash of text."""

# numba infers the types of compiled loops
# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-incomplete-defs=False
# mypy: disallow-untyped-calls=False, check-untyped-defs=False
import numba as nb
import numpy as np

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_OTHER = np.uint64(0xD6E8FEB86659FD93)


@nb.njit(inline="always")
def _mix(x):
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@nb.njit(nogil=True)
def hash_text(bounds, content, high, low):
    """Two 64-bit hashes of every text, independent of each other."""
    for row in range(len(bounds) - 1):
        start, stop = bounds[row], bounds[row + 1]
        a = _mix(np.uint64(stop - start) + _GOLDEN)
        b = _mix(np.uint64(stop - start) + _OTHER)
        for at in range(start, stop, 8):
            word = np.uint64(0)
            for byte in range(min(8, stop - at)):
                word |= np.uint64(content[at + byte]) << np.uint64(8 * byte)
            a = _mix((a ^ word) * _GOLDEN + _OTHER)
            b = _mix((b + word) * _OTHER ^ _GOLDEN)
        high[row], low[row] = a, b


@nb.njit(nogil=True)
def assign(keys_high, keys_low, part, bits, high, low, value, count, limit, start, nodes, fresh, found):
    """Number the ids of one partition, from ``start`` on, until the table holds ``limit``.

    Args:
        keys_high: [B] ids.
        keys_low: Their other halves, or empty.
        part: The partition; others are passed over.
        bits: There are 2^bits of them.
        high: [slots] the table's ids.
        low: Their other halves, or empty.
        value: [slots] their numbers, -1 where a slot is free.
        count: [1] ids so far, in all partitions; raised here.
        limit: Stop before a new id when there are as many.
        start: Where to go on in the batch.
        nodes: [B] gets the numbers.
        fresh: [B] gets the places in the batch of ids seen for the first time.
        found: How many ``fresh`` holds.

    Returns:
        Where to go on, and how many ``fresh`` holds.
    """
    wide = len(low) > 0
    mask = np.uint64(len(value) - 1)
    for at in range(start, len(keys_high)):
        key = keys_high[at]
        mixed = _mix(key + _GOLDEN)
        if bits > 0 and np.int64(mixed >> np.uint64(64 - bits)) != part:
            continue
        slot = mixed & mask
        while value[slot] >= 0 and (high[slot] != key or (wide and low[slot] != keys_low[at])):
            slot = (slot + np.uint64(1)) & mask
        if value[slot] < 0:
            if count[0] >= limit:
                return at, found
            high[slot] = key
            if wide:
                low[slot] = keys_low[at]
            value[slot] = count[0]
            count[0] += 1
            fresh[found] = at
            found += 1
        nodes[at] = value[slot]
    return len(keys_high), found


@nb.njit(nogil=True)
def grow(high, low, value, new_high, new_low, new_value):
    """Move all ids into a larger, empty table."""
    wide = len(low) > 0
    mask = np.uint64(len(new_value) - 1)
    for old in range(len(value)):
        if value[old] < 0:
            continue
        slot = _mix(high[old] + _GOLDEN) & mask
        while new_value[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        new_high[slot], new_value[slot] = high[old], value[old]
        if wide:
            new_low[slot] = low[old]
