"""How much each item was engaged with lately, and since when, as of the time at which a user asks."""

from typing import Self

import numpy as np
import torch
from torch import nn

from g2rec.interactions import Interactions
from g2rec.shapes import Float, Int, Tensor

SPANS = 128
"""Spans that the training events are cut into, of about as many events each: a log has its own pace."""
WINDOWS = (1, 4, 16, 64)
"""Spans looked back over: about 1/128, 1/32, 1/8 and half of all events."""


class ItemTimeline(nn.Module):
    """Training events of each item before the start of each span of the log.

    Only spans that are over by the time of asking are looked at, so that nothing later is known: a user who
    asks at t is told of events before the span that t lies in. That holds in leave-one-out too, where the
    training events of others go on after a user's target.

    Args:
        num_items: I.
        num_spans: S.
    """

    ends: Tensor
    counts: Tensor

    def __init__(self, num_items: int, num_spans: int) -> None:
        super().__init__()
        self.register_buffer("ends", torch.zeros(num_spans, dtype=torch.long))
        self.register_buffer("counts", torch.zeros(num_items, num_spans + 1, dtype=torch.int32))

    @classmethod
    def of(cls, interactions: Interactions) -> Self | None:
        """Count the training events; None where the log has no times."""
        events = interactions.train_events()
        if events.time is None or not len(events.time):
            return None
        time = np.sort(np.asarray(events.time, dtype=np.int64))
        inner = np.unique(time[np.arange(1, SPANS) * len(time) // SPANS])
        ends = np.append(inner, time[-1] + 1)
        made = cls(interactions.num_items, len(ends))
        span = np.searchsorted(ends, events.time, side="right")
        counts = np.zeros((interactions.num_items, len(ends) + 1), np.int32)
        np.add.at(counts, (events.item_index, span + 1), 1)
        made.ends.copy_(torch.from_numpy(ends))
        made.counts.copy_(torch.from_numpy(counts.cumsum(1, dtype=np.int32)))
        return made

    def lately(
        self, time: Int[Tensor, " B"] | None, num_users: int, window: int | None
    ) -> Float[Tensor, "B I"]:
        """log(1 + n_i), the events of each item in the last ``window`` spans that are over.

        Args:
            time: When each user asks, in seconds; None: after all of the log.
            num_users: B.
            window: None for all that went before.
        """
        over = self._over(time, num_users)
        count = self.counts.T[over]
        if window is not None:
            count = count - self.counts.T[(over - window).clamp(min=0)]
        return count.float().log1p()

    def age(self, time: Int[Tensor, " B"] | None, num_users: int) -> Float[Tensor, "B I"]:
        """Share of the log since an item's first event; 0 if none is known by the time of asking."""
        before_first = (self.counts == 0).sum(1) - 1
        age = self._over(time, num_users).unsqueeze(1) - before_first
        return age.clamp(min=0).float() / max(len(self.ends), 1)

    def gather(self, time: Int[Tensor, " B"] | None, num_users: int) -> list[Float[Tensor, "B I"]]:
        """All of it: `lately` for each of `WINDOWS` and for all that went before, `age`, log(1 + its spans).

        An item that is not known by the time of asking counts as the average one that is: nothing is known of
        it, not that nobody wants it, nor that it is about to come.
        """
        age = self.age(time, num_users)
        found = [self.lately(time, num_users, window) for window in (*WINDOWS, None)]
        return self.average_unknown(time, *found, age, (age * len(self.ends)).log1p())

    def average_unknown(
        self, time: Int[Tensor, " B"] | None, *columns: Float[Tensor, "B I"]
    ) -> list[Float[Tensor, "B I"]]:
        """Scores of items; one that is not known by the time of asking gets the mean of those that are."""
        known = self.counts.T[self._over(time, len(columns[0]))] > 0
        share = known.float() / known.sum(1, keepdim=True).clamp(min=1)
        return [torch.where(known, scores, (scores * share).sum(1, keepdim=True)) for scores in columns]

    def _over(self, time: Int[Tensor, " B"] | None, num_users: int) -> Int[Tensor, " B"]:
        if time is None:
            return torch.full((num_users,), len(self.ends), device=self.ends.device)
        return torch.searchsorted(self.ends, time, right=True)
