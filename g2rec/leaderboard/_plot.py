"""A dot and an interval for each row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from g2rec.artifacts import replace_path

_BASELINE, _OURS, _INK = "#4e79a7", "#d1600a", "#333333"
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "g2rec",
    "text.parse_math": False,
}


def plot_boards(figures: Mapping[str, Any], out: Path) -> list[Path]:
    """One chart a recipe, as PNG and SVG: R@10 and N@10 of each row with 95% intervals.

    Full dots are masked, rings are not; ours stand out by colour; a line marks the best baseline, masked.

    Args:
        figures: What ``leaderboard.json`` holds.
        out: Where the files go, ``RECIPE.png`` and ``RECIPE.svg``.

    Returns:
        The files.
    """
    files = []
    for recipe in dict.fromkeys(board["recipe"] for board in figures["boards"]):
        boards = [board for board in figures["boards"] if board["recipe"] == recipe]
        with mpl.rc_context(_STYLE):
            figure = _figure(recipe, boards)
            for kind, options in (("png", {"dpi": 160}), ("svg", {"metadata": {"Date": None}})):
                file = out / f"{recipe}.{kind}"
                temporary = out / f".{recipe}.tmp.{kind}"
                figure.savefig(temporary, **options)
                replace_path(temporary, file)
                files.append(file)
    return files


def _figure(recipe: str, boards: Sequence[Mapping[str, Any]]) -> Figure:
    heights = [len(board["rows"]) + 1.5 for board in boards]
    figure = Figure(figsize=(9.5, 0.9 + 0.34 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(boards), 2, squeeze=False, gridspec_kw={"height_ratios": heights})
    for board, row in zip(boards, grid, strict=True):
        for axes, metric, title in zip(row, ("recall@10", "ndcg@10"), ("R@10", "N@10"), strict=True):
            _panel(axes, board, metric)
            axes.set_title(f"{recipe}, {board['protocol']}: {title}")
        row[1].tick_params(labelleft=False)
    dot = {"linestyle": "none", "markersize": 6}
    handles = [
        Line2D([], [], marker="o", color=_OURS, label="G2Rec", **dot),  # type: ignore[arg-type]
        Line2D([], [], marker="o", color=_BASELINE, label="baseline", **dot),  # type: ignore[arg-type]
        Line2D([], [], marker="o", color=_INK, label="history masked", **dot),  # type: ignore[arg-type]
        Line2D([], [], marker="o", color=_INK, markerfacecolor="white", label="not masked", **dot),  # type: ignore[arg-type]
        Line2D([], [], color=_BASELINE, linestyle=":", label="best baseline, masked"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _panel(axes: Axes, board: Mapping[str, Any], metric: str) -> None:
    rows = board["rows"][::-1]
    for at, row in enumerate(rows):
        colour = _OURS if row["model"] == "g2rec" else _BASELINE
        for side, lift in (("masked", 0.14), ("unmasked", -0.14)):
            value = row[side][metric]
            axes.plot([value["low"], value["high"]], [at + lift] * 2, color=colour, linewidth=1.6, alpha=0.65)
            face = colour if side == "masked" else "white"
            axes.plot(value["mean"], at + lift, "o", color=colour, markerfacecolor=face, markersize=5)
    best = next((row for row in rows if row["name"] == board["best_baseline"]), None)
    if best is not None:
        axes.axvline(best["masked"][metric]["mean"], color=_BASELINE, linestyle=":", linewidth=1.0)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
