"""Mirror ascent on soft modularity over sparse memberships, as one compiled loop."""

import numba
import numpy as np

from g2rec.intrinsics import prefetch

FLOOR = 1e-9
"""Least weight whose logarithm is taken. A prototype new to a row takes the weight of the one it replaces."""
_BLOCKS = 64
"""Blocks of rows that threads take up, each with scratch of its own."""
_AHEAD = 16
"""Edges between asking for a neighbour's memberships and adding them up: a trip to memory takes that long."""


@numba.njit(parallel=True, cache=True)
def ascend_rows(indptr, neighbours, edge, strength, indices, weights, null, step, entropy):
    """New supports and weights of all rows, and their largest gains; `null` is gamma m."""
    num_items, R = indices.shape
    C = len(null)
    least = np.argmin(null)
    last = len(neighbours) - 1
    support, weight = indices.reshape(-1), weights.reshape(-1)
    new_indices = indices.copy()
    new_weights = weights.copy()
    largest = np.zeros(num_items)
    for block in numba.prange(_BLOCKS):
        gain = np.zeros(C)
        seen = np.full(C, -1, np.int64)
        touched = np.empty(C, np.int64)
        for i in range(block * num_items // _BLOCKS, (block + 1) * num_items // _BLOCKS):
            if strength[i] <= 0:
                continue
            count = 0
            for e in range(indptr[i], indptr[i + 1]):
                ahead = np.int64(neighbours[min(e + _AHEAD, last)]) * R
                prefetch(support, ahead)
                prefetch(weight, ahead)
                prefetch(weight, ahead + R - 1)
                share = edge[e] / strength[i]
                j = neighbours[e]
                for r in range(R):
                    a = indices[j, r]
                    if seen[a] != i:
                        seen[a] = i
                        gain[a] = -null[a]
                        touched[count] = a
                        count += 1
                    gain[a] += share * weights[j, r]
            if seen[least] != i:
                seen[least] = i
                gain[least] = -null[least]
                touched[count] = least
                count += 1
            weakest = 0
            for r in range(R):
                a = indices[i, r]
                if seen[a] != i:
                    seen[a] = i
                    gain[a] = -null[a]
                if weights[i, r] < weights[i, weakest]:
                    weakest = r
            best = -1
            for t in range(count):
                a = touched[t]
                inside = False
                for r in range(R):
                    inside = inside or indices[i, r] == a
                if not inside and (best < 0 or gain[a] > gain[best] or (gain[a] == gain[best] and a < best)):
                    best = a
            top = -np.inf if best < 0 else gain[best]
            for r in range(R):
                top = max(top, gain[indices[i, r]])
            largest[i] = top
            old = np.log(max(weights[i, weakest], FLOOR))
            if best >= 0 and gain[best] > gain[indices[i, weakest]]:
                new_indices[i, weakest] = best
            peak = -np.inf
            for r in range(R):
                log_p = old if r == weakest else np.log(max(weights[i, r], FLOOR))
                new_weights[i, r] = (1 - step * entropy) * log_p + step * gain[new_indices[i, r]]
                peak = max(peak, new_weights[i, r])
            norm = 0.0
            for r in range(R):
                new_weights[i, r] = np.exp(new_weights[i, r] - peak)
                norm += new_weights[i, r]
            for r in range(R):
                new_weights[i, r] /= norm
    return new_indices, new_weights, largest
