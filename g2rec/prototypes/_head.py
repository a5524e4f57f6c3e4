"""The graph head: memberships from embeddings, hence inductive."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from g2rec.errors import ConfigError
from g2rec.prototypes._cluster import kmeans
from g2rec.prototypes._interests import InterestPrototypes, Memberships
from g2rec.shapes import Float, Int, Tensor

_ROWS = 65_536
"""Items whose dense logits are held at a time."""


@dataclass(frozen=True, kw_only=True)
class GraphHeadConfig:
    """Prototypes found by a head on the encoder's embeddings."""

    num_prototypes: int = 64
    """Interest prototypes, C."""
    nonzeros: int = 4
    """Prototypes that an item may belong to, rho."""
    temperature: float = 0.1
    """Of the softmax over cosines; lower is harder."""
    gamma: float | None = None
    """Resolution; higher favours smaller interests. Null: where Leiden finds ``num_prototypes`` of them."""
    modularity_weight: float = 1.0
    """Weight of the soft-modularity loss beside the link loss."""
    balance_weight: float = 0.05
    """Weight of the usage balance."""
    entropy_weight: float = 0.0
    """Weight of the memberships' entropy: above 0 softer, below 0 harder than the temperature alone."""
    start: Literal["kmeans", "communities"] = "communities"
    """Learn the co-engagement graph's communities first, or begin with k-means, as where there is none."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        if self.num_prototypes < 2:
            raise ConfigError(f"num_prototypes must be at least 2, got {self.num_prototypes}; raise it")
        if not 1 <= self.nonzeros <= self.num_prototypes:
            raise ConfigError(
                f"nonzeros must lie between 1 and num_prototypes={self.num_prototypes}, "
                f"got {self.nonzeros}; lower it"
            )
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; a usual value is 0.1")
        if self.start not in ("communities", "kmeans"):
            raise ConfigError(f"start must be communities or kmeans, got {self.start}; choose one")
        for name in ("gamma", "modularity_weight", "balance_weight"):
            if (getattr(self, name) or 0.0) < 0:
                raise ConfigError(
                    f"{name} must not be negative, got {getattr(self, name)}; 0 switches it off"
                )

    def build(self, embedding_dim: int) -> "PrototypeHead":
        """Make the head for embeddings of ``embedding_dim`` dimensions."""
        self.check()
        return PrototypeHead(self, embedding_dim)


class PrototypeHead(nn.Module):
    """Top-rho softmax over cosine similarities.

    l_ia = cos(h_i, c_a) / tau;  p_i = softmax of the rho largest l_i, zero elsewhere

    The support is selected anew in each call, so an item can move to a prototype outside its old one.

    ``gamma`` is the resolution of the modularity that it is trained for: 1 if the settings leave it open.

    Shapes: embeddings [B, D], prototypes [C, D], memberships [B, C] dense or [B, R] sparse.
    """

    def __init__(self, config: GraphHeadConfig, embedding_dim: int) -> None:
        super().__init__()
        self.config = config
        self.gamma = 1.0 if config.gamma is None else config.gamma
        self.vectors = nn.Parameter(torch.randn(config.num_prototypes, embedding_dim) * embedding_dim**-0.5)

    def logits(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
        """cos(h, c) / tau."""
        cosine = F.normalize(embeddings, dim=1) @ F.normalize(self.vectors, dim=1).T
        return cosine / self.config.temperature

    def sparse(self, embeddings: Float[Tensor, "B D"]) -> tuple[Int[Tensor, "B R"], Float[Tensor, "B R"]]:
        """Memberships as (prototype indices, weights), heaviest first."""
        top = self.logits(embeddings).topk(self.config.nonzeros, dim=1)
        return top.indices, top.values.softmax(dim=1)

    def forward(self, embeddings: Float[Tensor, "B D"]) -> Float[Tensor, "B C"]:
        """Memberships as dense rows with rho nonzeros, for the losses of a batch."""
        indices, weights = self.sparse(embeddings)
        dense = weights.new_zeros(len(embeddings), self.config.num_prototypes)
        return dense.scatter(1, indices, weights)

    @torch.no_grad()
    def start(
        self, embeddings: Float[Tensor, "B D"], seed: int, labels: Int[Tensor, " B"] | None = None
    ) -> None:
        """Move the prototypes to the centres of clusters of embeddings.

        Args:
            embeddings: Of items.
            seed: Of the spherical k-means.
            labels: Communities of the items, numbered by falling size; the centres of the C largest are
                taken. Where there are fewer, the rest start at centres of k-means on all items.
        """
        C = self.config.num_prototypes
        if labels is None:
            centres = kmeans(embeddings, C, seed=seed, spherical=True)
        else:
            unit = F.normalize(embeddings.float(), dim=1)
            inside = labels < C
            centres = unit.new_zeros(C, unit.shape[1]).index_add_(0, labels[inside], unit[inside])
            missing = torch.nonzero(centres.square().sum(dim=1) == 0).flatten()
            if len(missing):
                centres[missing] = kmeans(unit, len(missing), seed=seed, spherical=True)
            centres = F.normalize(centres, dim=1)
        self.vectors.copy_(centres.to(self.vectors))

    @torch.no_grad()
    def memberships(self, items: NDArray[np.float32]) -> Memberships:
        """Memberships of items from their embeddings [I, D], new items included."""
        indices, weights = [], []
        for chunk in torch.split(torch.from_numpy(np.array(items, dtype=np.float32)), _ROWS):
            index, weight = self.sparse(chunk.to(self.vectors.device))
            indices.append(index.to("cpu", torch.int32))
            weights.append(weight.cpu().float())
        return Memberships(torch.cat(indices).numpy(), torch.cat(weights).numpy())

    def export(self, items: NDArray[np.float32]) -> InterestPrototypes:
        """The prototypes with the memberships of the items whose embeddings [I, D] are given."""
        found = self.memberships(items)
        with torch.no_grad():
            vectors = F.normalize(self.vectors, dim=1).cpu().float().numpy()
        return InterestPrototypes(vectors, found.indices, found.weights, "graph_head")
