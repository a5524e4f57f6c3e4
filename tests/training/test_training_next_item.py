"""Rows of one target each: which there are, how they are batched, and at what rate they are learned."""

import math

import lightning as L
import numpy as np
import pyarrow as pa
import pytest
import torch

from g2rec.interactions import TEST, TRAIN, VALIDATION, Interactions
from g2rec.training import FitConfig
from g2rec.training.fitting import optimizer
from g2rec.training.next_item import target_loader, target_rows


def test_every_training_event_but_a_users_first_is_a_target_once(toy: Interactions) -> None:
    rows = target_rows(toy, max_len=4)
    sequences = toy.train_sequences()
    expected = []
    for user, start, end in zip(
        sequences.user_index, sequences.indptr[:-1], sequences.indptr[1:], strict=True
    ):
        items = sequences.item_index[start:end].tolist()
        expected += [(int(user), items[max(0, at - 4) : at], items[at]) for at in range(1, len(items))]
    loader = target_loader(rows, 16, seed=0)
    found = []
    for batch in loader:
        for user, items, length, item in zip(*(part.tolist() for part in batch), strict=True):
            assert set(items[length:]) <= {-1}
            found.append((user, items[:length], item))
    assert sorted(found) == sorted(expected)


def test_batches_hold_histories_of_about_one_length_in_random_order(toy: Interactions) -> None:
    rows = target_rows(toy, max_len=20)
    loader = target_loader(rows, 16, seed=0)
    widths = [batch.items.shape[1] for batch in loader]
    padded = sum(int((batch.items < 0).sum()) for batch in loader)
    real = sum(int(batch.lengths.sum()) for batch in loader)
    assert padded < 0.1 * real
    assert widths != sorted(widths)
    loader.sampler.set_epoch(1)  # type: ignore[union-attr]
    assert [batch.items.shape[1] for batch in loader] != widths


def test_events_of_one_time_are_drawn_again_in_each_epoch() -> None:
    items = pa.array([f"item {item}" for item in range(10)])
    log = Interactions(
        user_index=np.repeat([0, 1], [10, 6]).astype(np.int32),
        item_index=np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 8, 9], dtype=np.int32),
        time=None,
        part=np.array([TRAIN] * 8 + [VALIDATION, TEST] + [TRAIN] * 4 + [VALIDATION, TEST], dtype=np.uint8),
        user_ids=pa.array([0, 1]),
        items=pa.table({"item_id": items, "title": items}),
        # items 1 to 4 of the first user are of one time, 1 and 2 of the other
        tied=np.isin(np.arange(16), [2, 3, 4, 12]),
    )
    loader = target_loader(target_rows(log, max_len=20), 16, seed=0)
    sequences = set()
    for epoch in range(20):
        loader.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        [history] = list(loader)
        for user, known, fixed in ((0, 8, [5, 6, 7]), (1, 4, [3])):
            row = int(((history.user_index == user) & (history.lengths == known - 1)).nonzero())
            sequence = [*history.items[row, : known - 1].tolist(), int(history.target[row])]
            assert sorted(sequence) == list(range(known))
            assert sequence[0] == 0 and sequence[-len(fixed) :] == fixed
            sequences.add(tuple(sequence))
            for length in range(1, known):  # every row of the user is of the same order
                at = int(((history.user_index == user) & (history.lengths == length)).nonzero())
                assert [*history.items[at, :length].tolist(), int(history.target[at])] == sequence[
                    : length + 1
                ]
    assert len(sequences) > 10


@pytest.mark.parametrize(("decay", "late"), [("none", 1.0), ("inverse_sqrt", 0.5), ("cosine", 0.0)])
def test_the_rate_rises_and_falls(decay: str, late: float) -> None:
    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)
            self.rates: list[float] = []

        def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
            self.rates.append(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
            loss: torch.Tensor = self.layer(batch).square().mean()
            return loss

        def configure_optimizers(self) -> object:
            config = FitConfig(learning_rate=1.0, warmup_steps=4, decay=decay)  # type: ignore[arg-type]
            return optimizer(self, config)

    module = Module()
    data = torch.utils.data.DataLoader(torch.ones(16, 2), batch_size=2)
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, data)
    np.testing.assert_allclose(module.rates[:4], [0.25, 0.5, 0.75, 1.0])
    assert len(module.rates) == 16
    assert math.isclose(module.rates[-1], late, abs_tol=1e-6)
