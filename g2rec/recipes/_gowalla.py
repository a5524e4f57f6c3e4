"""Gowalla check-ins (Cho, Myers and Leskovec 2011): SNAP's log, and the LightGCN edition of it."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from g2rec.errors import DataError
from g2rec.recipes._tables import Tables, as_seconds, integers, read_rows


def read_lightgcn(files: Mapping[str, Path]) -> Tables:
    """Read ``train.txt`` and ``test.txt`` of He et al. 2020 (https://arxiv.org/abs/2002.02126).

    One line a user: the user, then the items, separated by spaces. There is no time and no order. The
    published split is not kept: g2rec splits by time or by position, or holds out random events.

    Raises:
        DataError: If a file is missing or holds text.
    """
    users, items = [], []
    for role in ("events", "test"):
        path = files[role]
        for row in read_rows(path, " ", 1):
            numbers = integers([field for field in row if field], "user and items", path).to_numpy()
            users.append(np.full(len(numbers) - 1, numbers[0]))
            items.append(numbers[1:])
    user, item = np.concatenate(users), np.concatenate(items)
    listed = np.unique(item)
    original = listed
    if "items" in files:  # item_list.txt: "org_id remap_id" under a header
        pairs = read_rows(files["items"], " ", 2)[1:]
        names = {int(row[1]): row[0] for row in pairs}
        original = np.array([names.get(int(number), str(number)) for number in listed])
    return Tables(
        pa.table({"user": user, "item": item}),
        pa.table({"item": listed, "item_id": original, "title": pa.nulls(len(listed), pa.string())}),
    )


def read_gowalla_snap(files: Mapping[str, Path]) -> Tables:
    """Read ``loc-gowalla_totalCheckins.txt.gz`` (https://snap.stanford.edu/data/loc-gowalla.html).

    Tab-separated: user, ISO time in UTC, latitude, longitude, location; a user's newest check-in first.

    Raises:
        DataError: If the file is missing, cut short, or a line does not fit.
    """
    path = files["events"]
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    names = ["user", "time", "latitude", "longitude", "location"]
    try:
        with gzip.open(path) as handle:
            table = csv.read_csv(
                handle,
                read_options=csv.ReadOptions(column_names=names),
                parse_options=csv.ParseOptions(delimiter="\t"),
                convert_options=csv.ConvertOptions(
                    column_types={
                        "user": pa.int64(),
                        "time": pa.timestamp("s", "UTC"),
                        "location": pa.int64(),
                    }
                ),
            )
    except (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path} is not the check-in log ({str(error).splitlines()[0]}); get it again"
        ) from None
    time = as_seconds(table["time"].combine_chunks(), "time", path)
    events = pa.table({"user": table["user"], "item": table["location"], "time": time})
    # the file runs backwards in time, so its last row is the earliest position
    position = np.arange(len(events), dtype=np.int64)[::-1].copy()
    places = table.group_by("location", use_threads=False).aggregate(
        [("latitude", "first"), ("longitude", "first")]
    )
    return Tables(
        events.append_column("position", pa.array(position)),
        pa.table(
            {
                "item": places["location"],
                "item_id": places["location"],
                "title": pa.nulls(len(places), pa.string()),
                "latitude": places["latitude_first"],
                "longitude": places["longitude_first"],
            }
        ),
    )
