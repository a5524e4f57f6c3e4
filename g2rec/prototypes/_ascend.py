"""Mirror ascent on soft modularity, over sparse memberships: one numba loop, or torch on any device.

Both move row i from weights p_i on a support of rho prototypes::

    g_ia = mean_j p_ja - gamma m_a        j over the neighbours of i, in proportion to their weights
    p_ia <- p_ia^(1 - step entropy) exp(step g_ia), renormalised over the support

m = P^T k / W is the share of all strength that each prototype holds. First the support is selected anew: the
prototype with the largest g outside it takes the weakest place if its g is larger. Candidates are what the
neighbours belong to, and the prototype of least mass, which may be empty. So a pass takes O(rho |E|) time,
whatever the number of prototypes, and no dense items x C matrix is made.
"""

import torch

from g2rec.prototypes._ascend_kernel import FLOOR
from g2rec.shapes import Float, Int, Tensor


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
    log_p = own_weights.clamp_min(FLOOR).log()
    new_weights = ((1 - step * entropy) * log_p + step * gains).softmax(dim=1)
    largest = torch.maximum(best, own_gain.amax(dim=1))
    alone = torch.bincount(row, minlength=B) == 0
    new_indices[alone], new_weights[alone] = own_indices[alone], own_weights[alone]
    return new_indices, new_weights, largest.masked_fill(alone, 0.0)
