"""Losses of the prototypes on a mini-batch of edges."""

import math

import torch

from g2rec.shapes import Float, Tensor


def modularity_loss(
    source: Float[Tensor, "B C"], target: Float[Tensor, "B C"], gamma: float = 1.0
) -> Float[Tensor, ""]:
    """Minus an unbiased estimate of soft modularity, from edges drawn proportional to weight.

    With B independent edges (i, j), s_e = p_i + p_j and S = sum_e s_e::

        Q ~ mean_e p_i . p_j - gamma (||S||^2 - sum_e ||s_e||^2) / (4 B (B - 1))

    The second term pairs endpoints of two different edges, which are strength-proportional and
    independent: contrastive learning with degree-proportional negatives. ||mean p||^2 would be biased, and
    so would edges drawn uniformly from a weighted graph.

    Args:
        source: Memberships of the edges' first ends; at least two edges.
        target: Memberships of their second ends.
        gamma: Resolution, dimensionless; higher favours smaller communities.

    Returns:
        A scalar to minimise.
    """
    num_edges = len(source)
    agree = (source * target).sum(dim=1).mean()
    ends = source + target
    null = ends.sum(dim=0).square().sum() - ends.square().sum()
    return gamma * null / (4 * num_edges * (num_edges - 1)) - agree


def usage_balance_loss(memberships: Float[Tensor, "B C"]) -> Float[Tensor, ""]:
    """How far the batch's mean membership is from even use: log C - H(mean_b p_b), in nats; 0 is even."""
    mean = memberships.mean(dim=0)
    entropy = -(mean * torch.log(mean.clamp_min(1e-12))).sum()
    return math.log(memberships.shape[1]) - entropy


def membership_entropy(memberships: Float[Tensor, "B C"]) -> Float[Tensor, ""]:
    """Mean entropy of the rows, in nats: 0 where every item belongs to one prototype."""
    return -(memberships * torch.log(memberships.clamp_min(1e-12))).sum(dim=1).mean()
