"""How well planted interests are found: five methods on the synthetic graph, a table, and one line of JSON.

    python scripts/bench_interests.py [--seeds [0,1,2]] [--noises [0.1,0.3,0.5]] [--encoder GraphSAGEConfig]

AMI is the adjusted mutual information of each item's strongest prototype with its planted dominant interest,
over items with at least 20 training events. The probe is supervised: a logistic regression on the content,
five-fold cross-validated, its penalty the best of .03 to 10 at noise .3. Seconds are of CPU time; k-means
and the graph head share one fit of the encoder, counted to the head.
"""

import dataclasses
import datetime
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jsonargparse import CLI
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.model_selection import cross_val_predict

from g2rec.encoders import GraphSAGEConfig, LightGCNConfig
from g2rec.graph import build_coengagement, build_graph
from g2rec.interactions import prepare
from g2rec.prototypes import (
    GraphHeadConfig,
    ModularityConfig,
    community_partition,
    fit_modularity,
    kmeans,
)
from g2rec.recipes import SyntheticConfig, load_recipe, read_dataset
from g2rec.training import FitConfig, fit_encoder

FREQUENT = 20
"""Training events from which an item counts."""


def measure(
    synthetic: SyntheticConfig, fit: FitConfig, encoder: str, seed: int
) -> dict[str, dict[str, float]]:
    """AMI and CPU seconds of every method on one graph."""
    recipe = dataclasses.replace(load_recipe("synthetic"), synthetic=synthetic)
    log = prepare(read_dataset(recipe), recipe)
    graph, coengagement = build_graph(log), build_coengagement(log)
    frequent = graph.degrees()[log.num_users :] >= FREQUENT
    planted = np.array(log.items["dominant_interest"].to_pylist())[frequent]
    found: dict[str, dict[str, float]] = {}
    start = time.process_time()

    def note(method: str, labels: np.ndarray) -> None:
        nonlocal start
        now = time.process_time()
        ami = float(adjusted_mutual_info_score(planted, labels[frequent]))
        found[method] = {"ami": round(ami, 4), "seconds": round(now - start, 2)}
        start = time.process_time()

    C = synthetic.num_interests
    encoder_config = {"LightGCNConfig": LightGCNConfig, "GraphSAGEConfig": GraphSAGEConfig}[encoder]()
    head = GraphHeadConfig(num_prototypes=C)
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit_encoder(log, graph, coengagement, encoder_config, head, fit, Path(folder), seed)
    note("graph head", fitted.prototypes.dominant())
    items = torch.nn.functional.normalize(torch.from_numpy(fitted.embeddings.items), dim=1)
    centres = kmeans(items[torch.from_numpy(frequent)], C, seed=seed, spherical=True)
    note("k-means on embeddings", (items @ centres.T).argmax(dim=1).numpy())
    free = fit_modularity(
        coengagement, fitted.embeddings.items, ModularityConfig(num_prototypes=C), seed=seed
    )
    note("free modularity", free.dominant())
    note("Leiden", community_partition(coengagement, seed=seed))
    labels = np.full(log.num_items, -1)
    probe = LogisticRegression(C=0.03, max_iter=2000)
    assert log.content is not None
    labels[frequent] = cross_val_predict(probe, log.content[frequent], planted, cv=5)
    note("content probe", labels)
    return found


def main(
    num_users: int = 2000,
    num_items: int = 1000,
    num_interests: int = 16,
    noises: tuple[float, ...] = (0.1, 0.3, 0.5),
    seeds: tuple[int, ...] = (0, 1, 2),
    encoder: Literal["LightGCNConfig", "GraphSAGEConfig"] = "LightGCNConfig",
    epochs: int = 8,
    batch_size: int = 2048,
    learning_rate: float = 5e-3,
) -> None:
    """Fit and print.

    Args:
        num_users: Of the synthetic graph.
        num_items: Of the synthetic graph.
        num_interests: Planted; as many prototypes are fitted.
        noises: Shares of a user's events outside their interests.
        seeds: Of graph and fit alike; one run each.
        encoder: Which encoder.
        epochs: Of the encoder.
        batch_size: Training events in a batch.
        learning_rate: Of the encoder and the head.
    """
    fit = FitConfig(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, accelerator="cpu")
    rows = []
    for noise in noises:
        for seed in seeds:
            synthetic = SyntheticConfig(
                num_users=num_users, num_items=num_items, num_interests=num_interests, noise=noise, seed=seed
            )
            for method, result in measure(synthetic, fit, encoder, seed).items():
                rows.append({"noise": noise, "seed": seed, "method": method, **result})
    about = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"{encoder}, {num_users} users, {num_items} items, {num_interests} interests; {about}; {date}")
    print(f"{'noise':>6} {'method':24} {'AMI, mean':>10} {'least':>7} {'most':>7} {'CPU s':>7}")
    for noise in noises:
        for method in dict.fromkeys(row["method"] for row in rows):
            chosen = [row for row in rows if row["noise"] == noise and row["method"] == method]
            ami = [float(row["ami"]) for row in chosen]
            seconds = np.mean([float(row["seconds"]) for row in chosen])
            print(
                f"{noise:6} {method:24} {np.mean(ami):10.3f} {min(ami):7.3f} {max(ami):7.3f} {seconds:7.1f}"
            )
    print(json.dumps({"encoder": encoder, "machine": about, "date": date, "fit": vars(fit), "rows": rows}))


if __name__ == "__main__":
    CLI(main, as_positional=False)
