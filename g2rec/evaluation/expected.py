"""Accuracy of a ranking, in expectation over random orders of tied items.

One target a user, so hit rate and recall are the same number. With ``a`` items above the target and ``t``
tied with it (itself included), the target is equally likely at each of the positions a+1 ... a+t.
"""

import torch

from g2rec.shapes import Float, Int, Tensor


def expected_recall_at_k(
    num_above: Int[Tensor, " B"], num_tied: Int[Tensor, " B"], k: int
) -> Float[Tensor, " B"]:
    """Recall at K, which is also the hit rate: the chance that the target is among the first K.

    recall = clip((K - a) / t, 0, 1)

    A scorer that gives every item one score gets K / I, the recall of chance.
    """
    return ((k - num_above) / num_tied).clamp(0.0, 1.0).double()


def expected_ndcg_at_k(
    num_above: Int[Tensor, " B"], num_tied: Int[Tensor, " B"], k: int
) -> Float[Tensor, " B"]:
    """Normalised discounted cumulative gain at K (Järvelin and Kekäläinen, 2002), one relevant item.

    ndcg = (1 / t) sum_{r = a+1}^{a+t} [r <= K] / log2(r + 1)
    """
    ranks = torch.arange(1, k + 1, dtype=torch.float64, device=num_above.device)
    return _mean_gain(1.0 / torch.log2(ranks + 1.0), num_above, num_tied)


def expected_mrr_at_k(
    num_above: Int[Tensor, " B"], num_tied: Int[Tensor, " B"], k: int
) -> Float[Tensor, " B"]:
    """Reciprocal rank of the target, 0 beyond K (Voorhees, 1999).

    mrr = (1 / t) sum_{r = a+1}^{a+t} [r <= K] / r
    """
    ranks = torch.arange(1, k + 1, dtype=torch.float64, device=num_above.device)
    return _mean_gain(1.0 / ranks, num_above, num_tied)


def _mean_gain(
    gains: Float[Tensor, " K"], num_above: Int[Tensor, " B"], num_tied: Int[Tensor, " B"]
) -> Float[Tensor, " B"]:
    cumulative = torch.cat([gains.new_zeros(1), gains.cumsum(0)])
    k = gains.numel()
    first, last = num_above.clamp(max=k), (num_above + num_tied).clamp(max=k)
    return (cumulative[last] - cumulative[first]) / num_tied
