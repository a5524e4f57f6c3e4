"""The link loss."""

import torch
import torch.nn.functional as F

from g2rec.shapes import Float, Int, Tensor


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
    """
    users, items, negatives = (F.normalize(x, dim=1) for x in (users, items, negatives))
    batch = users @ items.T / temperature - log_q
    same = item_index.unsqueeze(1) == item_index
    same.fill_diagonal_(False)
    drawn = users @ negatives.T / temperature - negative_log_q
    hit = item_index.unsqueeze(1) == negative_index
    logits = torch.cat((batch.masked_fill(same, -torch.inf), drawn.masked_fill(hit, -torch.inf)), dim=1)
    return F.cross_entropy(logits, torch.arange(len(users), device=users.device))
