"""Recommenders: each ranks the items of the catalogue for users' histories."""

from g2rec.recommenders._base import RankedItems, Recommender
from g2rec.recommenders._history import HistoryBatch, history_batch, pad_windows
from g2rec.recommenders._sasrec import SASRec, SASRecConfig
from g2rec.recommenders._transformer import CausalTransformer, TransformerConfig

__all__ = [
    "CausalTransformer",
    "HistoryBatch",
    "RankedItems",
    "Recommender",
    "SASRec",
    "SASRecConfig",
    "TransformerConfig",
    "history_batch",
    "pad_windows",
]
