"""The plots of a report, as inline SVG that takes its ink from the page, so that light and dark both work."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from g2rec.tokenizers import code_usage

_INK = "#010203"  # replaced by the page's text colour once the SVG is written
_PALETTE = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2",
    "#edc948", "#ff9da7", "#9c755f", "#86bcb6", "#d37295", "#a0cbe8",
)  # fmt: skip
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def plot_models(models: Mapping[str, Mapping[str, Any]], ours: str) -> str:
    """R@10 and N@10 of each model with 95% intervals, not masked (full dots) and masked (rings)."""
    names = list(models)[::-1]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.36 * len(names)), layout="constrained")
        for axes, metric, title in zip(
            figure.subplots(1, 2, sharey=True),
            ("recall@10", "ndcg@10"),
            ("Recall@10", "NDCG@10"),
            strict=True,
        ):
            for part, lift, filled in (("unmasked", 0.13, True), ("masked", -0.13, False)):
                values = np.array(
                    [[models[name][part][metric][key] for key in ("mean", "low", "high")] for name in names]
                )
                for row, (mean, low, high) in enumerate(values):
                    colour = _PALETTE[1] if names[row] == ours else _PALETTE[0]
                    axes.plot([low, high], [row + lift] * 2, color=colour, linewidth=1.6, alpha=0.6)
                    face = colour if filled else "none"
                    axes.plot(mean, row + lift, "o", color=colour, markerfacecolor=face, markersize=5)
            axes.set_title(title)
            axes.set_yticks(range(len(names)), names)
            axes.set_xlim(left=0)
            axes.grid(axis="x", alpha=0.2, linewidth=0.6)
        return _svg(figure, "models")


def plot_curves(logs: Mapping[str, Sequence[Path]]) -> str | None:
    """Training loss and validation score per epoch, from the CSV logs of each fit.

    A fit that was cut off and resumed has a log for each session; where two hold the same epoch, the later
    one counts. Returns None where no log holds a curve.
    """
    read = {name: _read_series(paths) for name, paths in logs.items()}
    panels = [(name, series) for name, series in read.items() if series]
    if not panels:
        return None
    rows = -(-len(panels) // 3)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 2.5 * rows), layout="constrained")
        grid = figure.subplots(rows, 3, squeeze=False).ravel()
        for axes, (name, series) in zip(grid, panels, strict=False):
            _draw_curves(axes, name, series)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        return _svg(figure, "curves")


def plot_prototype_sizes(masses: NDArray[np.float64]) -> str:
    """Items of each prototype (sum of memberships), largest first."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.bar(np.arange(len(masses)), np.sort(masses)[::-1], width=0.9, color=_PALETTE[0])
        axes.set(
            title="Size of the prototypes", xlabel="prototype, by size", ylabel="items (sum of memberships)"
        )
        return _svg(figure, "sizes")


def plot_code_usage(codes: NDArray[np.int32], codebook_size: int) -> str:
    """Items on each code, most used first, one line a level."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        axes = figure.subplots()
        levels = code_usage(codes, codebook_size)
        for level, column in enumerate(codes.T):
            counts = np.sort(np.bincount(column, minlength=codebook_size))[::-1]
            used, perplexity = int((counts > 0).sum()), levels[level]["perplexity"]
            label = f"level {level + 1}: {used} of {codebook_size} used, perplexity {perplexity:.0f}"
            axes.plot(np.arange(len(counts)), counts, color=_PALETTE[level % len(_PALETTE)], label=label)
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(bottom=0)
        axes.set(title="Use of the codes", xlabel="code, by use", ylabel="items")
        axes.legend()
        return _svg(figure, "codes")


def plot_similarity(similarity: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Mean cosine of two items against the leading codes that they share, with 95% intervals."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        axes = figure.subplots()
        for colour, (name, rows) in zip(_PALETTE, similarity.items(), strict=False):
            depth = [row["depth"] for row in rows]
            mean = np.array([row["cosine"] for row in rows])
            spread = [mean - [row["low"] for row in rows], [row["high"] for row in rows] - mean]
            axes.errorbar(depth, mean, spread, color=colour, marker="o", markersize=4, capsize=3, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(title="Similarity by prefix", xlabel="leading codes shared", ylabel="mean cosine")
        axes.grid(axis="y", alpha=0.2, linewidth=0.6)
        axes.legend()
        return _svg(figure, "similarity")


def plot_agreement(agreement: Sequence[Mapping[str, float]]) -> str:
    """Mutual information of prefixes with categories, normalised and adjusted, by depth."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        axes = figure.subplots()
        depth = [row["depth"] for row in agreement]
        for colour, (key, label) in zip(
            _PALETTE, (("nmi", "NMI"), ("ami", "adjusted (chance is 0)")), strict=False
        ):
            axes.plot(depth, [row[key] for row in agreement], "o-", color=colour, markersize=4, label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=min(0, *(row["ami"] for row in agreement)))
        axes.set(title="Prefixes and categories", xlabel="leading codes", ylabel="mutual information")
        axes.grid(axis="y", alpha=0.2, linewidth=0.6)
        axes.legend()
        return _svg(figure, "agreement")


def _read_series(paths: Sequence[Path]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    values: dict[str, dict[int, float]] = {}
    for path in paths:
        if not path.stat().st_size:
            continue  # a session that was killed before it wrote its first row
        table = pacsv.read_csv(path)
        for column in table.column_names:
            if not column.endswith(("loss", "recall@10", "ndcg@10")):
                continue
            kept = table.filter(pc.is_valid(table[column]))
            points = zip(kept["epoch"].to_pylist(), kept[column].to_pylist(), strict=True)
            values.setdefault(column, {}).update(points)
    return {
        column: (np.array(list(points)), np.array(list(points.values())))
        for column, points in values.items()
        if points
    }


def _draw_curves(axes: Axes, name: str, series: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
    losses = {key: value for key, value in series.items() if key.endswith("loss")}
    scores = {key: value for key, value in series.items() if key not in losses}
    for at, (key, (epoch, value)) in enumerate(losses.items()):
        axes.plot(
            epoch + 1,
            value,
            color=_PALETTE[at],
            label=key.replace("_", " "),
            linewidth=1.3,
            marker=".",
            markersize=3,
        )
    twin = axes.twinx() if losses and scores else axes
    for at, (key, (epoch, value)) in enumerate(scores.items()):
        colour = _PALETTE[1 + len(losses) + at]
        twin.plot(
            epoch + 1,
            value,
            color=colour,
            label=key.replace("_", " "),
            linewidth=1.3,
            marker=".",
            markersize=3,
        )
    handles = axes.get_legend_handles_labels()
    if twin is not axes:
        handles = tuple(a + b for a, b in zip(handles, twin.get_legend_handles_labels(), strict=True))  # type: ignore[assignment]
    axes.set(title=name, xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(*handles, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=2)


def _svg(figure: Figure, salt: str) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):  # ids must differ between the figures of one page
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
