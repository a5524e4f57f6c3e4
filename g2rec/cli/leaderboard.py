"""``g2rec leaderboard``: many models, recipes, protocols and seeds, in one table."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from g2rec.artifacts import disk_error
from g2rec.cli.run_settings import Settings, read_settings
from g2rec.cli.settings import preset_path
from g2rec.errors import ConfigError
from g2rec.leaderboard import cell_figures, write_leaderboard
from g2rec.training.grid import Cell, GridConfig, GridPlan, Job, read_grid
from g2rec.training.grid_plan import plan_grid
from g2rec.training.grid_run import Finished, choose_slots, run_jobs
from g2rec.training.grid_time import describe_plan

Grid = GridConfig | Mapping[str, Any] | str | Path
"""What is compared: itself, a mapping of its settings, a shipped grid's name, or a YAML file."""


def leaderboard(
    recipes: tuple[str, ...],
    grid: str | None = None,
    base: str | None = None,
    out: Path = Path("runs/leaderboard"),
    mirror: Path | None = None,
    slots: int | None = None,
    dry_run: bool = False,
) -> int:
    """Measure many models on many recipes, protocols and seeds, and write the table.

    Without a grid: some baselines and G2Rec, three seeds. A grid of your own is a YAML file such as

        base: quickstart
        protocols: {shuffled: {ties: shuffle}, temporal: {split: temporal}}
        rows: {no prefix: {recommender.feed: none}}
        parts:
        - {rows: [popularity, sasrec, g2rec, no prefix], protocols: [shuffled, temporal], seeds: [0, 1]}

    A part is all combinations of its rows (baselines, g2rec, or the grid's own: G2Rec with settings changed
    by dotted name), recipes (if it names none, those of the command), protocols (the interactions settings)
    and seeds. Further keys: per_recipe, settings that differ on a recipe, by dotted name; reference, a row
    that the others are compared with, beside the best baseline; slots. The grids leaderboard,
    leaderboard-baselines, leaderboard-small and ablations are shipped.

    What is done with the same settings is kept, and what was cut off goes on: repeat the command. Written to
    OUT: leaderboard.md, leaderboard.json, a plot for each recipe, and the runs. What fails is named, the
    rest goes on, and the exit code is 1.

    Args:
        recipes: Recipes (see g2rec data list); of a grid that names recipes, only these.
        grid: A YAML file, or a grid that is shipped; if not given, some baselines and G2Rec.
        base: Settings of every run instead of the grid's: a preset's name or a YAML file.
        out: The leaderboard's folder.
        mirror: A local folder with recipes' files, used instead of downloading where it has the recipe.
        slots: Stages made at once, each in a process of its own, instead of the grid's; if neither says,
            6 on each GPU, and 1 without one.
        dry_run: Say how long it would take, and what would be done; do nothing.
    """
    plan, slots = plan_leaderboard(recipes, grid, base, out, mirror, slots)
    if dry_run:
        pending = _describe(plan, out, slots)
        homes = {job.home for job in pending}
        for cell in plan.cells:
            print(f"{'to do' if cell.job.home in homes else 'done ':<6} {cell}")
        return 0
    figures = make_leaderboard(plan, out, slots)
    print(f"\nTable: {out / 'leaderboard.md'}\nFigures: {out / 'leaderboard.json'}")
    for recipe in dict.fromkeys(board["recipe"] for board in figures["boards"]):
        print(f"Plot: {out / recipe}.png")
    if not figures["failures"]:
        return 0
    number = len(figures["failures"])
    print(
        f"g2rec: {number} of {len(plan.cells)} cells failed; repeat the command to try again", file=sys.stderr
    )
    return 1


def plan_leaderboard(
    recipes: Sequence[str],
    grid: Grid | None,
    base: Settings | None,
    out: Path,
    mirror: Path | None,
    slots: int | None,
) -> tuple[GridPlan, int]:
    """What the command and `g2rec.compare` are asked for: the plan, and how many stages at once."""
    if mirror is not None and not mirror.is_dir():
        raise ConfigError(f"there is no folder {mirror}; check the path of the mirror")
    config = _grid(grid)
    settings = read_settings(config.base if base is None else base)
    plan = plan_grid(config, settings, recipes, out=out, mirror=mirror)
    return plan, choose_slots(config.slots if slots is None else slots)


def make_leaderboard(plan: GridPlan, out: Path, slots: int) -> dict[str, Any]:
    """Make what is left of a leaderboard, with a line a cell, and write it.

    Returns:
        What ``leaderboard.json`` holds.
    """
    pending = _describe(plan, out, slots)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(out, error) from error
    with _Lines(plan, len(pending)) as lines:
        failures = run_jobs(pending, slots=slots, report=lines.show)
    return write_leaderboard(plan, out, failures)


def _describe(plan: GridPlan, out: Path, slots: int) -> list[Job]:
    pending = plan.pending()
    print(f"Leaderboard in {out}: {describe_plan(plan, pending, out, slots)}.", flush=True)
    return pending


def _grid(grid: Grid | None) -> GridConfig:
    if isinstance(grid, GridConfig):
        return grid
    if grid is None or isinstance(grid, Mapping):
        return read_grid(grid or {})
    return read_grid(Path(grid) if Path(grid).exists() else preset_path(str(grid)))


class _Lines:
    """A line for each finished cell, over a bar of stages."""

    def __init__(self, plan: GridPlan, total: int) -> None:
        self.plan = plan
        self.seconds: dict[Path, float] = {}
        self.cells: dict[Path, list[Cell]] = {}
        for cell in plan.cells:
            self.cells.setdefault(cell.job.home, []).append(cell)
        quiet = None if total else True  # None: in a file
        self.bar = tqdm(total=total, unit="stage", desc="leaderboard", dynamic_ncols=True, disable=quiet)

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, finished: Finished) -> None:
        """Count a stage; if it is the last of a cell, say what came of it."""
        self.bar.update(1)
        self.seconds[finished.job.home] = finished.seconds
        for cell in self.cells.get(finished.job.home, ()):
            if finished.failure is not None:
                tqdm.write(f"{cell}: failed: {finished.failure}")
                continue
            model = self.plan.jobs[cell.job.needs[0]]
            seconds = finished.seconds + self.seconds.get(model.home, 0.0)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in cell_figures(cell).items())
            tqdm.write(f"{cell}: {shown}  [{seconds:.1f} s]")
