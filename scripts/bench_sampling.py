"""How neighbour sampling scales: engines x graphs x batch sizes x fan-outs x threads, in one run.

    python scripts/bench_sampling.py --events [1000000,19000000] --engines [native,dgl,pyg]
    python scripts/bench_sampling.py --graphs [runs/small/graph,runs/billion/graph] --out runs/sampling

Every engine runs in a process of its own, which opens the graph, samples a few batches, and then waits for
its turn: the engines are timed one after another, over and over (``--repetitions``), so that a noisy machine
is noisy to all of them. Reported are medians, with the least and the most. An edge counts where it reaches
the model: relabelled, in a tensor. While it is measured, every engine's output is compared with the graph: an
engine that returns an edge that is not there, or more neighbours than the fan-out, is failed.

Engines: ``native`` (g2rec, CPU), ``native+degrees`` (the degree of every node looked up too, as LightGCN
needs), ``replace``, ``weighted``, ``temporal`` and ``walks`` (g2rec's other ways to draw), ``loader``
(native, through the Lightning DataModule into a Trainer's empty training step), ``device`` (g2rec on a GPU),
and the peers as their own users call them: ``dgl`` and ``dgl-int32`` (DGL's NeighborSampler), ``pyg`` (the
operator of torch-sparse or pyg-lib that PyG's NeighborLoader calls) and ``networkx`` (a plain Python loop,
for scale).
"""

import contextlib
import datetime
import itertools
import json
import multiprocessing
import os
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _refusal import refusal
from jsonargparse import CLI

from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph

Run = Callable[[int, int], int]
"""(number of the first batch, batches) -> edges that arrived."""
Edges = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of one hop: neighbours and the nodes they were sampled for, as graph nodes; the row of the latter."""


def main(
    events: list[int] = [1_000_000, 19_000_000],  # noqa: B006 - jsonargparse copies it
    graphs: list[Path] = [],  # noqa: B006
    engines: list[str] = ["native", "native+degrees", "replace", "loader", "dgl", "dgl-int32", "pyg"],  # noqa: B006
    batch_sizes: list[int] = [1024],  # noqa: B006
    fanouts: list[int] = [15, 10],  # noqa: B006
    threads: list[int] = [1, 2],  # noqa: B006
    repetitions: int = 7,
    seconds: float = 0.5,
    on_device: list[int] = [],  # noqa: B006
    out: Path | None = None,
) -> None:
    """Measure, print a table and one JSON line.

    Args:
        events: Sizes of graphs to generate: power laws, a user for every 9.5 events and ten users an item.
        graphs: Folders of graphs to open as well (made by g2rec graph build, or InteractionGraph.save).
        engines: What to measure; see the top of this file.
        batch_sizes: Seeds in a batch; users, drawn uniformly.
        fanouts: Neighbours per node and hop.
        threads: Threads of each CPU engine.
        repetitions: Turns of each engine.
        seconds: Length of a turn.
        on_device: Sizes of graphs to generate on the GPU, up to 10,000,000,000 events, and to sample there,
            with and without replacement; 20 events a user, a thousand an item.
        out: Folder for sampling.png and sampling.json.
    """
    unknown = [engine for engine in engines if engine not in ENGINES]
    if unknown:
        raise ConfigError(f"there is no engine {unknown[0]}; known engines are {', '.join(ENGINES)}")
    for graph in graphs:
        InteractionGraph.load(graph)
    with tempfile.TemporaryDirectory() as scratch:
        opened = [_generated(count, Path(scratch)) for count in events] + list(graphs)
        rows: list[dict[str, Any]] = []
        for path in opened:
            for batch_size in batch_sizes:
                rows += _compare(path, engines, batch_size, fanouts, threads, repetitions, seconds)
    for count in on_device:
        rows += _on_device(count, batch_sizes, fanouts, repetitions, seconds)
    _print_table(rows)
    slopes = _slopes(rows)
    for engine, slope in slopes.items():
        print(f"time per edge grows as (edges of the graph)^{slope:.3f}: {engine}")
    summary = {
        "bench": "sampling",
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "fanouts": fanouts,
        "repetitions": repetitions,
        "rows": rows,
        "slopes": slopes,
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "sampling.json").write_text(json.dumps(summary, indent=1) + "\n")
        _plot(rows, out / "sampling.png")
        print(f"Wrote {out / 'sampling.png'} and {out / 'sampling.json'}")
    print(json.dumps(summary))


def _generated(events: int, scratch: Path) -> Path:
    """A graph with power-law users and items, as a folder."""
    rng = np.random.default_rng(0)
    num_users, num_items = max(1, round(events / 9.5)), max(1, round(events / 95))

    def draw(size: int, exponent: float) -> np.ndarray:
        low, high = 10 ** (1 - exponent), (size + 10) ** (1 - exponent)
        rank = (rng.random(events) * (high - low) + low) ** (1 / (1 - exponent)) - 10
        return rng.permutation(size)[np.minimum(rank.astype(np.int64), size - 1)]

    note(f"generating {events:,} events")
    time_of = np.sort(rng.integers(1_500_000_000, 1_600_000_000, events))
    graph = InteractionGraph.from_events(
        num_users, num_items, draw(num_users, 0.5), draw(num_items, 0.8), time_of,
        rng.random(events, dtype=np.float32) + 0.01,
    )  # fmt: skip
    graph.save(scratch / f"{events}")
    return scratch / f"{events}"


def _compare(
    path: Path, engines: list[str], batch_size: int, fanouts: list[int], threads: list[int], repetitions: int,
    seconds: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """All engines on one graph, in turns."""
    context = multiprocessing.get_context("spawn")
    runs: list[tuple[dict[str, Any], Connection, Any]] = []
    failed: list[dict[str, Any]] = []
    for engine in engines:
        for count in threads if engine not in ("device", "networkx") else [1]:
            row = {"engine": engine, "threads": count, "batch_size": batch_size}
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_child, args=(theirs, engine, path, batch_size, fanouts, count), daemon=True
            )
            process.start()
            theirs.close()
            answer = _receive(ours)
            row.update(answer)
            if "error" in answer:
                failed.append(row)
                process.join()
            else:
                runs.append((row | {"rates": [], "edges_per_batch": 0}, ours, process))
            note(f"{path.name}: {engine}, {count} threads: {answer.get('error', 'ready')}")
    for turn in range(repetitions):
        for row, pipe, _ in runs[turn % max(1, len(runs)) :] + runs[: turn % max(1, len(runs))]:
            if "error" in row:
                continue
            pipe.send((turn, seconds))
            answer = _receive(pipe)
            if "error" in answer:
                row.update(answer)
                continue
            row["rates"].append(answer.pop("rate"))
            row.update(answer)
        note(f"{path.name}: turn {turn + 1} of {repetitions}")
    for _, pipe, process in runs:
        with contextlib.suppress(OSError):
            pipe.send(None)
        process.join()
    rows = [row for row, _, _ in runs] + failed
    for row in rows:
        rates = row.pop("rates", [])
        if rates:
            row.update(rate=statistics.median(rates), least=min(rates), most=max(rates))
            row["ms_per_batch"] = 1000 * row["edges_per_batch"] / row["rate"]
    return rows


def _receive(pipe: Connection) -> dict[str, Any]:
    try:
        return pipe.recv()  # type: ignore[no-any-return]
    except EOFError:
        return {"error": "the process died, out of memory most likely"}


def _child(
    pipe: Connection, engine: str, path: Path, batch_size: int, fanouts: list[int], threads: int
) -> None:
    """One engine on one graph: get ready, then sample for some seconds whenever asked."""
    with contextlib.suppress(ValueError, OSError):  # a peer that needs too much shall fail alone
        limit = int(0.85 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)
        graph = InteractionGraph.load(path)
        rng = np.random.default_rng(1)
        active = np.flatnonzero(graph.degrees()[: graph.num_users])
        seeds = [torch.from_numpy(rng.choice(active, batch_size)).unique() for _ in range(256)]
        start = time.perf_counter()
        run, sampled = ENGINES[engine](graph, seeds, fanouts, threads)
        _check(graph, sampled(0), fanouts)
        run(0, 4)
        pipe.send({"events": graph.num_edges // 2, "seconds_to_ready": time.perf_counter() - start})
    except BaseException as error:
        pipe.send({"error": _reason(error)})
        return
    first = 4
    while (order := pipe.recv()) is not None:
        try:
            _, seconds = order
            edges, batches, start = 0, 0, time.perf_counter()
            size = 8
            while (spent := time.perf_counter() - start) < seconds:
                edges += run(first, size)
                first, batches = first + size, batches + size
                if engine == "loader":  # a Trainer takes time to start: one run of the right length
                    size = max(size, int(batches * seconds / max(spent, 1e-3)))
            spent = time.perf_counter() - start
            _check(graph, sampled(first), fanouts)
            rate = getattr(run, "rate", None) or edges / spent
            pipe.send({"rate": rate, "edges_per_batch": edges / batches, "private_mb": _private_mb()})
        except BaseException as error:
            pipe.send({"error": _reason(error)})
            return


def _reason(error: BaseException) -> str:
    if os.environ.get("G2REC_LOG") == "DEBUG":
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _private_mb() -> float:
    """Memory of this process that is shared with nobody and not in a file, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1000
    return float("nan")


def _check(graph: InteractionGraph, hops: list[Edges] | None, fanouts: list[int]) -> None:
    """Compare some edges of each hop with the graph."""
    for (source, target, row), fanout in zip(hops or (), fanouts if hops else (), strict=True):
        _, count = np.unique(row, return_counts=True)
        if len(count) and count.max() > fanout:
            raise AssertionError(f"a node got {count.max()} neighbours of a hop with fan-out {fanout}")
        for at in np.random.default_rng(len(source)).choice(len(source), min(64, len(source))):
            if source[at] not in graph.row(int(target[at])):
                raise AssertionError(f"({source[at]}, {target[at]}) is not an edge of the graph")


# Engines: each gives (run, edges of one batch by hop as pairs of graph nodes).


def _ours(make: Callable[[InteractionGraph, list[int]], Any], **how: Any) -> Callable[..., Any]:
    def build(graph: InteractionGraph, seeds: list[torch.Tensor], fanouts: list[int], threads: int) -> Any:
        from g2rec.sampling import prefetch

        sampler = make(graph, fanouts)

        def one(number: int) -> Any:
            nodes = seeds[number % len(seeds)]
            times = torch.full((len(nodes),), 2**31 - 2) if how.get("temporal") else None
            return sampler.sample(nodes, key=(0, number), times=times)

        def run(first: int, count: int) -> int:
            made = prefetch(one, range(first, first + count), num_threads=threads, depth=2 * threads)
            return sum(subgraph.edge_index.shape[1] for subgraph in made)

        return run, lambda number: None if how.get("walks") else _by_hop(one(number))

    return build


def _by_hop(subgraph: Any) -> list[Edges]:
    source, target = subgraph.nodes[subgraph.edge_index.long()].cpu().numpy()
    row = subgraph.edge_index[1].cpu().numpy()
    cuts = [0, *subgraph.edges_per_hop]
    return [(source[a:b], target[a:b], row[a:b]) for a, b in itertools.pairwise(cuts)]


def _native(**settings: Any) -> Callable[..., Any]:
    def make(graph: InteractionGraph, fanouts: list[int]) -> Any:
        from g2rec.sampling import NeighborSampler

        return NeighborSampler(graph, fanouts, **settings)

    return make


def _walks(graph: InteractionGraph, fanouts: list[int]) -> Any:
    from g2rec.sampling import PinSageSampler

    return PinSageSampler(graph, fanouts)


def _dgl(
    graph: InteractionGraph, seeds: list[torch.Tensor], fanouts: list[int], threads: int, kind: Any = np.int64
) -> Any:
    """With 32-bit ids DGL 1.1.3's default, fused sampling returns edges that are not there; so not fused."""
    import dgl  # OMP_NUM_THREADS is read when its library is loaded: set above

    indptr, indices = (
        torch.from_numpy(graph.indptr.astype(kind)),
        torch.from_numpy(graph.indices.astype(kind)),
    )
    rows = ("csc", (indptr, indices, torch.empty(0, dtype=indices.dtype)))
    whole = dgl.graph(rows, num_nodes=graph.num_nodes)
    seeds = [nodes.to(indices.dtype) for nodes in seeds]
    # DGL lists the hop next to the seeds last
    sampler = dgl.dataloading.NeighborSampler(fanouts[::-1], fused=kind == np.int64)

    def run(first: int, count: int) -> int:
        edges = 0
        for number in range(first, first + count):
            _, _, blocks = sampler.sample_blocks(whole, seeds[number % len(seeds)])
            edges += sum(block.num_edges() for block in blocks)
        return edges

    def sampled(number: int) -> list[Edges]:
        _, _, blocks = sampler.sample_blocks(whole, seeds[number % len(seeds)])
        pairs = []
        for block in blocks[::-1]:
            source, target = block.edges()
            found, asked = block.srcdata[dgl.NID][source].numpy(), block.dstdata[dgl.NID][target].numpy()
            pairs.append((found, asked, asked))
        return pairs

    return run, sampled


def _pyg(graph: InteractionGraph, seeds: list[torch.Tensor], fanouts: list[int], threads: int) -> Any:
    indptr, indices = (
        torch.from_numpy(np.array(graph.indptr)),
        torch.from_numpy(graph.indices.astype(np.int64)),
    )
    try:
        import pyg_lib  # noqa: F401

        def one(nodes: torch.Tensor) -> Any:
            return torch.ops.pyg.neighbor_sample(indptr, indices, nodes, fanouts)[:3]
    except ImportError:
        import torch_sparse  # noqa: F401

        def one(nodes: torch.Tensor) -> Any:
            found, row, column, _ = torch.ops.torch_sparse.neighbor_sample(
                indptr, indices, nodes, fanouts, False, True
            )
            return row, column, found

    def run(first: int, count: int) -> int:
        return sum(len(one(seeds[number % len(seeds)])[0]) for number in range(first, first + count))

    def sampled(number: int) -> list[Edges]:
        row, column, found = one(seeds[number % len(seeds)])
        # hops are not marked: those next to the seeds come first
        near = int((column < len(seeds[number % len(seeds)])).sum())
        source, target = found[torch.stack((row, column))].numpy()
        cuts = [0, near, len(source)]
        return [(source[a:b], target[a:b], target[a:b]) for a, b in itertools.pairwise(cuts)]

    return run, sampled


def _networkx(graph: InteractionGraph, seeds: list[torch.Tensor], fanouts: list[int], threads: int) -> Any:
    if graph.num_edges > 20_000_000:
        raise MemoryError
    from g2rec.graph import to_networkx

    whole = to_networkx(graph)

    def one(nodes: list[int]) -> list[Edges]:
        hops, known, frontier = [], dict.fromkeys(nodes), nodes
        for fanout in fanouts:
            pairs, fresh = [], []
            for node in frontier:
                near = list(whole.adj[node])
                for other in random.sample(near, min(fanout, len(near))):
                    pairs.append((other, node))
                    if other not in known:
                        known[other] = None
                        fresh.append(other)
            source, target = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            hops.append((source, target, target))
            frontier = fresh
        return hops

    def run(first: int, count: int) -> int:
        return sum(
            sum(len(source) for source, _, _ in one(seeds[number % len(seeds)].tolist()))
            for number in range(first, first + count)
        )

    return run, lambda number: one(seeds[number % len(seeds)].tolist())


def _loader(graph: InteractionGraph, seeds: list[torch.Tensor], fanouts: list[int], threads: int) -> Any:
    """Through the DataModule into a Trainer; timed from its first batch to its last."""
    import warnings

    import lightning as L

    from g2rec.sampling import NeighborSampler
    from g2rec.training import GraphDataModule

    warnings.filterwarnings("ignore")

    class Step(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.edges, self.automatic_optimization = 0, False

        def training_step(self, batch: Any, batch_index: int) -> None:
            if batch_index == 4:
                self.edges, self.start = 0, time.perf_counter()
            self.edges += batch.subgraph.edge_index.shape[1]

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def on_train_end(self) -> None:
            run.rate = self.edges / (time.perf_counter() - self.start)  # type: ignore[attr-defined]

    sampler = NeighborSampler(graph, fanouts, degrees=False)
    every = torch.cat(seeds)
    size = len(seeds[0])

    def run(first: int, count: int) -> int:
        count += 5
        rows = torch.arange(first * size, (first + count) * size) % len(every)
        step = Step()
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(step, GraphDataModule(sampler, every[rows], batch_size=size, num_threads=threads))
        return step.edges

    return run, lambda number: _by_hop(sampler.sample(seeds[number % len(seeds)], key=(0, number)))


def _device(graph: InteractionGraph, seeds: list[torch.Tensor], fanouts: list[int], threads: int) -> Any:
    """On a GPU; the last batch is waited for."""
    from g2rec.sampling import DeviceSampler

    sampler = DeviceSampler(graph, fanouts)
    seeds = [nodes.to(sampler.graph.device) for nodes in seeds]
    largest = min(len(nodes) for nodes in seeds)
    seeds = [nodes[:largest] for nodes in seeds]  # one recorded graph for all

    def run(first: int, count: int) -> int:
        edges = 0
        for number in range(first, first + count):
            edges += sampler.sample(seeds[number % len(seeds)], key=(0, number)).edge_index.shape[1]
        if sampler.graph.device.type == "cuda":
            torch.cuda.synchronize()
        return edges

    return run, lambda number: _by_hop(sampler.sample(seeds[number % len(seeds)], key=(0, number)))


ENGINES: dict[str, Callable[..., Any]] = {
    "loader": _loader,
    "device": _device,
    "native": _ours(_native(degrees=False)),
    "native+degrees": _ours(_native()),
    "replace": _ours(_native(degrees=False, replace=True)),
    "weighted": _ours(_native(degrees=False, weighted=True)),
    "temporal": _ours(_native(degrees=False), temporal=True),
    "walks": _ours(_walks, walks=True),
    "dgl": _dgl,
    "dgl-int32": partial(_dgl, kind=np.int32),
    "pyg": _pyg,
    "networkx": _networkx,
}


def _on_device(
    events: int, batch_sizes: list[int], fanouts: list[int], repetitions: int, seconds: float
) -> list[dict[str, Any]]:
    """The GPU engine on a graph that is generated there; fused kernels are held to the plain torch form."""
    from g2rec.sampling import DeviceGraph, DeviceSampler

    start = time.perf_counter()
    graph = DeviceGraph.generate(events // 20, events // 1000, 20)
    torch.cuda.synchronize()
    note(f"{events:,} events generated on the device in {time.perf_counter() - start:.0f} s")
    place = torch.randint(0, graph.indices.numel(), (1 << 26,), device=graph.device)
    limit = _gathers(graph.indices, place)
    note(f"limit: {limit / 1e9:.1f}e9 random 4-byte gathers a second")
    rows = []
    for batch_size in batch_sizes:
        for replace in (False, True):
            sampler = DeviceSampler(graph, fanouts, replace=replace)
            plain = DeviceSampler(graph, fanouts, replace=replace, fused=False)
            seeds = [torch.randint(graph.num_users, (batch_size,), device=graph.device) for _ in range(32)]
            for number in range(4):
                ours = sampler.sample(seeds[number], key=(0, number))
                theirs = plain.sample(seeds[number], key=(0, number))
                assert torch.equal(ours.nodes, theirs.nodes) and torch.equal(
                    ours.edge_index, theirs.edge_index
                )
                for source, target in ours.nodes[ours.edge_index[:, ::9973]].T[:200].tolist():
                    own = graph.indices[int(graph.indptr[target]) : int(graph.indptr[target + 1])]
                    assert bool((own == source).any()), f"({source}, {target}) is not an edge of the graph"
            rates, edges = [], 0
            for turn in range(repetitions):
                total, batches = 0, 0
                torch.cuda.synchronize()
                start = time.perf_counter()
                while time.perf_counter() - start < seconds:
                    for number in range(16):
                        found = sampler.sample(seeds[number], key=(turn, batches + number))
                        total += found.edge_index.shape[1]
                    batches += 16
                torch.cuda.synchronize()
                rates.append(total / (time.perf_counter() - start))
                edges = total / batches
            rows.append({
                "engine": "device+replace" if replace else "device", "threads": 1, "batch_size": batch_size,
                "events": events, "rate": statistics.median(rates), "least": min(rates), "most": max(rates),
                "edges_per_batch": edges, "ms_per_batch": 1000 * edges / statistics.median(rates),
                "private_mb": torch.cuda.max_memory_allocated() / 1e6, "gathers_per_second": limit,
            })  # fmt: skip
    return rows


def _gathers(values: torch.Tensor, place: torch.Tensor) -> float:
    """Random 4-byte reads a second: what bounds sampling on the device."""
    out = torch.empty(len(place), dtype=values.dtype, device=values.device)
    spent = []
    for _ in range(8):
        torch.cuda.synchronize()
        start = time.perf_counter()
        torch.index_select(values, 0, place, out=out)
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return len(place) / statistics.median(spent)


def _slopes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of log(time per edge) against log(edges of the graph), where an engine saw two graphs or more."""
    slopes = {}
    for key in sorted({(row["engine"], row["threads"], row["batch_size"]) for row in rows}):
        of = [
            row for row in rows if (row["engine"], row["threads"], row["batch_size"]) == key and "rate" in row
        ]
        if len({row["events"] for row in of}) > 1:
            x, y = np.log([row["events"] for row in of]), -np.log([row["rate"] for row in of])
            slopes[f"{key[0]}, {key[1]} threads, batch {key[2]:,}"] = float(np.polyfit(x, y, 1)[0])
    return slopes


def _print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"\n{'engine':<16}{'events':>15}{'batch':>9}{'threads':>8}{'M edges/s':>11}{'(least, most)':>17}"
        f"{'ms/batch':>10}{'edges/batch':>13}{'private MB':>12}"
    )
    for row in rows:
        head = f"{row['engine']:<16}{row.get('events', 0):>15,}{row['batch_size']:>9,}{row['threads']:>8}"
        if "rate" not in row:
            print(f"{head}   {row.get('error', 'nothing measured')}")
            continue
        spread = f"({row['least'] / 1e6:.1f}, {row['most'] / 1e6:.1f})"
        print(
            f"{head}{row['rate'] / 1e6:>11.2f}{spread:>17}{row['ms_per_batch']:>10.3f}"
            f"{row['edges_per_batch']:>13,.0f}{row['private_mb']:>12,.0f}"
        )


_LABELS = {
    "native": "g2rec",
    "native+degrees": "g2rec, degrees of all nodes too",
    "replace": "g2rec, with replacement",
    "loader": "g2rec, into a Trainer",
    "dgl": "DGL, 64-bit ids",
    "dgl-int32": "DGL, 32-bit ids",
    "pyg": "PyG",
}


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12.5, 4.2), constrained_layout=True)
    threads = max(row["threads"] for row in rows)
    for engine in dict.fromkeys(row["engine"] for row in rows):
        of = [row for row in rows if row["engine"] == engine and "rate" in row]
        of = sorted(
            (row for row in of if row["threads"] == threads or engine in ("device", "networkx")),
            key=lambda row: row["events"],
        )
        x = [row["events"] for row in of]
        if not x:
            continue
        rate = np.array([[row["rate"], row["least"], row["most"]] for row in of]).T / 1e6
        (line,) = axes[0].plot(x, rate[0], "o-", label=_LABELS.get(engine, engine))
        axes[0].fill_between(x, rate[1], rate[2], alpha=0.15, color=line.get_color())
        axes[1].plot(x, [row["private_mb"] / 1000 for row in of], "o-")
    for axis, title, unit in (
        (axes[0], "Throughput", "million sampled edges per second"),
        (axes[1], "Private memory", "GB"),
    ):
        axis.set(xscale="log", yscale="log", xlabel="events in the graph", ylabel=unit, title=title)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=150)


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def note(message: str) -> None:
    """Progress, on stderr."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
