"""From the description of a leaderboard to its cells and jobs."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from g2rec.artifacts import fingerprint
from g2rec.errors import ConfigError, DataError
from g2rec.interactions import InteractionsConfig
from g2rec.recipes import Recipe, load_recipe, recipe_names
from g2rec.training.grid import Cell, GridConfig, GridPlan, Job
from g2rec.training.overrides import check_settings, override
from g2rec.training.pipeline import ROOM_VERSION, TITLES, Run
from g2rec.training.run_config import BaselineName, RunConfig

logger = logging.getLogger(__name__)

BASELINES: tuple[str, ...] = get_args(BaselineName)
_ELSEWHERE = {"interactions": "protocols", "seed": "the seeds of a part", "evaluation": "base"}
"""Settings that a row must not change, and where they belong."""
_FITTED_AS = {"content_tokenizer": "tokenizer", "letter": "tiger", "tiger_decoder": "recommender"}
"""Stages that are trained as another says."""
_EVENTS = 100_000
"""Events of a recipe that does not say."""


def plan_grid(
    config: GridConfig,
    base: RunConfig,
    recipes: Sequence[str] = (),
    *,
    out: Path,
    mirror: Path | None = None,
) -> GridPlan:
    """Lay out all cells and what they need; nothing is run.

    Args:
        config: What is compared.
        base: The settings that ``config.base`` stands for.
        recipes: Parts that name recipes are cut down to these, and parts that name none take them.
        out: The leaderboard's folder. Its stages are those of one base: another base makes them again.
        mirror: A local folder with recipes' files, used instead of downloading where it has the recipe.

    Raises:
        ConfigError: If a recipe, row, protocol or setting is unknown or out of range, or no cell is left.
    """
    _check_rows(config)
    named = {recipe.name: recipe for recipe in map(load_recipe, recipes)}
    known = dict(named)
    cells: dict[tuple[str, str, str, int], Cell] = {}
    jobs: dict[Path, Job] = {}
    builders: dict[str, _Builder] = {}
    for part in config.parts:
        listed = {recipe.name: recipe for recipe in map(load_recipe, part.recipes)}
        for name, recipe in (listed or named).items():
            if known.setdefault(name, recipe) != recipe:
                raise ConfigError(f"two recipes are called {name}; give one of them another name")
            if named and name not in named:
                continue
            builder = builders.setdefault(name, _Builder(config, base, recipe, out, mirror, jobs))
            for protocol in part.protocols:
                for row in part.rows:
                    for seed in part.seeds:
                        place = (name, protocol, row, seed)
                        if place not in cells:
                            cells[place] = builder.cell(protocol, seed, row)
    for name in sorted({*config.per_recipe} - {*known, *recipe_names()}):
        logger.warning("the grid's per_recipe has settings for %s, which is no recipe here", name)
    missing = [name for name in named if name not in builders]
    if missing:
        has = dict.fromkeys(load_recipe(recipe).name for part in config.parts for recipe in part.recipes)
        raise ConfigError(f"no part of the grid has the recipe {missing[0]}; it has {', '.join(has)}")
    if not cells:
        raise ConfigError(
            "expected a recipe, got none and the grid names none; name one, see g2rec data list"
        )
    recipe_order, row_order = list(builders), list(dict.fromkeys(row for _, _, row, _ in cells))
    protocol_order = list(dict.fromkeys(protocol for _, protocol, _, _ in cells))
    ordered = sorted(
        cells.values(),
        key=lambda cell: (
            recipe_order.index(cell.recipe),
            protocol_order.index(cell.protocol),
            row_order.index(cell.row),
            cell.seed,
        ),
    )
    if config.reference is not None and config.reference not in row_order:
        raise ConfigError(
            f"the reference {config.reference} is no row of the grid; it has {', '.join(row_order)}"
        )
    return GridPlan(tuple(ordered), jobs, config.reference)


class _Builder:
    """Makes the cells of one recipe."""

    def __init__(
        self,
        config: GridConfig,
        base: RunConfig,
        recipe: Recipe,
        out: Path,
        mirror: Path | None,
        jobs: dict[Path, Job],
    ) -> None:
        self.config, self.recipe, self.jobs = config, recipe, jobs
        self.folder = out / recipe.name
        self.mirror = mirror if mirror is not None and (mirror / recipe.name).is_dir() else None
        self.base = _changed(base, config.per_recipe.get(recipe.name, {}), f"per_recipe {recipe.name}")
        self.events = _number_of_events(recipe)
        try:
            files = Run(self.folder, recipe, base, mirror=self.mirror).files()
        except DataError:
            files = None  # its job says what is wrong with them
        self.source = fingerprint(ROOM_VERSION, recipe, files)

    def cell(self, protocol: str, seed: int, row: str) -> Cell:
        """One cell; its jobs are added to those that there are."""
        settings = self._settings(protocol, seed)
        model, title = ("g2rec", row) if row not in BASELINES else (row, TITLES[row])
        if row == "g2rec":
            title = TITLES[row]
        changed = _changed(settings, self.config.rows.get(row, {}), f"row {row}")
        folder = self.folder / protocol / f"seed-{seed}"
        job = self._job(f"evaluation/{model}", folder, settings, changed)
        return Cell(self.recipe.name, protocol, seed, row, title, model, job)

    def _settings(self, protocol: str, seed: int) -> RunConfig:
        changes = self.config.protocols.get(protocol)
        if changes is None and protocol != "default":
            known = ", ".join(["default", *self.config.protocols])
            raise ConfigError(f"there is no protocol {protocol}; the grid has {known}")
        start = dataclasses.replace(self.base.interactions, seed=seed)
        try:
            interactions: InteractionsConfig = override(start, changes or {})
        except ConfigError as error:
            raise ConfigError(f"protocol {protocol}: {error}") from None
        return dataclasses.replace(self.base, seed=seed, interactions=interactions)

    def _job(self, stage: str, folder: Path, base: RunConfig, changed: RunConfig) -> Job:
        plain = Run(folder, self.recipe, base)
        run = Run(folder, self.recipe, changed, mirror=self.mirror)
        identities: dict[str, str] = {}
        elsewhere: dict[str, Path] = {}

        def identify(of: Run, name: str) -> str:
            inputs = [identify(of, each) for each in of.inputs_of(name)]
            return fingerprint(self.source, name, *of.settings_of(name), inputs)

        def place(name: str) -> None:
            for each in run.inputs_of(name):
                place(each)
            identities[name] = identify(run, name)
            if identities[name] != identify(plain, name):
                elsewhere[name] = folder / "variants" / identities[name][:8]

        place(stage)
        made: dict[str, Job] = {}
        for name, identity in identities.items():
            job = Job(
                stage=name,
                identity=identity,
                folder=folder,
                recipe=self.recipe,
                settings=changed,
                mirror=self.mirror,
                elsewhere=elsewhere,
                work=self.events * _passes(name, changed),
                needs=tuple(made[each].home for each in run.inputs_of(name)),
            )
            made[name] = self.jobs.setdefault(job.home, job)
        return made[stage]


def _check_rows(config: GridConfig) -> None:
    if not any(part.rows and part.seeds and part.protocols for part in config.parts):
        raise ConfigError("expected parts with rows, protocols and seeds, got none; add a part to the grid")
    for row, changes in config.rows.items():
        if row in (*BASELINES, "g2rec"):
            raise ConfigError(
                f"{row} is the name of a baseline or of G2Rec itself; call the row something else"
            )
        for name in changes:
            where = _ELSEWHERE.get(name.partition(".")[0])
            if where is not None:
                raise ConfigError(f"row {row} changes {name}, which all rows share; set it in {where}")
    for row in [row for part in config.parts for row in part.rows]:
        if row not in (*BASELINES, "g2rec", *config.rows):
            known = ", ".join(["g2rec", *BASELINES, *config.rows])
            raise ConfigError(f"there is no row {row}; known rows are {known}")
    if config.rows and config.parts == GridConfig().parts:
        raise ConfigError(
            f"the grid has the rows {', '.join(config.rows)}, and no parts that list them; add parts"
        )
    for seed in [seed for part in config.parts for seed in part.seeds]:
        if seed < 0:
            raise ConfigError(f"expected seeds of 0 or more, got {seed}; change it")
    for protocol in config.protocols:
        if not protocol.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"expected a protocol's name of letters, digits, - and _, got '{protocol}'")


def _changed(settings: RunConfig, changes: dict[str, object], where: str) -> RunConfig:
    try:
        changed = override(settings, changes)
        check_settings(changed)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return changed


def _number_of_events(recipe: Recipe) -> float:
    if recipe.expected is not None:
        return recipe.expected.events
    if recipe.synthetic is not None:
        return recipe.synthetic.num_users * recipe.synthetic.events_per_user
    return _EVENTS


def _passes(stage: str, config: RunConfig) -> int:
    """Passes over the events that a stage makes, at most."""
    name = stage.partition("/")[2] or stage
    name = "sasrec" if name.startswith("sasrec") else _FITTED_AS.get(name, name)
    fit = None if stage.startswith("evaluation") else getattr(config, f"{name}_fit", None)
    return 1 if fit is None else fit.epochs or 10  # left to the data: roughly
