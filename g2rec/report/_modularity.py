"""How far the prototypes follow the communities of the run's co-engagement graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import open_folder
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes import InterestPrototypes, community_partition, modularity_report, partition_into
from g2rec.report import _html

_MOST_EDGES = 20_000_000
"""Both directions; beyond it Leiden would take minutes."""


class ModularityRow(NamedTuple):
    """One grouping of the items."""

    name: str
    groups: int
    """Of two items or more, by their heaviest membership."""
    at_one: float
    """Q at gamma = 1, Newman's modularity."""
    at_gamma: float
    """Q at the resolution of the fit."""


@dataclass(frozen=True)
class MeasuredModularity:
    """Leiden's communities beside the prototypes, on one graph."""

    gamma: float
    """The resolution that the prototypes were fitted for."""
    start: str
    """What the fit began from, in a word: communities, kmeans, or nothing."""
    rows: list[ModularityRow]

    def figures(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"gamma": self.gamma, "start": self.start, "rows": [row._asdict() for row in self.rows]}


def measure_modularity(
    run: Path, prototypes: InterestPrototypes, settings: Mapping[str, Any]
) -> MeasuredModularity | None:
    """Measure the prototypes of a run on its graph; None where the graph is missing, another or too large.

    Args:
        run: The run's folder.
        prototypes: Those of its bundle, which joint training may have moved.
        settings: The run's, as its settings file holds them.
    """
    if not (run / "graph/coengagement").is_dir() or not (run / "encoder/prototypes").is_dir():
        return None
    folder = open_folder(run / "graph/coengagement", "coengagement_graph")
    graph = CoEngagementGraph.of_folder(folder)
    known = open_folder(run / "encoder/prototypes", "interest_prototypes").manifest["made_from"]
    same = known.get("graph/coengagement") == folder.content_hash and graph.num_items == prototypes.num_items
    if not same or not 0 < graph.num_edges <= _MOST_EDGES:
        return None
    gamma, start = _resolution(run, graph, prototypes, settings)
    fitted = InterestPrototypes.load(run / "encoder/prototypes")
    rows = [_leiden(graph, resolution, gamma) for resolution in sorted({1.0, gamma})]
    same_as_fitted = np.array_equal(fitted.indices, prototypes.indices) and np.array_equal(
        fitted.weights, prototypes.weights
    )
    for name, found in (("after the encoder", fitted), ("after joint training", prototypes)):
        if name == "after joint training" and same_as_fitted:
            continue
        reports = [modularity_report(found, graph, resolution) for resolution in (1.0, gamma)]
        groups = _groups(found.dominant())
        for kind, key in (("soft", "modularity"), ("hardened", "modularity_hardened")):
            rows.append(ModularityRow(f"prototypes {name}, {kind}", groups, *(held[key] for held in reports)))
    return MeasuredModularity(gamma, start, rows)


def modularity_table(found: MeasuredModularity) -> str:
    """A heading, a table and what to make of it."""
    begun = {
        "communities": "The fit began from Leiden's communities at that resolution.",
        "kmeans": "The fit began from k-means on the embeddings.",
    }.get(found.start, "These prototypes are random.")
    several = found.gamma != 1
    resolution = f"; at γ = {found.gamma:.2f}, which they were fitted for, groups are smaller" * several
    note = (
        "Modularity Q on the co-engagement graph: the share of the weight inside groups, less what chance "
        f"would put there, at γ = 1{resolution}. Leiden looks for Q alone; prototypes may also serve links, "
        f"even use and the tokenizer. Hardened: each item in its strongest prototype. {begun}"
    )
    heads = ["groups of items", "number", "Q, γ = 1", *([f"Q, γ = {found.gamma:.2f}"] * several)]
    rows = [
        [row.name, f"{row.groups:,}", f"{row.at_one:.3f}", *([f"{row.at_gamma:.3f}"] * several)]
        for row in found.rows
    ]
    return f'<h3>Modularity</h3><p class="soft">{note}</p>{_html.table(heads, rows)}'


def _resolution(
    run: Path, graph: CoEngagementGraph, prototypes: InterestPrototypes, settings: Mapping[str, Any]
) -> tuple[float, str]:
    """What the prototypes were fitted for, and what they began from."""
    if prototypes.method == "random":
        return 1.0, "nothing"
    if prototypes.method == "graph_head":
        config = open_folder(run / "encoder/fitted", "fitted_encoder").manifest["config"]
        return float(config["gamma"] or 1.0), str(config["start"])
    given = (settings.get("prototypes") or {}).get("init_args") or {}
    if given.get("gamma") is not None:
        return float(given["gamma"]), "communities"
    return partition_into(graph, prototypes.num_prototypes, seed=int(settings.get("seed") or 0))[
        1
    ], "communities"


def _leiden(graph: CoEngagementGraph, resolution: float, gamma: float) -> ModularityRow:
    labels = community_partition(graph, gamma=resolution, seed=0)
    alone = InterestPrototypes(
        np.zeros((int(labels.max(initial=0)) + 1, 1), np.float32),
        labels[:, None],
        np.ones((len(labels), 1), np.float32),
        "modularity",
    )
    at_one, at_gamma = (modularity_report(alone, graph, each)["modularity"] for each in (1.0, gamma))
    return ModularityRow(
        f"Leiden, γ = {resolution:.2f}".replace(".00", ""), _groups(labels), at_one, at_gamma
    )


def _groups(labels: NDArray[np.int32]) -> int:
    return int((np.bincount(labels) > 1).sum())
