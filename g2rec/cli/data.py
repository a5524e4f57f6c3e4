"""``g2rec data …``: which graphs there are, where their files come from, and your own log."""

from pathlib import Path

from g2rec.cli.show import Download
from g2rec.errors import DataError
from g2rec.interactions import import_events
from g2rec.recipes import check_recipe, fetch, list_recipes, load_recipe


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
        events: A .parquet, .csv or .jsonl file, one event a row.
        user: Its column of user ids.
        item: Its column of item ids.
        time: Its column of times: seconds, timestamps or ISO dates; without it the row order counts.
        items: A table of items, with the same item column.
        title: Its column of titles.
        text: Its columns of text, for item features.
        name: The recipe's name; the file's name if not given.
    """
    recipe = import_events(
        events, user=user, item=item, time=time, items_path=items, title=title, text=text, name=name
    )
    counts = recipe.expected
    size = f"{counts.users:,} users × {counts.items:,} items × {counts.events:,} events" if counts else ""
    print(f"{recipe.name}: {size}\n  recipe: graphs/{recipe.name}.yaml\n  next: g2rec run {recipe.name}")
