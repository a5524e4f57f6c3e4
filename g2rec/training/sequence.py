"""Fit models that read sequences: windows of the training events, validation by N@10 on all users."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from g2rec.artifacts import derive_seed
from g2rec.errors import DataError
from g2rec.graph import CoEngagementConfig, build_coengagement
from g2rec.interactions import Interactions
from g2rec.recommenders import (
    HistoryBatch,
    Recommender,
    SASRec,
    SASRecConfig,
    history_batch,
    moved,
    pad_windows,
)
from g2rec.shapes import Float, Int, Tensor
from g2rec.training.batches import BatchKey, batches
from g2rec.training.captured import CapturedLoss
from g2rec.training.fitting import FitConfig, FitReport, fit, matmul_precision, optimizer
from g2rec.training.ranking import batch_ndcg

MONITOR = "val_ndcg@10"
_VALIDATION_USERS = 512
"""Users ranked at once."""
ITEM_GRAPH = CoEngagementConfig(window=3, weighting="log1p")
"""Along which SASRec smooths item embeddings."""


class Windows(NamedTuple):
    """Slices of one array of events; each is one training sequence."""

    item_index: np.ndarray[Any, Any]
    start: np.ndarray[Any, np.dtype[np.int64]]
    end: np.ndarray[Any, np.dtype[np.int64]]
    moment: np.ndarray[Any, np.dtype[np.int64]] | None
    """`Sequences.moment`: events of one time are drawn anew in each epoch; None if their order is given."""


class ValidationBatch(NamedTuple):
    """Users of the validation set."""

    batch: HistoryBatch
    target: Int[Tensor, " B"]

    def to(self, device: torch.device | str) -> "ValidationBatch":
        """The batch on another device; Lightning calls it."""
        return ValidationBatch(self.batch.to(device), moved(self.target, device))


def training_windows(interactions: Interactions, max_len: int) -> Windows:
    """Cut each user's training events into windows of at most ``max_len`` inputs and their targets.

    Windows are cut from the end and overlap by one event, so that every event but a user's first is a
    target exactly once an epoch, however long the sequence.

    Raises:
        DataError: If no user has two training events.
    """
    sequences = interactions.train_sequences()
    lengths = np.diff(sequences.indptr)
    pieces = np.maximum(0, -(-(lengths - 1) // max_len))
    if pieces.sum() == 0:
        raise DataError("expected a user with two training events or more, found none; check the split")
    user = np.repeat(np.arange(len(lengths)), pieces)
    back = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)  # 0 is the latest window
    end = sequences.indptr[user + 1] - back * max_len
    start = np.maximum(sequences.indptr[user], end - max_len - 1)
    return Windows(np.asarray(sequences.item_index), start, end, sequences.moment)


def window_loader(windows: Windows, batch_size: int, seed: int) -> DataLoader[Tensor]:
    """Shuffled batches of right-padded windows, from `window_maker`."""
    make = window_maker(windows, seed)
    return batches(make, len(windows.start), batch_size, seed=derive_seed(seed, "windows"), shuffle=True)


def window_maker(windows: Windows, seed: int) -> Callable[[BatchKey], Tensor]:
    """Makes batches of right-padded windows.

    Events of one time have no order (a basket, a day); where the log's was drawn, each epoch draws it again,
    or the model would learn one of many by heart.
    """

    def make(key: BatchKey) -> Tensor:
        start, end = windows.start[key.rows], windows.end[key.rows]
        items = pad_windows(windows.item_index, start, end)
        if windows.moment is not None:
            moment = pad_windows(windows.moment, start, end)
            drawn = np.random.default_rng(derive_seed(seed, "ties", key.epoch, key.step)).random(items.shape)
            order = np.where(moment < 0, np.inf, moment + drawn).argsort(axis=1)
            items = np.take_along_axis(items, order, axis=1)
        return torch.from_numpy(items)

    return make


def validation_loader(interactions: Interactions, batch_size: int) -> DataLoader[ValidationBatch]:
    """The whole validation set, in order.

    Raises:
        DataError: If there is no validation target.
    """
    targets = interactions.targets("validation")
    if not len(targets.target):
        raise DataError("expected validation targets, found none; users need at least three events")

    def make(key: BatchKey) -> ValidationBatch:
        target = torch.from_numpy(np.asarray(targets.target[key.rows], dtype=np.int64))
        batch = history_batch(targets.indptr, targets.history, targets.user_index, key.rows, targets.asked)
        return ValidationBatch(batch, target)

    return batches(make, len(targets.target), batch_size, seed=0, shuffle=False)


class SequenceDataModule(L.LightningDataModule):
    """Windows of the training events and the whole validation set, for any Trainer.

    What is in a batch depends on (seed, epoch, step) only.

    Args:
        interactions: The prepared log.
        max_len: Items that the model reads, ``config.transformer.max_len``.
        batch_size: Windows in a training batch.
        seed: With the epoch, decides the order of the windows.
    """

    def __init__(
        self, interactions: Interactions, max_len: int, *, batch_size: int = 256, seed: int = 0
    ) -> None:
        super().__init__()
        self.interactions, self.max_len, self.batch_size, self.seed = interactions, max_len, batch_size, seed

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Every training event but a user's first is a target once.

        Raises:
            DataError: If no user has two training events.
        """
        return window_loader(training_windows(self.interactions, self.max_len), self.batch_size, self.seed)

    def val_dataloader(self) -> DataLoader[ValidationBatch]:
        """All validation targets.

        Raises:
            DataError: If there is none.
        """
        return validation_loader(self.interactions, _VALIDATION_USERS)


class RecommenderModule(L.LightningModule):
    """Trains a recommender that has a ``loss`` (G2Rec, SASRec); logs train_loss and val_ndcg@10.

    In a Trainer of your own, with `SequenceDataModule`::

        trainer = L.Trainer(max_epochs=20, logger=..., callbacks=[EpochSeed(seed=0)])
        trainer.fit(RecommenderModule(model), datamodule=SequenceDataModule(interactions, max_len=50))

    Args:
        model: What to train; after the fit it holds the weights of the last epoch.
        fit_config: Its rates and warm-up are used here; length and precision are the Trainer's.
        masked: Validate with the history masked out.
    """

    def __init__(
        self, model: Recommender, fit_config: FitConfig | None = None, *, masked: bool = False
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.fit_config, self.masked = fit_config or FitConfig(), masked
        self._captured: CapturedLoss | None = None

    def on_train_start(self) -> None:
        """Record the loss as CUDA graphs, where the model allows that and it pays."""
        trainer = self.trainer
        plain = trainer.precision == "32-true" and trainer.accumulate_grad_batches == trainer.world_size == 1
        pays = self.model.capturable and self.device.type == "cuda" and plain
        self._captured = CapturedLoss(self.model) if pays else None

    def on_train_end(self) -> None:
        """Let the graphs go: they read the weights where these are now."""
        self._captured = None

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """One step on the model's own loss."""
        loss: Tensor = (self._captured or self.model.loss)(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def validation_step(self, batch: ValidationBatch, batch_index: int) -> None:
        """Add up N@10; ranking is in float32 whatever the training precision."""
        with torch.autocast(self.device.type, enabled=False), matmul_precision("highest"):
            values = self.judge(batch)
        self.log(MONITOR, values.mean().float(), batch_size=len(values))

    def judge(self, batch: ValidationBatch) -> Float[Tensor, " B"]:
        """What selects the epoch, for each user of a batch."""
        return batch_ndcg(self.model, batch.batch, batch.target, masked=self.masked)

    def configure_optimizers(self) -> Any:
        """AdamW."""
        return optimizer(self, self.fit_config)


def fit_recommender(
    model: Recommender,
    train: DataLoader[Any],
    interactions: Interactions,
    *,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
    masked: bool = False,
    module_type: type[RecommenderModule] = RecommenderModule,
) -> FitReport:
    """Train any recommender with a ``loss``, keeping the epoch with the best N@10 on validation.

    Args:
        model: What to train.
        train: Batches that its ``loss`` takes.
        interactions: Gives the validation set.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs.
        seed: Of the dropout and the like.
        masked: Validate with the history masked out. Models of co-occurrence, and those with cosine logits,
            rank what a user already has first, so that their figure without a mask says little.
        module_type: Another one judges an epoch in its own way.
    """
    module = module_type(model, fit_config, masked=masked)
    validation = validation_loader(interactions, _VALIDATION_USERS)
    return fit(
        module,
        train,
        config=fit_config,
        folder=folder,
        name=model.name,
        seed=seed,
        validation=validation,
        monitor=MONITOR,
    )


def fit_sasrec(
    interactions: Interactions, config: SASRecConfig, fit_config: FitConfig, folder: Path, seed: int
) -> tuple[SASRec, FitReport]:
    """Train SASRec on the training events.

    Args:
        interactions: The prepared log.
        config: The model.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial weights, the order and the dropout.

    Raises:
        ConfigError: If a setting is out of range.
        DataError: If there is nothing to train or validate on.
    """
    torch.manual_seed(derive_seed(seed, "sasrec", "init"))
    graph = build_coengagement(interactions, ITEM_GRAPH) if config.hops else None
    model = config.build(num_items=interactions.num_items, coengagement=graph, content=interactions.content)
    windows = training_windows(interactions, config.transformer.max_len)
    train = window_loader(windows, fit_config.batch_size, seed)
    report = fit_recommender(
        model, train, interactions, fit_config=fit_config, folder=folder, seed=seed, masked=True
    )
    return model, report
