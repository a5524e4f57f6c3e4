"""Popularity: the same items for everyone."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from g2rec.artifacts import Folder
from g2rec.interactions import Interactions
from g2rec.recommenders._base import Recommender
from g2rec.recommenders._history import HistoryBatch
from g2rec.shapes import Float, Int, Tensor


class Popularity(Recommender):
    """Score an item by its training events.

    Args:
        counts: Training events of each item.
    """

    name = "popularity"
    counts: Tensor

    def __init__(self, counts: Int[Tensor, " I"]) -> None:
        super().__init__()
        self.num_items = len(counts)
        self.register_buffer("counts", counts.float())

    @classmethod
    def fit(cls, interactions: Interactions) -> Self:
        """Count the training events."""
        items = interactions.train_events().item_index
        return cls(torch.from_numpy(np.bincount(items, minlength=interactions.num_items)))

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """The counts, for every user."""
        return self.counts.expand(len(batch.lengths), -1)

    def meta(self) -> Mapping[str, Any]:
        """Nothing beside the catalogue's size."""
        return {}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved size."""
        return cls(torch.zeros(int(folder.meta["num_items"])))
