"""Fitting any of our modules with Lightning: seeded by epoch, checkpointed, resumable, logged.

Resuming gives the run that would have been: batches are keyed by (seed, epoch), torch is reseeded at the
start of each epoch, and a checkpoint holds weights, optimizer and the best score so far. Lightning's own
`ModelCheckpoint` keeps best and last in two files written one after the other; a kill between the two leaves
a pair that disagree, hence `_Checkpoints`, which writes each file under a temporary name and renames it.
"""

import dataclasses
import errno
import logging
import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from g2rec.artifacts import derive_seed, disk_error, read_json, replace_path, write_json
from g2rec.errors import ConfigError
from g2rec.training.row_adamw import RowAdamW

logger = logging.getLogger(__name__)

_BATCHES, _EPOCHS = 600, (3, 30)
"""What training takes that is left to the data: so many batches, in so few and so many epochs."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long and how fast to train."""

    epochs: int = 20
    """Passes over the training rows, at most; 0 takes as many as make about 600 batches, but from 3 to 30."""
    batch_size: int = 256
    """Rows in a batch."""
    learning_rate: float = 1e-3
    """AdamW's step size."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from zero."""
    decay: Literal["none", "inverse_sqrt", "cosine"] = "none"
    """How the learning rate falls after the warm-up: not at all, as 1 / sqrt(step), or as half a cosine that
    ends at zero after all epochs."""
    patience: int = 0
    """Validations without a better score before training stops; 0 trains all epochs."""
    minutes: float = 0.0
    """Training stops after the epoch in which these minutes (of all sessions) are over; 0 sets no limit."""
    validate_every: int = 1
    """Epochs between two validations."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    precision: Literal["32-true", "tf32", "bf16-mixed"] = "32-true"
    """Arithmetic of the forward and backward passes; tf32 rounds what a GPU multiplies to ten bits. Ranking
    scores are float32 in any case."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; ``auto`` takes a GPU where there is one."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        for name in ("batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if self.epochs < 0:
            raise ConfigError(
                f"epochs must not be negative, got {self.epochs}; 0 takes as many as suit the data"
            )
        for name in ("weight_decay", "warmup_steps", "patience", "minutes", "gradient_clip"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name} must not be negative, got {getattr(self, name)}; use 0 to switch it off"
                )
        if not self.learning_rate > 0:
            raise ConfigError(
                f"learning_rate must be positive, got {self.learning_rate}; a usual value is 1e-3"
            )
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ConfigError("accelerator is gpu, but torch finds no GPU; use accelerator=auto or cpu")

    def settled(self, num_batches: int) -> "FitConfig":
        """With epochs for so many batches in each, where they are left to the data."""
        fewest, most = _EPOCHS
        epochs = self.epochs or min(most, max(fewest, round(_BATCHES / max(1, num_batches))))
        return dataclasses.replace(self, epochs=epochs)


@dataclass(frozen=True)
class FitReport:
    """What a fit did."""

    epochs: int
    """Epochs trained, those before a resume included."""
    seconds: float
    """Wall-clock time of all sessions together, checkpoints included."""
    best_epoch: int | None
    """The epoch whose weights were kept, counted from 0; None if nothing was monitored."""
    best_score: float | None
    """The monitored score of that epoch."""
    parameters: int
    """Trainable parameters."""


def fit(
    module: L.LightningModule,
    train: Iterable[Any],
    *,
    config: FitConfig,
    folder: Path,
    name: str,
    seed: int,
    validation: DataLoader[Any] | None = None,
    monitor: str | None = None,
) -> FitReport:
    """Train a module, from its last checkpoint if an earlier run with the same arguments was cut off.

    Args:
        module: What to train; afterwards it holds the best weights (with ``monitor``) or the last.
        train: Training batches, from `g2rec.training.batches`.
        config: Length, rates and device.
        folder: Gets ``checkpoints/`` (removed by the caller once its artefact is saved) and ``logs/``.
        name: Shown on the progress bar, and part of every seed.
        seed: Decides initialisation-independent randomness (dropout and the like) of each epoch.
        validation: Validation batches; the module logs ``monitor`` from them.
        monitor: A logged score of which more is better.

    Raises:
        ConfigError: If a setting is out of range, or the loss stops being finite.
    """
    config.check()
    config = config.settled(len(train))  # type: ignore[arg-type]
    checkpoints = _Checkpoints(folder / "checkpoints", monitor, config)
    with _quiet():
        trainer = L.Trainer(
            max_epochs=config.epochs,
            accelerator=config.accelerator,
            devices=1,
            precision="bf16-mixed" if config.precision == "bf16-mixed" else "32-true",
            gradient_clip_val=config.gradient_clip or None,
            check_val_every_n_epoch=config.validate_every,
            num_sanity_val_steps=0,
            callbacks=[EpochSeed(seed, name), _Progress(name, monitor, config.minutes), checkpoints],
            logger=[
                CSVLogger(folder / "logs", name="csv"),  # a version a session: a resume adds to the log
                TensorBoardLogger(folder / "logs", name="tensorboard", version=""),
            ],
            log_every_n_steps=max(1, len(train)),  # type: ignore[arg-type]
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    torch.manual_seed(derive_seed(seed, name, "start"))
    resume = checkpoints.last if checkpoints.last.exists() else None
    if resume is not None:
        logger.info("%s: resuming from %s", name, resume)
    module.train()  # parts that an earlier stage fitted come in evaluation mode
    with _quiet(), matmul_precision("high" if config.precision == "tf32" else "highest"):
        try:
            trainer.fit(module, train, validation, ckpt_path=resume, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    if checkpoints.best is not None and checkpoints.best.exists():
        state = torch.load(checkpoints.best, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    module.eval()
    return FitReport(
        epochs=trainer.current_epoch,
        seconds=checkpoints.seconds,
        best_epoch=checkpoints.best_epoch,
        best_score=checkpoints.best_score,
        parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
    )


def optimizer(module: L.LightningModule, config: FitConfig, slower: Mapping[str, float] | None = None) -> Any:
    """AdamW with a linear warm-up and the decay asked for, in the form that ``configure_optimizers`` returns.

    Args:
        module: Whose parameters to train.
        config: Rates.
        slower: Share of the learning rate for the parameters of a child module, by the child's name.
    """
    factors = slower or {}
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(factors.get(name.partition(".")[0], 1.0), []).append(parameter)
    # Under bf16-mixed Lightning refuses to clip for a fused optimizer.
    fused = not config.gradient_clip and all(p.is_cuda for group in groups.values() for p in group)
    adamw = RowAdamW(
        [{"params": group, "lr": config.learning_rate * factor} for factor, group in groups.items()],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=fused or None,  # None: as torch sees fit
    )
    if not config.warmup_steps and config.decay == "none":
        return adamw
    warm = max(1, config.warmup_steps)
    total = module.trainer.estimated_stepping_batches if config.decay == "cosine" else math.inf

    def share(step: int) -> float:
        rise = min(1.0, (step + 1) / warm)
        if config.decay == "inverse_sqrt":
            return min(rise, math.sqrt(warm / (step + 1)))
        past = max(0, step + 1 - warm) / max(1.0, total - warm)
        return rise * 0.5 * (1.0 + math.cos(math.pi * min(1.0, past)))

    schedule = torch.optim.lr_scheduler.LambdaLR(adamw, share)
    return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@contextmanager
def matmul_precision(precision: Literal["highest", "high"]) -> Iterator[None]:
    """Multiply float32 matrices as they are (highest) or, on a GPU that can, as TF32 (high) meanwhile."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's banners, tips and the warnings that it causes itself; ours say what matters."""
    noisy = logging.getLogger("lightning.pytorch")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
            warnings.filterwarnings("ignore", ".*log_every_n_steps.*")
            warnings.filterwarnings("ignore", "GPU available but not used.*")
            # a graph is recorded on a stream of its own
            warnings.filterwarnings("ignore", "The AccumulateGrad node's stream.*")
            yield
    finally:
        noisy.setLevel(level)


class EpochSeed(L.Callback):
    """Reseeds torch at the start of each epoch, so that a resumed epoch repeats the lost one.

    Args:
        seed: Of the run.
        name: Of what is trained; two names have different random numbers.
    """

    def __init__(self, seed: int, name: str = "") -> None:
        self.seed, self.name = seed, name

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reseed."""
        torch.manual_seed(derive_seed(self.seed, self.name, trainer.current_epoch))


class _Progress(L.Callback):
    """One bar a fit: steps done, of how many unless time decides, the loss, the best validation score."""

    def __init__(self, name: str, monitor: str | None, minutes: float) -> None:
        self.name, self.monitor, self.minutes = name, monitor, minutes
        self.bar: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epochs = trainer.max_epochs or 1
        steps = int(trainer.num_training_batches)
        start = trainer.current_epoch * steps
        total = None if self.minutes else epochs * steps
        self.bar = tqdm(
            total=total,
            initial=start,
            desc=self.name,
            unit="step",
            leave=False,
            dynamic_ncols=True,
            disable=None,  # in a file it would be one endless line
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bar.update(1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics: Mapping[str, Any] = trainer.callback_metrics
        shown = {
            key: f"{float(metrics[key]):.4f}" for key in ("train_loss", self.monitor or "") if key in metrics
        }
        self.bar.set_postfix({"epoch": trainer.current_epoch + 1, **shown})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bar.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        if self.bar is not None:
            self.bar.close()


class _Checkpoints(L.Callback):
    """Keeps the last epoch's state and the best weights; stops when the score stalls or the time is over."""

    def __init__(self, folder: Path, monitor: str | None, config: FitConfig) -> None:
        self.folder, self.last = folder, folder / "last.ckpt"
        self.monitor, self.config = monitor, config
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self.stalled = 0
        self.seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def state_dict(self) -> dict[str, Any]:
        names = ("best_score", "best_epoch", "stalled", "seconds")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    @property
    def best(self) -> Path | None:
        """The best weights, if any; those of an earlier epoch go once `last` says which are the best."""
        return None if self.best_epoch is None else self.folder / f"best-{self.best_epoch}.pt"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._clock = time.monotonic()
        self._stop_if_due(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if batch_idx == 0 and loss is not None:
            self._check(float(loss), trainer)

    @staticmethod
    def _check(loss: float, trainer: L.Trainer) -> None:
        if not math.isfinite(loss):
            epoch = trainer.current_epoch
            raise ConfigError(f"the training loss became {loss} in epoch {epoch}; lower the learning rate")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._check(float(trainer.callback_metrics.get("train_loss", 0.0)), trainer)
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        if self.monitor is not None and validated:
            self._judge(trainer, pl_module, float(trainer.callback_metrics[self.monitor]))
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        self._write(self.last, lambda file: trainer.save_checkpoint(file, weights_only=False))
        for older in self.folder.glob("best-*.pt"):
            if older != self.best:
                older.unlink()
        self._stop_if_due(trainer)

    def _judge(self, trainer: L.Trainer, module: L.LightningModule, score: float) -> None:
        if self.best_score is not None and score <= self.best_score:
            self.stalled += 1
            return
        self.best_score, self.best_epoch, self.stalled = score, trainer.current_epoch, 0
        assert self.best is not None
        self._write(self.best, lambda file: torch.save(module.state_dict(), file))

    @staticmethod
    def _write(path: Path, write: Callable[[Path], None]) -> None:
        """Write a file whole or not at all; torch reports a full disk as a RuntimeError."""
        temporary = path.with_suffix(".tmp")
        try:
            write(temporary)
            replace_path(temporary, path)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            reason = error if isinstance(error, OSError) else OSError(errno.ENOSPC, "the disk may be full")
            raise disk_error(path, reason) from error

    def _stop_if_due(self, trainer: L.Trainer) -> None:
        stalled = self.config.patience and self.stalled >= self.config.patience
        if stalled or (self.config.minutes and self.seconds >= 60 * self.config.minutes):
            trainer.should_stop = True


def start_or_resume(folder: Path, key: str) -> None:
    """Clear checkpoints that another configuration left in ``folder``, so that only its own are resumed."""
    marker = folder / "checkpoints" / "key.json"
    if marker.exists() and read_json(marker) == key:
        return
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    shutil.rmtree(folder / "logs", ignore_errors=True)
    write_json(marker, key)
