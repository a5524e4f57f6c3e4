"""Lay the metrics of one run out as a table."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from g2rec.errors import ArtifactError


class _Column(NamedTuple):
    title: str
    value: Callable[[Mapping[str, Any]], float]
    interval: Callable[[Mapping[str, Any]], tuple[float, float] | None]


def format_table(metrics: Mapping[str, Any], *, bold: bool = False) -> str:
    """The models of a run as aligned text: R@10 and N@10, not masked and masked, and coverage.

    Masked means that the items in a user's history cannot be recommended; users whose target is in their
    history are left out of it. Coverage is the share of the catalogue in at least one top 10 (not masked).

    Args:
        metrics: What ``metrics.json`` of a run holds.
        bold: Set the best figure of each column in bold (for a terminal).

    Raises:
        ArtifactError: If an entry is missing.
    """
    columns, rows = _columns(), _models(metrics)
    best = [_best(column, rows) for column in columns]
    width = max(5, *(len(name) for name in rows))
    lines = ["  ".join(["model".ljust(width), *(column.title.rjust(_width(column)) for column in columns)])]
    lines.append("-" * len(lines[0]))
    for name, entry in rows.items():
        cells = [f"{column.value(entry):.4f}".rjust(_width(column)) for column in columns]
        if bold:
            cells = [f"\x1b[1m{cell}\x1b[0m" if name in best[at] else cell for at, cell in enumerate(cells)]
        lines.append("  ".join([name.ljust(width), *cells]))
    return "\n".join([*lines, *_notes(metrics)])


def format_markdown(metrics: Mapping[str, Any]) -> str:
    """The same table in Markdown, with 95% intervals and the best figure of each column in bold.

    Raises:
        ArtifactError: If an entry is missing.
    """
    columns, rows = _columns(), _models(metrics)
    best = [_best(column, rows) for column in columns]
    lines = ["| model | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for name, entry in rows.items():
        cells = []
        for at, column in enumerate(columns):
            figure = f"{column.value(entry):.4f}"
            figure = f"**{figure}**" if name in best[at] else figure
            interval = column.interval(entry)
            cells.append(figure if interval is None else f"{figure} [{interval[0]:.4f}, {interval[1]:.4f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_notes(metrics)])


def _columns() -> list[_Column]:
    def measured(masking: str, metric: str, title: str) -> _Column:
        return _Column(
            title,
            lambda entry: float(entry[masking][metric]["mean"]),
            lambda entry: (float(entry[masking][metric]["low"]), float(entry[masking][metric]["high"])),
        )

    return [
        measured("unmasked", "recall@10", "R@10"),
        measured("unmasked", "ndcg@10", "N@10"),
        measured("masked", "recall@10", "R@10 masked"),
        measured("masked", "ndcg@10", "N@10 masked"),
        _Column("coverage", lambda entry: float(entry["coverage@10"]), lambda _: None),
    ]


def _models(metrics: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    try:
        models: Mapping[str, Mapping[str, Any]] = metrics["models"]
        for entry in models.values():
            for column in _columns():
                column.value(entry)
                column.interval(entry)
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"the run's metrics lack {error}; run `g2rec evaluate` on it again") from None
    if not models:
        raise ArtifactError("the run's metrics hold no model; run `g2rec evaluate` on it again")
    return models


def _best(column: _Column, rows: Mapping[str, Mapping[str, Any]]) -> set[str]:
    top = max(round(column.value(entry), 4) for entry in rows.values())
    return {name for name, entry in rows.items() if round(column.value(entry), 4) == top}


def _width(column: _Column) -> int:
    return max(6, len(column.title))


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    users, left_out = metrics.get("num_users"), metrics.get("left_out_when_masked")
    if users is None:
        return []
    note = f"{users:,} users, the full catalogue ranked"
    if left_out:
        note += f"; masked leaves out {left_out:,} users whose target is in their history"
    return [note]
