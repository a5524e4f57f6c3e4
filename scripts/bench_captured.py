"""How long a training step of TIGER takes, launched kernel by kernel or as CUDA graphs; a line each, JSON.

    python scripts/bench_captured.py

On a made catalogue of Amazon Beauty's size: batches of histories of one length, 1 to 20 items in turn, as
`target_loader` gives them. A step is the loss of a batch from the host on, its gradient and the optimizer;
graphs are recorded before. The two go by turns; medians. *card*: time in which the GPU works, of
torch.profiler.
"""

import datetime
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from _refusal import refusal
from bench_decoding import card_seconds, seconds_of
from jsonargparse import CLI

from g2rec.errors import ConfigError
from g2rec.recommenders import TIGER, TargetBatch, TIGERConfig
from g2rec.training.captured import CapturedLoss
from g2rec.training.fitting import FitConfig, matmul_precision, optimizer
from g2rec.training.pipeline import hardware
from g2rec.training.sequence import RecommenderModule

_NUM_ITEMS, _CODEBOOK = 12_101, 256


class Steps:
    """Steps of one model on batches of the host."""

    def __init__(self, captured: bool, rate: float) -> None:
        rng = np.random.default_rng(0)
        torch.manual_seed(0)
        codes = rng.integers(0, _CODEBOOK, (_NUM_ITEMS, 4))
        self.model: TIGER = TIGERConfig().build(codes=codes, codebook_size=_CODEBOOK).cuda().train()
        self.optimizer = optimizer(RecommenderModule(self.model), FitConfig(learning_rate=rate))
        self.loss: Callable[[Any], torch.Tensor] = CapturedLoss(self.model) if captured else self.model.loss

    def epoch(self, batches: list[TargetBatch]) -> None:
        """A step on each batch."""
        with matmul_precision("high"):
            for batch in batches:
                self.optimizer.zero_grad()
                self.loss(batch.to("cuda")).backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()


def made_batches(batch_size: int, max_len: int) -> list[TargetBatch]:
    """A batch of each length of history, in random order."""
    rng = np.random.default_rng(1)
    found = []
    for width in rng.permutation(np.arange(1, max_len + 1)).tolist():
        items = torch.from_numpy(rng.integers(0, _NUM_ITEMS, (batch_size, width)))
        users, lengths = torch.arange(batch_size), torch.full((batch_size,), width)
        target = torch.from_numpy(rng.integers(0, _NUM_ITEMS, batch_size))
        found.append(TargetBatch(users, items, lengths, target))
    return found


def main(batch_size: int = 256, max_len: int = 20, budget: float = 10.0) -> None:
    """Measure and print.

    Args:
        batch_size: Histories in a batch.
        max_len: Items of the longest histories.
        budget: Seconds for each of the two.
    """
    if not torch.cuda.is_available():
        raise ConfigError("CUDA graphs need a GPU, torch finds none; run this on a machine that has one")
    batches = made_batches(batch_size, max_len)
    runs = {"launched": Steps(False, 1e-4), "captured": Steps(True, 1e-4)}
    start = time.perf_counter()
    for _ in range(3):  # the third time, shapes are recorded
        runs["captured"].epoch(batches)
    torch.cuda.synchronize()
    recording = time.perf_counter() - start
    times = seconds_of([partial(run.epoch, batches) for run in runs.values()], "cuda", budget)
    rows = [
        {
            "step": name,
            "ms": statistics.median(own) / len(batches) * 1e3,
            "card_ms": card_seconds(partial(run.epoch, batches)) / len(batches) * 1e3,
        }
        for (name, run), own in zip(runs.items(), times, strict=True)
    ]
    print(f"{hardware()}, torch {torch.__version__}; recorded {max_len} shapes in {recording:.1f} s")
    for row in rows:
        print(f"{row['step']}: {row['ms']:.2f} ms a step, card {row['card_ms']:.2f} ms")
    print(json.dumps({"date": datetime.date.today().isoformat(), "hardware": hardware(), "rows": rows}))


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
