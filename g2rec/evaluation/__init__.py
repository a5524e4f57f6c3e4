"""Metrics from ranks alone: expected over ties, over the full catalogue, with intervals over users."""

from g2rec.evaluation.diversity import coverage, gini, novelty
from g2rec.evaluation.expected import expected_mrr_at_k, expected_ndcg_at_k, expected_recall_at_k
from g2rec.evaluation.ranks import check_cutoffs, ranked_target_rank, target_rank
from g2rec.evaluation.slices import popularity_slices
from g2rec.evaluation.summary import CUTOFFS, TargetRanks, summarize
from g2rec.evaluation.uncertainty import Interval, PairedTest, bootstrap_interval, paired_test

__all__ = [
    "CUTOFFS",
    "Interval",
    "PairedTest",
    "TargetRanks",
    "bootstrap_interval",
    "check_cutoffs",
    "coverage",
    "expected_mrr_at_k",
    "expected_ndcg_at_k",
    "expected_recall_at_k",
    "gini",
    "novelty",
    "paired_test",
    "popularity_slices",
    "ranked_target_rank",
    "summarize",
    "target_rank",
]
