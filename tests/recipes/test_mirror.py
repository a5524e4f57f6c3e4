"""Mirror folders: small ones written here, and the real ones where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.errors import DataError
from g2rec.recipes import check_recipe, parse_recipe, read_dataset

MIRROR = Path(os.environ.get("G2REC_TEST_MIRROR", Path(__file__).parents[3] / "shared" / "data"))
RECIPE = parse_recipe(
    "name: tiny\ntitle: Tiny\nlicence: none\nsources: [{reader: mirror, folder: nowhere}]\n"
    "columns: {item_key: code, ids: integer}\nexpected: {users: 2, items: 2, events: 3}\n",
    "tiny.yaml",
)
COUNTS = {
    "amazon-beauty": (22_363, 12_101, 198_502),
    "amazon-toys": (19_412, 11_924, 167_597),
    "gowalla": (29_858, 40_981, 1_027_370),
    "ml-100k": (943, 1_682, 100_000),
    "movietweetings-100k": (16_554, 10_506, 100_000),
    "online-retail": (4_334, 3_659, 386_326),
}


def write_mirror(root, **changes):
    folder = root / "tiny"
    folder.mkdir(exist_ok=True)
    events = {"user": [0, 0, 1], "item": [1, 0, 1], "order": [0, 1, 0], "timestamp": [5, 6, None]} | changes
    pq.write_table(pa.table(events), folder / "interactions.parquet")
    items = {"item": [0, 1], "code": ["A", "B"], "title": ["Ant", None], "brand": ["x", "y"]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    return root


def test_a_small_mirror(tmp_path):
    write_mirror(tmp_path)
    np.save(tmp_path / "tiny" / "text_emb_minilm.npy", np.eye(2, 4, dtype=np.float16))
    raw = read_dataset(RECIPE, mirror=tmp_path)
    assert raw.events.column_names == ["user", "item", "time", "position"]
    assert raw.events["time"].to_pylist() == [5, 6, None]
    assert raw.items.to_pylist()[1] == {"item": 1, "item_id": "B", "title": None, "brand": "y"}
    assert raw.content.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": ["0", "x1", "1"]}, "column user should hold whole numbers, row 2 has 'x1'"),
        ({"user": [0, None, 1]}, "column user has no value in row 2"),
        ({"timestamp": ["5", "noon", "6"]}, "column timestamp should hold times .* row 2 has 'noon'"),
        ({"timestamp": [5, -6, 7]}, "column timestamp has the negative time -6 in row 2"),
        ({"user": [0, 0, 0]}, "tiny should have 2 users, 2 items and 3 events, it has 1, 2 and 3"),
    ],
)
def test_bad_values(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_dataset(RECIPE, mirror=write_mirror(tmp_path, **changes))


def test_bad_files(tmp_path):
    with pytest.raises(DataError, match=r"interactions\.parquet in the mirror, it is missing"):
        read_dataset(RECIPE, mirror=tmp_path)
    folder = write_mirror(tmp_path) / "tiny"
    np.save(folder / "text_emb_minilm.npy", np.eye(3))
    with pytest.raises(DataError, match=r"has the shape \(3, 3\), expected one row for each of 2 items"):
        read_dataset(RECIPE, mirror=tmp_path)
    pq.write_table(pa.table({"user": [0], "thing": [1]}), folder / "interactions.parquet")
    with pytest.raises(DataError, match="has no column item; it has user, thing"):
        read_dataset(RECIPE, mirror=tmp_path)
    whole = (folder / "items.parquet").read_bytes()
    (folder / "items.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"items\.parquet is not a whole Parquet file"):
        read_dataset(RECIPE, mirror=tmp_path)


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_mirrors_have_the_published_counts(name):
    if not (MIRROR / name).is_dir():
        pytest.skip(f"no mirror of {name} at hand; set G2REC_TEST_MIRROR to a folder that holds it")
    report = check_recipe(name, MIRROR)
    assert (report.users, report.items, report.events) == COUNTS[name]
    assert report.problem is None
