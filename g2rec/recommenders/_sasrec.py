"""SASRec, from the paper's loss to the strongest single dense baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError
from g2rec.graph import CoEngagementGraph
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._sparse import SparseItemRows, normalized_coengagement
from g2rec.recommenders._transformer import CausalTransformer, TransformerConfig
from g2rec.shapes import Float, Int, Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class SASRecConfig:
    """SASRec: backbone, loss, and what an item's embedding is made of."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    """The backbone."""
    loss: Literal["softmax", "bce"] = "softmax"
    """Cross-entropy over the whole catalogue, or the paper's binary one against one random item."""
    logits: Literal["dot", "cosine"] = "cosine"
    """How outputs meet item embeddings."""
    temperature: float = 0.07
    """Divides cosine logits; not used with dot."""
    label_smoothing: float = 0.1
    """Share of the target's probability spread over the catalogue; not used with bce."""
    hops: int = 0
    """Steps over which item embeddings are smoothed along the co-engagement graph; 0 for none."""
    use_content: bool = False
    """Add a learned projection of the item's content to its embedding."""

    def build(
        self, *, num_items: int, coengagement: CoEngagementGraph | None = None, content: Array | None = None
    ) -> "SASRec":
        """An untrained model for a catalogue.

        Args:
            num_items: I.
            coengagement: The graph of ``hops``.
            content: [I, F], for ``use_content``.

        Raises:
            ConfigError: If a value is out of range, or what a setting needs is missing.
        """
        self.transformer.check()
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; 0.07 is usual")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}; 0.1 is usual")
        if self.hops < 0:
            raise ConfigError(f"hops must not be negative, got {self.hops}; 2 is usual, 0 switches it off")
        if self.hops and coengagement is None:
            raise ConfigError(f"hops={self.hops} needs a co-engagement graph, got none; use hops=0")
        if self.use_content and content is None:
            raise ConfigError("use_content needs item content, got none; switch it off")
        graph = normalized_coengagement(coengagement) if self.hops and coengagement is not None else None
        return SASRec(self, num_items, graph, content if self.use_content else None)


class SASRec(Recommender):
    """Self-attentive sequential recommendation (Kang and McAuley, ICDM 2018, arXiv 1808.09781).

    h = transformer(t_{x_1} ... t_{x_n});  score_i = <h_n, t_i>, or cos(h_n, t_i) / temperature

    t_i is the item's embedding e_i. With ``use_content`` it is e_i + W c_i, c the unit-norm content; with
    ``hops`` = K, the rows of that table E become those of sum_{k <= K} A^k E, A = D^-1/2 C D^-1/2 the
    co-engagement graph, normalised as in LightGCN (arXiv 2002.02126).

    Deviation from the paper: ``loss=softmax`` is cross-entropy over the full catalogue at every position, for
    ``loss=bce``, the paper's -log s(r_target) - log(1 - s(r_j)) with one uniform j outside the window; the
    network is that of `CausalTransformer`.

    Args:
        config: The model.
        num_items: I.
        graph: [I, I], A; needed if ``hops`` is not 0.
        content: [I, F], or None.
    """

    name = "sasrec"
    config: SASRecConfig
    content: Tensor | None

    def __init__(
        self, config: SASRecConfig, num_items: int, graph: csr_matrix | None, content: Array | None
    ) -> None:
        super().__init__()
        self.config, self.num_items = config, num_items
        dim = config.transformer.embedding_dim
        self.item_embedding = nn.Embedding(num_items, dim)
        nn.init.normal_(self.item_embedding.weight, std=0.02)
        self.transformer = CausalTransformer(config.transformer, config.transformer.max_len)
        self.graph = None if graph is None else SparseItemRows(graph)
        self.register_buffer("content", None)
        self.project: nn.Linear | None = None
        if content is not None:
            features = torch.from_numpy(np.array(content, dtype=np.float32))
            self.content = F.normalize(features, dim=-1)
            self.project = nn.Linear(features.shape[1], dim, bias=False)
        self._kept: Tensor | None = None

    def table(self) -> Float[Tensor, "I D"]:
        """Item embeddings as inputs and outputs take them."""
        if not self.training and self._kept is not None:
            return self._kept
        table: Tensor = self.item_embedding.weight
        if self.project is not None and self.content is not None:
            table = table + self.project(self.content)
        if self.graph is not None:
            table = self.graph.smooth(table, self.config.hops)
        if not self.training:
            self._kept = table.detach()
        return table

    def hidden(self, items: Int[Tensor, "B T"], table: Float[Tensor, "I D"]) -> Float[Tensor, "B T D"]:
        """Encode histories; what stands at padded positions is meaningless."""
        x = F.embedding(items.clamp(min=0), table) * table.shape[1] ** 0.5
        out: Tensor = self.transformer(x, items >= 0)
        return out

    def logits(self, hidden: Float[Tensor, "P D"], table: Float[Tensor, "I D"]) -> Float[Tensor, "P I"]:
        """Meet outputs with the catalogue."""
        if self.config.logits == "dot":
            out: Tensor = hidden @ table.T
        else:
            out = F.normalize(hidden, dim=-1) / self.config.temperature @ F.normalize(table, dim=-1).T
        return out

    def loss(self, items: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """The loss, in nats, of every next item of right-padded sequences."""
        table = self.table()
        hidden, targets = self.hidden(items[:, :-1], table), items[:, 1:]
        valid = targets >= 0
        if self.config.loss == "softmax":
            row, position = valid.nonzero(as_tuple=True)  # a GPU is waited for, as where padding is left out
            logits = self.logits(hidden[row, position], table)
            goal = targets[row, position]
            return F.cross_entropy(logits, goal, label_smoothing=self.config.label_smoothing)
        drawn = torch.randint(self.num_items, targets.shape, device=items.device)
        outside = valid & ~(drawn.unsqueeze(2) == items.unsqueeze(1)).any(2)
        positive = self._logit(hidden[valid], table[targets[valid]])
        negative = self._logit(hidden[outside], table[drawn[outside]])
        count = valid.sum()
        return (F.softplus(-positive).sum() + F.softplus(negative).sum()) / count

    def _logit(self, hidden: Float[Tensor, "P D"], item: Float[Tensor, "P D"]) -> Float[Tensor, " P"]:
        if self.config.logits == "dot":
            return (hidden * item).sum(-1)
        return F.cosine_similarity(hidden, item, dim=-1) / self.config.temperature

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Score the catalogue after the last item; users without a history get equal scores."""
        batch = batch.last(self.config.transformer.max_len)
        rows = torch.arange(len(batch.lengths), device=batch.items.device)
        if batch.items.shape[1] == 0:
            return torch.zeros(len(rows), self.num_items, device=batch.items.device)
        table = self.table()
        last = self.hidden(batch.items, table)[rows, (batch.lengths - 1).clamp(min=0)]
        scores = self.logits(last.float(), table)
        return scores.float().masked_fill((batch.lengths == 0).unsqueeze(1), 0.0)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use; either forgets the kept table."""
        self._kept = None
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._kept = None  # moved to another device
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def meta(self) -> Mapping[str, Any]:
        """Sizes of the graph and of the content."""
        width = None if self.content is None else self.content.shape[1]
        edges = None if self.graph is None else len(self.graph.values)
        return {"num_edges": edges, "content_dim": width}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved shape."""
        config, meta = read_config(SASRecConfig, folder.manifest["config"]), folder.meta
        num_items, num_edges, width = int(meta["num_items"]), meta["num_edges"], meta["content_dim"]
        content = None if width is None else np.zeros((num_items, int(width)))
        graph = None if num_edges is None else SparseItemRows.empty(num_items, int(num_edges))
        return cls(config, num_items, graph, content)
