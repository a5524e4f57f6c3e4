"""From the ranks of all cells to the figures of a leaderboard."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.evaluation import (
    TargetRanks,
    bootstrap_interval,
    coverage,
    expected_ndcg_at_k,
    expected_recall_at_k,
    paired_test,
)
from g2rec.interactions import Interactions
from g2rec.shapes import Tensor
from g2rec.training.grid import Cell, GridPlan
from g2rec.training.pipeline import hardware
from g2rec.training.ranking import load_ranks

_MEASURES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "recall": expected_recall_at_k,
    "ndcg": expected_ndcg_at_k,
}
_DATA_STAGES = ("interactions", "graph")
"""Stages that train nothing."""
_K = 10


@dataclass(frozen=True)
class _Ranking:
    """The ranks of one cell, with the place of each of its users among those of all seeds."""

    ranks: TargetRanks
    place: NDArray[np.int64]
    """[B]"""
    seconds: float | None


def collect(plan: GridPlan, failures: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """All figures of a leaderboard, as plain JSON: a board for each recipe and protocol.

    A row's figures are means over users of each user's mean over the seeds. Masked, the items of a user's
    history cannot be recommended, and a user whose target is among them does not count (in that seed). The
    95% intervals resample users, with their seeds averaged; the paired tests are of masked N@10, over the
    seeds that both rows have. The best baseline is the one with the highest masked N@10.

    Args:
        plan: The cells; what is not done is left out.
        failures: Sentences on jobs that failed, by home.
    """
    failures = failures or {}
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        groups.setdefault((cell.recipe, cell.protocol), []).append(cell)
    boards = [_board(plan, cells) for cells in groups.values()]
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "boards": [board for board in boards if board["rows"]],
        "failures": {str(cell): failures[cell.job.home] for cell in plan.cells if cell.job.home in failures},
    }


def cell_figures(cell: Cell) -> dict[str, float]:
    """R@10 and N@10 of one cell, not masked and masked."""
    ranks, _ = load_ranks(cell.job.home / "ranks")
    figures = {}
    for side, masked in (("", False), ("masked ", True)):
        for name, values in (("R", ranks.recall(_K, masked=masked)), ("N", ranks.ndcg(_K, masked=masked))):
            figures[f"{side}{name}@{_K}"] = float(values.mean()) if values.numel() else 0.0
    return figures


def _board(plan: GridPlan, cells: Sequence[Cell]) -> dict[str, Any]:
    done = [cell for cell in cells if cell.job.record() is not None]
    if not done:
        return {"rows": []}
    log, places, num_users = _users(plan, done)
    rankings: dict[str, dict[int, _Ranking]] = {}
    for cell in done:
        ranks, seconds = load_ranks(cell.job.home / "ranks")
        rankings.setdefault(cell.row, {})[cell.seed] = _Ranking(ranks, places[cell.seed], seconds)
    settings = done[0].job.settings
    cutoffs, samples = settings.evaluation.measured, settings.evaluation.bootstrap_samples
    rows = {}
    for name, seeds in rankings.items():
        mine = [cell for cell in cells if cell.row == name]
        rows[name] = {
            "name": mine[0].title,
            "model": mine[0].model,
            "seeds": sorted(seeds),
            "lacking": sorted({cell.seed for cell in mine} - set(seeds)),
            **_accuracy(seeds.values(), num_users, cutoffs, samples),
            "by_seed": {str(seed): _accuracy([seeds[seed]], num_users, (_K,), 1) for seed in sorted(seeds)},
            **_cost(plan, [cell for cell in mine if cell.seed in seeds], seeds),
        }
    baselines = [name for name in rows if rows[name]["model"] != "g2rec"]
    best = max(baselines, key=lambda name: rows[name]["masked"][f"ndcg@{_K}"]["mean"], default=None)
    against = {"against_best": best, "against_reference": plan.reference}
    for field, other in against.items():
        for name in rows:
            if other in rankings and name != other:
                rows[name][field] = _compare(rankings[name], rankings[other], num_users, samples)
    first = next(iter(rankings[done[0].row].values())).ranks
    return {
        "recipe": done[0].recipe,
        "protocol": done[0].protocol,
        "split": log.split,
        "ties": settings.interactions.ties or done[0].job.recipe.ties,
        "target": log.target,
        "num_users": num_users,
        "num_items": log.num_items,
        "left_out_when_masked": int(first.in_history.sum()),
        "best_baseline": rows[best]["name"] if best is not None else None,
        "reference": rows[plan.reference]["name"] if plan.reference in rows else None,
        "rows": list(rows.values()),
    }


def _users(plan: GridPlan, done: Sequence[Cell]) -> tuple[Interactions, dict[int, NDArray[np.int64]], int]:
    """Of each seed, the place of its test users among those of all seeds: internal indices differ."""
    ids: dict[int, NDArray[Any]] = {}
    for cell in done:
        if cell.seed not in ids:
            home = next(job.home for job in plan.chain(cell.job) if job.stage == "interactions")
            log = Interactions.load(home / "interactions")
            ids[cell.seed] = np.asarray(log.user_ids.to_pylist())[log.targets("test").user_index]
    known = np.unique(np.concatenate(list(ids.values())))
    return log, {seed: np.searchsorted(known, users) for seed, users in ids.items()}, len(known)


def _per_user(
    rankings: Iterable[_Ranking], num_users: int, measure: str, k: int, masked: bool
) -> NDArray[np.float64]:
    """[U] each user's mean over the seeds; NaN where the user counts in none."""
    total, count = np.zeros(num_users), np.zeros(num_users)
    for ranking in rankings:
        ranks = ranking.ranks
        above = ranks.masked_above if masked else ranks.num_above
        tied = ranks.masked_tied if masked else ranks.num_tied
        counts = ~ranks.in_history if masked else torch.ones_like(ranks.in_history)
        place = ranking.place[counts.numpy()]
        total[place] += _MEASURES[measure](above[counts], tied[counts], k).double().numpy()
        count[place] += 1
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(num_users, np.nan), where=count > 0)
    return mean


def _accuracy(
    rankings: Iterable[_Ranking], num_users: int, cutoffs: Sequence[int], samples: int
) -> dict[str, Any]:
    held = list(rankings)
    report: dict[str, Any] = {}
    for side, masked in (("unmasked", False), ("masked", True)):
        report[side] = {}
        for measure in _MEASURES:
            for k in cutoffs:
                values = _per_user(held, num_users, measure, k, masked)
                interval = bootstrap_interval(
                    torch.from_numpy(values[~np.isnan(values)]), num_samples=samples
                )
                report[side][f"{measure}@{k}"] = interval._asdict() if samples > 1 else interval.mean
    return report


def _compare(
    first: Mapping[int, _Ranking], second: Mapping[int, _Ranking], num_users: int, samples: int
) -> dict[str, Any] | None:
    common = [seed for seed in first if seed in second]
    if not common:
        return None
    mine, theirs = (
        _per_user([side[seed] for seed in common], num_users, "ndcg", _K, masked=True)
        for side in (first, second)
    )
    both = ~np.isnan(mine) & ~np.isnan(theirs)
    test = paired_test(torch.from_numpy(mine[both]), torch.from_numpy(theirs[both]), num_samples=samples)
    return {"difference": test.difference._asdict(), "p_value": test.p_value, "seeds": common}


def _cost(plan: GridPlan, cells: Sequence[Cell], rankings: Mapping[int, _Ranking]) -> dict[str, Any]:
    """Means over seeds: parameters, seconds of all stages that train, users ranked in a second."""
    parameters, training, speed = [], [], []
    for cell in cells:
        *before, _ = plan.chain(cell.job)
        model = before[-1].record() or {}
        parameters.append(model.get("parameters"))
        seconds = [(job.record() or {}).get("seconds") for job in before if job.stage not in _DATA_STAGES]
        training.append(None if None in seconds else sum(filter(None, seconds)))
        ranking = rankings[cell.seed]
        speed.append(len(ranking.place) / ranking.seconds if ranking.seconds else None)
    shown = [ranking.ranks for ranking in rankings.values()]
    return {
        f"coverage@{_K}": float(
            np.mean([coverage(ranks.top_items[:, :_K], ranks.num_items) for ranks in shown])
        ),
        "parameters": _mean(parameters),
        "training_seconds": _mean(training),
        "users_per_second": _mean(speed),
        "folders": [str(cell.job.home) for cell in cells],
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
