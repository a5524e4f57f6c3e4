"""Rank the catalogue for all users and find their targets: validation, and `g2rec evaluate`."""

from pathlib import Path

import numpy as np
import torch

from g2rec.artifacts import open_folder, save_folder
from g2rec.evaluation import TargetRanks, check_cutoffs, expected_ndcg_at_k, ranked_target_rank, target_rank
from g2rec.interactions import Targets
from g2rec.recommenders import HistoryBatch, Recommender, history_batch
from g2rec.shapes import Bool, Int, Tensor

_KIND = "target_ranks"
_FIELDS = ("num_above", "num_tied", "masked_above", "masked_tied", "in_history", "target", "top_items")
Ranks = tuple[Int[Tensor, " B"], Int[Tensor, " B"]]


@torch.no_grad()
def rank_all(model: Recommender, targets: Targets, *, top_k: int = 50, batch_size: int = 512) -> TargetRanks:
    """Rank the whole catalogue for every evaluated user, with and without their history masked out.

    Runs on the model's device and in float32; the result is on the CPU.

    Args:
        model: A fitted recommender.
        targets: Users, targets and histories.
        top_k: Length of the kept lists, and of a beam's ranking: targets beyond it are misses there.
        batch_size: Users ranked at once.

    Raises:
        ConfigError: If ``top_k`` is larger than the catalogue.
    """
    check_cutoffs((top_k,), model.num_items)
    model.eval()
    parts: list[list[Tensor]] = []
    for start in range(0, len(targets.target), batch_size):
        rows = np.arange(start, min(start + batch_size, len(targets.target)))
        parts_of = (targets.indptr, targets.history, targets.user_index, rows, targets.asked)
        batch = history_batch(*parts_of).to(model.device)
        target = torch.from_numpy(np.asarray(targets.target[rows], dtype=np.int64)).to(model.device)
        parts.append([t.cpu() for t in _rank_batch(model, batch, target, top_k)])
    if not parts:
        none = torch.zeros(0, dtype=torch.int64)
        return TargetRanks(none, none, none, none, none.bool(), none, none.view(0, top_k), model.num_items)
    above, tied, masked_above, masked_tied, inside, target, top = (
        torch.cat(column) for column in zip(*parts, strict=True)
    )
    return TargetRanks(above, tied, masked_above, masked_tied, inside, target, top, model.num_items)


def save_ranks(path: Path, ranks: TargetRanks, *, seconds: float) -> None:
    """Write ranks as a folder, with the time that ranking took.

    Raises:
        ArtifactError: If the disk refuses the write.
    """
    arrays = {field: getattr(ranks, field).numpy() for field in _FIELDS}
    save_folder(path, _KIND, arrays=arrays, meta={"num_items": ranks.num_items, "seconds": seconds})


def load_ranks(path: Path) -> tuple[TargetRanks, float | None]:
    """Open what `save_ranks` wrote, and the seconds; None if they are not known.

    Raises:
        ArtifactError: If the folder is missing, damaged, or of another kind.
    """
    folder = open_folder(path, _KIND)
    arrays = {field: torch.from_numpy(folder.array(field, mmap=False)) for field in _FIELDS}
    return TargetRanks(**arrays, num_items=int(folder.meta["num_items"])), folder.meta.get("seconds")


def batch_ndcg(
    model: Recommender, batch: HistoryBatch, target: Int[Tensor, " B"], k: int = 10, *, masked: bool = False
) -> Tensor:
    """Expected NDCG at K of each user of a batch: the score that selects models.

    Masked takes the history, but never the target, out of the ranking.
    """
    k = min(k, model.num_items)
    exclude = batch.seen(model.num_items).scatter(1, target.unsqueeze(1), False) if masked else None
    if model.scores_all_items:
        above, tied = target_rank(model.score(batch), target, exclude)
    else:
        ranked = model.rank(batch, k, exclude=exclude)
        above, tied = ranked_target_rank(ranked.items, ranked.scores, target, model.num_items)
    return expected_ndcg_at_k(above, tied, k)


def _rank_batch(model: Recommender, batch: HistoryBatch, target: Tensor, top_k: int) -> list[Tensor]:
    seen: Bool[Tensor, "B I"] = batch.seen(model.num_items)
    inside = seen.gather(1, target.unsqueeze(1)).squeeze(1)
    if model.scores_all_items:
        scores = model.score(batch)
        plain, masked = target_rank(scores, target), target_rank(scores, target, seen)
        top = scores.topk(top_k, dim=1).indices
    else:
        free = model.rank(batch, top_k)
        fresh = model.rank(batch, top_k, exclude=seen)
        plain = ranked_target_rank(free.items, free.scores, target, model.num_items)
        masked = ranked_target_rank(fresh.items, fresh.scores, target, model.num_items)
        top = free.items
    return [*plain, *masked, inside, target, top]
