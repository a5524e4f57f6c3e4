"""A fit that is killed and resumed ends where an undisturbed one ends."""

from pathlib import Path

import lightning as L
import pytest
import torch

from g2rec.errors import ConfigError
from g2rec.training import BatchKey, FitConfig, FitReport, batches, fit, optimizer
from g2rec.training.fitting import _Checkpoints, matmul_precision

ROWS = torch.randn(100, 4, generator=torch.Generator().manual_seed(1))


class KilledError(Exception):
    pass


class Sums(L.LightningModule):
    """Learns the sum of four numbers through dropout, so that the random stream matters."""

    def __init__(self, die_in_epoch: int | None = None, nan_in_epoch: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.dropout = torch.nn.Linear(4, 1), torch.nn.Dropout(0.3)
        self.die_in_epoch, self.nan_in_epoch = die_in_epoch, nan_in_epoch

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if self.current_epoch == self.die_in_epoch and index == 2:
            raise KilledError
        loss = (self.linear(self.dropout(batch)) - batch.sum(1, keepdim=True)).pow(2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss * float("nan") if self.current_epoch == self.nan_in_epoch else loss

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val_score", -(self.linear(batch) - batch.sum(1, keepdim=True)).pow(2).mean())

    def configure_optimizers(self):
        return optimizer(self, FitConfig(learning_rate=0.05, warmup_steps=5))


def run(module: Sums, folder: Path, **settings: object) -> FitReport:
    def make(key: BatchKey) -> torch.Tensor:
        return ROWS[torch.from_numpy(key.rows)]

    return fit(
        module,
        batches(make, 100, 16, seed=1, shuffle=True),
        config=FitConfig(**{"epochs": 8, "accelerator": "cpu", **settings}),
        folder=folder,
        name="sums",
        seed=1,
        validation=batches(make, 100, 50, seed=1, shuffle=False),
        monitor="val_score",
    )


def test_killed_and_resumed_is_undisturbed(tmp_path: Path) -> None:
    whole, cut = Sums(), Sums()
    report = run(whole, tmp_path / "whole")
    with pytest.raises(KilledError):
        run(Sums(die_in_epoch=5), tmp_path / "cut")
    resumed = run(cut, tmp_path / "cut")
    assert resumed.best_epoch == report.best_epoch
    assert resumed.best_score == pytest.approx(report.best_score, abs=1e-7)
    assert torch.equal(cut.linear.weight, whole.linear.weight)


def test_patience_stops_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    module = Sums()
    report = run(module, tmp_path, epochs=60, patience=2)
    assert report.epochs < 60
    assert report.best_epoch is not None and report.best_epoch <= report.epochs - 2
    score = -(module.linear(ROWS).detach() - ROWS.sum(1, keepdim=True)).pow(2).mean()
    assert float(score) == pytest.approx(report.best_score, rel=1e-3)


def test_a_loss_that_is_not_finite_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower the learning rate"):
        run(Sums(nan_in_epoch=1), tmp_path)


def test_settings_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        run(Sums(), tmp_path, batch_size=0)
    with pytest.raises(ConfigError, match="epochs must not be negative"):
        run(Sums(), tmp_path, epochs=-1)


def test_epochs_left_to_the_data() -> None:
    epochs = [FitConfig(epochs=0).settled(batches).epochs for batches in (1, 50, 120, 10_000)]
    assert epochs == [30, 12, 5, 3]
    assert FitConfig(epochs=7).settled(10_000).epochs == 7


def test_order_is_keyed_by_seed_and_epoch() -> None:
    def rows(seed: int, epoch: int) -> list[int]:
        loader = batches(lambda key: key.rows, 10, 4, seed=seed, shuffle=True)
        loader.sampler.set_epoch(epoch)
        return [int(row) for batch in loader for row in batch]

    assert rows(1, 0) == rows(1, 0)
    assert sorted(rows(1, 0)) == list(range(10))
    assert rows(1, 0) != rows(1, 1) != rows(2, 1)


def test_tf32_is_for_training_alone(tmp_path: Path) -> None:
    seen = []

    class Watched(Sums):
        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return super().training_step(batch, index)

    before = torch.get_float32_matmul_precision()
    run(Watched(), tmp_path / "tf32", epochs=1, precision="tf32")
    assert set(seen) == {"high"}
    assert torch.get_float32_matmul_precision() == before
    with matmul_precision("high"):
        with matmul_precision("highest"):  # as the validation of a recommender
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"


def test_a_loss_that_ends_as_nan_is_one_sentence(tmp_path: Path) -> None:
    """Also where the first batch of the last epoch was fine."""

    class Late(Sums):
        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            loss = super().training_step(batch, index)
            if index:
                loss = loss * float("nan")
                self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

    with pytest.raises(ConfigError, match="became nan in epoch 0; lower the learning rate"):
        run(Late(), tmp_path, epochs=1)


def test_a_kill_between_best_and_last_leaves_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of the epoch that the state calls the best are there until the state calls another so."""
    write = _Checkpoints._write

    def killed(path: Path, writer: object) -> None:
        if path.name == "last.ckpt" and (tmp_path / "checkpoints" / "best-3.pt").exists():
            raise KilledError
        write(path, writer)  # type: ignore[arg-type]

    monkeypatch.setattr(_Checkpoints, "_write", staticmethod(killed))
    with pytest.raises(KilledError):
        run(Sums(), tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").glob("best-*")) == [
        "best-2.pt",
        "best-3.pt",
    ]
    monkeypatch.undo()
    report = run(Sums(), tmp_path)
    kept = [path.name for path in (tmp_path / "checkpoints").glob("best-*")]
    assert kept == [f"best-{report.best_epoch}.pt"]
