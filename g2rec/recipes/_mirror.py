"""The mirror layout: ``interactions.parquet``, ``items.parquet``, optionally ``text_emb_minilm.npy``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from g2rec.errors import DataError
from g2rec.recipes._dataset import RawDataset
from g2rec.recipes._recipe import Columns
from g2rec.recipes._tables import as_ids, as_seconds, read_parquet, take_column


def read_mirror(name: str, columns: Columns, files: Mapping[str, Path], source: str) -> RawDataset:
    """Read a dataset in the mirror layout.

    Raises:
        DataError: If a file is damaged, a column is missing or holds the wrong kind of value (with the row),
            an item is listed twice, or the content does not fit the item table.
    """
    path, items_path = files["events"], files["items"]
    table, listed = read_parquet(path), read_parquet(items_path)
    whole = columns.ids == "integer"
    events = {
        "user": as_ids(take_column(table, columns.user, path), columns.user, path, integers=whole),
        "item": as_ids(take_column(table, columns.item, path), columns.item, path, integers=whole),
    }
    if columns.time is not None:
        values = as_seconds(take_column(table, columns.time, path), columns.time, path, gaps=True)
        if values.null_count < len(values):
            events["time"] = values
    if columns.clock is not None:
        events["clock"] = as_seconds(take_column(table, columns.clock, path), columns.clock, path)
    if columns.order is not None:
        events["position"] = as_ids(
            take_column(table, columns.order, path), columns.order, path, integers=True
        )

    item = as_ids(take_column(listed, columns.item, items_path), columns.item, items_path, integers=whole)
    if item.type != events["item"].type:
        raise DataError(
            f"column {columns.item} holds {_kind(events['item'])} in {path.name} and {_kind(item)} in "
            f"{items_path.name} of {path.parent}; make them alike"
        )
    if len(item.unique()) < len(item):
        counts = item.value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        raise DataError(f"{items_path} lists the item {twice} more than once; keep one row")
    made = {"item": item, "item_id": item}
    if columns.item_key is not None:
        made["item_id"] = take_column(listed, columns.item_key, items_path)
    if columns.title in listed.column_names:
        made["title"] = listed[columns.title].cast(pa.string())
    else:
        made["title"] = pa.nulls(len(item), pa.string())
    for column in listed.column_names:
        if column not in (columns.item, columns.item_key, columns.title, "item", "item_id", "title"):
            made[column] = listed[column]
    content = None
    if "content" in files:
        content = _read_content(files["content"], len(item))
    return RawDataset(
        name=name, events=pa.table(events), items=pa.table(made), content=content, source=source
    )


def _read_content(path: Path, num_items: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise DataError(f"{path} is not a whole .npy file; get it again") from None
    if content.ndim != 2 or len(content) != num_items:
        raise DataError(
            f"{path} has the shape {content.shape}, expected one row for each of {num_items} items"
        )
    return np.asarray(content, np.float32)


def _kind(values: pa.Array) -> str:
    return "numbers" if pa.types.is_integer(values.type) else "text"
