"""From a billion edges to prototypes and semantic IDs: what is found of planted interests, at what cost.

    python scripts/make_events.py --events 1e9 --users 5e7 --items 1e6 --out logs/billion
    g2rec graph build logs/billion/events --out runs/billion --memory 10GiB
    python scripts/bench_billion.py --log logs/billion --run runs/billion --minutes 10

Trains encoder and prototypes for the minutes given, infers the memberships of all items from all their
neighbours, and has the tokenizer make an ID of its own for every item. Printed are seconds and peak memory of
each step, and the adjusted mutual information of each item's strongest prototype with its planted interest,
over items with at least 20 events; beside it k-means on an untrained encoder's embeddings (the same sampled
neighbours for both, on a sample of the items) and k-means on the content alone.
"""

import datetime
import json
import os
import resource
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import torch
from _refusal import refusal
from jsonargparse import CLI
from sklearn.metrics import adjusted_mutual_info_score
from tqdm import tqdm

from g2rec.artifacts import read_json, write_json
from g2rec.encoders import GraphSAGEConfig
from g2rec.prototypes import GraphHeadConfig, kmeans
from g2rec.sampling import NeighborSampler
from g2rec.tokenizers import RQVAEConfig
from g2rec.training import FitConfig, LinkConfig
from g2rec.training.log_run import LogRun
from g2rec.training.pipeline import hardware
from g2rec.training.run_config import RunConfig

FREQUENT = 20
"""Events from which an item counts."""
SAMPLE = 100_000
"""Items that k-means is compared on."""


def main(
    log: Path,
    run: Path,
    minutes: float = 10.0,
    interests: int = 64,
    dim: int = 32,
    batch_size: int = 1024,
    learning_rate: float = 0.01,
    fanouts: tuple[int, int] = (10, 5),
    tokenizer_epochs: int = 2,
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    seed: int = 0,
) -> None:
    """Run, print a table and one JSON line.

    Args:
        log: What make_events.py wrote.
        run: The run with its graph; gets encoder and tokenizer.
        minutes: Of training the encoder.
        interests: Prototypes.
        dim: Dimensions of the embeddings.
        batch_size: Events in a batch.
        learning_rate: Of the encoder.
        fanouts: Neighbours sampled per node in both hops.
        tokenizer_epochs: Passes over the items.
        accelerator: Where to train; auto takes a GPU where there is one.
        seed: Of everything that is drawn.
    """
    known = {**read_json(run / "run.json"), "content": str((log / "content.npy").resolve())}
    write_json(run / "run.json", known)
    config = RunConfig(
        seed=seed,
        encoder=GraphSAGEConfig(embedding_dim=dim),
        links=LinkConfig(fanouts=fanouts, num_threads=1, warmup_epochs=2),
        prototypes=GraphHeadConfig(num_prototypes=interests),
        encoder_fit=FitConfig(
            epochs=100_000, batch_size=batch_size, learning_rate=learning_rate, minutes=minutes,
            accelerator=accelerator,
        ),
        tokenizer=RQVAEConfig(num_levels=3, codebook_size=256),
        tokenizer_fit=FitConfig(epochs=tokenizer_epochs, batch_size=4096, accelerator=accelerator),
    )  # fmt: skip
    steps: dict[str, float] = {}
    going = LogRun(
        run, config, progress=_Bar(steps), announce=lambda stage: print(f"{stage.name}: {stage.line}")
    )
    truth = pq.read_table(log / "items.parquet", columns=["interest"])["interest"].to_numpy()
    with _Clock(steps, "open the graph"):
        graph = going.graph
    counts = np.diff(graph.indptr[graph.num_users :])
    frequent = counts >= FREQUENT
    rng = np.random.default_rng(seed)
    some = rng.choice(np.flatnonzero(frequent), min(SAMPLE, int(frequent.sum())), replace=False)
    content = going.content
    assert content is not None
    found: dict[str, float] = {}

    def agreement(labels: np.ndarray, items: np.ndarray) -> float:
        return float(adjusted_mutual_info_score(truth[items], labels))

    def clusters(vectors: torch.Tensor) -> np.ndarray:
        unit = torch.nn.functional.normalize(vectors, dim=1)
        centres = kmeans(unit, interests, seed=seed, spherical=True)
        return torch.cat([(part @ centres.T).argmax(1) for part in torch.split(unit, 8192)]).numpy()

    def embedded(encoder: Any) -> torch.Tensor:
        sampler = NeighborSampler(graph, (20, 10), seed=seed)
        features = torch.from_numpy(content)
        with torch.no_grad():
            return torch.cat([
                encoder(sampler.sample(torch.from_numpy(part) + graph.num_users, key=(0, step)), features)
                for step, part in enumerate(np.array_split(some, max(1, len(some) // 2048)))
            ])  # fmt: skip

    with _Clock(steps, "encoder, prototypes and memberships"):
        fitted = going.encoder
    epochs = fitted.report.epochs if fitted.report else None  # None where an earlier run is reused
    found["trained: memberships of all items"] = agreement(
        fitted.prototypes.dominant()[frequent], np.flatnonzero(frequent)
    )
    found["trained: memberships, the sample"] = agreement(fitted.prototypes.dominant()[some], some)
    found["trained: k-means, sampled neighbours"] = agreement(clusters(embedded(fitted.encoder)), some)
    torch.manual_seed(seed)
    untrained = config.encoder.build(graph.num_users, graph.num_items, content.shape[1]).eval()
    found["untrained: k-means, sampled neighbours"] = agreement(clusters(embedded(untrained)), some)
    found["content alone: k-means"] = agreement(clusters(torch.from_numpy(content[some])), some)
    del untrained
    with _Clock(steps, "tokenizer"):
        ids = going.tokenizer
    print(f"\n{graph.num_edges // 2:,} events, {graph.num_users:,} users, {graph.num_items:,} items; "
          f"{epochs} epochs of 500 steps of {batch_size} events")  # fmt: skip
    print(f"\n{'agreement with the planted interests (AMI)':<46}")
    for name, value in found.items():
        print(f"  {name:<44}{value:.3f}")
    print("\nseconds")
    for name, value in steps.items():
        print(f"  {name:<44}{value:,.0f}")
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB, "
          f"files that are mapped included")  # fmt: skip
    print(json.dumps({
        "bench": "billion", "date": datetime.date.today().isoformat(), "hardware": hardware(),
        "cores": os.cpu_count(), "events": graph.num_edges // 2, "users": graph.num_users,
        "items": graph.num_items, "minutes": minutes, "epochs": epochs, "batch_size": batch_size,
        "ami": found, "seconds": steps, "ids": dict(ids.report),
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }, default=str))  # fmt: skip


class _Clock:
    def __init__(self, steps: dict[str, float], name: str) -> None:
        self.steps, self.name = steps, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.steps[self.name] = time.perf_counter() - self.start


class _Bar:
    """A bar for each step of the inference, and its seconds."""

    def __init__(self, steps: dict[str, float]) -> None:
        self.steps, self.name, self.bar = steps, "", None
        self.start = time.perf_counter()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self.name:
            self.name, self.start = step, time.perf_counter()
            self.bar = tqdm(total=total, desc=step, unit_scale=True, leave=False, disable=None)
        assert self.bar is not None
        self.bar.update(done - self.bar.n)
        self.steps[f"  {step}"] = time.perf_counter() - self.start
        if done >= total:
            self.bar.close()


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
