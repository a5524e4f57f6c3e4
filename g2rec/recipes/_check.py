"""Is what lies there what the recipe says?"""

from dataclasses import dataclass
from pathlib import Path

from g2rec.recipes._download import Progress
from g2rec.recipes._locate import load_recipe
from g2rec.recipes._read import count_problem, parse_fetched


@dataclass(frozen=True, kw_only=True)
class RecipeReport:
    """Counts of a parsed dataset beside the recipe's.

    Attributes:
        name: The recipe's name.
        source: Where the files came from.
        users: Users with an event.
        items: Items with an event.
        events: Events, before any filter.
        with_time: Events with a time.
        with_title: Items with a title.
        content_dim: Dimensions of given item features; 0 where there are none.
        problem: One clause on what differs from the recipe, or None.
        compared: Whether the recipe states counts at all.
    """

    name: str
    source: str
    users: int
    items: int
    events: int
    with_time: int
    with_title: int
    content_dim: int
    problem: str | None
    compared: bool


def check_recipe(name: str, mirror: Path | None = None, *, progress: Progress | None = None) -> RecipeReport:
    """Fetch, verify and parse a dataset, and compare its counts with the recipe.

    Raises:
        ConfigError: If the recipe is unknown or not well formed.
        NetworkError: If no source can be reached.
        DataError: If a file is missing or damaged.
    """
    recipe = load_recipe(name)
    dataset, fetched = parse_fetched(recipe, mirror=mirror, progress=progress)
    timed = "time" in dataset.events.column_names
    return RecipeReport(
        name=recipe.name,
        source=fetched.source,
        users=dataset.num_users,
        items=dataset.num_items,
        events=dataset.num_events,
        with_time=dataset.num_events - dataset.events["time"].null_count if timed else 0,
        with_title=dataset.items.num_rows - dataset.items["title"].null_count,
        content_dim=0 if dataset.content is None else dataset.content.shape[1],
        problem=count_problem(recipe, dataset),
        compared=recipe.expected is not None,
    )
