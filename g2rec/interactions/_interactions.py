"""The hand-over: who did what, in which order, and which part of it may be learned from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import DataError
from g2rec.interactions._content import ContentMap

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, 3
_KIND = "interactions"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Events:
    """A plain list of events, in the order of ``Interactions``.

    Attributes:
        user_index: int32 [M].
        item_index: int32 [M].
        time: int64 [M], seconds since 1970, or None.
    """

    user_index: Array
    item_index: Array
    time: Array | None


@dataclass(frozen=True)
class Sequences:
    """The training events of each user that has any, oldest first (CSR).

    Attributes:
        user_index: int32 [S], ascending.
        indptr: int64 [S + 1].
        item_index: int32 [M_train].
        time: int64 [M_train], seconds, or None.
        tied: bool [M_train], whether the order of an event and the one before it was drawn, or None.
    """

    user_index: Array
    indptr: Array
    item_index: Array
    time: Array | None
    tied: Array | None = None

    @property
    def moment(self) -> Array | None:
        """int64 [M_train], which events are of one user and time, so that their order can be drawn anew; or
        None."""
        return None if self.tied is None else np.cumsum(~self.tied)


@dataclass(frozen=True)
class Targets:
    """What is to be predicted: one row per evaluated user, with everything that the user did before (CSR).

    In leave-one-out the history of a test target includes the validation item. In a temporal split the
    target is the user's first event in the window (with an item that is new to the user, if that is the
    target); its history may be empty (a cold user).

    Attributes:
        user_index: int32 [T], ascending.
        target: int32 [T], item index.
        target_time: int64 [T], seconds, or None.
        indptr: int64 [T + 1].
        history: int32 [H], item indices, oldest first.
        history_time: int64 [H], seconds, or None.
        asked: int64 [T], when each user is known to ask: at the latest event of the history, and where the
            split is temporal not before the training events end. None without times.
    """

    user_index: Array
    target: Array
    target_time: Array | None
    indptr: Array
    history: Array
    history_time: Array | None
    asked: Array | None = None

    def __len__(self) -> int:
        return len(self.user_index)


@dataclass(frozen=True)
class Interactions:
    """Events with internal indices, sorted by user and then oldest first, each assigned to a part.

    Attributes:
        user_index: int32 [M].
        item_index: int32 [M].
        time: int64 [M], seconds since 1970; None where the data has no complete times.
        part: uint8 [M]: ``TRAIN``, ``VALIDATION``, ``TEST`` or ``UNUSED``.
        user_ids: External ids (strings or integers), row = user index.
        items: Row = item index; columns ``item_id`` and ``title`` (a string in every row), and others.
        content: float32 [I, F] item features, standardized; None where there are none.
        split: ``"leave_one_out"`` or ``"temporal"``.
        name: The recipe's name.
        content_map: Gives an item that comes later its content; None where there is no content.
        target: ``"next_item"``, or ``"next_new_item"``: only items that the user has not had are targets.
        tied: bool [M], whether an event is of the same time as its user's event before it, so that the order
            of the two was drawn; None where the order is as given.
    """

    user_index: Array
    item_index: Array
    time: Array | None
    part: Array
    user_ids: pa.Array
    items: pa.Table
    content: Array | None = None
    split: Literal["leave_one_out", "temporal"] = "leave_one_out"
    name: str = ""
    content_map: ContentMap | None = None
    target: Literal["next_item", "next_new_item"] = "next_item"
    tied: Array | None = None

    @property
    def num_users(self) -> int:
        """Users, cold ones included."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Items of the catalogue, cold ones included."""
        return int(self.items.num_rows)

    @property
    def num_events(self) -> int:
        """Events of all parts."""
        return len(self.user_index)

    @cached_property
    def user_indptr(self) -> Array:
        """int64 [U + 1]: the rows of user u are ``user_indptr[u]:user_indptr[u + 1]``."""
        return _indptr(self.user_index, self.num_users)

    @cached_property
    def titles(self) -> list[str]:
        """The title of every item, by item index."""
        titles: list[str] = self.items["title"].to_pylist()
        return titles

    def with_items(self, items: pa.Table, content: Array) -> "Interactions":
        """The same events over a catalogue that has more items at its end.

        Args:
            items: The new items, with the columns ``item_id`` and ``title`` and any others of the catalogue.
            content: float32 [n, F], theirs.

        Raises:
            DataError: If a column's values do not fit those of the catalogue.
        """
        columns = {}
        for field in self.items.schema:
            if field.name in items.column_names:
                columns[field.name] = _fit(items[field.name], field)
            else:
                columns[field.name] = pa.chunked_array([pa.nulls(items.num_rows, field.type)])
        table = pa.concat_tables([self.items, pa.table(columns, schema=self.items.schema)])
        held = np.asarray(self.content, dtype=np.float32)
        return replace(self, items=table, content=np.concatenate([held, content.astype(np.float32)]))

    def train_events(self) -> Events:
        """The events that anything may be fitted on."""
        rows = self.part == TRAIN
        return Events(
            self.user_index[rows], self.item_index[rows], None if self.time is None else self.time[rows]
        )

    def train_sequences(self) -> Sequences:
        """The training events as one sequence per user."""
        events = self.train_events()
        full = _indptr(events.user_index, self.num_users)
        users = np.flatnonzero(np.diff(full)).astype(np.int32)
        tied = None
        if self.tied is not None:
            tied = self.tied[self.part == TRAIN]
            tied[full[users]] = False
        return Sequences(users, np.append(full[users], full[-1]), events.item_index, events.time, tied)

    def targets(self, part: Literal["validation", "test"]) -> Targets:
        """The targets of one part with their histories.

        Raises:
            ValueError: If ``part`` is neither ``"validation"`` nor ``"test"``.
        """
        if part not in ("validation", "test"):
            raise ValueError(f"part must be validation or test, got {part}")
        rows = np.flatnonzero(self.part == (VALIDATION if part == "validation" else TEST))
        if self.target == "next_new_item":
            rows = rows[first_times(self.user_index, self.item_index)[rows]]
        users, first = np.unique(self.user_index[rows], return_index=True)
        rows = rows[first]
        begin = self.user_indptr[users]
        length = rows - begin
        indptr = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        source = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], length)
        used = self.part[source] != UNUSED
        if not used.all():
            kept = np.concatenate([[0], np.cumsum(used)])
            indptr, source = kept[indptr].astype(np.int64), source[used]
        return Targets(
            users.astype(np.int32),
            self.item_index[rows],
            None if self.time is None else self.time[rows],
            indptr,
            self.item_index[source],
            None if self.time is None else self.time[source],
            self._asked(indptr, source),
        )

    def _asked(self, indptr: Array, source: Array) -> Array | None:
        if self.time is None:
            return None
        trained = self.time[self.part == TRAIN]
        end = int(trained.max(initial=0)) + 1
        latest = np.full(len(indptr) - 1, end, dtype=np.int64)
        told = np.diff(indptr) > 0
        latest[told] = self.time[source[indptr[1:][told] - 1]]
        return np.maximum(latest, end) if self.split == "temporal" else latest

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the interactions as a folder.

        Raises:
            ArtifactError: If the disk refuses the write.
        """
        arrays = {"user_index": self.user_index, "item_index": self.item_index, "part": self.part}
        if self.time is not None:
            arrays["time"] = self.time
        if self.tied is not None:
            arrays["tied"] = self.tied
        if self.content is not None:
            arrays["content"] = self.content
        tables = {"users": pa.table({"user_id": self.user_ids}), "items": self.items}
        meta: dict[str, Any] = {"split": self.split, "name": self.name, "target": self.target}
        if self.content_map is not None:
            more_arrays, more_tables, meta["content_map"] = self.content_map.parts()
            arrays, tables = {**arrays, **more_arrays}, {**tables, **more_tables}
        return save_folder(
            path, _KIND, arrays=arrays, tables=tables, config=config, made_from=made_from, meta=meta
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open what `save` wrote; arrays are memory-mapped.

        Raises:
            ArtifactError: If the folder is missing, damaged, or of another kind.
        """
        folder = open_folder(path, _KIND)
        content_map = folder.meta.get("content_map")
        return cls(
            user_index=folder.array("user_index"),
            item_index=folder.array("item_index"),
            time=folder.array("time") if folder.has("time.npy") else None,
            part=folder.array("part"),
            user_ids=folder.table("users")["user_id"].combine_chunks(),
            items=folder.table("items"),
            content=folder.array("content") if folder.has("content.npy") else None,
            split=folder.meta["split"],
            name=folder.meta["name"],
            content_map=None if content_map is None else ContentMap.from_folder(folder, content_map),
            target=folder.meta.get("target", "next_item"),
            tied=folder.array("tied") if folder.has("tied.npy") else None,
        )


def _fit(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """A column in the catalogue's type; where that is text, a list is joined."""
    text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    try:
        if text and pa.types.is_list(column.type):
            column = pc.binary_join(column, " ")
        fitted = column.cast(field.type)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"expected {field.type} in the column {field.name} of new items, as in the catalogue ({reason}); "
            "mend it"
        ) from None
    if field.name == "item_id" and not text:  # "007" is not the item 7
        given = column.cast(pa.string())
        other = pc.index(pc.not_equal(fitted.cast(pa.string()), given), True).as_py()
        if other >= 0:
            raise DataError(
                f"expected {field.type} in the column item_id of new items, as in the catalogue, got "
                f"{given[other].as_py()!r}; write it as {fitted[other]}"
            )
    return fitted


def _indptr(index: Array, size: int) -> Array:
    counts = np.bincount(index, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def first_times(user_index: Array, item_index: Array) -> Array:
    """Whether each event is its user's first with its item; events are listed in order."""
    first = np.zeros(len(user_index), bool)
    items = int(item_index.max(initial=0)) + 1
    first[np.unique(user_index.astype(np.int64) * items + item_index, return_index=True)[1]] = True
    return first
