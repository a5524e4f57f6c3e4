"""LightGCN as a recommender: user and item tables propagated over the whole bipartite graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._sparse import Rows, spread
from g2rec.shapes import Float, Int, Tensor


@dataclass(frozen=True, kw_only=True)
class LightGCNRecommenderConfig:
    """LightGCN with a user table, as published."""

    embedding_dim: int = 64
    """Width of the tables."""
    num_layers: int = 2
    """Propagations; the output is the mean of all layers, the tables included."""
    loss: Literal["softmax", "bpr"] = "softmax"
    """Sampled softmax on cosines (stronger), or the paper's pairwise loss."""
    num_negatives: int = 1024
    """Uniform negatives shared by a batch, for softmax; at most the catalogue."""
    temperature: float = 0.15
    """Divides the cosines of softmax."""
    regularization: float = 1e-4
    """Weight of the squared norms of the batch's table rows, for bpr."""

    def build(
        self,
        *,
        num_users: int,
        num_items: int,
        user_index: np.ndarray[Any, Any],
        item_index: np.ndarray[Any, Any],
    ) -> "LightGCNRecommender":
        """An untrained model over the graph of the given training events.

        Raises:
            ConfigError: If a value is out of range.
            DataError: If there is no event.
        """
        for name in ("embedding_dim", "num_layers", "num_negatives"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; 0.15 is usual")
        if not len(user_index):
            raise DataError("expected training events, got none; check the split")
        edges = np.unique(np.stack([user_index, item_index]).astype(np.int64), axis=1)
        return LightGCNRecommender(self, num_users, num_items, torch.from_numpy(edges))


class EdgeBatch(NamedTuple):
    """Training events."""

    user: Int[Tensor, " B"]
    item: Int[Tensor, " B"]


class LightGCNRecommender(Recommender):
    """LightGCN (He et al., SIGIR 2020, arXiv 2002.02126).

    E^(k+1) = D^-1/2 A D^-1/2 E^(k);  E = mean_k E^(k);  score_ui = <e_u, e_i>

    With ``loss=softmax`` the scores are cosines and the loss is the sampled softmax of SSM (Wu et al., TOIS
    2024, arXiv 2201.02327), which beats the paper's BPR on every data set reported there. A user without
    training events is scored as the mean of the items in the history.

    Args:
        config: Sizes and loss.
        num_users: U.
        num_items: I.
        edges: [2, E] distinct (user, item) pairs.
    """

    name = "lightgcn"
    edges: Tensor
    config: LightGCNRecommenderConfig

    def __init__(
        self, config: LightGCNRecommenderConfig, num_users: int, num_items: int, edges: Int[Tensor, "2 E"]
    ) -> None:
        super().__init__()
        self.config, self.num_users, self.num_items = config, num_users, num_items
        self.user_embedding = nn.Embedding(num_users, config.embedding_dim)
        self.item_embedding = nn.Embedding(num_items, config.embedding_dim)
        for table in (self.user_embedding, self.item_embedding):
            nn.init.normal_(table.weight, std=0.1)
        self.register_buffer("edges", edges)
        self._adjacency: tuple[Rows, Rows] | None = None
        self._propagated: tuple[Tensor, Tensor] | None = None

    def propagate(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Embeddings of all nodes: the mean over the layers."""
        to_users, to_items = self._normalised()
        users, items = self.user_embedding.weight, self.item_embedding.weight
        user_sum, item_sum = users, items
        for _ in range(self.config.num_layers):
            users, items = spread(items, to_users, to_items), spread(users, to_items, to_users)
            user_sum, item_sum = user_sum + users, item_sum + items
        scale = 1.0 / (self.config.num_layers + 1)
        return user_sum * scale, item_sum * scale

    def loss(self, batch: EdgeBatch) -> Float[Tensor, ""]:
        """Sampled softmax or BPR over a batch of training events, in nats."""
        users, items = self.propagate()
        if self.config.loss == "bpr":
            return self._bpr(batch, users, items)
        number = min(self.config.num_negatives, self.num_items)
        negatives = torch.randperm(self.num_items, device=items.device)[:number]
        u, unit = F.normalize(users[batch.user], dim=-1), F.normalize(items, dim=-1)
        positive = (u * unit[batch.item]).sum(-1, keepdim=True)
        others = u @ unit[negatives].T
        others = others.masked_fill(negatives == batch.item.unsqueeze(1), -torch.inf)
        logits = torch.cat([positive, others], dim=1) / self.config.temperature
        return F.cross_entropy(logits, torch.zeros_like(batch.item))

    def _bpr(self, batch: EdgeBatch, users: Tensor, items: Tensor) -> Tensor:
        negative = torch.randint(self.num_items, batch.item.shape, device=items.device)
        gap = (users[batch.user] * (items[batch.item] - items[negative])).sum(-1)
        rows = (
            self.user_embedding(batch.user),
            self.item_embedding(batch.item),
            self.item_embedding(negative),
        )
        norms = sum((row.square().sum(-1).mean() for row in rows), torch.zeros((), device=items.device))
        return -F.logsigmoid(gap).mean() + self.config.regularization * norms / 2

    @torch.no_grad()
    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Score the catalogue for users of the training graph, or by the history for others."""
        if self._propagated is None:
            self._propagated = self.propagate()
        users, items = self._propagated
        fitted = torch.zeros(self.num_users, dtype=torch.bool, device=users.device)
        fitted[self.edges[0]] = True
        known = fitted[batch.user_index].unsqueeze(1)
        mine = users[batch.user_index]
        if not bool(known.all()):
            inside = (batch.items >= 0).unsqueeze(-1)
            total = (items[batch.items.clamp(min=0)] * inside).sum(1)
            mine = torch.where(known, mine, total / inside.sum(1).clamp(min=1))
        if self.config.loss == "softmax":
            mine, items = F.normalize(mine, dim=-1), F.normalize(items, dim=-1)
        return (mine @ items.T).float()

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use; either forgets the propagated embeddings."""
        self._propagated = None
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._adjacency = self._propagated = None  # moved to another device
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def _normalised(self) -> tuple[Rows, Rows]:
        if self._adjacency is None:
            user, item = self.edges
            user_degree = torch.bincount(user, minlength=self.num_users).float()
            item_degree = torch.bincount(item, minlength=self.num_items).float()
            value = (user_degree[user] * item_degree[item]).rsqrt()
            self._adjacency = (
                _rows(user, item, value, self.num_users),
                _rows(item, user, value, self.num_items),
            )
        return self._adjacency

    def meta(self) -> Mapping[str, Any]:
        """Sizes of the graph."""
        return {"num_users": self.num_users, "num_edges": self.edges.shape[1]}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved sizes."""
        config = read_config(LightGCNRecommenderConfig, folder.manifest["config"])
        meta = folder.meta
        edges = torch.zeros(2, int(meta["num_edges"]), dtype=torch.long)
        return cls(config, int(meta["num_users"]), int(meta["num_items"]), edges)


def _rows(row: Int[Tensor, " E"], column: Int[Tensor, " E"], value: Float[Tensor, " E"], number: int) -> Rows:
    order = row.argsort(stable=True)
    indptr = F.pad(torch.bincount(row, minlength=number).cumsum(0), (1, 0))
    return Rows(indptr, column[order], value[order])
