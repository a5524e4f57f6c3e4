"""Batches whose order depends on nothing but (seed, epoch), so that a resumed run sees the same ones."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from g2rec.artifacts import derive_seed
from g2rec.sampling import prefetch

Batch = TypeVar("Batch", covariant=True)
_POOL = 50
"""Batches among whose rows those of about one length are put together."""


class BatchKey(NamedTuple):
    """Which batch this is; all randomness inside a batch is keyed by it."""

    epoch: int
    """Counted from 0."""
    step: int
    """Counted from 0 in each epoch."""
    rows: np.ndarray[Any, np.dtype[np.int64]]
    """Row indices, in the order in which the batch takes them."""


class _Keys(Sampler[BatchKey]):
    """Yields one `BatchKey` a step; Lightning calls `set_epoch` before each epoch."""

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        seed: int,
        shuffle: bool,
        lengths: np.ndarray[Any, Any] | None = None,
    ) -> None:
        self.num_rows, self.batch_size, self.seed, self.shuffle = num_rows, batch_size, seed, shuffle
        self.lengths = lengths
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_rows // self.batch_size)

    def __iter__(self) -> Iterator[BatchKey]:
        rows = np.arange(self.num_rows, dtype=np.int64)
        if self.shuffle:
            rows = np.random.default_rng(derive_seed(self.seed, "order", self.epoch)).permutation(rows)
        order = np.arange(len(self))
        if self.lengths is not None:
            pool = np.arange(self.num_rows) // (_POOL * self.batch_size)
            rows = rows[np.lexsort((self.lengths[rows], pool))]
            order = np.random.default_rng(derive_seed(self.seed, "batches", self.epoch)).permutation(order)
        for step in range(len(self)):
            start = int(order[step]) * self.batch_size
            yield BatchKey(self.epoch, step, rows[start : start + self.batch_size])


class _Maker(Dataset[Batch], Generic[Batch]):
    """A dataset whose "index" is a `BatchKey`."""

    def __init__(self, make_batch: Callable[[BatchKey], Batch]) -> None:
        self.make_batch = make_batch

    def __getitem__(self, key: BatchKey) -> Batch:
        return self.make_batch(key)


class Ahead(Generic[Batch]):
    """A loader whose batches are made ahead by threads; Lightning sets the epoch of its ``sampler``."""

    def __init__(self, make_batch: Callable[[BatchKey], Batch], keys: _Keys, num_threads: int) -> None:
        self.make_batch, self.sampler, self.num_threads = make_batch, keys, num_threads

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(
            self.make_batch, self.sampler, num_threads=self.num_threads, depth=2 * self.num_threads
        )


def batches(
    make_batch: Callable[[BatchKey], Batch],
    num_rows: int,
    batch_size: int,
    *,
    seed: int,
    shuffle: bool,
    lengths: np.ndarray[Any, Any] | None = None,
) -> DataLoader[Batch]:
    """A loader of whole batches, made vectorised by ``make_batch``.

    Args:
        make_batch: Turns a `BatchKey` into a batch; must be a pure function of the key.
        num_rows: Rows in an epoch.
        batch_size: Rows in a batch; the last one may be smaller.
        seed: With the epoch, decides the order.
        shuffle: Permute the rows in each epoch.
        lengths: Of each row; batches are then made of rows of about one length, in random order.
    """
    keys = _Keys(num_rows, batch_size, seed, shuffle, lengths)
    # Its own generator: by default a loader draws from torch's global one when it starts an epoch,
    # which would shift the random numbers of a resumed epoch.
    return DataLoader(_Maker(make_batch), sampler=keys, batch_size=None, generator=torch.Generator())


def batches_ahead(
    make_batch: Callable[[BatchKey], Batch],
    num_rows: int,
    batch_size: int,
    *,
    seed: int,
    shuffle: bool,
    num_threads: int,
) -> Ahead[Batch]:
    """The same batches in the same order as `batches` gives, made ahead by threads."""
    return Ahead(make_batch, _Keys(num_rows, batch_size, seed, shuffle), num_threads)
