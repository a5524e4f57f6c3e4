"""Our modules and data modules in somebody's own Trainer, with a logger and callbacks of theirs."""

import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from g2rec.encoders import LightGCNConfig
from g2rec.graph import CoEngagementConfig, build_coengagement, build_graph
from g2rec.interactions import Interactions
from g2rec.prototypes import GraphHeadConfig, random_prototypes
from g2rec.recommenders import G2RecConfig, Recommender, SASRecConfig, TransformerConfig
from g2rec.training import (
    EncoderDataModule,
    EncoderModule,
    EpochSeed,
    FitConfig,
    LinkConfig,
    RecommenderModule,
    SequenceDataModule,
)

LENGTH = 12
SMALL = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, max_len=LENGTH, dropout=0.2)


def sasrec(log: Interactions) -> Recommender:
    return SASRecConfig(transformer=SMALL).build(num_items=log.num_items)


def g2rec(log: Interactions) -> Recommender:
    codes = np.stack(np.divmod(np.arange(log.num_items), 16), axis=1)
    prototypes = random_prototypes(log.num_items, 5, 8, nonzeros=2, seed=0)
    return G2RecConfig(transformer=SMALL, num_prefix=2, beam_width=20).build(
        codes=codes,
        codebook_size=16,
        prototypes=(prototypes.vectors, prototypes.indices, prototypes.weights),
        content=log.content,
    )


class Losses(Callback):
    """A user's own callback."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen.append(float(trainer.callback_metrics["train_loss"]))


def own_trainer(folder: Path, logger: Any, *callbacks: Callback, epochs: int = 3) -> L.Trainer:
    return L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        logger=logger,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )


@pytest.mark.parametrize("make", [sasrec, g2rec])
@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger, None])
def test_a_recommender(toy: Interactions, tmp_path: Path, make: Any, kind: type[Logger] | None) -> None:
    torch.manual_seed(0)
    model = make(toy)
    losses = Losses()
    best = ModelCheckpoint(tmp_path / "kept", monitor="val_ndcg@10", mode="max")
    stop = EarlyStopping("val_ndcg@10", mode="max", patience=5)
    logger = False if kind is None else kind(tmp_path / "logs", name="mine")  # type: ignore[call-arg]
    trainer = own_trainer(tmp_path, logger, EpochSeed(0), losses, best, stop)
    module = RecommenderModule(model, FitConfig(learning_rate=1e-2))
    trainer.fit(module, datamodule=SequenceDataModule(toy, LENGTH, batch_size=64, seed=0))
    assert len(losses.seen) == 3
    assert losses.seen[-1] < losses.seen[0]
    assert 0 <= float(trainer.callback_metrics["val_ndcg@10"]) <= 1
    assert best.best_model_path
    if kind is CSVLogger:
        written = (tmp_path / "logs" / "mine" / "version_0" / "metrics.csv").read_text()
        assert "train_loss" in written.splitlines()[0] and "val_ndcg@10" in written.splitlines()[0]
    results = trainer.validate(module, datamodule=SequenceDataModule(toy, LENGTH), verbose=False)
    assert results[0]["val_ndcg@10"] == pytest.approx(float(trainer.callback_metrics["val_ndcg@10"]))


def test_the_same_seed_gives_the_same_model(toy: Interactions, tmp_path: Path) -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        model = sasrec(toy)
        torch.rand(7)  # whatever else the process draws
        trainer = own_trainer(tmp_path, False, EpochSeed(3, "sasrec"), epochs=1)
        trainer.fit(RecommenderModule(model), datamodule=SequenceDataModule(toy, LENGTH, seed=3))
        models.append(model.state_dict())
    for name, value in models[0].items():
        assert torch.equal(value, models[1][name]), name


def test_an_encoder(toy: Interactions, tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph, coengagement = build_graph(toy), build_coengagement(toy, CoEngagementConfig())
    links = LinkConfig(fanouts=(5, 3), num_negatives=32, num_in_batch=32, warmup_epochs=1, num_edges=64)
    fit = FitConfig(epochs=3, learning_rate=1e-2)
    assert toy.content is not None
    content = torch.from_numpy(np.asarray(toy.content))
    encoder = LightGCNConfig(embedding_dim=8).build(toy.num_users, toy.num_items, content.shape[1])
    head = GraphHeadConfig(num_prototypes=5, nonzeros=2).build(8)
    losses = Losses()
    module = EncoderModule(encoder, head, graph, content, links, fit, 0)
    data = EncoderDataModule(toy, graph, coengagement, links, batch_size=256, seed=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        own_trainer(tmp_path, CSVLogger(tmp_path), EpochSeed(0), losses).fit(module, datamodule=data)
    assert losses.seen[-1] < losses.seen[0]
    prototypes = head.export(encoder.embed_all(graph, content).items)
    assert prototypes.indices.shape == (toy.num_items, 2)


def test_batches_move_as_lightning_moves_them(toy: Interactions) -> None:
    """Frozen batches, which Lightning does not look inside."""
    data = SequenceDataModule(toy, LENGTH)
    module = RecommenderModule(sasrec(toy))
    away = torch.device("meta")
    moved = module.transfer_batch_to_device(next(iter(data.val_dataloader())), away, 0)
    assert {moved.batch.items.device, moved.batch.lengths.device, moved.target.device} == {away}
    graph, coengagement = build_graph(toy), build_coengagement(toy, CoEngagementConfig())
    batch = next(iter(EncoderDataModule(toy, graph, coengagement).train_dataloader()))
    assert module.transfer_batch_to_device(batch, away, 0).positives.device == away
