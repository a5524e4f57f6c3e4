"""What is alike for everyone: popularity, ever or of late, and how new an item is."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from g2rec.artifacts import Folder
from g2rec.interactions import Interactions
from g2rec.recommenders._base import Recommender
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._timeline import SPANS, ItemTimeline
from g2rec.shapes import Float, Int, Tensor

_LATELY = SPANS // 8


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


class _OverTime(Recommender):
    """A recommender that knows nothing but the timeline."""

    def __init__(self, timeline: ItemTimeline) -> None:
        super().__init__()
        self.num_items, self.timeline = len(timeline.counts), timeline

    def meta(self) -> Mapping[str, Any]:
        """Spans of the timeline."""
        return {"spans": len(self.timeline.ends)}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved size."""
        return cls(ItemTimeline(int(folder.meta["num_items"]), int(folder.meta["spans"])))


class RecentPopularity(_OverTime):
    """Score an item by its training events in the eighth of the log before the user asks.

    score_i = log(1 + n_i(t)),  t the time of the user's latest event

    Events after t are not counted, though in leave-one-out there are some. Without times: by all events.

    Args:
        timeline: Training events over time.
    """

    name = "recent_popularity"

    @classmethod
    def fit(cls, interactions: Interactions) -> Self:
        """Count the training events over time."""
        timeline = ItemTimeline.of(interactions)
        if timeline is None:  # one span, which is over
            timeline = ItemTimeline(interactions.num_items, 1)
            items = interactions.train_events().item_index
            timeline.counts[:, 1] = torch.from_numpy(np.bincount(items, minlength=interactions.num_items))
        return cls(timeline)

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """The logarithms of the counts."""
        return self.timeline.lately(batch.time, len(batch.lengths), _LATELY)


class Newness(_OverTime):
    """Score an item by how lately it was first engaged with: the newest first.

    score_i = -age_i(t),  t the time of the user's latest event

    The age is the share of the training events that lies between the item's first and t; an item that is not
    known by t counts as one of average age. Without times all items score alike. It is hardly a recommender
    by itself, but what popularity lacks in a fusion: of two items that were in demand equally often, the
    newer is in more demand.

    Args:
        timeline: Training events over time.
    """

    name = "newness"

    @classmethod
    def fit(cls, interactions: Interactions) -> Self:
        """Note when each item came."""
        timeline = ItemTimeline.of(interactions)
        return cls(ItemTimeline(interactions.num_items, 1) if timeline is None else timeline)

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """The negative ages."""
        age = self.timeline.age(batch.time, len(batch.lengths))
        return -self.timeline.average_unknown(batch.time, age)[0]
