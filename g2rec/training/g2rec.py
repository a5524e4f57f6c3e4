"""Fit G2Rec (and tiger_decoder, the same code without graph and prototypes) on the training events."""

import copy
import dataclasses
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from g2rec.artifacts import derive_seed
from g2rec.encoders import NodeEmbeddings
from g2rec.evaluation import expected_ndcg_at_k
from g2rec.graph import CoEngagementGraph
from g2rec.interactions import Interactions
from g2rec.prototypes import InterestPrototypes
from g2rec.recommenders import (
    EvidenceFusion,
    FusionMember,
    G2Rec,
    G2RecConfig,
    ItemTimeline,
    NearItems,
    TrainingBatch,
)
from g2rec.shapes import Bool, Float, Int, Tensor
from g2rec.tokenizers import SemanticIds
from g2rec.training.batches import BatchKey, batches
from g2rec.training.fitting import FitConfig, FitReport
from g2rec.training.sequence import (
    RecommenderModule,
    ValidationBatch,
    Windows,
    fit_recommender,
    training_windows,
    validation_loader,
    window_maker,
)

logger = logging.getLogger(__name__)
_FUSION_STEPS, _FUSION_BATCH = 300, 256
_NETWORK_USERS = 2_000
"""Validation users below which the fusion learns its weights alone."""
_CANDIDATE_USERS, _FUSION_USERS = 512, 51_200
"""Users ranked at once, and validation users at most that the fusion learns from: one takes about 10 kB."""
_SOLVED_USERS, _SOLVER_STEPS, _WEIGHT_PENALTY = 20_000, 200, 1e-3
"""Users whose targets the weights are solved for, steps at most, and the penalty of the weights' squares."""
_NETWORK_RATE, _NETWORK_DECAY = 5e-3, 3.0
_ROUNDED = 1 / 12
"""On a GPU, whose kernels are recorded for each shape, sizes of a batch are multiples of this share of it."""
_JUDGED_BEAM = 10
"""Beams that judge the token head while it is trained."""


def fit_g2rec(
    interactions: Interactions,
    semantic_ids: SemanticIds,
    prototypes: InterestPrototypes | None,
    embeddings: NodeEmbeddings | None,
    config: G2RecConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
    coengagement: CoEngagementGraph | None = None,
) -> tuple[G2Rec, FitReport]:
    """Train G2Rec, then learn the weights of the hybrid ranking on the validation targets.

    Each epoch is validated with the history masked out, by the mean of its heads' N@10, the token head's with
    a narrow beam. How the model is to rank makes no difference, so that one fit serves all rankings.

    Args:
        interactions: The prepared log; its content is used if it has any.
        semantic_ids: Collision-free IDs.
        prototypes: Needed unless ``config.feed`` is none.
        embeddings: Frozen item embeddings of the graph encoder, if they are to be used.
        config: The model.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial weights, the order, the splits and the dropout.
        coengagement: The item-item graph, for smoothing and as evidence.

    Raises:
        ConfigError: If a setting is out of range or an input that it needs is missing.
        DataError: If the inputs do not fit together.
    """
    torch.manual_seed(derive_seed(seed, "g2rec", "init"))
    counts = np.bincount(interactions.train_events().item_index, minlength=interactions.num_items)
    model = config.build(
        codes=semantic_ids.codes,
        codebook_size=semantic_ids.codebook_size,
        prototypes=None
        if prototypes is None
        else (prototypes.vectors, prototypes.indices, prototypes.weights),
        graph=None if embeddings is None else embeddings.items,
        content=interactions.content,
        coengagement=coengagement,
        words=NearItems.by_words(interactions) if "words" in config.evidence else None,
        neighbors=NearItems.by_engagement(interactions) if "neighbors" in config.evidence else None,
        counts=counts,
        timeline=ItemTimeline.of(interactions) if "trend" in config.evidence else None,
    )
    model.train_on(torch.from_numpy(counts > 0))
    windows = training_windows(interactions, config.transformer.max_len)
    gpu = fit_config.accelerator != "cpu" and torch.cuda.is_available()
    multiple = shape_multiple(windows, fit_config.batch_size) if gpu else 1
    train = training_batches(model, windows, fit_config.batch_size, seed, multiple)
    report = fit_recommender(
        model, train, interactions, fit_config=fit_config, folder=folder, seed=seed, masked=True,
        module_type=_HeadsModule,
    )  # fmt: skip
    if model.fusion is not None:
        home = model.device
        model.eval().to("cuda" if fit_config.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
        fit_fusion_weights(model, interactions, seed)
        model.to(home)
    return model, report


def training_batches(
    model: G2Rec, windows: Windows, batch_size: int, seed: int, multiple: int = 1
) -> DataLoader[TrainingBatch]:
    """Shuffled batches of windows, planned on the host; where each is split is drawn anew in each epoch.

    Args:
        model: Plans the batches.
        windows: Of the training events.
        batch_size: Windows in a batch.
        seed: With epoch and step, decides all draws.
        multiple: Shapes are filled up to it, see `G2Rec.plan`.
    """
    make_windows = window_maker(windows, seed)

    def make(key: BatchKey) -> TrainingBatch:
        rng = np.random.default_rng(derive_seed(seed, "splits", key.epoch, key.step))
        drawn = torch.from_numpy(rng.random(len(key.rows), dtype=np.float32))
        return model.plan(make_windows(key), drawn, multiple)

    return batches(make, len(windows.start), batch_size, seed=derive_seed(seed, "windows"), shuffle=True)


def shape_multiple(windows: Windows, batch_size: int) -> int:
    """What the shapes of batches are filled up to on a GPU: a power of two near a twelfth of their items."""
    items = float((windows.end - windows.start).mean()) * batch_size
    return int(2 ** max(0, round(math.log2(items * _ROUNDED))))


class _HeadsModule(RecommenderModule):
    """Judges an epoch by both heads, each ranking alone; the token head by a narrow beam.

    Ten beams find 88% of the ten best items of Amazon Beauty's catalogue (docs/figures.md, Decoding).
    """

    def judge(self, batch: ValidationBatch) -> Float[Tensor, " B"]:
        asked = self.model.config
        heads = {"dense": asked.dense_weight, "generative": asked.token_weight}
        judged = {}
        try:
            for ranking in [name for name, weight in heads.items() if weight]:
                self.model.config = dataclasses.replace(asked, ranking=ranking, beam_width=_JUDGED_BEAM)
                judged[ranking] = super().judge(batch).float()
        finally:
            self.model.config = asked
        if len(judged) > 1:
            for ranking, values in judged.items():
                self.log(f"val_{ranking}_ndcg@10", values.mean(), batch_size=len(values))
        return torch.stack(list(judged.values())).mean(0)


def fit_fusion_weights(model: G2Rec, interactions: Interactions, seed: int) -> dict[str, float]:
    """Learn how much the hybrid ranking trusts each kind of evidence, on the validation targets.

    Each member of the fusion minimises the cross-entropy of the target among each user's candidates. For the
    weights alone that is a conditional logit (McFadden, 1974), which is convex: L-BFGS finds its minimum. The
    networks go on from there by AdamW with a falling rate. From 2,000 users on, whether they are learned is
    decided by N@10 in a cross-validation over two halves of the users, of all members' mean as it ranks in
    the end. Of more than 51,200 validation users some are drawn, and the weights are solved for 20,000 of
    them. As with the fusion baseline, validation targets only choose weights.

    Returns:
        Each kind's weight, for a user of average context.
    """
    assert model.fusion is not None
    for member in model.fusion.learners():
        member.reset()
    data = _candidates(model, interactions, seed)
    fusion = model.fusion.cpu()
    token = data.evidence[..., -1][data.items >= 0]
    mean, spread = data.context.mean(0), data.context.std(0, correction=0)
    fusion.centre.copy_(mean)
    fusion.scale.copy_(torch.where(spread > 0.01, spread, torch.inf))  # what is alike for all says nothing
    fusion.token_centre.copy_(token.mean())
    fusion.token_scale.copy_(token.std(correction=0).clamp(min=1e-3))
    data.evidence[..., -1] = fusion.standardize_token(data.evidence[..., -1])
    data = data._replace(context=fusion.usual(data.context))
    order = torch.randperm(len(data.items), generator=_generator(seed, "halves"))
    halves = (order[: len(order) // 2], order[len(order) // 2 :])
    held_out: dict[str, float] = {}
    if len(order) >= _NETWORK_USERS:
        trials: dict[str, list[Tensor]] = {"weights": [], "networks": []}
        for fitted, judged in (halves, halves[::-1]):
            members = copy.deepcopy(fusion.learners())
            _start_from(_solved(fusion, data, fitted), members)
            trials["weights"].append(_fusion_ndcg(members[:1], data, judged))
            _learn_all_networks(members, data, fitted, seed)
            trials["networks"].append(_fusion_ndcg(members, data, judged))
        held_out = {form: float(torch.cat(judged).mean()) for form, judged in trials.items()}
    form = max(held_out, key=lambda name: held_out[name], default="weights")
    _start_from(_solved(fusion, data, order), fusion.learners())
    if form == "networks":  # weights alone are the same for every member
        _learn_all_networks(fusion.learners(), data, order, seed)
    fusion.to(model.codes.device)
    weights = dict(zip(model.kinds, fusion.weights.tolist(), strict=True))
    told = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
    judged_by = "".join(f", held-out N@10 {value:.4f} with {name}" for name, value in held_out.items())
    logger.info("g2rec: the fusion learned its %s%s; %s", form, judged_by, told)
    return weights


class _FusionData(NamedTuple):
    items: Int[Tensor, "U J"]
    evidence: Float[Tensor, "U J K"]
    context: Float[Tensor, "U K"]
    seen: Bool[Tensor, "U J"]
    hit: Bool[Tensor, "U J"]


@torch.no_grad()
def _candidates(model: G2Rec, interactions: Interactions, seed: int) -> _FusionData:
    """What is proposed to each validation user (of very many, to some), on the CPU, padded alike."""
    k = min(10, model.num_items)
    loader = validation_loader(interactions, _CANDIDATE_USERS)
    order = torch.randperm(len(loader), generator=_generator(seed, "fusion users"))
    drawn = set(order[: _FUSION_USERS // _CANDIDATE_USERS].tolist())
    parts = []
    for place, (batch, target) in enumerate(loader):
        if place not in drawn:
            continue
        found = model.candidates(batch.to(model.device), k)
        hit = found.items == target.to(model.device).unsqueeze(1)
        parts.append([t.cpu() for t in (*found, hit)])
    return _FusionData(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _solved(fusion: EvidenceFusion, data: _FusionData, users: Int[Tensor, " n"]) -> FusionMember:
    """A member whose networks say nothing, at the minimum of its convex loss; the fusion stays as it is.

    In double precision and to the end, so that a difference in the last digit of the evidence does not move
    the weights.
    """
    member = copy.deepcopy(fusion.learners()[0])
    users = _taught(data, users)[:_SOLVED_USERS]
    if not len(users):
        return member
    member.double()
    evidence, seen = member.bounded(data.evidence[users]).double(), data.seen[users]
    optimizer = torch.optim.LBFGS(
        [member.weights, member.repeat],
        max_iter=_SOLVER_STEPS,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        penalty = member.weights.square().sum() + member.repeat.square()
        value = _cross_entropy(evidence @ member.weights + member.offset * seen, data, users)
        value = value + _WEIGHT_PENALTY * penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    return member.float()


def _start_from(solved: FusionMember, members: Sequence[FusionMember]) -> None:
    """Give members the solved weights; their networks stay as they are."""
    for member in members:
        member.weights.data.copy_(solved.weights.data)
        member.repeat.data.copy_(solved.repeat.data)


def _learn_all_networks(
    members: Sequence[FusionMember], data: _FusionData, users: Int[Tensor, " n"], seed: int
) -> None:
    """The networks of each member, apart from the others'."""
    for place, member in enumerate(members):
        _learn_networks(member, data, users, _generator(seed, f"fusion {place}"))


def _learn_networks(
    member: FusionMember, data: _FusionData, users: Int[Tensor, " n"], generator: torch.Generator
) -> None:
    """The networks of a member, and its weights from where they are."""
    users = _taught(data, users)
    if not len(users):
        return
    networks = [*member.gate.parameters(), *member.agree.parameters()]
    groups = [
        {"params": [member.weights, member.repeat], "weight_decay": 0.0},
        {"params": networks, "weight_decay": _NETWORK_DECAY},
    ]
    optimizer = torch.optim.AdamW(groups, lr=_NETWORK_RATE)
    rows_a_step = min(_FUSION_BATCH, len(users))
    member.train()
    for step in range(_FUSION_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = _NETWORK_RATE * (1 - step / _FUSION_STEPS)
        rows = users[torch.randint(len(users), (rows_a_step,), generator=generator)]
        loss = _cross_entropy(member(data.evidence[rows], data.context[rows], data.seen[rows]), data, rows)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    optimizer.zero_grad()
    member.eval()


def _taught(data: _FusionData, users: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """Users whose target was proposed: the others teach nothing."""
    return users[data.hit[users].any(1)]


def _cross_entropy(
    scores: Float[Tensor, "n J"], data: _FusionData, users: Int[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Of the target among the candidates of each user, who must have it among them."""
    log_p = scores.masked_fill(data.items[users] < 0, -torch.inf).log_softmax(1)
    return -log_p[data.hit[users]].mean()


@torch.no_grad()
def _fusion_ndcg(
    members: Sequence[FusionMember], data: _FusionData, users: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Expected N@10 of the members' mean, without the history; of users whose target was not proposed, 0."""
    parts = []
    for rows in torch.split(users, 2048):
        hit = data.hit[rows]
        taken = data.evidence[rows], data.context[rows], data.seen[rows]
        scores = torch.stack([member(*taken) for member in members]).mean(0)
        scores = scores.masked_fill((data.items[rows] < 0) | (data.seen[rows] & ~hit), -torch.inf)
        goal = scores.masked_fill(~hit, -torch.inf).amax(1, keepdim=True)
        above, tied = (scores > goal).sum(1), (scores == goal).sum(1)
        parts.append(torch.where(hit.any(1), expected_ndcg_at_k(above, tied, 10), 0.0))
    return torch.cat(parts)


def _generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, "g2rec", purpose))
