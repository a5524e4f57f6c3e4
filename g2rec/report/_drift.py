"""How the prototypes' shares of the events change over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g2rec.interactions import Interactions
from g2rec.prototypes import InterestPrototypes

_BUCKETS = 12
_LEAST = 50
"""Training events of a bucket, at least."""


@dataclass(frozen=True)
class Drift:
    """Shares of the prototypes in buckets of time that hold alike many training events."""

    start: NDArray[np.int64]
    """[B] seconds since 1970: the first event of each bucket."""
    end: NDArray[np.int64]
    """[B] the last one."""
    shares: NDArray[np.float64]
    """[B, C], each row sums to 1."""
    events: int
    """Training events of the smallest bucket."""

    @property
    def change(self) -> NDArray[np.float64]:
        """[C] share in the later half of the buckets less that in the earlier half."""
        half = len(self.shares) // 2
        difference: NDArray[np.float64] = self.shares[-half:].mean(axis=0) - self.shares[:half].mean(axis=0)
        return difference


def measure_drift(log: Interactions, prototypes: InterestPrototypes) -> Drift | None:
    """Share of each prototype in the training events of twelve buckets of time.

    share_ba = (1 / |b|) sum over the events e of bucket b of p_ia, i the item of e. Buckets hold alike many
    events, so that each share is as certain as the next; events of one second share a bucket.

    Args:
        log: The events; only those of training count.
        prototypes: Memberships of the items.

    Returns:
        None where the events have no times, all happened at once, or are fewer than a hundred.
    """
    events = log.train_events()
    if events.time is None or len(events.time) < 2 * _LEAST:
        return None
    order = np.argsort(events.time, kind="stable")
    time, item = np.asarray(events.time)[order], np.asarray(events.item_index)[order]
    wanted = np.linspace(0, len(time), 1 + min(_BUCKETS, len(time) // _LEAST)).astype(np.int64)[1:-1]
    cuts = np.unique(np.searchsorted(time, time[wanted], side="left"))
    first = np.unique(np.concatenate([[0], cuts]))
    if len(first) < 2:
        return None
    last = np.append(first[1:], len(time))
    member = prototypes.memberships.matrix(prototypes.num_prototypes)
    shares = np.stack(
        [
            np.bincount(item[low:high], minlength=log.num_items) @ member
            for low, high in zip(first, last, strict=True)
        ]
    )
    total = shares.sum(axis=1, keepdims=True)
    return Drift(time[first], time[last - 1], shares / total, int((last - first).min()))
