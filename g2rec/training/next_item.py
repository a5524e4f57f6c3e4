"""Training rows of one target each: for models that read the whole history before they predict."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from g2rec.artifacts import derive_seed
from g2rec.errors import DataError
from g2rec.interactions import Interactions
from g2rec.recommenders import TargetBatch, pad_windows
from g2rec.training.batches import BatchKey, batches


class TargetRows(NamedTuple):
    """Each training event of a user but the first, and where its history lies."""

    item_index: NDArray[np.int32]
    """All training events, user by user."""
    user_index: NDArray[np.int64]
    start: NDArray[np.int64]
    """Where the history of each row begins."""
    target: NDArray[np.int64]
    """Where its target stands; the history ends before it."""
    moment: NDArray[np.int64] | None
    """`Sequences.moment`: events of one time are drawn anew in each epoch; None if their order is given."""


def target_rows(interactions: Interactions, max_len: int) -> TargetRows:
    """Every training event but a user's first, with the at most ``max_len`` events before it.

    Raises:
        DataError: If no user has two training events.
    """
    sequences = interactions.train_sequences()
    first = np.repeat(sequences.indptr[:-1], np.diff(sequences.indptr))
    position = np.arange(len(sequences.item_index))
    target = position[position > first]
    if not len(target):
        raise DataError("expected a user with two training events or more, found none; check the split")
    user = np.repeat(sequences.user_index.astype(np.int64), np.diff(sequences.indptr))
    start = np.maximum(first[target], target - max_len)
    return TargetRows(np.asarray(sequences.item_index), user[target], start, target, sequences.moment)


def target_loader(rows: TargetRows, batch_size: int, seed: int) -> DataLoader[TargetBatch]:
    """Shuffled batches of histories of about one length and the item that came next.

    Events of one time have no order; where the log's was drawn, each epoch draws it again.
    """

    @lru_cache(maxsize=2)  # batches are made ahead, some of the next epoch
    def events(epoch: int) -> NDArray[np.int32]:
        if rows.moment is None:
            return rows.item_index
        drawn = np.random.default_rng(derive_seed(seed, "ties", epoch)).random(len(rows.moment))
        return rows.item_index[np.lexsort((drawn, rows.moment))]

    def make(key: BatchKey) -> TargetBatch:
        item_index, start, end = events(key.epoch), rows.start[key.rows], rows.target[key.rows]
        return TargetBatch(
            torch.from_numpy(rows.user_index[key.rows]),
            torch.from_numpy(pad_windows(item_index, start, end)),
            torch.from_numpy(end - start),
            torch.from_numpy(item_index[end].astype(np.int64)),
        )

    order = derive_seed(seed, "targets")
    lengths = rows.target - rows.start
    return batches(make, len(rows.target), batch_size, seed=order, shuffle=True, lengths=lengths)
