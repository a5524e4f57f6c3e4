"""All measures of one model's rankings, as plain JSON."""

from dataclasses import dataclass
from typing import Any

from g2rec.evaluation.diversity import coverage, gini, novelty
from g2rec.evaluation.expected import expected_mrr_at_k, expected_ndcg_at_k, expected_recall_at_k
from g2rec.evaluation.ranks import check_cutoffs
from g2rec.evaluation.slices import popularity_slices
from g2rec.evaluation.uncertainty import bootstrap_interval
from g2rec.shapes import Bool, Int, Tensor

CUTOFFS = (5, 10, 20, 50)


@dataclass(frozen=True)
class TargetRanks:
    """Where every evaluated user's target stands, with the history allowed and masked out."""

    num_above: Int[Tensor, " B"]
    num_tied: Int[Tensor, " B"]
    masked_above: Int[Tensor, " B"]
    """The same with the items of the user's history taken out of the ranking."""
    masked_tied: Int[Tensor, " B"]
    in_history: Bool[Tensor, " B"]
    """The target is in the user's history: masked figures leave these users out."""
    target: Int[Tensor, " B"]
    top_items: Int[Tensor, "B K"]
    """The best items, history allowed; -1 pads."""
    num_items: int
    """Size of the catalogue."""

    def ndcg(self, k: int = 10, *, masked: bool = False) -> Tensor:
        """Expected NDCG at K of every user (of those that count, if masked), for tests between models."""
        above, tied = _side(self, masked)
        return expected_ndcg_at_k(above, tied, k)

    def recall(self, k: int = 10, *, masked: bool = False) -> Tensor:
        """Expected recall at K of every user (of those that count, if masked)."""
        above, tied = _side(self, masked)
        return expected_recall_at_k(above, tied, k)


def summarize(
    ranks: TargetRanks,
    item_counts: Int[Tensor, " I"],
    *,
    cutoffs: tuple[int, ...] = CUTOFFS,
    seed: int = 0,
    num_samples: int = 1000,
) -> dict[str, Any]:
    """Turn ranks into metrics: plain values, ready for ``metrics.json``.

    Args:
        ranks: From ranking all users.
        item_counts: Training events of each item, for novelty and the popularity slices.
        cutoffs: The Ks.
        seed: Of the bootstrap.
        num_samples: Bootstrap resamples.

    Returns:
        ``unmasked`` and ``masked`` ({metric@K: {mean, low, high}}), ``slices`` (the same of masked R@10 and
        N@10, for head, torso, tail and cold targets), ``coverage@10``, ``gini@10``, ``novelty@10`` (bits),
        ``num_users`` and ``left_out_when_masked``.

    Raises:
        ConfigError: If a cut-off is larger than the catalogue.
    """
    check_cutoffs(cutoffs, ranks.num_items)
    report: dict[str, Any] = {
        "num_users": int(ranks.target.numel()),
        "left_out_when_masked": int(ranks.in_history.sum()),
    }
    for name, masked in (("unmasked", False), ("masked", True)):
        above, tied = _side(ranks, masked)
        report[name] = {
            f"{metric}@{k}": bootstrap_interval(
                measure(above, tied, k), seed=seed, num_samples=num_samples
            )._asdict()
            for metric, measure in _MEASURES.items()
            for k in cutoffs
        }
    k = min(10, ranks.num_items)
    kept = ~ranks.in_history
    above, tied = _side(ranks, masked=True)
    report["slices"] = {
        name: {
            "num_users": int(members.sum()),
            **{
                f"{metric}@{k}": bootstrap_interval(
                    _MEASURES[metric](above[members], tied[members], k), seed=seed, num_samples=num_samples
                )._asdict()
                for metric in ("recall", "ndcg")
            },
        }
        for name, members in popularity_slices(ranks.target[kept], item_counts).items()
    }
    shown = ranks.top_items[:, :k]
    report[f"coverage@{k}"] = coverage(shown, ranks.num_items)
    report[f"gini@{k}"] = gini(shown, ranks.num_items)
    report[f"novelty@{k}"] = novelty(shown, item_counts)
    return report


_MEASURES = {
    "recall": expected_recall_at_k,
    "ndcg": expected_ndcg_at_k,
    "mrr": expected_mrr_at_k,
    "hit": expected_recall_at_k,  # the same number with one target a user; both names are in use
}


def _side(ranks: TargetRanks, masked: bool) -> tuple[Tensor, Tensor]:
    if not masked:
        return ranks.num_above, ranks.num_tied
    kept = ~ranks.in_history
    return ranks.masked_above[kept], ranks.masked_tied[kept]
