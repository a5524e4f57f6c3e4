"""Mirror ascent on soft modularity, over sparse memberships: one numba loop, or torch on any device.

Both move row i from weights p_i on a support of rho prototypes::

    g_ia = mean_j p_ja - gamma m_a        j over the neighbours of i, in proportion to their weights
    p_ia <- p_ia^(1 - step entropy) exp(step g_ia), renormalised over the support

m = P^T k / W is the share of all strength that each prototype holds. First the support is selected anew: the
prototype with the largest g outside it takes the weakest place if its g is larger. Candidates are what the
neighbours belong to, and the prototype of least mass, which may be empty. So a pass takes O(rho |E|) time,
whatever the number of prototypes, and no dense items x C matrix is made.
"""

from typing import Any

import numba
import numpy as np
import torch

from g2rec.shapes import Float, Int, Tensor

_FLOOR = 1e-9
"""Least weight whose logarithm is taken. A prototype new to a row takes the weight of the one it replaces."""
_BLOCKS = 64
"""Blocks of rows that threads take up, each with scratch of its own."""


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator,unused-ignore]
def ascend_rows(
    indptr: Any, neighbours: Any, edge: Any, strength: Any, indices: Any, weights: Any, null: Any,
    step: float, entropy: float,
) -> Any:  # fmt: skip
    """New supports and weights of all rows, and their largest gains; `null` is gamma m."""
    num_items, R = indices.shape
    C = len(null)
    least = np.argmin(null)
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
            old = np.log(max(weights[i, weakest], _FLOOR))
            if best >= 0 and gain[best] > gain[indices[i, weakest]]:
                new_indices[i, weakest] = best
            peak = -np.inf
            for r in range(R):
                log_p = old if r == weakest else np.log(max(weights[i, r], _FLOOR))
                new_weights[i, r] = (1 - step * entropy) * log_p + step * gain[new_indices[i, r]]
                peak = max(peak, new_weights[i, r])
            norm = 0.0
            for r in range(R):
                new_weights[i, r] = np.exp(new_weights[i, r] - peak)
                norm += new_weights[i, r]
            for r in range(R):
                new_weights[i, r] /= norm
    return new_indices, new_weights, largest


def ascend(
    row: Int[Tensor, " n"],
    neighbour: Int[Tensor, " n"],
    share: Float[Tensor, " n"],
    own_indices: Int[Tensor, "B R"],
    own_weights: Float[Tensor, "B R"],
    indices: Int[Tensor, "I R"],
    weights: Float[Tensor, "I R"],
    null: Float[Tensor, " C"],
    step: float,
    entropy: float,
) -> tuple[Int[Tensor, "B R"], Float[Tensor, "B R"], Float[Tensor, " B"]]:
    """The same for B rows, in torch: neighbours' memberships are added up by sorting (row, prototype) keys.

    Args:
        row: Which of the B rows each neighbour belongs to.
        neighbour: Items.
        share: What each neighbour counts; those of a row sum to 1.
        own_indices: Supports of the rows.
        own_weights: Their weights.
        indices: Supports of all items.
        weights: Weights of all items.
        null: gamma m.
        step: Of the ascent.
        entropy: Weight of the memberships' entropy.
    """
    B = len(own_indices)
    C = len(null)
    rows = torch.arange(B, device=row.device)
    least = null.argmin()
    nothing = null.new_zeros(B)
    key = torch.cat([(row.unsqueeze(1) * C + indices[neighbour]).flatten(), rows * C + least])
    value = torch.cat([(share.unsqueeze(1) * weights[neighbour]).flatten(), nothing])
    key, inverse = torch.unique(key, return_inverse=True)
    gain = null.new_zeros(len(key)).index_add_(0, inverse, value) - null[key % C]
    own_key = rows.unsqueeze(1) * C + own_indices
    place = torch.searchsorted(key, own_key).clamp_max(len(key) - 1)
    found = key[place] == own_key
    own_gain = torch.where(found, gain[place], -null[own_indices])
    outside = torch.ones_like(key, dtype=torch.bool)
    outside[place[found]] = False
    owner = key // C
    offered = gain.masked_fill(~outside, -torch.inf)
    best = null.new_full((B,), -torch.inf).scatter_reduce(0, owner, offered, "amax")
    winner = outside & (offered == best[owner])
    choice = torch.full_like(rows, C).scatter_reduce(0, owner[winner], (key % C)[winner], "amin")
    weakest = own_weights.argmin(dim=1)
    swap = best > own_gain[rows, weakest]
    new_indices, gains = own_indices.clone(), own_gain.clone()
    new_indices[rows[swap], weakest[swap]] = choice[swap]
    gains[rows[swap], weakest[swap]] = best[swap]
    log_p = own_weights.clamp_min(_FLOOR).log()
    new_weights = ((1 - step * entropy) * log_p + step * gains).softmax(dim=1)
    largest = torch.maximum(best, own_gain.amax(dim=1))
    alone = torch.bincount(row, minlength=B) == 0
    new_indices[alone], new_weights[alone] = own_indices[alone], own_weights[alone]
    return new_indices, new_weights, largest.masked_fill(alone, 0.0)
