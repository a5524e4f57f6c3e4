"""The contrastive losses that tie the tokenizer to the prototypes and to the graph."""

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.shapes import Bool, Float, Tensor


def prototype_cross_entropy(
    items: Float[Tensor, "B D"],
    prototypes: Float[Tensor, "C D"],
    targets: Float[Tensor, "B C"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Cross-entropy of quantized items over the prototypes, with the memberships as soft targets.

    - sum_a p_ia log softmax_a(cos(q_i, c_a) / tau), mean over the batch, in nats

    InfoNCE against the items' own profiles would push items of one interest apart, since they share nearly
    the same profile. The gradient reaches the items and the prototypes; detach what must stay.
    """
    cosine = F.normalize(items, dim=1) @ F.normalize(prototypes, dim=1).T
    return -(targets * F.log_softmax(cosine / temperature, dim=1)).sum(dim=1).mean()


def pair_contrast(
    source: Float[Tensor, "B D"],
    target: Float[Tensor, "B D"],
    positives: Bool[Tensor, "B B"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """InfoNCE between the ends of co-engaged pairs, other positives of the batch masked.

    mean_b of - log softmax_b'(cos(source_b, target_b') / tau) at b' = b, where b' runs over b and every
    row whose target is not co-engaged with source_b (nor is it); both directions are averaged.

    Args:
        source: First ends of the pairs.
        target: Second ends.
        positives: Whether source b and target b' are co-engaged or the same item.
        temperature: Dimensionless, > 0.
    """
    cosine = F.normalize(source, dim=1) @ F.normalize(target, dim=1).T / temperature
    own = torch.eye(len(source), dtype=torch.bool, device=source.device)
    logits = cosine.masked_fill(positives & ~own, float("-inf"))
    label = torch.arange(len(source), device=source.device)
    return (F.cross_entropy(logits, label) + F.cross_entropy(logits.T, label)) / 2


class ContrastiveHead(nn.Module):
    """Maps quantized latents into the prototypes' space: one linear layer, used in training only.

    Shapes: latents [B, D_latent] to [B, D].
    """

    def __init__(self, latent_dim: int, embedding_dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_dim, embedding_dim, bias=False)

    def forward(self, latents: Float[Tensor, "B Z"]) -> Float[Tensor, "B D"]:
        """Project a batch."""
        return self.project(latents)  # type: ignore[no-any-return]
