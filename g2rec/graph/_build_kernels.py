"""Compiled loops of the graph builder; each runs without the interpreter's lock."""

# numba infers the types of compiled loops
# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-incomplete-defs=False
# mypy: disallow-untyped-calls=False, check-untyped-defs=False
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

_BLOCK = 32
"""Events whose cache lines are asked for ahead; twice, for the cursor and then for the place."""


@intrinsic
def _prefetch_write(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for ``array[index]`` to be brought into the cache for writing; never faults."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(call, [place, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


@nb.njit(nogil=True)
def count_degrees(counts, own):
    """Add every node's events to its count; False if a node is out of range."""
    size, total = len(counts), len(own)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        for at in range(start, stop):
            if own[at] < 0 or own[at] >= size:
                return False
            _prefetch_write(counts, own[at])
        for at in range(start, stop):
            counts[own[at]] += 1
    return True


@nb.njit(nogil=True)
def scan_times(times, last):
    """(smallest, largest, whether never falling from ``last`` on)."""
    low = high = times[0]
    rising = True
    for time in times:
        rising &= time >= last
        last = time
        low, high = min(low, time), max(high, time)
    return low, high, rising


@nb.njit(nogil=True)
def place_events(own, other, shift, times, weights, low, high, cursor, out_nodes, out_times, out_weights):
    """Append each event to its own row, for rows in [low, high); how many were placed, or -1.

    Args:
        own: [B] row of each event.
        other: [B] neighbour of each event.
        shift: What makes a node of a neighbour.
        times: [B], or empty.
        weights: [B], or empty.
        low: First row.
        high: Behind the last row.
        cursor: [high - low] where the next event of each row goes.
        out_nodes: Neighbours; likewise times and weights.
        out_times: Empty without times.
        out_weights: Empty without weights.
    """
    mine = np.empty(_BLOCK, np.int64)
    place = np.empty(_BLOCK, np.int64)
    timed, weighted, end = len(times) > 0, len(weights) > 0, len(out_nodes)
    total, placed, start = len(own), 0, 0
    while start < total:
        size = 0
        while start < total and size < _BLOCK:
            row = own[start]
            if low <= row < high:
                mine[size] = start
                _prefetch_write(cursor, row - low)
                size += 1
            start += 1
        for at in range(size):
            row = own[mine[at]] - low
            to = cursor[row]
            cursor[row] = to + 1
            if to >= end:
                return -1  # the log has changed since its events were counted
            place[at] = to
            _prefetch_write(out_nodes, to)
            if timed:
                _prefetch_write(out_times, to)
            if weighted:
                _prefetch_write(out_weights, to)
        for at in range(size):
            event, to = mine[at], place[at]
            out_nodes[to] = other[event] + shift
            if timed:
                out_times[to] = times[event]
            if weighted:
                out_weights[to] = weights[event]
        placed += size
    return placed


@nb.njit(nogil=True)
def sort_rows(bounds, nodes, times, weights):
    """Sort each row by time, ties as they are; how many were not sorted already.

    Args:
        bounds: [R + 1] offsets of the rows in the arrays.
        nodes: Neighbours.
        times: Their times.
        weights: Their weights, or empty.
    """
    weighted, sorted_now = len(weights) > 0, 0
    for row in range(len(bounds) - 1):
        start, stop = bounds[row], bounds[row + 1]
        rising = True
        for at in range(start + 1, stop):
            if times[at] < times[at - 1]:
                rising = False
                break
        if rising:
            continue
        sorted_now += 1
        if stop - start <= 32:
            for at in range(start + 1, stop):
                time, node, to = times[at], nodes[at], at
                weight = weights[at] if weighted else np.float32(0)
                while to > start and times[to - 1] > time:
                    times[to], nodes[to] = times[to - 1], nodes[to - 1]
                    if weighted:
                        weights[to] = weights[to - 1]
                    to -= 1
                times[to], nodes[to] = time, node
                if weighted:
                    weights[to] = weight
            continue
        order = np.argsort(times[start:stop], kind="mergesort")
        times[start:stop] = times[start:stop][order]
        nodes[start:stop] = nodes[start:stop][order]
        if weighted:
            weights[start:stop] = weights[start:stop][order]
    return sorted_now
