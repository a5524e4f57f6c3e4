"""How long a training step of G2Rec takes: padded, packed, as CUDA graphs, by precision; a table, and JSON.

    python scripts/bench_training.py --model RUN/recommender/model
        --interactions RUN/interactions/interactions [--device cuda]

A step is the loss of a batch of windows, its gradient and the optimizer, from a batch on the host on.
Variants go by turns, so that a noisy machine is noisy to all; medians (with one thread on the CPU, of
processor time). *card*: time in which the GPU works, of torch.profiler; where it is far below the step, the
host, which launches kernels, takes the time.
*real*: share of the positions of the padded windows that hold an item; a prefix comes on top.
"""

import copy
import datetime
import json
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np
import torch
from _refusal import check_device, refusal
from bench_decoding import card_seconds, seconds_of
from jsonargparse import CLI

from g2rec.interactions import Interactions
from g2rec.recommenders import G2Rec, TrainingBatch
from g2rec.recommenders._transformer import Packed
from g2rec.training.captured import CapturedLoss
from g2rec.training.fitting import FitConfig, matmul_precision, optimizer
from g2rec.training.g2rec import shape_multiple, training_batches
from g2rec.training.pipeline import hardware
from g2rec.training.sequence import RecommenderModule, training_windows

_BATCHES = 16
"""Batches that the steps go through."""


class Variant:
    """Steps of one model in one precision, with padded or packed rows, these launched or captured."""

    def __init__(self, model: G2Rec, precision: str, rows: str, rate: float) -> None:
        self.model, self.precision, self.rows = copy.deepcopy(model).train(), precision, rows
        self.loss: Callable[[Any], torch.Tensor] = self.model.loss
        if rows == "captured":
            self.loss = CapturedLoss(self.model)
        self.optimizer = optimizer(RecommenderModule(self.model), FitConfig(learning_rate=rate))

    def step(self, batch: TrainingBatch) -> None:
        """One step on a batch on the host."""
        device = self.model.device
        padded = mock.patch.object(Packed, "dense", True) if self.rows == "padded" else nullcontext()
        half = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")
        with padded, matmul_precision("high" if self.precision == "tf32" else "highest"):
            self.optimizer.zero_grad()
            with half:
                loss = self.loss(batch.to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

    def epoch(self, batches: list[TrainingBatch]) -> None:
        """A step on each batch."""
        for batch in batches:
            self.step(batch)


def measure(
    model: G2Rec, batches: list[TrainingBatch], precisions: list[str], rate: float, budget: float
) -> list[dict[str, Any]]:
    """Milliseconds a step of each variant."""
    device = model.device.type
    variants = [
        Variant(model, precision, rows, rate)
        for precision in precisions
        for rows in ("padded", "packed", "captured")
        if rows != "captured" or (device == "cuda" and precision != "bf16-mixed")
    ]
    for variant in variants:
        if variant.rows == "captured":
            for _ in range(3):  # shapes are recorded the third time
                variant.epoch(batches)
    times = seconds_of([partial(variant.epoch, batches) for variant in variants], device, budget)
    return [
        {
            "precision": variant.precision,
            "rows": variant.rows,
            "step_ms": statistics.median(own) / len(batches) * 1e3,
            "card_ms": card_seconds(partial(variant.epoch, batches)) / len(batches) * 1e3
            if device == "cuda"
            else None,
        }
        for variant, own in zip(variants, times, strict=True)
    ]


def first_batches(model: G2Rec, interactions: Interactions, batch_size: int) -> list[TrainingBatch]:
    """The first batches of an epoch."""
    windows = training_windows(interactions, model.config.transformer.max_len)
    multiple = shape_multiple(windows, batch_size) if model.codes.is_cuda else 1
    loader = training_batches(model, windows, batch_size, seed=0, multiple=multiple)
    return [batch for _, batch in zip(range(_BATCHES), loader, strict=False)]


def main(
    model: Path,
    interactions: Path,
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu",
    batch_size: int = 256,
    precisions: list[Literal["32-true", "tf32", "bf16-mixed"]] | None = None,
    learning_rate: float = 1e-3,
    budget: float = 10.0,
) -> None:
    """Measure and print.

    Args:
        model: A fitted G2Rec.
        interactions: What it was fitted on.
        device: cuda or cpu.
        batch_size: Windows in a batch.
        precisions: Of 32-true, tf32 and bf16-mixed; by default all on a GPU, the first on a CPU.
        learning_rate: Of the optimizer.
        budget: Seconds for each variant, at least two rounds of sixteen batches.
    """
    check_device(device)
    log, fitted = Interactions.load(interactions), G2Rec.load(model).to(device)
    counts = np.bincount(log.train_events().item_index, minlength=log.num_items)
    fitted.train_on(torch.from_numpy(counts > 0))
    batches = first_batches(fitted, log, batch_size)
    precisions = precisions or (["32-true", "tf32", "bf16-mixed"] if device == "cuda" else ["32-true"])
    report(measure(fitted, batches, precisions, learning_rate, budget), batches)


def report(rows: list[dict[str, Any]], batches: list[TrainingBatch]) -> None:
    """Print what was measured."""
    inputs = torch.cat([(batch.items[:, :-1] >= 0).flatten() for batch in batches])
    real = float(inputs.float().mean())
    print(f"{hardware()}, torch {torch.__version__}, {torch.get_num_threads()} threads; real {real:.1%}")
    for row in rows:
        card = "" if row["card_ms"] is None else f", card {row['card_ms']:.2f} ms"
        print(f"{row['precision']:10} {row['rows']}: {row['step_ms']:.2f} ms a step{card}")
    print(
        json.dumps(
            {"date": datetime.date.today().isoformat(), "hardware": hardware(), "rows": rows, "real": real}
        )
    )


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
