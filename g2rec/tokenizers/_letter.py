"""LETTER: what its training adds to an RQ-VAE, so that IDs know who likes what and codes are used evenly."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from g2rec.errors import ConfigError
from g2rec.prototypes import kmeans
from g2rec.shapes import Float, Int, Tensor

_ROUNDS = 5
"""Balanced assignments, each to the means of the one before."""


@dataclass(frozen=True, kw_only=True)
class LETTERConfig:
    """LETTER's two regularisers of the RQ-VAE; the weights and the number of clusters are the paper's."""

    alignment_weight: float = 0.02
    """Weight of the contrast with the collaborative embeddings, the paper's alpha."""
    diversity_weight: float = 1e-4
    """Weight of the contrast between clusters of codes, the paper's beta."""
    num_clusters: int = 10
    """Clusters of equal size that the codes of a level are put into, the paper's K."""
    temperature: float = 0.1
    """Divides the cosines of both."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        for name in ("alignment_weight", "diversity_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} must not be negative, got {getattr(self, name)}; use 0 to switch it off"
                )
        if self.num_clusters < 1:
            raise ConfigError(f"num_clusters must be at least 1, got {self.num_clusters}; 10 is usual")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; 0.1 is usual")


def alignment_loss(
    quantized: Float[Tensor, "B D"], collaborative: Float[Tensor, "B D"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Contrast of quantized items with collaborative embeddings (LETTER: Wang et al. 2024, arXiv 2405.07314).

    mean_i of - log softmax_j(cos(q_i, h_j) / tau) at j = i, in nats, j over the batch

    Deviation: cosines at a temperature, where the paper has inner products.
    """
    cosine = F.normalize(quantized, dim=1) @ F.normalize(collaborative, dim=1).T
    return F.cross_entropy(cosine / temperature, torch.arange(len(cosine), device=cosine.device))


def diversity_loss(
    codebooks: Float[Tensor, "L V Z"],
    codes: Int[Tensor, "B L"],
    clusters: Int[Tensor, "L V"],
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """Pull of each chosen code to a random one of its cluster, away from all others of its level.

    mean over levels and items of - log softmax_j(cos(e_c, e_j) / tau) at j = c+, in nats, j over all codes
    but c itself, c+ drawn from its cluster; without a second code in the cluster nothing is lost.

    Deviation: cosines at a temperature, where the paper has inner products.

    Args:
        codebooks: The vectors of the codes.
        codes: What the batch's items chose.
        clusters: Of each code, from `balanced_clusters`.
        temperature: Dimensionless, > 0.
    """
    losses = []
    for level, codebook in enumerate(F.normalize(codebooks, dim=2)):
        code = codes[:, level]
        own = F.one_hot(code, len(codebook)).bool()
        same = (clusters[level][code].unsqueeze(1) == clusters[level]) & ~own
        drawn = torch.rand(same.shape, device=same.device).masked_fill(~same, -1.0).argmax(dim=1)
        cosine = (codebook[code] @ codebook.T / temperature).masked_fill(own, -torch.inf)
        loss = F.cross_entropy(cosine, drawn, reduction="none")
        losses.append(loss.masked_fill(~same.any(dim=1), 0.0).mean())
    return torch.stack(losses).mean()


@torch.no_grad()
def balanced_clusters(codebooks: Float[Tensor, "L V Z"], num_clusters: int, seed: int) -> Int[Tensor, "L V"]:
    """Constrained k-means: clusters of the codes of each level that differ in size by at most one.

    Each round assigns the codes at the least total squared distance, with that many places a cluster
    (Bradley, Bennett and Demiriz, 2000), and moves the centres to the means.
    """
    found = []
    for level, codebook in enumerate(codebooks.detach().cpu().double()):
        size = len(codebook)
        centres = kmeans(codebook.float(), num_clusters, seed=seed + level, iterations=10).double()
        sizes = np.full(num_clusters, size // num_clusters)
        sizes[: size % num_clusters] += 1
        place = torch.from_numpy(np.repeat(np.arange(num_clusters), sizes))
        for _ in range(_ROUNDS):
            _, column = linear_sum_assignment(torch.cdist(codebook, centres).square()[:, place].numpy())
            cluster = place[torch.from_numpy(column)]
            total = torch.zeros_like(centres).index_add_(0, cluster, codebook)
            centres = total / torch.bincount(cluster, minlength=num_clusters).clamp(min=1).unsqueeze(1)
        found.append(cluster)
    return torch.stack(found).to(codebooks.device)
