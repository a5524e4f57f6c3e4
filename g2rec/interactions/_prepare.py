"""From a parsed dataset to ``Interactions``: filter, split, map ids, fit the content."""

import dataclasses
import logging
import time as clock
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError, DataError
from g2rec.interactions._codes import EventCodes, rank_events
from g2rec.interactions._content import ContentMap, join_text
from g2rec.interactions._interactions import TRAIN, Interactions, first_times
from g2rec.interactions._split import filter_events, leave_one_out, split_temporal
from g2rec.recipes import RawDataset, Recipe

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class InteractionsConfig:
    """How events become training, validation and test data."""

    split: Literal["leave_one_out", "temporal"] | None = None
    """leave_one_out (a user's last event is the test), temporal (two global cuts), or the recipe's choice."""
    ties: Literal["shuffle", "file_order"] | None = None
    """Order of a user's events at the same time: seeded shuffle, file order, or the recipe's choice."""
    target: Literal["next_item", "next_new_item"] = "next_item"
    """What is to be predicted: the user's next item, or the next one that the user has not had before."""
    validation_quantile: float = 0.8
    """Temporal split: the share of all events that lies before the validation window."""
    test_quantile: float = 0.9
    """Temporal split: the share of all events that lies before the test window."""
    seed: int = 0
    """Seed of the internal ids, of the shuffled ties and of the SVD."""

    def check(self) -> None:
        """Refuse quantiles out of order.

        Raises:
            ConfigError: If not 0 < validation_quantile < test_quantile < 1.
        """
        if not 0 < self.validation_quantile < self.test_quantile < 1:
            raise ConfigError(
                "expected 0 < validation_quantile < test_quantile < 1, got "
                f"{self.validation_quantile} and {self.test_quantile}"
            )


def prepare(raw: RawDataset, recipe: Recipe, config: InteractionsConfig | None = None) -> Interactions:
    """Filter, split and index a dataset.

    Leave-one-out: repeats are dropped and the k-core is taken over all events (as published tables do); the
    last event of each user is the test, the one before it the validation; users with fewer than three events
    only train. If the target is the next new item, events with items that the user has had are no targets.
    Temporal: filters look at the events before the validation window only. Items and users that
    they remove are gone for good; those with no event before the cut stay, as cold ones (items as far as the
    item table lists them, so that no later event decides what the catalogue is).

    Internal ids are a seeded permutation, as ids in file order leak; in a temporal split the cold users and
    items come after the others. Content is fitted on items that have a training event.

    Args:
        raw: The parsed dataset.
        recipe: Its recipe; filters, content and the defaults of split and ties come from it.
        config: Split, ties and seed.

    Raises:
        ConfigError: For quantiles out of order.
        DataError: If a split needs times or an order that the data lacks, or nothing is left.
    """
    began = clock.perf_counter()
    config = config or InteractionsConfig()
    config.check()
    split = config.split or recipe.split
    ties = config.ties or recipe.ties

    log = EventCodes.read(raw)
    rank = rank_events(raw, log, ties, derive_seed(config.seed, "ties"))
    if split == "temporal":
        quantiles = (config.validation_quantile, config.test_quantile)
        part, keep, cold_item, cold_user = split_temporal(raw, log, rank, recipe.filters, quantiles)
    else:
        keep = filter_events(log, rank, recipe.filters, np.ones(len(log.user), bool))
        part = None
        cold_item = cold_user = np.empty(0, np.int64)
    if not keep.any():
        raise DataError(
            f"no event of {raw.name} is left after filtering with min_user_events="
            f"{recipe.filters.min_user_events} and min_item_events={recipe.filters.min_item_events}, of "
            f"{raw.num_events:,}; lower them in the recipe"
        )

    rows = np.flatnonzero(keep)
    learned = rows if part is None else rows[part[rows] == TRAIN]
    user_codes = _permuted(log.user[learned], cold_user, derive_seed(config.seed, "users"))
    item_codes = _permuted(log.item[learned], cold_item, derive_seed(config.seed, "items"))
    user_index = _inverse(user_codes, log.num_users)[log.user[rows]]
    item_index = _inverse(item_codes, log.num_items)[log.item[rows]]
    order = np.lexsort((rank[rows], user_index))
    rows, user_index, item_index = rows[order], user_index[order], item_index[order]
    fresh = first_times(user_index, item_index) if config.target == "next_new_item" else None
    parts = leave_one_out(user_index, fresh) if part is None else part[rows]

    items = _item_table(raw, item_codes, log)
    seen = np.zeros(len(item_codes), bool)
    seen[item_index[parts == TRAIN]] = True
    interactions = Interactions(
        user_index=user_index.astype(np.int32),
        item_index=item_index.astype(np.int32),
        time=None if log.time is None else log.time[rows],
        part=parts,
        user_ids=log.user_ids.take(pa.array(user_codes)),
        items=items,
        split=split,
        name=raw.name,
        target=config.target,
        tied=_tied(user_index, log, rows) if ties == "shuffle" else None,
    )
    content, content_map = _content(raw, recipe, log.item_rows[item_codes], seen, config.seed)
    logger.info(
        "interactions of %s: %d users, %d items, %d events (%d train) in %.1f s",
        raw.name,
        interactions.num_users,
        interactions.num_items,
        interactions.num_events,
        int((parts == TRAIN).sum()),
        clock.perf_counter() - began,
    )
    return dataclasses.replace(interactions, content=content, content_map=content_map)


def _tied(user_index: Array, log: EventCodes, rows: Array) -> Array | None:
    """Whether each event follows one of the same user and time, whose order with it was drawn."""
    if log.clock is None:
        if log.position is not None:
            return None
        same = np.ones(len(rows), bool)  # there is no order at all
    else:
        same = np.append(False, log.clock[rows[1:]] == log.clock[rows[:-1]])
    same[1:] &= user_index[1:] == user_index[:-1]
    same[:1] = False
    return same


def _permuted(learned: Array, cold: Array, seed: int) -> Array:
    """The codes in the order of their internal index: a permutation of the learned ones, then of the cold."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.unique(learned)), rng.permutation(cold)])


def _inverse(codes: Array, size: int) -> Array:
    inverse = np.full(size, -1, np.int64)
    inverse[codes] = np.arange(len(codes))
    return inverse


def _item_table(raw: RawDataset, item_codes: Array, log: EventCodes) -> pa.Table:
    """The item table by item index: ``item_id``, ``title`` without nulls, and the source's other columns."""
    rows = log.item_rows[item_codes]
    table = raw.items.take(pa.array(rows, mask=rows < 0))
    keys = log.item_keys.take(pa.array(item_codes))
    ids = table["item_id"] if "item_id" in table.column_names else keys
    if ids.null_count:
        ids = pc.coalesce(ids.cast(pa.string()), keys.cast(pa.string()))
    if len(ids.unique()) < len(ids):
        counts = ids.value_counts()
        double = counts.field("values")[pc.index(pc.greater(counts.field("counts"), 1), True).as_py()]
        raise DataError(
            f"{raw.name} has two items of the item_id {double}; the recipe's item_key should name a column "
            "that tells items apart"
        )
    fallback = pc.binary_join_element_wise("item", ids.cast(pa.string()), " ")
    title = (
        table["title"].cast(pa.string())
        if "title" in table.column_names
        else pa.nulls(len(rows), pa.string())
    )
    columns = {"item_id": ids, "title": pc.coalesce(title, fallback)}
    for name in table.column_names:
        if name not in ("item", "item_id", "title"):
            columns[name] = table[name]
    return pa.table(columns)


def _content(
    raw: RawDataset, recipe: Recipe, rows: Array, seen: Array, seed: int
) -> tuple[Array | None, ContentMap | None]:
    spec = recipe.content
    if spec.kind == "none":
        return None, None
    if spec.kind == "embeddings" and raw.content is not None:
        given = np.asarray(raw.content[np.maximum(rows, 0)], np.float32)
        given[rows < 0] = given[rows >= 0].mean(0)
        fitted = ContentMap.of_vectors(given, seen)
        return fitted.vectors(given), fitted
    # titles that we made up are no text: read the source's own columns
    source = raw.items.take(pa.array(rows, mask=rows < 0))
    held = tuple(name for name in spec.columns if name in source.column_names)
    if not held and spec.kind == "embeddings":
        return None, None
    columns = held or spec.columns
    texts = join_text(source, columns)
    learned = ContentMap.of_text(texts, seen, columns, spec.dim, derive_seed(seed, "content"))
    return (None, None) if learned is None else (learned.texts(texts), learned)
