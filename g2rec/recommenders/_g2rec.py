"""G2Rec: interest prototypes as a prefix to a causal transformer over semantic IDs, with two heads."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.recommenders._base import RankedItems, Recommender, check_k, read_config, top_items
from g2rec.recommenders._decoding import beam_search, score_catalogue, score_items
from g2rec.recommenders._depth import DepthDecoder
from g2rec.recommenders._evidence import (
    COLUMNS,
    EvidenceFusion,
    EvidenceName,
    Standardized,
    add_text_evidence,
    gather_evidence,
    standardize,
    user_context,
)
from g2rec.recommenders._history import HistoryBatch, moved
from g2rec.recommenders._interests import HistoryInterests
from g2rec.recommenders._near import NearItems
from g2rec.recommenders._sparse import SparseItemRows, normalized_coengagement
from g2rec.recommenders._timeline import ItemTimeline
from g2rec.recommenders._transformer import CausalTransformer, Packed, TransformerConfig
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Bool, Float, Int, Tensor

Array = np.ndarray[Any, Any]
_UNKNOWN = -100.0
"""The teacher's logit of an item that no training event knows."""


RankingMode = Literal["generative", "dense", "hybrid"]
"""Which head ranks, or both."""


@dataclass(frozen=True, kw_only=True)
class G2RecConfig:
    """The generative recommender."""

    transformer: TransformerConfig = field(default_factory=lambda: TransformerConfig(positions="rotary"))
    """The backbone."""
    feed: Literal["prefix", "interleaved", "none"] = "prefix"
    """How interests enter: as prefix tokens, as the running profile at each position, or not at all."""
    ranking: RankingMode = "hybrid"
    """Rank by the token head's beam, by the dense head, or by both over the candidates of both. Any fit that
    has both heads can rank in any of these ways."""
    num_prefix: int = 5
    """Prototypes in the prefix."""
    interest_decay: float = 0.9
    """Weight of an item in the user's interests over that of the next one."""
    item_inputs: tuple[Literal["id", "codes", "content"], ...] = ("id", "content")
    """What an item is the sum of: an embedding of its own, those of its codes, a projection of its content.
    Codes stand in for content where there is none."""
    smoothing_hops: int = 2
    """Steps over which items are smoothed along the co-engagement graph; 0 for none."""
    evidence: tuple[EvidenceName, ...] = (
        "content", "words", "graph", "neighbors", "interests", "popularity", "trend",
    )  # fmt: skip
    """What the hybrid ranking weighs beside both heads, as far as there is a source of it."""
    depth_layers: int = 1
    """Layers of the depth decoder."""
    token_weight: float = 1.0
    """Weight of the token head's loss; 0 leaves the head out."""
    distillation: float = 0.5
    """Share of the dense head, if there is one, in what the token head learns; 0 for the next item alone."""
    teacher_evidence: float = 0.0
    """How far content and words (of ``evidence``) count in what the token head learns, beside the dense head;
    0 for the dense head alone, 1 for about as far as in the hybrid ranking, which takes longer to train."""
    dense_weight: float = 1.0
    """Weight of the dense head's loss; 0 leaves the head out."""
    profile_weight: float = 0.0
    """Weight of the paper's profile loss: predict the next item's profile."""
    temperature: float = 0.07
    """Divides the dense head's cosines."""
    label_smoothing: float = 0.1
    """Of the dense head."""
    beam_width: int = 50
    """Beams kept by the search; a longer list widens it."""

    def as_trained(self) -> "G2RecConfig":
        """The same for any ``ranking``, which is chosen after the fit: hybrid where there are both heads."""
        ranking: RankingMode = "generative"
        if self.dense_weight:
            ranking = "hybrid" if self.token_weight else "dense"
        return replace(self, ranking=ranking)

    def check(self) -> None:
        """Raise `ConfigError` if values are out of range or do not fit together."""
        self.transformer.check()
        for name in ("num_prefix", "depth_layers", "beam_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if not 0 < self.interest_decay <= 1:
            raise ConfigError(f"interest_decay must be in (0, 1], got {self.interest_decay}; 0.9 is usual")
        for name in ("token_weight", "dense_weight", "profile_weight", "smoothing_hops"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}; use 0 or more")
        if not self.item_inputs:
            raise ConfigError("item_inputs must not be empty; use [id, content], or codes to go by IDs alone")
        if not 0.0 <= self.distillation <= 1.0:
            raise ConfigError(f"distillation must be in [0, 1], got {self.distillation}; 0.5 is usual")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; 0.07 is usual")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}; 0.1 is usual")
        if self.ranking != "dense" and not self.token_weight:
            raise ConfigError(f"ranking={self.ranking} needs the token head; set token_weight above 0")
        if self.ranking != "generative" and not self.dense_weight:
            raise ConfigError(f"ranking={self.ranking} needs the dense head; set dense_weight above 0")

    def build(
        self,
        *,
        codes: Array,
        codebook_size: int,
        prototypes: tuple[Array, Array, Array] | None = None,
        graph: Array | None = None,
        content: Array | None = None,
        coengagement: CoEngagementGraph | None = None,
        words: NearItems | None = None,
        neighbors: NearItems | None = None,
        counts: Array | None = None,
        timeline: ItemTimeline | None = None,
    ) -> "G2Rec":
        """An untrained model for a catalogue.

        Args:
            codes: [I, L] semantic IDs, all different.
            codebook_size: Codes a level.
            prototypes: Vectors [C, D'], indices [I, R] and weights [I, R]; ``feed=none`` needs none.
            graph: [I, D''] item embeddings of the graph encoder.
            content: [I, F] content features.
            coengagement: The item-item graph; without one there is no smoothing.
            words: The items nearest by the words of their titles, as evidence.
            neighbors: The items nearest by who engages with them, as evidence.
            counts: [I] training events of each item; all alike if None.
            timeline: When these were, as evidence.

        Raises:
            ConfigError: If a value is out of range or something needed is missing.
            DataError: If the inputs are of different catalogues.
        """
        self.check()
        if prototypes is None and (self.feed != "none" or self.profile_weight):
            raise ConfigError(
                f"feed={self.feed} needs interest prototypes, got none; fit them or use feed=none"
            )
        sizes = {
            "graph embeddings": graph,
            "content": content,
            "memberships": prototypes and prototypes[1],
            "item-item edges": None if coengagement is None else coengagement.indptr[1:],
            "words": None if words is None else words.near,
            "neighbors": None if neighbors is None else neighbors.near,
            "counts": counts,
            "the timeline": None if timeline is None else timeline.counts,
        }
        for name, array in sizes.items():
            if array is not None and len(array) != len(codes):
                raise DataError(
                    f"semantic IDs are for {len(codes)} items, {name} for {len(array)}; "
                    "build both from one graph"
                )
        if int(codes.max(initial=0)) >= codebook_size or int(codes.min(initial=0)) < 0:
            raise DataError(
                f"codes must lie in 0 ... {codebook_size - 1}, got {codes.min()} ... {codes.max()}"
            )
        edges = None
        if self.smoothing_hops and coengagement is not None:
            edges = SparseItemRows(normalized_coengagement(coengagement))
        parts = (prototypes, graph, content, edges, neighbors, words, timeline)
        model = G2Rec(self, np.asarray(codes), codebook_size, *parts)
        if counts is not None:
            model.popularity.copy_(torch.from_numpy(np.log1p(counts)))
        return model


def tiger_decoder_config(transformer: TransformerConfig, *, beam_width: int = 50) -> G2RecConfig:
    """Semantic IDs of the content and nothing else: no graph, prototypes, item embeddings or dense head.

    What `TIGER` reads and spells, by a decoder alone, with the codes of an item fused into one position.
    """
    return G2RecConfig(
        transformer=transformer,
        feed="none",
        ranking="generative",
        item_inputs=("codes",),
        smoothing_hops=0,
        evidence=(),
        dense_weight=0.0,
        beam_width=beam_width,
    )


class TrainingBatch(NamedTuple):
    """Training sequences and all that follows from their lengths, so that no step waits for a GPU."""

    items: Int[Tensor, "B T"]
    """Padded on the right with -1."""
    split: Int[Tensor, " B"]
    """Items of each sequence that the prefix is made of."""
    row: Int[Tensor, " P"]
    """The sequence of each target."""
    position: Int[Tensor, " P"]
    """The item that each target follows."""
    weight: Float[Tensor, " P"]
    """1; 0 where a target only fills up."""
    prompt: Int[Tensor, " N"]
    """Positions of the flattened prompts (prefix and items but the last) that count; padding fills up."""

    def to(self, device: torch.device | str) -> "TrainingBatch":
        """The same batch on ``device``."""
        return TrainingBatch(*(moved(part, device) for part in self))


class Candidates(NamedTuple):
    """Items that the heads and the evidence propose, with what each kind says of them."""

    items: Int[Tensor, "B J"]
    """-1 pads."""
    evidence: Float[Tensor, "B J K"]
    """Standardised; the last kind is the token head's log-probability as it is."""
    context: Float[Tensor, "B K"]
    """What the weights depend on."""
    seen: Bool[Tensor, "B J"]
    """Whether the item is in the history."""


class G2Rec(Recommender):
    """Generative recommendation from interest profiles (after G2Rec, arXiv 2606.20554).

    An item is one position: the sum of its own embedding and a projection of its content, smoothed over the
    co-engagement graph. From the output h_t the token head spells the next item's ID, each code among those
    that the catalogue admits, and the dense head compares h_t with all items:

    dense_i = cos(h_t, f_i) / temperature + b [i in history]

    In training the token head learns from the next item and, as far as ``distillation`` says, from a teacher
    (Hinton et al., arXiv 1503.02531): softmax_i(dense_i + teacher_evidence * text_i), the latter of
    `add_text_evidence`: it has read texts alone, so it knows nothing of the target; counts of engagements
    would.

    The hybrid ranking weighs both heads and raw evidence that they lose, such as the content's similarity to
    the recent items (`gather_evidence`), by weights learned on the validation targets (`EvidenceFusion`).

    With ``feed=prefix``, training splits every other sequence at a random point, takes the prefix from the
    items before it and the loss after it, so that no prefix has seen a target; the others have no prefix, and
    all their items are targets.
    """

    name = "g2rec"
    capturable = True
    config: G2RecConfig
    codes: Tensor
    graph: Tensor | None
    content: Tensor | None
    popularity: Tensor

    def __init__(
        self,
        config: G2RecConfig,
        codes: Array,
        codebook_size: int,
        prototypes: tuple[Array, Array, Array] | None,
        graph: Array | None,
        content: Array | None,
        edges: SparseItemRows | None,
        neighbors: NearItems | None,
        words: NearItems | None,
        timeline: ItemTimeline | None,
    ) -> None:
        super().__init__()
        self.config, self.codebook_size = config, codebook_size
        self.num_items, num_levels = codes.shape
        dim = config.transformer.embedding_dim
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int64)))
        self.register_buffer("popularity", torch.zeros(self.num_items))
        self.edges = edges
        self._kept: list[Tensor] = []  # at most one; views share it
        self.trie = PrefixTrie(codes)
        self.known_items: Tensor | None
        self.known_column: Tensor
        self.register_buffer("known_items", None, persistent=False)
        self.register_buffer("known_column", torch.arange(self.num_items), persistent=False)
        weighs: set[str] = set(config.evidence) if config.dense_weight and config.token_weight else set()
        takes = set(config.item_inputs)
        if content is None and "content" in takes:
            takes = takes - {"content"} | {"codes"}
        self.register_buffer("graph", _unit(graph) if "graph" in weighs else None)
        self.register_buffer("content", _unit(content) if "content" in takes | weighs else None)
        self.words = words if "words" in weighs else None
        self.neighbors = neighbors if "neighbors" in weighs else None
        self.timeline = timeline if "trend" in weighs else None
        self.interests: HistoryInterests | None = None
        if prototypes is not None and (
            config.feed != "none" or config.profile_weight or "interests" in weighs
        ):
            self.interests = HistoryInterests(*prototypes, decay=config.interest_decay)

        self.code_embedding = _embedding(num_levels * codebook_size, dim) if "codes" in takes else None
        self.item_embedding = _embedding(self.num_items, dim) if "id" in takes else None
        self.project_content = _projection(self.content if "content" in takes else None, dim)
        self.empty = nn.Parameter(torch.randn(dim) * 0.02)
        prefix = 0
        if self.interests is not None and config.feed != "none":
            width = self.interests.vectors.shape[1]
            self.enter_interest = nn.Linear(width, dim, bias=False)
            if config.feed == "prefix":
                prefix = min(config.num_prefix, len(self.interests.vectors))
                self.prototype_embedding = _embedding(len(self.interests.vectors), dim)
                self.weight_direction = nn.Parameter(torch.randn(dim) * 0.02)
        self.num_prefix = prefix
        self.transformer = CausalTransformer(config.transformer, prefix + config.transformer.max_len)
        self.decoder: DepthDecoder | None = None
        if config.token_weight:
            self.decoder = DepthDecoder(config.transformer, config.depth_layers, num_levels, codebook_size)
        self.fusion: EvidenceFusion | None = None
        if config.dense_weight:
            self.seen_bias = nn.Parameter(torch.zeros(()))
            if config.token_weight:
                self.fusion = EvidenceFusion(len(self.kinds))
        if config.profile_weight and self.interests is not None:
            self.predict_profile = nn.Linear(dim, self.interests.vectors.shape[1])

    def ranking_by(self, ranking: RankingMode) -> Self:
        """A view of a fitted model that ranks in another way and shares all weights.

        Raises:
            ConfigError: If a head that it needs was left out.
        """
        view = copy.copy(self)
        view.config = replace(self.config, ranking=ranking)
        view.config.check()
        return view

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the hybrid ranking weighs, in order."""
        sources = {
            "content": self.content,
            "words": self.words,
            "graph": self.graph,
            "neighbors": self.neighbors,
            "interests": self.interests,
            "popularity": self.popularity,
            "trend": self.timeline,
        }
        columns = [
            name
            for kind, names in COLUMNS.items()
            if kind in self.config.evidence and sources[kind] is not None
            for name in names
        ]
        return ("dense", *columns, "token")

    @property
    def scores_all_items(self) -> bool:
        """Only the dense head scores every item; the others search."""
        ranking: str = self.config.ranking
        return ranking == "dense"

    @torch.no_grad()
    def train_on(self, known: Bool[Tensor, " I"]) -> None:
        """Leave the items that no training event knows out of the dense loss, and without an item embedding.

        As negatives they would be pushed down in every step, for no reason but that they are new; so they
        are ranked by their content, or by their codes.
        """
        if bool(known.all()):
            return
        self.known_items = torch.nonzero(known).flatten().to(self.device)
        self.known_column = (known.long().cumsum(0) - 1).clamp(min=0).to(self.device)
        if self.item_embedding is not None:
            self.item_embedding.weight[~known] = 0

    def with_items(
        self,
        codes: Array,
        prototypes: tuple[Array, Array, Array],
        graph: Array | None,
        content: Array | None,
    ) -> "G2Rec":
        """The same model over a catalogue that has more items at its end.

        These have no item embedding, as items without training events: they are ranked by their content, or
        by their codes.

        Args:
            codes: [I', L] semantic IDs, those of this model first.
            prototypes: Vectors, and indices and weights of all items.
            graph: Of all items.
            content: Of all items.
        """
        with torch.random.fork_rng():
            kept = None if self.interests is None else prototypes
            edges = None
            if self.edges is not None:
                edges = SparseItemRows(SparseItemRows.empty(len(codes), len(self.edges.values)))
            neighbors, words = (
                None if near is None else NearItems(len(codes)) for near in (self.neighbors, self.words)
            )
            timeline = None if self.timeline is None else ItemTimeline(len(codes), len(self.timeline.ends))
            parts = (kept, graph, content, edges, neighbors, words, timeline)
            model = G2Rec(self.config, codes, self.codebook_size, *parts)
        state = model.state_dict()
        for name, held in self.state_dict().items():
            if name == "item_embedding.weight":
                state[name] = torch.cat([held, held.new_zeros(len(codes) - len(held), held.shape[1])])
            elif held.shape == state[name].shape:
                state[name] = held
            else:  # a row an item
                state[name] = torch.cat([held, state[name][len(held) :].to(held)])
        model.load_state_dict(state)
        return model.eval().to(self.device)

    def represent_items(self) -> Float[Tensor, "I D"]:
        """Each item as the sum of what is known of it, smoothed; kept while the model is not trained."""
        if self.training:
            return self._represent_items()
        if not self._kept:
            with torch.inference_mode(False), torch.no_grad():
                self._kept[:] = [self._represent_items()]
        return self._kept[0]

    def _represent_items(self) -> Float[Tensor, "I D"]:
        parts: list[Tensor] = []
        if self.item_embedding is not None:
            parts.append(self.item_embedding.weight)
        if self.code_embedding is not None:
            offset = torch.arange(self.codes.shape[1], device=self.codes.device) * self.codebook_size
            parts.append(self.code_embedding(self.codes + offset).sum(1))
        if self.project_content is not None and self.content is not None:
            parts.append(self.project_content(self.content))
        x = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
        if self.edges is not None:
            x = self.edges.smooth(x, self.config.smoothing_hops)
        return x

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use; either forgets the kept representations."""
        self._kept.clear()
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._kept.clear()  # moved to another device
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def prefix(
        self,
        items: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"],
        without: Bool[Tensor, "B C"] | None = None,
    ) -> tuple[Int[Tensor, "B m"], Float[Tensor, "B m"]]:
        """The prototypes and weights that stand before a history: of its first ``lengths`` items only."""
        if self.interests is None:
            raise ConfigError("this model was built without interest prototypes; use feed=prefix")
        return self.interests.top(items, lengths, self.num_prefix, without)

    def hidden(
        self,
        items: Int[Tensor, "B T"],
        prefix_lengths: Int[Tensor, " B"],
        catalogue: Float[Tensor, "I D"],
        without: Bool[Tensor, "B C"] | None = None,
        packed: Packed | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Outputs at the item positions; the prefix is made of the first ``prefix_lengths`` items.

        Prototypes in ``without`` count for nothing, in the prefix and in the running profile. Which positions
        count follows from ``items``, unless they are given in ``packed``.
        """
        scale = self.config.transformer.embedding_dim**0.5
        x = (
            torch.where((items < 0).unsqueeze(-1), self.empty, F.embedding(items.clamp(min=0), catalogue))
            * scale
        )
        if self.config.feed == "interleaved" and self.interests is not None:
            x = x + self.enter_interest(self.interests.running(items, without))
        if self.num_prefix and self.interests is not None:
            x = torch.cat([self._prefix_tokens(items, prefix_lengths, without) * scale, x], dim=1)
        out: Tensor = self.transformer(x, packed or self._real(items))[:, self.num_prefix :]
        return out

    def _real(self, items: Int[Tensor, "B T"]) -> Bool[Tensor, "B S"]:
        """Which positions of the prompts count: the prefix, the items, and the first though there be none."""
        return F.pad(items[:, 1:] >= 0, (1 + self.num_prefix, 0), value=True)

    def _prefix_tokens(
        self, items: Tensor, lengths: Tensor, without: Tensor | None
    ) -> Float[Tensor, "B m D"]:
        assert self.interests is not None
        indices, weights = self.prefix(items, lengths, without)
        known = indices.clamp(min=0)
        token: Tensor = self.enter_interest(self.interests.vectors[known]) + self.prototype_embedding(known)
        token = token + weights.unsqueeze(-1) * self.weight_direction
        return torch.where((indices < 0).unsqueeze(-1), self.empty.to(token.dtype), token)

    def plan(self, items: Int[Tensor, "B T"], drawn: Float[Tensor, " B"], multiple: int = 1) -> TrainingBatch:
        """Draw where each sequence is split, and find its targets; a GPU is waited for, so ask on the CPU.

        Args:
            items: Training sequences, padded on the right with -1.
            drawn: For each a number in [0, 1); below one half there is no prefix, and all items but the first
                are targets.
            multiple: Targets and positions are filled up to a multiple of it, sequences to the longest that
                the model reads, so that few shapes come often.
        """
        if multiple > 1:
            items = F.pad(items, (0, max(0, self.config.transformer.max_len + 1 - items.shape[1])), value=-1)
        valid = items[:, 1:] >= 0
        known = valid.sum(1)
        split = torch.zeros_like(known)
        if self.num_prefix:
            # Of s items in the prefix, the first target is item s (from 0), at position s - 1.
            split = ((drawn * 2 - 1) * (known + 1)).long().clamp(min=0).minimum(known)
            at = torch.arange(valid.shape[1], device=items.device)
            valid = valid & (at >= (split - 1).unsqueeze(1))
        row, position = valid.nonzero(as_tuple=True)
        more = -len(row) % multiple
        weight = F.pad(torch.ones(len(row), device=items.device), (0, more))
        row, position = (torch.cat([at, at[-1:].expand(more)]) for at in (row, position))
        real = self._real(items[:, :-1])
        prompt, padding = Packed.of(real).at, Packed.of(~real).at
        prompt = torch.cat([prompt, padding[: -len(prompt) % multiple]])
        return TrainingBatch(items, split, row, position, weight, prompt)

    def loss(self, batch: TrainingBatch | Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Weighted sum of the heads' cross-entropies, in nats, over training sequences.

        Args:
            batch: From `plan`, or sequences alone, which are planned first.
        """
        if isinstance(batch, Tensor):
            batch = self.plan(batch, torch.rand(len(batch), device=batch.device))
        items, split, row, position, weight, prompt = batch
        weight = weight / weight.sum()
        inputs, targets = items[:, :-1], items[:, 1:]
        lengths = (inputs >= 0).sum(1)
        catalogue = self.represent_items()
        packed = Packed(prompt, len(items), self.num_prefix + inputs.shape[1])
        hidden = self.hidden(inputs, torch.minimum(split, lengths), catalogue, packed=packed)[row, position]
        target = targets[row, position]
        total, teacher = hidden.new_zeros(()), None
        if self.config.dense_weight:
            seen, first = _seen_at(inputs, row, position)
            among, goal = catalogue, target
            if self.known_items is not None:  # every item of a training sequence is one of them
                among, goal = catalogue[self.known_items], self.known_column[target]
                seen = self.known_column[seen]
            logits = self._dense_logits(hidden, among, seen, first)
            smoothing = self.config.label_smoothing
            dense = F.cross_entropy(logits, goal, reduction="none", label_smoothing=smoothing)
            total = total + self.config.dense_weight * (weight * dense).sum()
            if self.decoder is not None and self.config.distillation:
                guess = self._teach(logits.detach().float(), inputs, row, position)
                teacher = self.trie.accumulate(guess)
        if self.decoder is not None:
            token = self.decoder.losses(
                hidden, self.codes[target], self.trie, teacher, self.config.distillation
            )
            total = total + self.config.token_weight * (weight * token).sum()
        if self.config.profile_weight and self.interests is not None:
            profile = self.predict_profile(hidden)
            missed = 1 - F.cosine_similarity(profile, self.interests.profiles[target], dim=-1)
            total = total + self.config.profile_weight * (weight * missed).sum()
        return total

    @torch.no_grad()
    def _teach(
        self,
        logits: Float[Tensor, "P K"],
        inputs: Int[Tensor, "B T"],
        row: Int[Tensor, " P"],
        position: Int[Tensor, " P"],
    ) -> Float[Tensor, "P I"]:
        """The teacher's probabilities at P positions, from the dense head's logits of the known items."""
        if self.known_items is not None:
            known = logits
            logits = known.new_full((len(known), self.num_items), _UNKNOWN)
            logits.index_copy_(1, self.known_items, known)
        if self.config.teacher_evidence:
            content = self.content if "content" in self.config.evidence else None
            history = HistoryBatch(row, inputs[row], position + 1)
            weight = self.config.teacher_evidence
            logits = add_text_evidence(logits, history, content, self.words, weight)
        return logits.softmax(1)

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Score the full catalogue: logits (dense), or exact log-probabilities (small catalogues only)."""
        hidden, dense = self._encode(batch)
        if self.config.ranking == "dense":
            assert dense is not None
            return dense
        assert self.decoder is not None
        token = score_catalogue(self.decoder, hidden, self.codes, self.codebook_size, self.trie)
        if self.fusion is None or dense is None or self.config.ranking == "generative":
            return token
        told, context, seen = self._weigh(batch, dense)
        columns = [*(kind.scores for kind in told), self.fusion.standardize_token(token)]
        out: Tensor = self.fusion(torch.stack(columns, dim=2), context, seen)
        return out

    def rank(self, batch: HistoryBatch, k: int, *, exclude: Bool[Tensor, "B I"] | None = None) -> RankedItems:
        """The ``k`` best items; a search may return fewer, padded with -1.

        Raises:
            ConfigError: If ``k`` is larger than the catalogue.
        """
        check_k(k, self.num_items)
        if self.config.ranking == "dense":
            return top_items(self.score(batch), k, exclude)
        if self.config.ranking == "generative":
            hidden, _ = self._encode(batch)
            assert self.decoder is not None
            width = max(self.config.beam_width, k)
            found = beam_search(self.decoder, self.trie, hidden, width, exclude, admitted=True)
            return _pad(found.items[:, :k], found.scores[:, :k], k)
        return self.fuse(self.candidates(batch, k, exclude=exclude), k)

    def candidates(
        self, batch: HistoryBatch, k: int, *, exclude: Bool[Tensor, "B I"] | None = None
    ) -> Candidates:
        """What the beam and the weighed evidence propose, each item once."""
        hidden, dense = self._encode(batch)
        assert self.decoder is not None and dense is not None and self.fusion is not None
        width = min(max(self.config.beam_width, k), self.num_items)
        told, context, seen = self._weigh(batch, dense)
        trust = self.fusion.trust(context)
        first = self.fusion.offset * seen
        for number, kind in enumerate(told):
            first = first + trust[:, number : number + 1] * kind.scores
        best = top_items(first, min(2 * width, self.num_items), exclude).items
        beam = beam_search(self.decoder, self.trie, hidden, width, exclude, admitted=True)
        items, order = torch.cat([beam.items, best], dim=1).sort(dim=1)
        items[:, 1:] = items[:, 1:].masked_fill(items[:, 1:] == items[:, :-1], -1)
        known = items.clamp(min=0)
        # the search has scored what it found; a pad is not read, and must not be infinite
        scored = score_items(self.decoder, hidden, self.codes[best.clamp(min=0)], self.trie)
        token = torch.cat([beam.scores.masked_fill(beam.items < 0, 0.0), scored], dim=1).gather(1, order)
        columns = [*(kind.scores.gather(1, known) for kind in told), token]
        return Candidates(items, torch.stack(columns, dim=2), context, seen.gather(1, known))

    def fuse(self, candidates: Candidates, k: int) -> RankedItems:
        """Rank candidates by the learned weights."""
        assert self.fusion is not None
        evidence = candidates.evidence
        token = self.fusion.standardize_token(evidence[..., -1:])
        scores = self.fusion(
            torch.cat([evidence[..., :-1], token], dim=2), candidates.context, candidates.seen
        )
        scores = scores.masked_fill(candidates.items < 0, -torch.inf)
        best, at = scores.topk(min(k, scores.shape[1]), dim=1)
        return _pad(candidates.items.gather(1, at), best, k)

    def _weigh(
        self, batch: HistoryBatch, dense: Float[Tensor, "B I"]
    ) -> tuple[list[Standardized], Float[Tensor, "B K"], Bool[Tensor, "B I"]]:
        """All kinds but the token head's, what the weights depend on, and what is in the history."""
        seen = batch.seen(self.num_items)
        gathered = gather_evidence(
            self.config.evidence,
            batch,
            content=self.content,
            words=self.words,
            graph=self.graph,
            neighbors=self.neighbors,
            interests=self.interests,
            popularity=self.popularity,
            timeline=self.timeline,
        )
        told = [standardize(scores, seen) for scores in (dense, *gathered)]
        return told, user_context(batch.lengths, told), seen

    def _encode(self, batch: HistoryBatch) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B I"] | None]:
        batch = batch.last(self.config.transformer.max_len)
        items = batch.items
        if items.shape[1] == 0:
            items = items.new_full((len(items), 1), -1)
        rows = torch.arange(len(items), device=items.device)
        at = (batch.lengths - 1).clamp(min=0)
        catalogue = self.represent_items()
        hidden = self.hidden(items, batch.lengths, catalogue, batch.without)[rows, at].float()
        if not self.config.dense_weight:
            return hidden, None
        logits = self._dense_logits(hidden, catalogue, *_seen_at(items, rows, at)).float()
        return hidden, logits.masked_fill((batch.lengths == 0).unsqueeze(1), 0.0)

    def _dense_logits(
        self,
        hidden: Float[Tensor, "P D"],
        catalogue: Float[Tensor, "I D"],
        seen: Int[Tensor, "P T"],
        first: Bool[Tensor, "P T"],
    ) -> Float[Tensor, "P I"]:
        logits = F.normalize(hidden, dim=-1) / self.config.temperature @ F.normalize(catalogue, dim=-1).T
        out: Tensor = logits.scatter_add_(1, seen, (self.seen_bias * first).to(logits.dtype))
        return out

    def meta(self) -> Mapping[str, Any]:
        """Shapes of what the model was built from."""
        interests = self.interests
        return {
            "codebook_size": self.codebook_size,
            "num_levels": self.codes.shape[1],
            "graph_dim": None if self.graph is None else self.graph.shape[1],
            "content_dim": None if self.content is None else self.content.shape[1],
            "num_edges": None if self.edges is None else len(self.edges.values),
            "words": self.words is not None,
            "neighbors": self.neighbors is not None,
            "spans": None if self.timeline is None else len(self.timeline.ends),
            "prototypes": None
            if interests is None
            else [*interests.vectors.shape, interests.indices.shape[1]],
        }

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved shape; the IDs are read at once, because the trie is made of them."""
        meta, state = folder.meta, folder.tensors("state")
        config = read_config(G2RecConfig, folder.manifest["config"])
        prototypes = None
        if meta["prototypes"] is not None:
            prototypes = tuple(
                state[f"interests.{name}"].numpy() for name in ("vectors", "indices", "weights")
            )
        graph, content = (state[name].numpy() if name in state else None for name in ("graph", "content"))
        codes = state["codes"].numpy()
        edges = None
        if meta["num_edges"] is not None:
            edges = SparseItemRows(SparseItemRows.empty(len(codes), meta["num_edges"]))
        neighbors, words = (NearItems(len(codes)) if meta[name] else None for name in ("neighbors", "words"))
        timeline = None if meta["spans"] is None else ItemTimeline(len(codes), meta["spans"])
        parts = (prototypes, graph, content, edges, neighbors, words, timeline)
        return cls(config, codes, meta["codebook_size"], *parts)  # type: ignore[arg-type]


def _unit(features: Array | None) -> Float[Tensor, "I F"] | None:
    if features is None:
        return None
    return F.normalize(torch.from_numpy(np.array(features, dtype=np.float32)), dim=-1)


def _embedding(rows: int, dim: int) -> nn.Embedding:
    table = nn.Embedding(rows, dim)
    nn.init.normal_(table.weight, std=0.02)
    return table


def _projection(features: Tensor | None, dim: int) -> nn.Linear | None:
    if features is None:
        return None
    layer = nn.Linear(features.shape[1], dim, bias=False)
    nn.init.normal_(layer.weight, std=0.02)  # unit rows come out at the scale of the embeddings
    return layer


def _seen_at(
    items: Int[Tensor, "B T"], row: Int[Tensor, " P"], position: Int[Tensor, " P"]
) -> tuple[Int[Tensor, "P T"], Bool[Tensor, "P T"]]:
    """The items at or before each of P positions, and where each of them stands for the first time."""
    T = items.shape[1]
    at = torch.arange(T, device=items.device)
    repeated = (items.unsqueeze(2) == items.unsqueeze(1)) & (at < at.unsqueeze(1))
    first = (items >= 0) & ~repeated.any(2)
    return items.clamp(min=0)[row], first[row] & (at <= position.unsqueeze(1))


def _pad(items: Tensor, scores: Tensor, k: int) -> RankedItems:
    short = k - items.shape[1]
    if short > 0:
        items, scores = F.pad(items, (0, short), value=-1), F.pad(scores, (0, short), value=-torch.inf)
    return RankedItems(items.masked_fill(scores == -torch.inf, -1), scores)
