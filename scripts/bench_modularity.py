"""Soft modularity of the prototypes, beside Leiden and Louvain, and what a pass costs.

    python scripts/bench_modularity.py --mirror DIR [--recipes [amazon-beauty,amazon-toys,online-retail]]
    python scripts/bench_modularity.py --parts [cost] [--edges [1e6,1e7,1e8]] [--device cuda]

*quality*: on each recipe's co-engagement graph at gamma = 1, free memberships started from Leiden's labels,
from these with a fifth of them drawn anew, from spherical k-means on a spectral embedding of the graph (64
largest singular vectors of the normalised adjacency), and from random labels; by full passes and by batches.
Q is shown at the start, after training, and after hardening, where networkx computes it too. The graph head
is trained with its encoder, without usage balance, from Leiden's communities, which free memberships settle
first; its start is the communities' Q. Means over seeds (least-most).

*cost*: seconds of a full pass on random planted graphs of average degree 40, median of three,
against edges and against C, with the slope of log time on log edges.
"""

import dataclasses
import datetime
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numpy as np
import torch
from _refusal import check_device, refusal
from jsonargparse import CLI
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

from g2rec.artifacts import derive_seed
from g2rec.encoders import LightGCNConfig
from g2rec.graph import (
    CoEngagementConfig,
    CoEngagementGraph,
    build_coengagement,
    build_graph,
    to_networkx,
)
from g2rec.interactions import InteractionsConfig, prepare
from g2rec.prototypes import (
    GraphHeadConfig,
    InterestPrototypes,
    Memberships,
    ModularityConfig,
    community_partition,
    fit_modularity,
    kmeans,
    modularity_report,
    soft_modularity,
)
from g2rec.recipes import load_recipe, read_dataset
from g2rec.training import FitConfig, LinkConfig, fit_encoder
from g2rec.training.pipeline import hardware

Array = np.ndarray[Any, Any]
HEAD = GraphHeadConfig(gamma=1.0, balance_weight=0.0, modularity_weight=10.0)
HEAD_LINKS = LinkConfig(num_edges=2048)
HEAD_FIT = FitConfig(epochs=12, batch_size=2048, learning_rate=5e-3)


def hard(labels: Array) -> Memberships:
    """Labels as memberships."""
    return Memberships(labels[:, None].astype(np.int32), np.ones((len(labels), 1), np.float32))


def modularity(labels: Array, graph: CoEngagementGraph) -> float:
    """Q of hard labels at gamma = 1."""
    return soft_modularity(hard(labels), graph, int(labels.max()) + 1)


def spectral_labels(graph: CoEngagementGraph, num_clusters: int, seed: int) -> Array:
    """Spherical k-means on the largest singular vectors of the normalised adjacency."""
    shape = (graph.num_items, graph.num_items)
    adjacency = csr_matrix((graph.weights.astype(np.float64), graph.indices, graph.indptr), shape=shape)
    scale = diags(1 / np.sqrt(np.maximum(graph.strength(), 1e-12)))
    left, values, _ = svds(scale @ adjacency @ scale, k=64, random_state=seed)
    points = torch.from_numpy((left * values).astype(np.float32))
    centres = kmeans(points, num_clusters, seed=seed, spherical=True)
    return np.asarray((torch.nn.functional.normalize(points, dim=1) @ centres.T).argmax(dim=1).numpy())


def quality(
    recipe_name: str, mirror: Path | None, C: int, seeds: tuple[int, ...], head: bool, batches: bool
) -> list[Any]:
    """Rows of one recipe."""
    recipe = load_recipe(recipe_name)
    config = InteractionsConfig(ties="file_order") if recipe_name.startswith("amazon") else None
    log = prepare(read_dataset(recipe, mirror=mirror), recipe, config)
    graph = build_coengagement(log, CoEngagementConfig(**dataclasses.asdict(recipe.coengagement)))
    print(f"{recipe_name}: {graph.num_items:,} items, {graph.num_edges:,} directed edges", flush=True)
    rows: list[dict[str, Any]] = []
    nothing = np.zeros((graph.num_items, 1), np.float32)
    forms = (("full", None), ("batches", 2048))[: 1 + batches]

    def note(
        method: str,
        seed: int,
        labels: Array,
        clock: float,
        prototypes: InterestPrototypes | None = None,
        start: Array | None = None,
    ) -> None:
        seconds = time.process_time() - clock
        independent = nx.community.modularity(
            network, [set(np.flatnonzero(labels == a).tolist()) for a in np.unique(labels)]
        )
        found = modularity(labels, graph)
        assert abs(found - independent) < 1e-6, "ours and networkx's modularity differ"
        row: dict[str, Any] = {"recipe": recipe_name, "method": method, "seed": seed}
        row |= {"start": None, "after": None, "hardened": found, "used": len(np.unique(labels))}
        if prototypes is not None:
            report = modularity_report(prototypes, graph, start=start)
            row |= {"start": report["modularity_start"], "after": report["modularity"]}
        rows.append(row | {"seconds": seconds})

    network = to_networkx(graph)
    for seed in seeds:
        clock = time.process_time()
        leiden = community_partition(graph, seed=seed)
        note("Leiden (networkit)", seed, leiden, clock)
        rng = np.random.default_rng(seed)
        mixed = leiden.copy()
        drawn = rng.random(len(mixed)) < 0.2
        mixed[drawn] = rng.integers(0, min(C, int(leiden.max()) + 1), drawn.sum())
        starts = {
            "Leiden": leiden,
            "Leiden, a fifth random": mixed,
            "k-means": spectral_labels(graph, C, seed),
            "random labels": rng.integers(0, C, graph.num_items),
        }
        for name, labels in starts.items():
            labels = labels.astype(np.int32)
            for form, batch in forms:
                clock = time.process_time()
                settings = ModularityConfig(num_prototypes=C, gamma=1.0, batch_items=batch)
                free = fit_modularity(graph, nothing, settings, seed=seed, start=labels)
                note(f"from {name}, {form}", seed, free.dominant(), clock, free, labels)
        if head:
            clock = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                parts = (
                    log,
                    build_graph(log),
                    graph,
                    LightGCNConfig(),
                    dataclasses.replace(HEAD, num_prototypes=C),
                )
                fitted = fit_encoder(*parts, HEAD_FIT, Path(folder), seed, HEAD_LINKS)
            found = fitted.prototypes
            begun = community_partition(graph, seed=derive_seed(seed, "communities") % 2**31)
            note("graph head", seed, found.dominant(), clock, found, begun)
    clock = time.process_time()
    labels = np.zeros(graph.num_items, np.int64)
    for number, community in enumerate(nx.community.louvain_communities(network, seed=0)):
        labels[list(community)] = number
    note("Louvain (networkx)", 0, labels, clock)
    return rows


def planted(num_edges: int, seed: int) -> CoEngagementGraph:
    """A random graph of degree 40 over groups of 1,000 items; each row is drawn alone: not symmetric."""
    rng = np.random.default_rng(seed)
    num_items = max(num_edges // 40, 1000)
    degree = np.full(num_items, num_edges // num_items)
    indptr = np.concatenate([[0], np.cumsum(degree)]).astype(np.int64)
    indices = np.empty(int(indptr[-1]), np.int32)
    for low in range(0, num_items, 100_000):
        high = min(low + 100_000, num_items)
        row = np.repeat(np.arange(low, high), degree[low:high])
        near = row // 1000 * 1000 + rng.integers(0, 1000, len(row))
        anywhere = rng.integers(0, num_items, len(row))
        indices[indptr[low] : indptr[high]] = np.where(rng.random(len(row)) < 0.7, near, anywhere) % num_items
    return CoEngagementGraph(num_items, indptr, indices, np.ones(len(indices), np.float32))


def cost(edges: int, C: int, device: str) -> dict[str, Any]:
    """Seconds of a pass: half the difference of fits of three passes and of one; median of three such."""
    graph = planted(edges, 0)
    label = np.random.default_rng(0).integers(0, C, graph.num_items).astype(np.int32)
    nothing = np.zeros((graph.num_items, 1), np.float32)

    def seconds(passes: int) -> float:
        config = ModularityConfig(num_prototypes=C, gamma=1.0, passes=passes)
        clock = time.perf_counter()
        fit_modularity(graph, nothing, config, seed=0, start=label, device=device)
        return time.perf_counter() - clock

    seconds(1)  # compiles, warms up
    passes = [(seconds(3) - seconds(1)) / 2 for _ in range(3)]
    return {"edges": graph.num_edges, "C": C, "seconds": float(np.median(passes)), "device": device}


def main(
    recipes: tuple[str, ...] = ("amazon-beauty", "amazon-toys", "online-retail"),
    mirror: Path | None = None,
    parts: tuple[Literal["quality", "cost"], ...] = ("quality", "cost"),
    num_prototypes: int = 64,
    seeds: tuple[int, ...] = (0, 1, 2),
    graph_head: bool = True,
    batches: bool = True,
    edges: tuple[float, ...] = (1e6, 1e7, 1e8),
    prototypes: tuple[int, ...] = (16, 64, 256, 1024),
    device: Literal["cpu", "cuda"] = "cpu",
) -> None:
    """Measure and print.

    Args:
        recipes: Whose co-engagement graphs.
        mirror: A folder with their files.
        parts: quality, cost or both.
        num_prototypes: C of the quality part.
        seeds: Of the quality part.
        graph_head: Whether to train the graph head too.
        batches: Whether to fit by batches too.
        edges: Directed edges of the cost part.
        prototypes: C of the cost part, at the smallest graph.
        device: Of the cost part.
    """
    check_device(device)
    result: dict[str, Any] = {
        "machine": hardware(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    print(f"{result['machine']}, {torch.get_num_threads()} threads; {result['date']}; C = {num_prototypes}")
    if "quality" in parts:
        result["quality"] = []
        for recipe in recipes:
            rows = quality(recipe, mirror, num_prototypes, seeds, graph_head, batches)
            best = max(np.mean([row["hardened"] for row in rows if row["method"].startswith("Leiden")]), 1e-9)
            columns = f"{'Q at start':>20} {'after':>20} {'hardened':>20}"
            print(f"{'':36} {columns} {'/ Leiden':>8} {'used':>5} {'CPU s':>6}")
            for method in dict.fromkeys(row["method"] for row in rows):
                mine = [row for row in rows if row["method"] == method]
                cells = " ".join(f"{_cell(mine, name):>20}" for name in ("start", "after", "hardened"))
                share = np.mean([row["hardened"] for row in mine]) / best
                used, seconds = (np.mean([row[name] for row in mine]) for name in ("used", "seconds"))
                print(f"{method:36} {cells} {share:8.3f} {used:5.0f} {seconds:6.1f}", flush=True)
            result["quality"] += rows
    if "cost" in parts:
        result["cost"] = [cost(int(number), 64, device) for number in edges]
        result["cost"] += [cost(int(min(edges)), C, device) for C in prototypes]
        for row in result["cost"]:
            print(
                f"{row['device']}: {row['edges']:>11,} edges, C = {row['C']:4}: {row['seconds']:.4f} s a pass"
            )
        grown = result["cost"][: len(edges)]
        if len(grown) > 1:
            log_time = np.log([row["seconds"] for row in grown])
            result["slope"] = float(np.polyfit(np.log([row["edges"] for row in grown]), log_time, 1)[0])
            print(f"slope of log seconds on log edges: {result['slope']:.2f}")
    print(json.dumps(result))


def _cell(rows: list[dict[str, Any]], name: str) -> str:
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return "-"
    return f"{np.mean(values):.4f} ({min(values):.4f}-{max(values):.4f})".replace("0.", ".")


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
