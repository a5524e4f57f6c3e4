"""The plot of a sweep over the number of prototypes and the resolution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from g2rec.prototypes import SweepRow

_DARK = "#222222"
_PALETTE = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#9c755f")
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _DARK,
    "axes.labelcolor": _DARK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _DARK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "legend.frameon": False,
    "legend.labelcolor": _DARK,
    "text.color": _DARK,
    "text.parse_math": False,
    "xtick.color": _DARK,
    "ytick.color": _DARK,
}
_PANELS = (
    ("modularity_one", "Modularity at gamma 1", "hardened, whole graph"),
    ("stability", "Stability", "AMI between seeds"),
    ("usage_perplexity", "Prototypes in use", "perplexity of usage"),
)


def plot_sweep(rows: Sequence[SweepRow], chosen: SweepRow, path: Path) -> None:
    """Modularity, stability and usage against C, a line for each gamma, a ring around the chosen setting.

    Args:
        rows: Of `g2rec.prototypes.sweep_prototypes`.
        chosen: One of them.
        path: The image to write; the ending (.png, .svg, .pdf) says which kind.
    """
    gammas = sorted({row.gamma for row in rows})
    numbers = sorted({row.num_prototypes for row in rows})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        for axes, (name, title, unit) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
            for at, gamma in enumerate(gammas):
                line = sorted((row.num_prototypes, getattr(row, name)) for row in rows if row.gamma == gamma)
                colour = _PALETTE[at % len(_PALETTE)]
                drawn = {"color": colour, "markersize": 4, "linewidth": 1.4, "label": f"gamma {gamma:g}"}
                axes.plot(*zip(*line, strict=True), "o-", **drawn)
            ring = chosen.num_prototypes, getattr(chosen, name)
            around = {"color": "none", "markersize": 11, "markeredgecolor": _DARK, "markeredgewidth": 1.2}
            axes.plot(*ring, "o", label="chosen", **around)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator(numbers))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set(title=title, xlabel="prototypes, C", ylabel=unit)
            axes.grid(alpha=0.2, linewidth=0.6)
            if name == "usage_perplexity":
                axes.plot(numbers, numbers, ":", color="#999999", linewidth=1, label="all, evenly")
                axes.set_ylim(0, 1.15 * max(row.usage_perplexity for row in rows))
        handles = figure.axes[-1].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(handles[0]))
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
