"""The compiled loop of exact inference: sums over whole rows."""

import numba as nb
import numpy as np

from g2rec.intrinsics import prefetch

_AHEAD = 8
"""Neighbours between the one that is added and the one whose cache lines are asked for."""


@nb.njit(cache=True, nogil=True, error_model="numpy")
def add_rows(indptr, indices, shift, values, scale, first, last, out):
    """``out[n - first] = sum over neighbours w of n: scale[w] * values[w]``, for nodes in [first, last).

    Args:
        indptr: [N + 1] offsets.
        indices: [E] neighbours, as nodes; ``shift`` less is their row of the values.
        shift: See there.
        values: [n * D], the values row by row.
        scale: [n], or empty for ones.
        first: First node.
        last: Behind the last node.
        out: [last - first, D].
    """
    dim = np.int64(out.shape[1])
    scaled = len(scale) > 0
    for node in range(first, last):
        begin, end = indptr[node], indptr[node + 1]
        row = out[node - first]
        row[:] = 0
        for position in range(begin, end):
            if position + _AHEAD < end:
                ahead = (np.int64(indices[position + _AHEAD]) - shift) * dim
                for line in range(0, dim, 16):
                    prefetch(values, ahead + line)
            other = np.int64(indices[position]) - shift
            start = other * dim
            weight = scale[other] if scaled else np.float32(1)
            for d in range(dim):
                row[d] += weight * values[np.uint64(start + d)]
