"""What a history says of each item apart from the transformer, and how to weigh it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._interests import HistoryInterests
from g2rec.recommenders._near import NearItems
from g2rec.recommenders._timeline import SPANS, WINDOWS, ItemTimeline
from g2rec.shapes import Bool, Float, Int, Tensor

EvidenceName = Literal["content", "words", "graph", "neighbors", "interests", "popularity", "trend"]
COLUMNS: dict[EvidenceName, tuple[str, ...]] = {
    "content": ("content", "closest content", "content, long"),
    "words": ("words", "words, long"),
    "graph": ("graph", "graph, long"),
    "neighbors": ("neighbors", "neighbors, long"),
    "interests": ("interests",),
    "popularity": ("popularity",),
    "trend": (*(f"last 1/{SPANS // window}" for window in WINDOWS), "so far", "age", "log age"),
}
"""Scores that each kind of evidence gives."""
_LEAST, _MOST = -5.0, 15.0
"""Bounds of what is weighed."""
_WIDTH, _MEMBERS = 16, 4
_SHORT, _MIDDLE, _LONG = (5, 0.6), (10, 0.8), (50, 0.95)
"""Items looked back over, and the weight of an item over that of the one after it."""


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
    neighbors: NearItems | None,
    interests: HistoryInterests | None,
    popularity: Float[Tensor, " I"],
    timeline: ItemTimeline | None,
) -> list[Float[Tensor, "B I"]]:
    """The scores of each kind of evidence, in the order of `COLUMNS`; kinds without a source are left out.

    content is the recency-weighted mean and the largest cosine of an item to the last five; words the
    votes of the last five for the items with the likest titles; graph the mean in the encoder's embeddings;
    neighbors the votes of the last ten for the items that they are engaged with together. Each of these is
    also taken over the last fifty, which say what a user is about where the last ones say what for just now.
    interests is <s, p_i> of the last ten; popularity the logarithm of an item's training events, alike for
    all; trend how many of them there were before the user asks, shortly and in all, and since when there have
    been any (`ItemTimeline`).
    """
    last, weight = recency(batch, *_SHORT, interests)
    middle, middle_weight = recency(batch, *_MIDDLE, interests)
    far, far_weight = recency(batch, *_LONG, interests)
    found: list[Tensor] = []
    if "content" in names and content is not None:
        largest = torch.zeros(len(last), len(content), device=last.device)
        for place in range(last.shape[1]):
            cosine = F.embedding(last[:, place].clamp(min=0), content) @ content.T
            largest = torch.maximum(largest, cosine * (weight[:, place : place + 1] > 0))
        mean, far_mean = (_mean_of(content, *of) for of in ((last, weight), (far, far_weight)))
        found += [mean @ content.T, largest, far_mean @ content.T]
    if "words" in names and words is not None:
        found += [words.votes(last, weight), words.votes(far, far_weight)]
    if "graph" in names and graph is not None:
        found += [_mean_of(graph, *of) @ graph.T for of in ((last, weight), (far, far_weight))]
    if "neighbors" in names and neighbors is not None:
        found += [neighbors.votes(middle, middle_weight), neighbors.votes(far, far_weight)]
    if "interests" in names and interests is not None:
        found.append(interests.agreement(middle, middle_weight, batch.without))
    if "popularity" in names:
        found.append(popularity.expand(len(last), -1))
    if "trend" in names and timeline is not None:
        found += timeline.gather(batch.time, len(last))
    return found


def add_text_evidence(
    logits: Float[Tensor, "B I"],
    batch: HistoryBatch,
    content: Float[Tensor, "I F"] | None,
    words: NearItems | None,
    weight: float,
) -> Float[Tensor, "B I"]:
    """logits_i + weight (.4 content_i + .3 words_i): about what the hybrid ranking learns that texts weigh.

    content and words of the last five items are measured in deviations over the catalogue, at most 15 of
    them. Their means are left in, which makes no difference under a softmax and saves half of the passes over
    all items.
    """
    last, recent = recency(batch, *_SHORT, None)
    if content is not None:
        logits = _add_told(logits, _mean_of(content, last, recent) @ content.T, 0.4 * weight)
    if words is not None:
        logits = _add_told(logits, words.votes(last, recent), 0.3 * weight)
    return logits


def _add_told(
    logits: Float[Tensor, "B I"], scores: Float[Tensor, "B I"], weight: float
) -> Float[Tensor, "B I"]:
    spread, mean = torch.std_mean(scores, dim=1, keepdim=True, correction=0)
    share = torch.where(spread > 1e-8, weight / spread.clamp(min=1e-8), 0.0)
    return torch.addcmul(logits, torch.minimum(scores, mean + _MOST * spread), share)


def _mean_of(
    features: Float[Tensor, "I F"], items: Int[Tensor, "B n"], weight: Float[Tensor, "B n"]
) -> Float[Tensor, "B F"]:
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    mean: Tensor = F.embedding_bag(items.clamp(min=0), features, per_sample_weights=share, mode="sum")
    return mean


class EvidenceFusion(nn.Module):
    """Learns how far to trust each kind of evidence, for this user.

    score_i = mean over members of: sum_k (w_k + g_k(u)) z_ik + f(z_i) + b [i in history]

    z_ik are standardised scores, within -5 and 15; the last kind is the token head's log-probability, in
    units of its spread over all users. g is a small network of the user u: the logarithms of the history's
    length and of the spread of each kind before it was standardised, so that evidence which does not tell
    items apart can weigh less. f is a small network of an item's own scores: evidence that agrees may count
    for more than its sum. Members are learned apart from each other, because a network of a few thousand
    validation targets is half noise (Lakshminarayanan et al., arXiv 1612.01474): before the weights were
    solved for, four of them ranked held-out users of Toys with N@10 .1019, one with .1004, eight with .1018.
    Where weights alone are learned, all members are the same.

    Args:
        num_kinds: K, the number of kinds.
    """

    centre: Tensor
    scale: Tensor
    token_centre: Tensor
    token_scale: Tensor

    def __init__(self, num_kinds: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(FusionMember(num_kinds) for _ in range(_MEMBERS))
        self.register_buffer("centre", torch.zeros(num_kinds))
        self.register_buffer("scale", torch.ones(num_kinds))
        self.register_buffer("token_centre", torch.zeros(()))
        self.register_buffer("token_scale", torch.ones(()))

    def standardize_token(self, log_p: Float[Tensor, "B J"]) -> Float[Tensor, "B J"]:
        """Log-probabilities as the last kind of evidence."""
        return (log_p - self.token_centre) / self.token_scale

    def usual(self, context: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """The context as the members take it; beyond what they were fitted on, as at its edge."""
        return ((context - self.centre) / self.scale).clamp(-3, 3)

    @property
    def weights(self) -> Float[Tensor, " K"]:
        """w."""
        return torch.stack([member.weights for member in self.learners()]).mean(0)

    @property
    def offset(self) -> Float[Tensor, ""]:
        """b."""
        return torch.stack([member.offset for member in self.learners()]).mean()

    def trust(self, context: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """w + g(u)."""
        usual = self.usual(context)
        return torch.stack([member.trust(usual) for member in self.learners()]).mean(0)

    def forward(
        self, evidence: Float[Tensor, "B J K"], context: Float[Tensor, "B K"], seen: Bool[Tensor, "B J"]
    ) -> Float[Tensor, "B J"]:
        """Scores of J items a user."""
        usual = self.usual(context)
        return torch.stack([member(evidence, usual, seen) for member in self.members]).mean(0)

    def learners(self) -> list["FusionMember"]:
        """The members, each with parameters of its own."""
        return [member for member in self.members if isinstance(member, FusionMember)]


class FusionMember(nn.Module):
    """One of the networks that `EvidenceFusion` averages.

    Args:
        num_kinds: K.
    """

    def __init__(self, num_kinds: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(num_kinds))
        self.gate = nn.Sequential(nn.Linear(num_kinds, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, num_kinds))
        self.agree = nn.Sequential(nn.Linear(num_kinds, 2 * _WIDTH), nn.SiLU(), nn.Linear(2 * _WIDTH, 1))
        self.repeat = nn.Parameter(torch.empty(()))
        self.reset()

    def reset(self) -> None:
        """The dense head's scores above all, and networks that say nothing; hidden layers stay."""
        nn.init.constant_(self.weights, 0.1)
        self.weights.data[0] = 1.5
        nn.init.zeros_(self.repeat)
        for last in (self.gate[2], self.agree[2]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    @property
    def offset(self) -> Float[Tensor, ""]:
        """b; learned in large units, because it may have to outweigh all else."""
        return 30 * self.repeat

    @staticmethod
    def bounded(evidence: Float[Tensor, "B J K"]) -> Float[Tensor, "B J K"]:
        """What is weighed: one outlier must not decide."""
        return evidence.clamp(_LEAST, _MOST)

    def trust(self, usual: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """w + g(u)."""
        weights: Tensor = self.weights + self.gate(usual)
        return weights

    def forward(
        self, evidence: Float[Tensor, "B J K"], usual: Float[Tensor, "B K"], seen: Bool[Tensor, "B J"]
    ) -> Float[Tensor, "B J"]:
        """Scores of J items a user; the context is that of `EvidenceFusion.usual`."""
        evidence = self.bounded(evidence)
        agreed: Tensor = self.agree(evidence).squeeze(-1)
        return (evidence * self.trust(usual).unsqueeze(1)).sum(-1) + agreed + self.offset * seen


def user_context(lengths: Int[Tensor, " B"], told: Sequence[Standardized]) -> Float[Tensor, "B K"]:
    """What the gate reads; the token head, which comes later, has no spread in it."""
    spreads = torch.stack([kind.spread for kind in told], dim=1).clamp(min=1e-6)
    return torch.cat([lengths.float().log1p().unsqueeze(1), spreads.log()], dim=1)
