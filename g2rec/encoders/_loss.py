"""The link loss."""

import torch
import torch.nn.functional as F

from g2rec.shapes import Float, Int, Tensor

_MASKED = -1e9
"""Logit of a masked negative; finite, for a row whose negatives are all masked still has a gradient."""


def link_loss(
    users: Float[Tensor, "B D"],
    items: Float[Tensor, "B D"],
    item_index: Int[Tensor, " B"],
    log_q: Float[Tensor, " B"],
    negatives: Float[Tensor, "K D"],
    negative_index: Int[Tensor, " K"],
    negative_log_q: Float[Tensor, " K"],
    *,
    temperature: float = 0.1,
    num_in_batch: int | None = None,
) -> Float[Tensor, ""]:
    """Sampled softmax with logQ correction over in-batch and drawn negatives, in nats.

    L = -mean_b log softmax_j(cos(h_b, h_j) / tau - log q_j)[b]
    (Yi et al. 2019, sampling-bias-corrected neural modeling, https://doi.org/10.1145/3298689.3346996)

    A negative that is the positive item itself is masked. Each of the two groups is corrected by its own q.

    Args:
        users: Embeddings of the users.
        items: Embeddings of their positives.
        item_index: The positives.
        log_q: Log probability of each as an in-batch negative.
        negatives: Embeddings of the drawn items.
        negative_index: The drawn items.
        negative_log_q: Log probability of each draw.
        temperature: Dimensionless, > 0; lower is sharper.
        num_in_batch: How many of the positives, the first ones, are negatives of the others; None takes
            all, and a step then costs B^2.
    """
    users, items, negatives = (F.normalize(x, dim=1) for x in (users, items, negatives))
    others = slice(num_in_batch)
    candidates = torch.cat((items[others], negatives)) / temperature
    index = torch.cat((item_index[others], negative_index))
    correction = torch.cat((log_q[others], negative_log_q))
    logits = torch.addmm(-correction, users, candidates.T)
    logits = logits.masked_fill(item_index.unsqueeze(1) == index, _MASKED)
    positive = (users * items).sum(dim=1) / temperature - log_q
    # -log softmax of the positive among itself and the rest: log(1 + exp(rest - positive))
    return F.softplus(logits.logsumexp(dim=1) - positive).mean()
