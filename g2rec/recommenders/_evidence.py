"""What a history says of each item apart from the transformer, and how to weigh it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import nn

from g2rec.graph import CoEngagementGraph
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._interests import HistoryInterests
from g2rec.recommenders._near import NearItems
from g2rec.recommenders._sparse import SparseItemRows, normalized_coengagement
from g2rec.recommenders._timeline import SPANS, WINDOWS, ItemTimeline
from g2rec.shapes import Bool, Float, Int, Tensor

EvidenceName = Literal["content", "words", "graph", "neighbors", "interests", "popularity", "trend"]
COLUMNS: dict[EvidenceName, tuple[str, ...]] = {
    "content": ("content", "closest content"),
    "words": ("words",),
    "graph": ("graph",),
    "neighbors": ("neighbors",),
    "interests": ("interests",),
    "popularity": ("popularity",),
    "trend": (*(f"last 1/{SPANS // window}" for window in WINDOWS), "age"),
}
"""Scores that each kind of evidence gives."""
_LEAST, _MOST = -5.0, 15.0
"""Bounds of what is weighed: one outlier must not decide."""
_WIDTH = 16


class Standardized(NamedTuple):
    """Scores of one kind in units that compare between users."""

    scores: Float[Tensor, "B I"]
    """Mean 0 and deviation 1 over a user's items that may be recommended."""
    spread: Float[Tensor, " B"]
    """The deviation before, which says how much this evidence tells the items apart."""


def standardize(scores: Float[Tensor, "B I"], exclude: Bool[Tensor, "B I"] | None) -> Standardized:
    """Standardise each user's scores over the items that are not excluded; equal scores become 0."""
    kept = torch.ones_like(scores) if exclude is None else (~exclude).float()
    count = kept.sum(1, keepdim=True).clamp(min=1)
    centred = scores - (scores * kept).sum(1, keepdim=True) / count
    spread = ((centred.square() * kept).sum(1, keepdim=True) / count).sqrt()
    told = torch.where(spread > 1e-8, centred / spread.clamp(min=1e-8), 0.0)
    return Standardized(told, spread.squeeze(1))


class Neighbors(NearItems):
    """The co-engagement graph A = D^-1/2 C D^-1/2 on the device, to smooth item representations and to vote.

    What an item's neighbours get of its vote is C_{x, i} / D_x: where a step from it leads.

    Args:
        matrix: [I, I], A.
    """

    def __init__(self, matrix: csr_matrix) -> None:
        super().__init__(matrix.shape[0])
        self.rows = SparseItemRows(matrix)

    @classmethod
    def of(cls, graph: CoEngagementGraph) -> Self:
        """Normalise a graph."""
        made = cls(normalized_coengagement(graph))
        size = (graph.num_items, graph.num_items)
        made.keep(csr_matrix((graph.weights, graph.indices, graph.indptr), size))
        strength = np.maximum(graph.strength(), 1e-12).astype(np.float32)
        made.near_share /= torch.from_numpy(strength).unsqueeze(1)
        return made

    @classmethod
    def empty(cls, num_items: int, num_entries: int) -> Self:
        """One of the right sizes, to be overwritten by loaded weights."""
        return cls(SparseItemRows.empty(num_items, num_entries))


def recency(
    batch: HistoryBatch, count: int, decay: float, interests: HistoryInterests | None
) -> tuple[Int[Tensor, "B n"], Float[Tensor, "B n"]]:
    """The latest items, newest first, and their weights decay^r; what was switched off weighs nothing."""
    recent = batch.recent(count)
    weight = torch.where(recent < 0, 0.0, decay ** torch.arange(count, device=recent.device).float())
    if batch.without is not None and interests is not None:
        weight = weight * interests.share_left(recent, batch.without)
    return recent, weight


def gather_evidence(
    names: Sequence[EvidenceName],
    batch: HistoryBatch,
    *,
    content: Float[Tensor, "I F"] | None,
    words: NearItems | None,
    graph: Float[Tensor, "I E"] | None,
    neighbors: Neighbors | None,
    interests: HistoryInterests | None,
    popularity: Float[Tensor, " I"],
    timeline: ItemTimeline | None,
) -> list[Float[Tensor, "B I"]]:
    """The scores of each kind of evidence, in the order of `COLUMNS`; kinds without a source are left out.

    content is the recency-weighted mean and the largest cosine of an item to the last five; words the
    votes of the last five for the items with the likest titles; graph the mean in the encoder's embeddings;
    neighbors the votes of the last ten; interests <s, p_i> of the last ten; popularity the logarithm of an
    item's training events, alike for all; trend how many of them there were shortly before the user asks,
    and since when there have been any (`ItemTimeline`).
    """
    last, weight = recency(batch, 5, 0.6, interests)
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    far, far_weight = recency(batch, 10, 0.8, interests)
    found: list[Tensor] = []
    if "content" in names and content is not None:
        mean = largest = torch.zeros(len(last), len(content), device=last.device)
        for place in range(last.shape[1]):
            cosine = F.embedding(last[:, place].clamp(min=0), content) @ content.T
            mean = mean + share[:, place : place + 1] * cosine
            largest = torch.maximum(largest, cosine * (weight[:, place : place + 1] > 0))
        found += [mean, largest]
    if "words" in names and words is not None:
        found.append(words.votes(last, weight))
    if "graph" in names and graph is not None:
        found.append((share.unsqueeze(2) * graph[last.clamp(min=0)]).sum(1) @ graph.T)
    if "neighbors" in names and neighbors is not None:
        found.append(neighbors.votes(far, far_weight))
    if "interests" in names and interests is not None:
        found.append(interests.agreement(far, far_weight, batch.without))
    if "popularity" in names:
        found.append(popularity.expand(len(last), -1))
    if "trend" in names and timeline is not None:
        found += timeline.gather(batch.time, len(last))
    return found


class EvidenceFusion(nn.Module):
    """Learns how far to trust each kind of evidence, for this user.

    score_i = sum_k (w_k + g_k(u)) z_ik + f(z_i) + b [i in history]

    z_ik are standardised scores, within -5 and 15; the last kind is the token head's log-probability, in
    units of its spread over all users. g is a small network of the user u: the logarithms of the history's
    length and of the spread of each kind before it was standardised, so that evidence which does not tell
    items apart can weigh less. f is a small network of an item's own scores: evidence that agrees may count
    for more than its sum.

    Args:
        num_kinds: K, the number of kinds.
    """

    centre: Tensor
    scale: Tensor
    token_centre: Tensor
    token_scale: Tensor

    def __init__(self, num_kinds: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((num_kinds,), 0.1))
        self.weights.data[0] = 1.5
        self.gate = nn.Sequential(nn.Linear(num_kinds, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, num_kinds))
        self.agree = nn.Sequential(nn.Linear(num_kinds, 2 * _WIDTH), nn.SiLU(), nn.Linear(2 * _WIDTH, 1))
        for last in (self.gate[2], self.agree[2]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)
        self.repeat = nn.Parameter(torch.zeros(()))
        self.register_buffer("centre", torch.zeros(num_kinds))
        self.register_buffer("scale", torch.ones(num_kinds))
        self.register_buffer("token_centre", torch.zeros(()))
        self.register_buffer("token_scale", torch.ones(()))

    def standardize_token(self, log_p: Float[Tensor, "B J"]) -> Float[Tensor, "B J"]:
        """Log-probabilities as the last kind of evidence."""
        return (log_p - self.token_centre) / self.token_scale

    @property
    def offset(self) -> Float[Tensor, ""]:
        """b; learned in large units, because it may have to outweigh all else."""
        return 30 * self.repeat

    def trust(self, context: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """w + g(u)."""
        usual = ((context - self.centre) / self.scale).clamp(
            -3, 3
        )  # beyond what it was fitted on, as at its edge
        weights: Tensor = self.weights + self.gate(usual)
        return weights

    def forward(
        self, evidence: Float[Tensor, "B J K"], context: Float[Tensor, "B K"], seen: Bool[Tensor, "B J"]
    ) -> Float[Tensor, "B J"]:
        """Scores of J items a user."""
        evidence = evidence.clamp(_LEAST, _MOST)
        agreed: Tensor = self.agree(evidence).squeeze(-1)
        return (evidence * self.trust(context).unsqueeze(1)).sum(-1) + agreed + self.offset * seen


def user_context(lengths: Int[Tensor, " B"], told: Sequence[Standardized]) -> Float[Tensor, "B K"]:
    """What the gate reads; the token head, which comes later, has no spread in it."""
    spreads = torch.stack([kind.spread for kind in told], dim=1).clamp(min=1e-6)
    return torch.cat([lengths.float().log1p().unsqueeze(1), spreads.log()], dim=1)
