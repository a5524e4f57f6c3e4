"""Parse fetched files into a ``RawDataset`` and hold the counts against the recipe."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from g2rec.errors import ConfigError, DataError
from g2rec.recipes._amazon import read_amazon
from g2rec.recipes._dataset import RawDataset
from g2rec.recipes._download import Progress
from g2rec.recipes._fetch import FetchedFiles, fetch
from g2rec.recipes._gowalla import read_gowalla_snap, read_lightgcn
from g2rec.recipes._mirror import read_mirror
from g2rec.recipes._movies import read_movielens, read_movietweetings, read_recbole
from g2rec.recipes._recipe import Recipe
from g2rec.recipes._retail import read_online_retail
from g2rec.recipes._synthetic import SyntheticConfig, generate
from g2rec.recipes._tables import Tables

logger = logging.getLogger(__name__)

_RAW_READERS: Mapping[str, Callable[[Mapping[str, Path]], Tables]] = {
    "movielens-100k": read_movielens,
    "recbole": read_recbole,
    "amazon-2014": read_amazon,
    "movietweetings": read_movietweetings,
    "online-retail": read_online_retail,
    "lightgcn": read_lightgcn,
    "gowalla-snap": read_gowalla_snap,
}


def read_dataset(
    recipe: Recipe, *, mirror: Path | None = None, progress: Progress | None = None
) -> RawDataset:
    """Fetch and parse a recipe's dataset, and check its counts.

    Args:
        recipe: The recipe.
        mirror: A local folder to read instead of downloading (see `fetch`).
        progress: Called while downloading.

    Raises:
        NetworkError: If no source can be reached.
        DataError: If a file is missing, damaged, or parsed to other counts than the recipe expects.
        ConfigError: If the recipe asks for the generator without its parameters.
    """
    dataset, fetched = parse_fetched(recipe, mirror=mirror, progress=progress)
    problem = count_problem(recipe, dataset)
    if problem and not fetched.counts_unverified:
        raise DataError(f"{problem}; the files from {fetched.source} are damaged or another version")
    if problem:
        logger.warning("%s; this source was never parsed when the recipe was written", problem)
    return dataset


def parse_fetched(
    recipe: Recipe, *, mirror: Path | None, progress: Progress | None
) -> tuple[RawDataset, FetchedFiles]:
    """Fetch and parse, without a word about the counts."""
    generated = all(source.reader == "synthetic" for source in recipe.sources)
    fetched = fetch(recipe, mirror=None if generated else mirror, progress=progress)
    began = time.perf_counter()
    dataset = _parse(recipe, fetched)
    logger.info(
        "%s from %s: %d users, %d items, %d events in %.1f s",
        recipe.name,
        fetched.source,
        dataset.num_users,
        dataset.num_items,
        dataset.num_events,
        time.perf_counter() - began,
    )
    return dataset, fetched


def count_problem(recipe: Recipe, dataset: RawDataset) -> str | None:
    """One clause on counts that differ from the recipe's, or None."""
    if recipe.expected is None:
        return None
    wanted = (recipe.expected.users, recipe.expected.items, recipe.expected.events)
    got = (dataset.num_users, dataset.num_items, dataset.num_events)
    if got == wanted:
        return None
    return (
        f"{recipe.name} should have {wanted[0]:,} users, {wanted[1]:,} items and {wanted[2]:,} events, "
        f"it has {got[0]:,}, {got[1]:,} and {got[2]:,}"
    )


class _Roles(dict[str, Path]):
    """Files by role; the first one that a reader misses is named."""

    def __missing__(self, role: str) -> Path:
        held = ", ".join(self) or "none"
        raise ConfigError(f"the recipe's source lacks a file for {role}, it names {held}; add it")


def _parse(recipe: Recipe, fetched: FetchedFiles) -> RawDataset:
    if fetched.reader == "synthetic":
        if recipe.synthetic is None and recipe.name != "synthetic":
            raise ConfigError(
                f"the recipe {recipe.name} needs the key synthetic with the generator's parameters"
            )
        data = generate(recipe.synthetic or SyntheticConfig())
        return RawDataset(
            name=recipe.name,
            events=data.events,
            items=data.items,
            content=data.content,
            users=data.users,
            source=fetched.source,
        )
    if fetched.reader == "mirror":
        return read_mirror(recipe.name, recipe.columns, fetched.files, fetched.source)
    tables = _RAW_READERS[fetched.reader](_Roles(fetched.files))
    return RawDataset(name=recipe.name, events=tables.events, items=tables.items, source=fetched.source)
