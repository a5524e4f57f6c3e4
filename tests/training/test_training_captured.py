"""A loss as CUDA graphs: the fit is the one without them, but for the order in which a GPU adds up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from g2rec.graph import build_coengagement
from g2rec.interactions import Interactions
from g2rec.recommenders import (
    TIGER,
    EncoderDecoderConfig,
    G2Rec,
    G2RecConfig,
    NearItems,
    TIGERConfig,
    TransformerConfig,
)
from g2rec.training import FitConfig
from g2rec.training.captured import CapturedLoss
from g2rec.training.g2rec import training_batches
from g2rec.training.next_item import target_loader, target_rows
from g2rec.training.sequence import fit_recommender, training_windows

MODELS = [TIGER, G2Rec]


def fitted(kind: type, toy: Interactions, folder: Path, epochs: int = 6) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    codes = np.stack(np.divmod(np.arange(toy.num_items), 8), axis=1)
    model: Any
    train: Any
    if kind is TIGER:
        small = EncoderDecoderConfig(embedding_dim=16, num_layers=1, num_heads=2, head_dim=8, feed_dim=32)
        model = TIGERConfig(transformer=small, max_len=5).build(codes=codes, codebook_size=64)
        train = target_loader(target_rows(toy, 5), 16, seed=0)
    else:
        transformer = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, max_len=8)
        rng = np.random.default_rng(0)
        weights = rng.random((toy.num_items, 2)).astype(np.float32)
        model = G2RecConfig(transformer=transformer, num_prefix=2, profile_weight=0.1).build(
            codes=codes,
            codebook_size=64,
            prototypes=(
                rng.normal(size=(5, 6)).astype(np.float32),
                np.stack([rng.permutation(5)[:2] for _ in weights]),
                weights / weights.sum(1, keepdims=True),
            ),
            content=toy.content,
            coengagement=build_coengagement(toy),
            words=NearItems.by_words(toy),
        )
        model.train_on(torch.arange(toy.num_items) != toy.num_items - 1)
        train = training_batches(model, training_windows(toy, 8), 32, seed=0, multiple=32)
    config = FitConfig(epochs=epochs, learning_rate=1e-3, patience=0)
    fit_recommender(model, train, toy, fit_config=config, folder=folder, seed=0)
    # of the last epoch: the model has those of the best, which may be from before a cut
    last = torch.load(folder / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = last["state_dict"]
    return weights


def largest_gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", MODELS)
def test_the_fit_is_the_one_without_graphs(
    kind: type, toy: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Any] = []
    call = CapturedLoss.__call__

    def spy(self, batch):  # type: ignore[no-untyped-def]
        loss = call(self, batch)
        recorded[:] = list(self._graphs)
        return loss

    monkeypatch.setattr(CapturedLoss, "__call__", spy)
    with_graphs = fitted(kind, toy, tmp_path / "graphs")
    assert recorded
    monkeypatch.setattr(kind, "capturable", False)
    assert largest_gap(with_graphs, fitted(kind, toy, tmp_path / "eager")) < 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", MODELS)
def test_a_resumed_fit_is_the_one_that_was_not_cut_off(kind: type, toy: Interactions, tmp_path: Path) -> None:
    fitted(kind, toy, tmp_path / "cut", epochs=3)
    assert largest_gap(fitted(kind, toy, tmp_path / "cut"), fitted(kind, toy, tmp_path / "whole")) < 1e-3


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a CUDA device")
@pytest.mark.parametrize("kind", MODELS)
def test_nothing_is_recorded_without_a_gpu(
    kind: type, toy: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_graphs = fitted(kind, toy, tmp_path / "graphs", epochs=1)
    monkeypatch.setattr(kind, "capturable", False)
    assert largest_gap(with_graphs, fitted(kind, toy, tmp_path / "eager", epochs=1)) == 0
