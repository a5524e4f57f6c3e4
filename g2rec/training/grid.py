"""What a leaderboard compares, as cells and the jobs behind them.

A cell is one row (a baseline, or G2Rec with some settings changed) on one recipe, protocol and seed. The
cells of one (recipe, protocol, seed) are one run, the folder ``OUT/RECIPE/PROTOCOL/seed-S``: in it the stages
of the unchanged settings, and ``variants/ID/`` for each stage of changed ones, ID naming the settings that it
depends on. So rows share every stage on which they agree. A stage that is done has a ``grid.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from g2rec.artifacts import read_json
from g2rec.errors import ArtifactError, ConfigError
from g2rec.recipes import Recipe
from g2rec.training.overrides import override, shortened
from g2rec.training.pipeline import Run
from g2rec.training.run_config import RunConfig


@dataclass(frozen=True, kw_only=True)
class GridPart:
    """Rows, and where they are measured: every combination."""

    rows: tuple[str, ...] = ()
    """Baselines, g2rec, and rows that the grid defines."""
    recipes: tuple[str, ...] = ()
    """Graph recipes; if empty, those that the command names."""
    protocols: tuple[str, ...] = ("default",)
    """Protocols that the grid defines, or default: what each recipe says."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each decides the internal ids, the order of ties and everything that is fitted."""


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """What a leaderboard compares."""

    base: str | dict[str, Any] | None = None
    """Settings of every run: a preset's name, a file, or settings by name."""
    per_recipe: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings that differ on a recipe, by dotted name."""
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Names of protocols and their interactions settings, such as split, ties and target."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Names of rows of G2Rec and the settings that they change, by dotted name."""
    parts: tuple[GridPart, ...] = (
        GridPart(rows=("popularity", "item_transitions", "item_knn", "ease", "sasrec_cosine", "g2rec")),
    )
    """What is run: all combinations of each part."""
    reference: str | None = None
    """A row with which the others are compared, beside the best baseline."""
    slots: int | None = None
    """Stages made at once, each in a process of its own; if null, 6 on each GPU, and 1 without one."""


def read_grid(source: Path | Mapping[str, Any]) -> GridConfig:
    """A grid from a YAML file, or from a mapping as such a file holds.

    Raises:
        ConfigError: If the file cannot be read, or a key or value is not one of `GridConfig`.
    """
    if isinstance(source, Mapping):
        return override(GridConfig(), source)
    try:
        held = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{source} cannot be read as YAML ({error}); mend it") from None
    if not isinstance(held, dict):
        raise ConfigError(
            f"expected a grid's settings by name in {source}, got {shortened(held)}; "
            "see g2rec leaderboard --help"
        )
    try:
        return override(GridConfig(), held)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


@dataclass(frozen=True)
class Job:
    """One stage of one run."""

    stage: str
    identity: str
    """Hash of all settings that the stage depends on."""
    folder: Path
    """The run's folder."""
    recipe: Recipe
    settings: RunConfig
    mirror: Path | None
    elsewhere: Mapping[str, Path]
    """Where the run's other stages are, if not in its folder."""
    work: float
    """Events times passes over them, to which the time is about proportional."""
    needs: tuple[Path, ...]
    """Homes of the jobs whose results it takes."""

    @property
    def home(self) -> Path:
        """Where its result is; no other job of a plan has the same."""
        return self.elsewhere.get(self.stage, self.folder) / self.stage

    def open(self) -> Run:
        """The run, whose other stages are loaded from where they are."""
        return Run(self.folder, self.recipe, self.settings, mirror=self.mirror, elsewhere=self.elsewhere)

    def record(self) -> dict[str, Any] | None:
        """What is remembered of the job if it is done: its seconds, and of a model its parameters."""
        known = read_grid_record(self.home)
        return known if known is not None and known.get("identity") == self.identity else None


@dataclass(frozen=True)
class Cell:
    """One row on one recipe, protocol and seed."""

    recipe: str
    protocol: str
    seed: int
    row: str
    title: str
    """The row's name in tables."""
    model: str
    """The baseline's name, or g2rec."""
    job: Job
    """Its evaluation."""

    def __str__(self) -> str:
        return f"{self.title} on {self.recipe} ({self.protocol}, seed {self.seed})"


@dataclass(frozen=True)
class GridPlan:
    """Cells, and the jobs that they need."""

    cells: tuple[Cell, ...]
    """By recipe, protocol, row and seed."""
    jobs: Mapping[Path, Job]
    """By home."""
    reference: str | None
    """The row of the second comparison."""

    def pending(self) -> list[Job]:
        """What is left to do, each after what it takes from: nothing of cells that are done."""
        wanted: dict[Path, Job] = {}

        def want(job: Job) -> None:
            if job.home not in wanted and job.record() is None:
                for home in job.needs:
                    want(self.jobs[home])
                wanted[job.home] = job

        for cell in self.cells:
            want(cell.job)
        return list(wanted.values())

    def chain(self, job: Job) -> list[Job]:
        """A job after all that it takes from, directly or not."""
        found: dict[Path, Job] = {}

        def visit(each: Job) -> None:
            for home in each.needs:
                visit(self.jobs[home])
            found.setdefault(each.home, each)

        visit(job)
        return list(found.values())


def read_grid_record(home: Path) -> dict[str, Any] | None:
    """What a job left beside the stage in ``home``; None if the stage is not whole."""
    if not (home / "stage.json").is_file():
        return None
    try:
        known = read_json(home / "grid.json")
    except ArtifactError:
        return None
    return known if isinstance(known, dict) else None
