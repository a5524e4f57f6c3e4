"""A dot and an interval for each row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from g2rec.artifacts import disk_error, replace_path

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
    """One chart a recipe, as PNG and SVG: R@10 and N@10 of each row, and how far its N@10 is apart.

    Full dots are masked, rings are not; ours stand out by colour; a dotted line marks the best baseline,
    masked. The last panel is a row minus the reference (without one, minus the best baseline), paired over
    users, which tells rows apart whose own intervals overlap. All intervals are 95%.

    Args:
        figures: What ``leaderboard.json`` holds.
        out: Where the files go, ``RECIPE.png`` and ``RECIPE.svg``.

    Returns:
        The files.

    Raises:
        ArtifactError: If the disk refuses a write.
    """
    files = []
    for recipe in dict.fromkeys(board["recipe"] for board in figures["boards"]):
        boards = [board for board in figures["boards"] if board["recipe"] == recipe]
        with mpl.rc_context(_STYLE):
            figure = _figure(recipe, boards)
            for kind, options in (("png", {"dpi": 160}), ("svg", {"metadata": {"Date": None}})):
                file = out / f"{recipe}.{kind}"
                temporary = out / f".{recipe}.tmp.{kind}"
                try:
                    figure.savefig(temporary, **options)
                    replace_path(temporary, file)
                except OSError as error:
                    temporary.unlink(missing_ok=True)
                    raise disk_error(file, error) from error
                files.append(file)
    return files


def _figure(recipe: str, boards: Sequence[Mapping[str, Any]]) -> Figure:
    heights = [len(board["rows"]) + 1.5 for board in boards]
    columns = 3 if any(_other(board) for board in boards) else 2
    figure = Figure(figsize=(2.3 + 3.4 * columns, 0.9 + 0.34 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(boards), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for board, row in zip(boards, grid, strict=True):
        for axes, metric, title in zip(row, ("recall@10", "ndcg@10"), ("R@10", "N@10"), strict=False):
            _accuracy(axes, board, metric)
            axes.set_title(f"{recipe}, {board['protocol']}: {title}" if title == "R@10" else title)
        if columns == 3:
            _apart(row[2], board)
        for axes in row:
            axes.set_yticks(range(len(board["rows"])), [row["name"] for row in board["rows"][::-1]])
            axes.set_ylim(-0.6, len(board["rows"]) - 0.4)
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            axes.grid(axis="x", alpha=0.25, linewidth=0.6)
            axes.tick_params(labelleft=axes is row[0])
    figure.legend(handles=_legend(boards), loc="outside lower center", ncols=5)
    return figure


def _legend(boards: Sequence[Mapping[str, Any]]) -> list[Line2D]:
    dot: dict[str, Any] = {"linestyle": "none", "markersize": 6, "marker": "o"}
    colours = {_colour(row) for board in boards for row in board["rows"]}
    handles = [
        Line2D([], [], color=colour, label=label, **dot)
        for colour, label in ((_OURS, "G2Rec"), (_BASELINE, "baseline"))
        if colour in colours
    ]
    handles += [
        Line2D([], [], color=_INK, label="history masked", **dot),
        Line2D([], [], color=_INK, markerfacecolor="white", label="not masked", **dot),
    ]
    if any(board["best_baseline"] for board in boards):
        handles.append(Line2D([], [], color=_BASELINE, linestyle=":", label="best baseline, masked"))
    return handles


def _colour(row: Mapping[str, Any]) -> str:
    return _OURS if row["model"] == "g2rec" else _BASELINE


def _other(board: Mapping[str, Any]) -> tuple[str, str] | None:
    """The field of the comparison that is drawn, and the name of the row that others are compared with."""
    for field, name in (("against_reference", board["reference"]), ("against_best", board["best_baseline"])):
        if name and any(row.get(field) for row in board["rows"]):
            return field, name
    return None


def _accuracy(axes: Axes, board: Mapping[str, Any], metric: str) -> None:
    rows = board["rows"][::-1]
    for at, row in enumerate(rows):
        for side, lift in (("masked", 0.14), ("unmasked", -0.14)):
            _interval(axes, row[side][metric], at + lift, _colour(row), full=side == "masked")
    best = next((row for row in rows if row["name"] == board["best_baseline"]), None)
    if best is not None:
        axes.axvline(best["masked"][metric]["mean"], color=_BASELINE, linestyle=":", linewidth=1.0)
    axes.set_xlim(left=0)


def _apart(axes: Axes, board: Mapping[str, Any]) -> None:
    other = _other(board)
    if other is None:
        axes.set_axis_off()
        return
    field, name = other
    for at, row in enumerate(board["rows"][::-1]):
        if row.get(field):
            _interval(axes, row[field]["difference"], at, _colour(row), full=True)
    axes.axvline(0, color=_INK, linewidth=0.6)
    axes.set_title(f"N@10 masked, minus {name}")


def _interval(axes: Axes, value: Mapping[str, float], at: float, colour: str, *, full: bool) -> None:
    axes.plot([value["low"], value["high"]], [at, at], color=colour, linewidth=1.6, alpha=0.65)
    face = colour if full else "white"
    axes.plot(value["mean"], at, "o", color=colour, markerfacecolor=face, markersize=5)
