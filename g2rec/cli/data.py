"""``g2rec data …``: which graphs there are, where their files come from, and your own log."""

from pathlib import Path

from g2rec.cli.show import Download
from g2rec.errors import DataError
from g2rec.interactions import import_events
from g2rec.recipes import check_recipe, fetch, list_recipes, load_recipe, read_dataset


def list_data() -> None:
    """List the graph recipes that are known: those in ./graphs, and the ones that come with g2rec."""
    recipes = list_recipes()
    width = max(len(recipe.name) for recipe in recipes)
    for recipe in recipes:
        counts = recipe.expected
        size = f"{counts.users:,} × {counts.items:,} × {counts.events:,}" if counts else "any size"
        print(f"{recipe.name:<{width}}  {size:<30}  {recipe.title} ({recipe.licence})")


def get(name: str, mirror: Path | None = None) -> None:
    """Download a recipe's files into the cache, resuming and verifying them.

    Args:
        name: A recipe's name or a YAML file.
        mirror: A local folder with the recipe's files, checked instead of downloading.
    """
    fetched = fetch(load_recipe(name), mirror=mirror, progress=Download())
    print(f"{name}: from {fetched.source}")
    for role, path in fetched.files.items():
        print(f"  {role:<8} {path} ({path.stat().st_size:,} bytes)")


def check(name: str, mirror: Path | None = None) -> None:
    """Parse a recipe's files and compare the counts with what the recipe promises.

    Args:
        name: A recipe's name or a YAML file.
        mirror: A local folder with the recipe's files, used instead of downloading.
    """
    report = check_recipe(name, mirror, progress=Download())
    print(f"{report.name}: {report.users:,} users × {report.items:,} items × {report.events:,} events")
    print(f"  {report.with_time:,} events with a time, {report.with_title:,} items with a title")
    print(f"  item features given: {report.content_dim or 'none'}; source: {report.source}")
    if report.problem:
        raise DataError(f"{report.name} is not what its recipe promises: {report.problem}")
    print("  as the recipe promises" if report.compared else "  the recipe promises no counts")


def import_log(
    events: Path,
    user: str = "user",
    item: str = "item",
    time: str | None = None,
    items: Path | None = None,
    title: str | None = None,
    text: tuple[str, ...] = (),
    name: str | None = None,
) -> None:
    """Make a recipe (./graphs/NAME.yaml) and a dataset (in the cache) from your own event log.

    Args:
        events: A .parquet, .csv, .tsv or .jsonl file, one event a row; a CSV file's separator and encoding
            are found.
        user: Its column of user ids.
        item: Its column of item ids.
        time: Its column of times: timestamps, ISO dates, 31/12/2025 23:59, or seconds since 1970; without
            it the order of the rows counts.
        items: A table of items, one a row, with the same item column.
        title: The item table's column of titles.
        text: The item table's columns of text, for item features; the title if not given.
        name: The recipe's name; the file's name if not given.
    """
    recipe = import_events(
        events, user=user, item=item, time=time, items_path=items, title=title, text=text, name=name
    )
    counts = recipe.expected
    size = f"{counts.users:,} users × {counts.items:,} items × {counts.events:,} events" if counts else ""
    raw = read_dataset(recipe)
    repeats = raw.num_events - raw.events.group_by(["user", "item"]).aggregate([]).num_rows
    print(f"{recipe.name}: {size}\n  recipe: graphs/{recipe.name}.yaml")
    if repeats:
        print(
            f"  {repeats:,} events repeat an item of the same user; a run keeps the first (all with "
            "filters: {deduplicate: false} in the recipe)"
        )
    print(f"  next: g2rec run {recipe.name}")
