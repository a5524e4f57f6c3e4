"""What ``import g2rec`` offers: a run, a bundle from a table, and a bundle from a folder."""

import contextlib
import logging
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from g2rec.bundle import Bundle
from g2rec.interactions import as_table, import_events

if TYPE_CHECKING:  # what trains imports Lightning, and reading a bundle needs none of it
    from g2rec.cli.leaderboard import Grid
    from g2rec.cli.run_settings import Settings
    from g2rec.training.pipeline import Run

__all__ = ["Bundle", "compare", "fit", "load", "run"]

logger = logging.getLogger(__name__)


def load(path: str | Path) -> Bundle:
    """Read a bundle.

    Nothing that a bundle holds is run: it is arrays, tables and JSON, and each file is checked.

    Args:
        path: A bundle's folder, or a run's, which holds one.

    Raises:
        ArtifactError: If it is missing, damaged, or from another version.
    """
    folder = Path(path)
    return Bundle.load(folder / "bundle" if (folder / "bundle").is_dir() else folder)


def run(
    recipe: str | Path,
    config: "Settings | None" = None,
    *,
    out: str | Path | None = None,
    mirror: str | Path | None = None,
) -> "Run":
    """A run on a graph recipe, whose stages are made when they are asked for: ``g2rec run`` step by step.

    ``run.interactions``, ``run.graphs``, ``run.encoder``, ``run.tokenizer`` and ``run.recommender`` are the
    stages in order, `Run.evaluate` ranks the test users, `Run.write_bundle` gives the bundle. The commands,
    such as ``g2rec report``, work on the folder as well.

    Args:
        recipe: A recipe's name (see ``g2rec data list``) or a YAML file.
        config: A preset's name, a YAML file, a mapping as such a file holds, or a `RunConfig`.
        out: The run's folder; ``runs/RECIPE`` if None.
        mirror: A local folder with the recipe's files, used instead of downloading.

    Raises:
        ConfigError: If a setting or the recipe is unknown.
    """
    from g2rec.cli.pipeline import default_folder, open_run
    from g2rec.cli.run_settings import read_settings

    folder = default_folder(str(recipe)) if out is None else Path(out)
    known = None if mirror is None else Path(mirror)
    return open_run(folder, str(recipe), read_settings(config), known)


def compare(
    recipes: str | Sequence[str] = (),
    grid: "Grid | None" = None,
    *,
    base: "Settings | None" = None,
    out: str | Path = "runs/leaderboard",
    mirror: str | Path | None = None,
    slots: int | None = None,
) -> dict[str, Any]:
    """Measure many models on many recipes, protocols and seeds: ``g2rec leaderboard``.

    What is done with the same settings is kept, and what was cut off goes on: call it again. Into ``out`` go
    ``leaderboard.md``, ``leaderboard.json``, a plot for each recipe, and the runs.

    Args:
        recipes: Recipes (see ``g2rec data list``); of a grid that names recipes, only these.
        grid: What is compared: a shipped grid's name, a YAML file, or a mapping as such a file holds (``g2rec
            leaderboard --help`` says what one holds); some baselines and G2Rec, three seeds, if None.
        base: Settings of every run instead of the grid's, as for `run`.
        out: The leaderboard's folder.
        mirror: A local folder with recipes' files, used instead of downloading where it has the recipe.
        slots: Stages made at once, each in a process of its own; if neither this nor the grid says, 6 on each
            GPU, and 1 without one. A script that asks for more than one needs ``if __name__ == "__main__"``.

    Returns:
        What ``leaderboard.json`` holds: ``boards``, one for each recipe and protocol, whose ``rows`` hold
        figures with intervals and paired tests; ``failures``, a sentence for each cell that failed.

    Raises:
        ConfigError: If a recipe, row, protocol or setting is unknown or out of range.
    """
    from g2rec.cli.leaderboard import make_leaderboard, plan_leaderboard

    names, folder = (recipes,) if isinstance(recipes, str) else tuple(recipes), Path(out)
    plan, at_once = plan_leaderboard(
        names, grid, base, folder, None if mirror is None else Path(mirror), slots
    )
    return make_leaderboard(plan, folder, at_once)


def fit(
    events: Any,
    items: Any = None,
    *,
    user: str = "user",
    item: str = "item",
    time: str | None = None,
    title: str | None = None,
    text: str | Sequence[str] = (),
    deduplicate: bool = True,
    config: "Settings | None" = None,
    out: str | Path | None = None,
    evaluate: bool = False,
) -> Bundle:
    """From a table of events to a bundle that recommends: the whole pipeline.

    The last two events of each user are kept for validation and test; everything is fitted on the others.

    Args:
        events: One event a row: a DataFrame (pandas, polars), an Arrow table, a mapping of columns, or a
            .parquet, .csv, .tsv or .jsonl file.
        items: A table of items, likewise, with the column ``item``.
        user: Column of user IDs.
        item: Column of item IDs.
        time: Column of times: timestamps, ISO dates, 31/12/2025 23:59, or seconds since 1970. Without it the
            order of the rows counts.
        title: Title column of the items.
        text: Text columns of the items (or one), for their content; the title if empty.
        deduplicate: Keep only a user's first event with an item; how many others there are is logged.
        config: A preset's name, a YAML file, a mapping as such a file holds, or a `RunConfig`.
        out: A folder to keep everything in: the commands, such as ``g2rec report``, work on it, and a second
            call reuses what has not changed. Nothing is kept if None.
        evaluate: Also train the baselines and rank the test users; the figures are in the bundle's card.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        DataError: If a column is missing, or holds what it should not.
    """
    from g2rec.cli.pipeline import open_run
    from g2rec.cli.run_settings import read_settings

    settings = read_settings(config)
    folder = Path(tempfile.mkdtemp(prefix="g2rec-")) if out is None else Path(out)
    with contextlib.ExitStack() as cleanup:
        if out is None:
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        data = folder.resolve() / "data"
        recipe = import_events(
            _source(events),
            user=user,
            item=item,
            time=time,
            items_path=None if items is None else _source(items),
            title=title,
            text=text,
            deduplicate=deduplicate,
            out_dir=data,
            recipe_dir=data,
        )
        going = open_run(folder, str(data / f"{recipe.name}.yaml"), settings, None)
        assert recipe.expected is not None
        dropped = recipe.expected.events - going.interactions.num_events
        if dropped:
            logger.warning("%s events repeat an item of their user; deduplicate=False keeps them", dropped)
        if evaluate:
            going.evaluate()
        going.write_bundle()
        bundle = Bundle.load(folder / "bundle")
        cleanup.pop_all()
    if out is None:  # arrays are mapped from the folder, so it stays as long as the bundle
        weakref.finalize(bundle, shutil.rmtree, folder, ignore_errors=True)
    return bundle


def _source(given: Any) -> Path | pa.Table:
    return Path(given) if isinstance(given, str | Path) else as_table(given)
