"""A user's own event log becomes a dataset and a recipe."""

import contextlib
import json
import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import json as arrow_json

from g2rec.artifacts import disk_error, fingerprint, replace_path, write_text
from g2rec.errors import ConfigError, DataError
from g2rec.interactions._csv import count, read_csv
from g2rec.interactions._times import read_times
from g2rec.recipes import (
    Columns,
    ContentSpec,
    Expected,
    Filters,
    Recipe,
    Source,
    as_ids,
    cache_dir,
    dump_recipe,
    read_parquet,
    shipped_recipe,
    take_column,
)

logger = logging.getLogger(__name__)

_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl")
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})(\.0)?$"
_OWN = "your own data"
_EVENTS, _ITEMS = Path("events"), Path("items")
"""What messages call tables that come from no file."""


def import_events(
    events_path: Path | pa.Table,
    *,
    user: str,
    item: str,
    time: str | None,
    items_path: Path | pa.Table | None = None,
    title: str | None = None,
    text: str | Sequence[str] = (),
    name: str | None = None,
    deduplicate: bool = True,
    out_dir: Path | None = None,
    recipe_dir: Path = Path("graphs"),
) -> Recipe:
    """Turn an event log into a dataset in the mirror layout and a recipe that names it.

    Rows without a user, an item or a time are left out, and counted in the log. IDs lose the blanks around
    them, and are whole numbers where a CSV file holds nothing else (without leading zeros).

    Args:
        events_path: A .parquet, .csv, .tsv or .jsonl file, or a table, one event a row.
        user: Column of user ids (numbers or text).
        item: Column of item ids.
        time: Column of times, as `read_times` reads them. Without it the row order counts.
        items_path: A table of items with the column ``item``.
        title: Its title column; ``title``, if there is one, if None.
        text: Its text columns for TF-IDF; the title if empty.
        deduplicate: Whether runs keep only a user's first event with an item.
        name: The recipe's name; the file's name if None, and ``events`` of a table.
        out_dir: Where the dataset goes; a folder in the cache for each name and ``recipe_dir`` if None.
        recipe_dir: Where ``NAME.yaml`` goes.

    Raises:
        ArtifactError: If the disk refuses a write.
        ConfigError: For a name that is no file name, or of a recipe that g2rec ships; ``title`` or ``text``
            without ``items_path``.
        DataError: If a file or column is missing or damaged, ids do not fit, or too many rows have no time.
    """
    events_label = _EVENTS if isinstance(events_path, pa.Table) else events_path
    name = name or re.sub(r"[^A-Za-z0-9]+", "-", events_label.stem).strip("-").lower()
    _check_name(name, recipe_dir)
    text = (text,) if isinstance(text, str) else tuple(text)
    if items_path is None and (title or text):
        raise ConfigError("a title or text column needs a table of items; give items as well")
    events = _read_events(events_path, user, item, time)
    items = _read_items(items_path, item, title, text, events["item"].combine_chunks())
    if items["item"].type != events["item"].type:
        events = events.set_column(1, "item", events["item"].cast(pa.string()))
    clock = "clock" if "clock" in events.column_names else None
    columns = Columns(time="timestamp" if time else None, clock=clock)
    words = tuple(dict.fromkeys(text or ([title] if title else [])))
    if out_dir is None:  # two projects may have a log of the same name
        out_dir = cache_dir() / "imported" / f"{name}-{fingerprint(str(recipe_dir.resolve()))[:8]}"
    recipe = Recipe(
        name=name,
        title=f"{name}, imported from {events_label.name}",
        licence=_OWN,
        sources=(Source(reader="mirror", folder=str(out_dir.resolve())),),
        columns=columns,
        filters=Filters(deduplicate=deduplicate),
        content=ContentSpec(kind="tfidf", columns=words) if words else ContentSpec(kind="none", columns=()),
        expected=Expected(
            users=len(events["user"].unique()), items=len(events["item"].unique()), events=events.num_rows
        ),
    )
    folder = Path(str(recipe.sources[0].folder))
    file = recipe_dir / f"{name}.yaml"
    if file.exists():
        logger.warning("%s: what was imported under this name is replaced", name)
    _check_writable(file)  # before the data, which would be of no use alone
    _write_table(folder / "interactions.parquet", events)
    _write_table(folder / "items.parquet", items)
    write_text(file, dump_recipe(recipe))
    return recipe


def _check_name(name: str, recipe_dir: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ConfigError(f"a recipe's name has letters, digits, dots, dashes and underscores, got {name!r}")
    ours = shipped_recipe(name)
    if ours is None or recipe_dir.resolve() not in (Path("graphs").resolve(), ours.parent.resolve()):
        return
    if ours.parent.resolve() == recipe_dir.resolve() and f"licence: {_OWN}" in ours.read_text("utf-8"):
        return  # in a checkout, whose graphs/ has both
    raise ConfigError(f"g2rec ships a recipe called {name}; give yours another name")


def _check_writable(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise disk_error(file, error) from error


def _read_events(source: Path | pa.Table, user: str, item: str, time: str | None) -> pa.Table:
    wanted = [user, item, *([time] if time else [])]
    table, path = (source, _EVENTS) if isinstance(source, pa.Table) else (read_table(source, wanted), source)
    for role, name in zip(("user", "item", "time"), wanted, strict=False):
        _check_column(table, name, path, role)
    columns = {"user": _read_ids(table, user, path), "item": _read_ids(table, item, path)}
    if not table.num_rows:
        raise DataError(f"{path} has no rows; check the file")
    if time:
        columns["timestamp"], ticks = read_times(take_column(table, time, path), time, path)
        if ticks is not None:  # events of one second in their order
            columns["clock"] = ticks
    columns["order"] = pa.array(np.arange(table.num_rows, dtype=np.int64))
    events = pa.table(columns).drop_null()
    if not events.num_rows:
        raise DataError(f"no row of {path} has {' and '.join(wanted)}; check the columns")
    return events


def _check_column(table: pa.Table, name: str, path: Path, role: str) -> None:
    if name not in table.column_names:
        held = ", ".join(table.column_names)
        raise DataError(f"{path} has no column {name}; it has {held}; name one of them as {role}")
    if table.column_names.count(name) > 1:
        raise DataError(f"{path} has more than one column called {name}; rename one of them")


def _read_ids(table: pa.Table, name: str, path: Path) -> pa.Array:
    """IDs, null where a row has none."""
    ids = take_column(table, name, path)
    if pa.types.is_string(ids.type):
        ids = pc.utf8_trim_whitespace(ids)
        ids = pc.if_else(pc.equal(ids, ""), pa.scalar(None, pa.string()), ids)
        whole = (
            path.suffix.lower() in (".csv", ".tsv") and pc.all(pc.match_substring_regex(ids, _WHOLE)).as_py()
        )
        if whole:
            ids = pc.replace_substring_regex(ids, r"\.0$", "").cast(pa.int64())
    ids = as_ids(ids, name, path, gaps=True)
    if ids.null_count:
        logger.warning("%s: left out %s without %s", path.name, count(ids.null_count), name)
    return ids


def _read_items(
    source: Path | pa.Table | None, item: str, title: str | None, text: Sequence[str], known: pa.Array
) -> pa.Table:
    known = known.unique()
    if source is None:
        return pa.table({"item": known.sort()})
    wanted = [item, *([title] if title else []), *text]
    table, path = (source, _ITEMS) if isinstance(source, pa.Table) else (read_table(source, wanted), source)
    if item not in table.column_names:
        raise DataError(
            f"{path} has no column {item}, as the events call their items; it has "
            f"{', '.join(table.column_names)}; give the one with the ids that name"
        )
    for role, name in [("item", item), *([("title", title)] if title else []), *(("text", n) for n in text)]:
        _check_column(table, name, path, role)
    key = _read_ids(table, item, path)
    if key.type != known.type:
        key, known = key.cast(pa.string()), known.cast(pa.string())
    table, key = table.filter(pc.is_valid(key)), key.drop_null()
    listed = pc.sum(pc.is_in(known, value_set=key)).as_py() or 0
    if not listed:
        raise DataError(
            f"no item of {path} occurs in the events; check that column {item} holds the same ids"
        )
    if listed < len(known):
        logger.warning(
            "%s: no row for %s of %s items in the events",
            path.name,
            f"{len(known) - listed:,}",
            f"{len(known):,}",
        )
    without = len(key.unique()) - listed
    if without:
        logger.warning(
            "%s: %s of items without events; a temporal split and Bundle.add_items know them",
            path.name, count(without),
        )  # fmt: skip
    first = np.sort(np.unique(key.to_numpy(zero_copy_only=False), return_index=True)[1])
    if len(first) < len(key):
        logger.warning("%s: left out %s of items that came before", path.name, count(len(key) - len(first)))
    columns = {"item": key.take(pa.array(first))}
    table = table.take(pa.array(first))
    titled = title or ("title" if table.column_names.count("title") == 1 else None)
    if titled:
        columns["title"] = _as_text(table[titled], titled, path)
    for name in table.column_names:
        if table.column_names.count(name) > 1 or not name:
            continue
        if name not in (item, "item", "item_id", *columns):
            columns[name] = table[name]
    return pa.table(columns)


def _as_text(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    """As text; lists of words are joined."""
    try:
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = pc.binary_join(column, " ")
        return column.cast(pa.string())
    except pa.ArrowException:
        raise DataError(
            f"{path}: column {name} should hold text, it holds {column.type}; name another column"
        ) from None


def read_table(path: Path, wanted: Sequence[str]) -> pa.Table:
    """Read a .parquet, .csv, .tsv or .jsonl file; ``wanted`` columns help to find a CSV file's separator.

    Raises:
        DataError: If the file is missing, damaged, or of another kind.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    try:
        kind = path.suffix.lower()
        if kind == ".parquet":
            return _plain_columns(read_parquet(path))
        if kind in (".csv", ".tsv"):
            return read_csv(path, wanted)
        if kind in (".jsonl", ".ndjson"):
            return arrow_json.read_json(path)
    except (pa.ArrowInvalid, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}; check the file") from None
    raise DataError(f"{path} should end in {', '.join(_SUFFIXES)}; convert it to one of them")


def as_table(frame: Any) -> pa.Table:
    """A table from Arrow, pandas, polars (whatever has Arrow's C interface), a mapping of columns, or rows.

    Raises:
        DataError: If it is none of these.
    """
    try:
        if isinstance(frame, Mapping):
            return _plain_columns(pa.table(dict(frame)))
        if isinstance(frame, list | tuple) and all(isinstance(row, Mapping) for row in frame):
            names = list(dict.fromkeys(name for row in frame for name in row))
            return _plain_columns(pa.table({name: [row.get(name) for row in frame] for name in names}))
        if isinstance(frame, pa.Table | pa.RecordBatch) or hasattr(frame, "__arrow_c_stream__"):
            return _plain_columns(pa.table(frame))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"the table cannot be read: {str(error).splitlines()[0]}; mend it") from None
    if hasattr(frame, "collect"):
        raise DataError(f"expected a table, got a {type(frame).__name__}; give what its collect() returns")
    raise DataError(
        f"expected a table (Arrow, pandas, polars), a mapping of columns or a list of rows, got a "
        f"{type(frame).__name__}; make one of it"
    )


def _plain_columns(table: pa.Table) -> pa.Table:
    """Without what only some libraries know: pandas' index, categories, and other layouts of text."""
    columns, names = [], []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name.startswith("__index_level_"):
            continue
        if pa.types.is_dictionary(column.type):
            chunks = [chunk.dictionary_decode() for chunk in column.chunks]
            column = pa.chunked_array(chunks, column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        columns.append(column)
        names.append(name)
    return pa.table(columns, names=names)


def _write_table(path: Path, table: pa.Table) -> None:
    """Write a table whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary)
        replace_path(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise disk_error(path, error) from error
