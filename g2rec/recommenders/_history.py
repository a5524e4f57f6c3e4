"""Batches of user histories, padded on the right, made from CSR arrays without a loop."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from g2rec.errors import DataError
from g2rec.shapes import Bool, Int, Tensor


@dataclass(frozen=True)
class HistoryBatch:
    """What B users did, oldest first.

    Rows are padded on the right: a causal model then needs no padding mask, because no position that
    counts comes after a padded one.
    """

    user_index: Int[Tensor, " B"]
    items: Int[Tensor, "B T"]
    """Item indices; -1 pads."""
    lengths: Int[Tensor, " B"]
    """Items in each row; may be 0."""
    without: Bool[Tensor, "B C"] | None = None
    """Interest prototypes that a user switched off; models without prototypes ignore it."""
    time: Int[Tensor, " B"] | None = None
    """When each user asks, in seconds since 1970; None: after all that the model was fitted on."""

    def to(self, device: torch.device | str) -> "HistoryBatch":
        """The same batch on ``device``."""
        fields = {name: moved(value, device) for name, value in vars(self).items() if value is not None}
        return HistoryBatch(**fields)

    def last(self, n: int) -> "HistoryBatch":
        """Only the latest ``n`` items of each user."""
        if self.items.shape[1] <= n:
            return self
        kept = self.lengths.clamp(max=n)
        columns = torch.arange(n, device=self.items.device)
        at = (self.lengths - kept).unsqueeze(1) + columns
        items = self.items.gather(1, at.clamp(max=self.items.shape[1] - 1))
        items = items.masked_fill(columns >= kept.unsqueeze(1), -1)
        return replace(self, items=items, lengths=kept)

    def recent(self, n: int) -> Int[Tensor, "B n"]:
        """The latest ``n`` items, newest first; -1 pads."""
        at = self.lengths.unsqueeze(1) - 1 - torch.arange(n, device=self.items.device)
        if self.items.shape[1] == 0:
            return torch.full_like(at, -1)
        return self.items.gather(1, at.clamp(min=0)).masked_fill(at < 0, -1)

    def seen(self, num_items: int) -> Bool[Tensor, "B I"]:
        """Which items are in each user's history."""
        mask = torch.zeros(len(self.lengths), num_items + 1, dtype=torch.bool, device=self.items.device)
        mask.scatter_(1, self.items.long().masked_fill(self.items < 0, num_items), True)
        return mask[:, :num_items]


class TargetBatch(NamedTuple):
    """Histories and the item that came next, for training."""

    user_index: Int[Tensor, " B"]
    items: Int[Tensor, "B T"]
    """Padded as in `HistoryBatch`."""
    lengths: Int[Tensor, " B"]
    target: Int[Tensor, " B"]

    def to(self, device: torch.device | str) -> "TargetBatch":
        """The same batch on ``device``."""
        return TargetBatch(*(moved(part, device) for part in self))


def moved(part: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of a batch on ``device``; the host does not wait for a GPU to take it."""
    return part.to(device, non_blocking=torch.device(device).type == "cuda")


def history_batch(
    indptr: np.ndarray[Any, Any],
    history: np.ndarray[Any, Any],
    user_index: np.ndarray[Any, Any],
    rows: np.ndarray[Any, Any] | None = None,
    time: np.ndarray[Any, Any] | None = None,
) -> HistoryBatch:
    """Pad rows of CSR histories.

    Args:
        indptr: Int64 offsets into ``history``, one more than there are rows.
        history: Item indices, oldest first.
        user_index: The user of each row.
        rows: Rows to take, in this order; all by default.
        time: When the user of each row asks, in seconds; None: after all of the log.

    Raises:
        DataError: If the arrays do not fit together.
    """
    if len(indptr) != len(user_index) + 1 or (len(indptr) and int(indptr[-1]) != len(history)):
        raise DataError(
            f"histories of {len(user_index)} users need {len(user_index) + 1} offsets that end at "
            f"{len(history)}, got {len(indptr)}; take all three arrays from one Targets"
        )
    if rows is None:
        rows = np.arange(len(user_index))
    items = pad_windows(history, indptr[rows], indptr[rows + 1])
    return HistoryBatch(
        torch.from_numpy(np.asarray(user_index[rows], dtype=np.int64)),
        torch.from_numpy(items),
        torch.from_numpy(np.asarray(indptr[rows + 1] - indptr[rows], dtype=np.int64)),
        time=None if time is None else torch.from_numpy(np.asarray(time[rows], dtype=np.int64)),
    )


def pad_windows(
    values: np.ndarray[Any, Any], start: np.ndarray[Any, Any], end: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Lay the slices ``values[start[b]:end[b]]`` out as rows, padded on the right with -1."""
    lengths = np.asarray(end) - np.asarray(start)
    width = int(lengths.max(initial=0))
    if width == 0:
        return np.full((len(lengths), 0), -1, dtype=np.int64)
    columns = np.arange(width)
    inside = columns < lengths[:, None]
    at = np.where(inside, np.asarray(start)[:, None] + columns, 0)
    return np.where(inside, np.asarray(values)[at], -1).astype(np.int64)
