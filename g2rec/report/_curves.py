"""The section on training: losses and validation scores of each fit, from its CSV logs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from g2rec.report import _charts, _html

Series = dict[str, tuple[NDArray[Any], NDArray[Any]]]
"""Epochs and values of each curve."""


def training_section(run: Path) -> str:
    """Losses and, where there are any, validation scores of each fit; empty where no log holds a curve."""
    figures = []
    for name, paths in _logs(run).items():
        series = read_series(paths)
        losses = {key: value for key, value in series.items() if not key.endswith(("recall@10", "ndcg@10"))}
        scores = {key: value for key, value in series.items() if key not in losses}
        for kind, curves in (("training", losses), ("validation", scores)):
            if curves:
                figures.append(_figure(name, kind, curves))
    if not figures:
        return ""
    note = (
        "From the CSV logs of this run. A fit that was cut off and resumed is one curve. The epoch that "
        "scores best on validation is kept, where a fit is validated."
    )
    return _html.section("Training", f'<div class="trio">{"".join(figures)}</div>', note)


def _figure(name: str, kind: str, curves: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> str:
    plain = {_plain(key): value for key, value in curves.items()}
    title = next(iter(plain)) if len(plain) == 1 else "loss" if kind == "training" else "score"
    ends = "; ".join(f"{key} from {values[0]:.4g} to {values[-1]:.4g}" for key, (_, values) in plain.items())
    words = f"{name}, {kind}: {ends}"
    return _html.chart(_charts.curves(plain, title), words, words)


def _plain(column: str) -> str:
    name = column.removeprefix("train_").removeprefix("val_")
    return name.replace("ndcg", "NDCG").replace("recall", "Recall").replace("_", " ")


def _logs(run: Path) -> dict[str, list[Path]]:
    """The CSV logs of each fit, a log for each session, oldest first."""
    logs: dict[str, list[Path]] = {}
    for file in sorted(
        run.rglob("logs/csv/*/metrics.csv"), key=lambda file: (file.stat().st_mtime, str(file))
    ):
        stage = file.parents[3].relative_to(run)
        logs.setdefault(" ".join(stage.parts) or run.name, []).append(file)
    return logs


def read_series(paths: Sequence[Path]) -> Series:
    """Losses and scores per epoch; where two sessions hold the same epoch, the later one counts."""
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
