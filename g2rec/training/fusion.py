"""Fit the fusion baseline: weights chosen on the validation targets."""

from collections.abc import Mapping

import numpy as np
import torch

from g2rec.errors import DataError
from g2rec.evaluation import expected_ndcg_at_k, target_rank
from g2rec.interactions import Interactions
from g2rec.recommenders import Fusion, HistoryBatch, Recommender
from g2rec.shapes import Float, Tensor
from g2rec.training.sequence import validation_loader

WEIGHTS = (0.0, *(2.0 ** (step / 2) for step in range(-14, 7)))
"""What a part may weigh, the first weighing 1: nothing, or 1/128 to 8 by factors of root two."""
REPEATS = (0.0, -1.0, 1.0, -2.0, 2.0, -4.0, 4.0, -8.0, 8.0, -16.0, 16.0, -32.0)
"""What being in the history may add, in standard deviations of the first part."""
_CANDIDATES = 100
"""Best items of each part that the search of the weights looks at."""
_ROUNDS = 8
"""Passes over the parts, at most; a pass that changes nothing ends the search."""


@torch.no_grad()
def fit_fusion(interactions: Interactions, parts: Mapping[str, Recommender]) -> Fusion:
    """Choose the weights of a fusion by masked N@10 on validation, by coordinate search.

    The first part weighs 1 and the others start at 0. One part after the other takes the weight of `WEIGHTS`
    with the highest masked N@10, until no weight changes. An item counts in the search if it is among the
    100 best of some part: hardly another gets into the first ten. Then the offset of the history's items is
    the one of `REPEATS` with the highest N@10 without a mask, over the whole catalogue.

    Memory: 100 candidates of each part a validation user, in float32 for each part; 440 MB for 22,363 users
    and 7 parts.

    Args:
        interactions: The prepared log.
        parts: Fitted recommenders that score all items; they move to the GPU if there is one.

    Raises:
        ConfigError: If the parts do not fit together.
        DataError: If there is no validation target outside its user's history.
    """
    model = Fusion(parts, torch.tensor([1.0] + [0.0] * (len(parts) - 1)), 0.0)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    found = [_candidates(model, *item) for item in _batches(interactions, model.device)]
    others, target = (torch.cat(column) for column in zip(*found, strict=True))
    if not len(target):
        raise DataError("expected validation targets outside the history, found none; leave out the fusion")
    model.weights.copy_(_search(others, target))
    total = torch.zeros(len(REPEATS), dtype=torch.float64)
    for batch, goal in _batches(interactions, model.device):
        scores, seen = model.score(batch), batch.seen(model.num_items)
        for at, repeat in enumerate(REPEATS):
            above, tied = target_rank(scores + repeat * seen, goal)
            total[at] += expected_ndcg_at_k(above, tied, 10).sum().cpu()
    model.repeat.fill_(REPEATS[int(total.argmax())])
    return model


def _batches(interactions: Interactions, device: torch.device) -> list[tuple[HistoryBatch, Tensor]]:
    loader = validation_loader(interactions, 256)
    return [(batch.to(device), target.to(device)) for batch, target in loader]


def _candidates(
    model: Fusion, batch: HistoryBatch, target: Tensor
) -> tuple[Float[Tensor, "b C P"], Float[Tensor, "b P"]]:
    """Evidence of each user's candidates (-inf where there is none) and of the target; masked users only."""
    seen = batch.seen(model.num_items)
    evidence = model.evidence(batch, seen)
    goal = target.unsqueeze(1)
    hidden = seen.scatter(1, goal, True)
    count = min(_CANDIDATES, model.num_items)
    best = evidence.masked_fill(hidden, -torch.inf).topk(count, dim=2).indices
    items = best.transpose(0, 1).flatten(1).sort(dim=1).values
    skipped = hidden.gather(1, items)
    skipped[:, 1:] |= items[:, 1:] == items[:, :-1]
    picked = torch.stack([scores.gather(1, items) for scores in evidence], dim=2)
    mine = torch.stack([scores.gather(1, goal) for scores in evidence], dim=2).squeeze(1)
    fresh = ~seen.gather(1, goal).squeeze(1)
    return picked.masked_fill(skipped.unsqueeze(2), -torch.inf)[fresh], mine[fresh]


def _search(others: Float[Tensor, "U C P"], target: Float[Tensor, "U P"]) -> Float[Tensor, " P"]:
    absent = others[..., 0] == -torch.inf
    others = others.masked_fill(absent.unsqueeze(2), 0.0)
    weights = torch.zeros(others.shape[2], device=others.device)
    weights[0] = 1.0
    for _ in range(_ROUNDS):
        before = weights.clone()
        for part in range(1, len(weights)):
            weights[part] = 0.0
            rest, mine = (others @ weights).masked_fill(absent, -torch.inf), target @ weights
            values = []
            for weight in WEIGHTS:
                scores, score = (
                    rest + weight * others[..., part],
                    (mine + weight * target[:, part]).unsqueeze(1),
                )
                above, tied = (scores > score).sum(1), 1 + (scores == score).sum(1)
                values.append(float(expected_ndcg_at_k(above, tied, 10).mean()))
            weights[part] = WEIGHTS[int(np.argmax(values))]
        if torch.equal(weights, before):
            break
    return weights
