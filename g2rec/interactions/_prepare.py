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
from g2rec.interactions._content import fit_content, join_text, standardize
from g2rec.interactions._filter import k_core, keep_first
from g2rec.interactions._interactions import TEST, TRAIN, VALIDATION, Interactions
from g2rec.recipes import Filters, RawDataset, Recipe

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class InteractionsConfig:
    """How events become training, validation and test data."""

    split: Literal["leave_one_out", "temporal"] | None = None
    """leave_one_out (a user's last event is the test), temporal (two global cuts), or the recipe's choice."""
    ties: Literal["shuffle", "file_order"] | None = None
    """Order of a user's events at the same time: seeded shuffle, file order, or the recipe's choice."""
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
    only train. Temporal: filters look at the events before the validation window only. Items and users that
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

    log = _Log.read(raw)
    rank = _order(raw, log, ties, derive_seed(config.seed, "ties"))
    if split == "temporal":
        part, keep, cold_item, cold_user = _split_temporal(raw, log, rank, recipe.filters, config)
    else:
        keep = _filter(log, rank, recipe.filters, np.ones(len(log.user), bool))
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
    parts = _leave_one_out(user_index) if part is None else part[rows]

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
    )
    content = _content(raw, recipe, items, log.item_rows[item_codes], seen, config.seed)
    logger.info(
        "interactions of %s: %d users, %d items, %d events (%d train) in %.1f s",
        raw.name,
        interactions.num_users,
        interactions.num_items,
        interactions.num_events,
        int((parts == TRAIN).sum()),
        clock.perf_counter() - began,
    )
    return dataclasses.replace(interactions, content=content)


@dataclass(frozen=True)
class _Log:
    """The events as codes, sorted so that codes do not depend on the order of the file."""

    user: Array  # int64 [M], code into user_ids
    item: Array  # int64 [M], code into item_keys
    user_ids: pa.Array
    item_keys: pa.Array
    item_rows: Array  # int64, row of raw.items of each item code, -1 where it is not listed
    time: Array | None
    clock: Array | None
    position: Array | None

    @property
    def num_users(self) -> int:
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        return len(self.item_keys)

    @classmethod
    def read(cls, raw: RawDataset) -> "_Log":
        if raw.num_events == 0:
            raise DataError(f"{raw.name} has no events; check the file that it was read from")
        user_ids, user = _encode(raw.events["user"].combine_chunks())
        listed = raw.items["item"].combine_chunks()
        events_item = raw.events["item"].combine_chunks()
        keys, codes = _encode(pa.concat_arrays([listed, events_item.cast(listed.type)]))
        item_rows = np.full(len(keys), -1, np.int64)
        item_rows[codes[: len(listed)]] = np.arange(len(listed))
        time = _numbers(raw.events, "time")
        return cls(
            user=user,
            item=codes[len(listed) :],
            user_ids=user_ids,
            item_keys=keys,
            item_rows=item_rows,
            time=time,
            clock=_numbers(raw.events, "clock") if "clock" in raw.events.column_names else time,
            position=_numbers(raw.events, "position"),
        )


def _encode(values: pa.Array) -> tuple[pa.Array, Array]:
    """Sorted distinct values, and the code of each value."""
    distinct = values.unique().sort()
    codes = pc.index_in(values, value_set=distinct).to_numpy(zero_copy_only=False)
    return distinct, codes.astype(np.int64)


def _numbers(table: pa.Table, name: str) -> Array | None:
    """A column as int64, or None where it is absent or has gaps."""
    if name not in table.column_names or table[name].null_count:
        return None
    return np.asarray(table[name].cast(pa.int64()).to_numpy())


def _order(raw: RawDataset, log: _Log, ties: str, seed: int) -> Array:
    """Rank of every event such that sorting by (user, rank) puts each user's events oldest first."""
    size = len(log.user)
    # one key per row of the file, drawn before anything is filtered: dropping an event moves no other
    shuffled = np.random.default_rng(seed).permutation(size)
    if log.clock is None and log.position is None:
        if "time" in raw.events.column_names:
            raise DataError(
                f"{raw.events['time'].null_count:,} events of {raw.name} have no time and the file gives no "
                "other order; fill them in, or name a column of positions in the recipe (columns: order)"
            )
        if ties == "file_order":
            raise DataError(
                f"{raw.name} has neither times nor positions, so its file order means nothing; "
                "use ties=shuffle, which holds out random events"
            )
        return shuffled
    if ties == "file_order" or log.clock is None:
        keys = [log.position if log.position is not None else np.arange(size)]
        if log.clock is not None:
            keys.append(log.clock)
    else:
        keys = [shuffled, log.clock]
    rank = np.empty(size, np.int64)
    rank[np.lexsort(tuple(keys))] = np.arange(size)
    return rank


def _filter(log: _Log, rank: Array, filters: Filters, allowed: Array) -> Array:
    """The allowed events that survive de-duplication and the k-core."""
    rows = np.flatnonzero(allowed)
    if filters.deduplicate and len(rows):
        rows = rows[keep_first(log.user[rows], log.item[rows], np.argsort(rank[rows]))]
    if len(rows):
        rows = rows[k_core(log.user[rows], log.item[rows], filters.min_user_events, filters.min_item_events)]
    keep = np.zeros(len(allowed), bool)
    keep[rows] = True
    return keep


def _split_temporal(
    raw: RawDataset, log: _Log, rank: Array, filters: Filters, config: InteractionsConfig
) -> tuple[Array, Array, Array, Array]:
    """Parts, kept events, cold items and cold users of the global temporal split."""
    if log.time is None:
        gaps = raw.events["time"].null_count if "time" in raw.events.column_names else raw.num_events
        raise DataError(
            f"a temporal split needs the time of every event, {raw.name} lacks it for {gaps:,} of "
            f"{raw.num_events:,}; use split=leave_one_out"
        )
    quantiles = [config.validation_quantile, config.test_quantile]
    first, second = np.quantile(log.time, quantiles, method="higher")
    part = np.select([log.time < first, log.time < second], [TRAIN, VALIDATION], TEST).astype(np.uint8)
    before = part == TRAIN
    keep = _filter(log, rank, filters, before)
    core_item = np.bincount(log.item[keep], minlength=log.num_items) > 0
    core_user = np.bincount(log.user[keep], minlength=log.num_users) > 0
    early_item = np.bincount(log.item[before], minlength=log.num_items) > 0
    early_user = np.bincount(log.user[before], minlength=log.num_users) > 0
    # an event after the cut is kept unless the filters removed its user or its item; an item that the
    # item table does not list would enter the catalogue by a later event, so it is left out
    cold_item = ~early_item & (log.item_rows >= 0)
    cold_user = ~early_user
    later = ~before & (core_item | cold_item)[log.item] & (core_user | cold_user)[log.user]
    if filters.deduplicate:
        later &= _filter(log, rank, Filters(), keep | later)
    present = np.bincount(log.user[later], minlength=log.num_users) > 0
    if not later.any() and keep.any():
        raise DataError(
            f"no event of {raw.name} is left after the cut; choose smaller quantiles or lower filters"
        )
    return (
        part,
        (keep | later) if keep.any() else keep,
        np.flatnonzero(cold_item),
        np.flatnonzero(cold_user & present),
    )


def _leave_one_out(user_index: Array) -> Array:
    """Last event: test; last but one: validation; users with fewer than three events only train."""
    part = np.full(len(user_index), TRAIN, np.uint8)
    last = np.flatnonzero(np.diff(user_index, append=-1))
    length = np.diff(last, prepend=-1)
    last = last[length >= 3]
    part[last] = TEST
    part[last - 1] = VALIDATION
    return part


def _permuted(learned: Array, cold: Array, seed: int) -> Array:
    """The codes in the order of their internal index: a permutation of the learned ones, then of the cold."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.unique(learned)), rng.permutation(cold)])


def _inverse(codes: Array, size: int) -> Array:
    inverse = np.full(size, -1, np.int64)
    inverse[codes] = np.arange(len(codes))
    return inverse


def _item_table(raw: RawDataset, item_codes: Array, log: _Log) -> pa.Table:
    """The item table by item index: ``item_id``, ``title`` without nulls, and the source's other columns."""
    rows = log.item_rows[item_codes]
    table = raw.items.take(pa.array(rows, mask=rows < 0))
    keys = log.item_keys.take(pa.array(item_codes))
    ids = table["item_id"] if "item_id" in table.column_names else keys
    if (rows < 0).any():
        ids = pc.coalesce(table["item_id"].cast(pa.string()), keys.cast(pa.string()))
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
    raw: RawDataset, recipe: Recipe, items: pa.Table, rows: Array, seen: Array, seed: int
) -> Array | None:
    spec = recipe.content
    if spec.kind == "none":
        return None
    if spec.kind == "embeddings" and raw.content is not None:
        given = np.asarray(raw.content[np.maximum(rows, 0)], np.float32)
        given[rows < 0] = given[rows >= 0].mean(0)
        return standardize(given, seen)
    # titles that we made up are no text: read the source's own columns
    source = raw.items.take(pa.array(rows, mask=rows < 0))
    held = tuple(name for name in spec.columns if name in source.column_names)
    if not held and spec.kind == "embeddings":
        return None
    texts = join_text(source, held or spec.columns)
    return fit_content(texts, seen, spec.dim, derive_seed(seed, "content"))
