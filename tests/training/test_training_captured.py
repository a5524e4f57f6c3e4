"""A loss as CUDA graphs: the fit is the one without them, to the bit where kernels are deterministic."""

from pathlib import Path

import numpy as np
import pytest
import torch

from g2rec.interactions import Interactions
from g2rec.recommenders import TIGER, EncoderDecoderConfig, TIGERConfig
from g2rec.training import FitConfig
from g2rec.training.captured import CapturedLoss
from g2rec.training.next_item import target_loader, target_rows
from g2rec.training.sequence import fit_recommender

SMALL = EncoderDecoderConfig(embedding_dim=16, num_layers=1, num_heads=2, head_dim=8, feed_dim=32)


def fitted(toy: Interactions, folder: Path, epochs: int = 6) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    codes = np.stack(np.divmod(np.arange(toy.num_items), 8), axis=1)
    model = TIGERConfig(transformer=SMALL, max_len=5).build(codes=codes, codebook_size=64)
    train = target_loader(target_rows(toy, 5), 16, seed=0)
    config = FitConfig(epochs=epochs, learning_rate=1e-3, patience=0)
    fit_recommender(model, train, toy, fit_config=config, folder=folder, seed=0)
    # of the last epoch: the model has those of the best, which may be from before a cut
    last = torch.load(folder / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = last["state_dict"]
    return weights


def largest_gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_fit_is_the_one_without_graphs(
    toy: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[torch.Size] = []
    call = CapturedLoss.__call__

    def spy(self, batch):  # type: ignore[no-untyped-def]
        loss = call(self, batch)
        recorded[:] = list(self._graphs)
        return loss

    monkeypatch.setattr(CapturedLoss, "__call__", spy)
    with_graphs = fitted(toy, tmp_path / "graphs")
    assert len(recorded) > 1
    monkeypatch.setattr(TIGER, "capturable", False)
    assert largest_gap(with_graphs, fitted(toy, tmp_path / "eager")) < 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_resumed_fit_is_the_one_that_was_not_cut_off(toy: Interactions, tmp_path: Path) -> None:
    fitted(toy, tmp_path / "cut", epochs=3)
    assert largest_gap(fitted(toy, tmp_path / "cut"), fitted(toy, tmp_path / "whole")) < 1e-3


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a CUDA device")
def test_nothing_is_recorded_without_a_gpu(
    toy: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_graphs = fitted(toy, tmp_path / "graphs", epochs=1)
    monkeypatch.setattr(TIGER, "capturable", False)
    assert largest_gap(with_graphs, fitted(toy, tmp_path / "eager", epochs=1)) == 0
