"""How long the jobs of a leaderboard will take, from those that are done or else roughly."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from g2rec.training.grid import GridPlan, Job, read_grid_record

_START = 2.0
"""Seconds to load what a job takes."""
_CPU = {
    "encoder": 2e-5,
    "tokenizer": 5e-6,
    "content_tokenizer": 5e-6,
    "recommender": 1e-4,
    "baselines": 1e-4,
    "evaluation": 5e-5,
}
"""Seconds for an event and pass, of models of 64 dimensions on two cores (MovieLens-100K, AMD EPYC)."""
_GPU_FACTOR = 0.1
"""The same on a GPU, of models of 256 dimensions."""
_LEARNED_ONCE = (
    "popularity",
    "recent_popularity",
    "newness",
    "item_transitions",
    "item_knn",
    "ease",
    "text_neighbors",
    "word_neighbors",
)
"""Baselines that count or solve instead of training."""


class Estimator:
    """Seconds of a job: from done jobs of the same stage, on the same recipe if there are any; or roughly.

    Args:
        out: The leaderboard's folder, whose ``grid.json`` files are read.
    """

    def __init__(self, out: Path) -> None:
        self.rates: dict[tuple[str, str | None], list[float]] = defaultdict(list)
        for file in sorted(out.rglob("grid.json")):
            known = read_grid_record(file.parent)
            if known is not None and known.get("work"):
                rate = known["seconds"] / known["work"]
                self.rates[known["stage"], known["recipe"]].append(rate)
                self.rates[known["stage"], None].append(rate)

    def seconds(self, job: Job) -> float:
        """What one job will take."""
        rates = self.rates.get((job.stage, job.recipe.name)) or self.rates.get((job.stage, None))
        if rates:
            return _START + job.work * sum(rates) / len(rates)
        kind, _, name = job.stage.partition("/")
        rate = 1e-5 if kind == "baselines" and name in _LEARNED_ONCE else _CPU.get(kind, 1e-5)
        return _START + job.work * rate * (_GPU_FACTOR if torch.cuda.is_available() else 1.0)


def estimate_minutes(plan: GridPlan, pending: Sequence[Job], out: Path, slots: int) -> float:
    """Minutes from start to end: the work spread over the slots, but no less than the longest chain."""
    estimator = Estimator(out)
    seconds = {job.home: estimator.seconds(job) for job in pending}
    longest: dict[Path, float] = {}
    for job in pending:  # each after what it takes from
        longest[job.home] = seconds[job.home] + max(
            (longest.get(home, 0.0) for home in job.needs), default=0.0
        )
    return max(sum(seconds.values()) / slots, max(longest.values(), default=0.0)) / 60


def describe_plan(plan: GridPlan, pending: Sequence[Job], out: Path, slots: int) -> str:
    """The plan in a sentence: ``about 34 GPU-minutes with 6 slots (12 of 60 cells are done)``."""
    done = sum(cell.job.record() is not None for cell in plan.cells)
    cells = f"{done} of {len(plan.cells)} cells are done"
    if not pending:
        return f"nothing left to do ({cells})"
    minutes = estimate_minutes(plan, pending, out, slots)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    shown = max(1, round(minutes * max(1, gpus)))
    unit = f"{'GPU-minute' if gpus else 'minute'}{'' if shown == 1 else 's'}"
    where = "" if gpus else " on the CPU"
    slot = "1 slot" if slots == 1 else f"{slots} slots"
    return f"about {shown:,} {unit}{where} with {slot} ({cells}, {len(pending)} stages to make)"
