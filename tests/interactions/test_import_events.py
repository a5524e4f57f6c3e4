"""A user's own log becomes a recipe that reads back as the same events."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.errors import ConfigError, DataError
from g2rec.interactions import import_events, prepare
from g2rec.recipes import load_recipe, read_dataset

LOG = {
    "who": ["ann", "bob", "ann", "bob", "ann", "bob"],
    "what": ["p1", "p1", "p2", "p3", "p3", "p2"],
    "when": [10, 20, 30, 40, 50, 60],
}
COLUMNS = {"user": "who", "item": "what", "time": "when"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("G2REC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write_log(path, **changes):
    pq.write_table(pa.table({**LOG, **changes}), path)
    return path


def write_csv(path, rows):
    path.write_text("who,what,when\n" + "\n".join(rows) + "\n")
    return path


def test_a_log_with_items_runs_by_its_name(folder):
    pq.write_table(
        pa.table(
            {"what": ["p1", "p2", "p3"], "label": ["Red shoe", "Blue shoe", "Hat"], "kind": ["a", "a", "b"]}
        ),
        folder / "things.parquet",
    )
    recipe = import_events(
        write_log(folder / "My Log.parquet"),
        **COLUMNS,
        items_path=folder / "things.parquet",
        title="label",
        text=["label", "kind"],
    )
    assert recipe.name == "my-log"
    assert load_recipe("my-log") == recipe
    raw = read_dataset(load_recipe("my-log"))
    assert raw.events["user"].to_pylist() == LOG["who"]
    assert raw.events["time"].to_pylist() == LOG["when"]
    done = prepare(raw, recipe)
    assert sorted(done.titles) == ["Blue shoe", "Hat", "Red shoe"]
    assert done.content.shape[0] == 3


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_other_formats_and_iso_dates(folder, kind):
    path = folder / f"log.{kind}"
    if kind == "csv":
        write_csv(path, ["1,7,2024-01-01T00:00:00Z", "1,8,2024-01-02T00:00:00Z", "2,7,2024-01-03T12:00:00Z"])
    else:
        days = ("2024-01-01", "2024-01-02", "2024-01-03T12:00:00")
        path.write_text(
            "".join(
                f'{{"who": {u}, "what": {i}, "when": "{t}"}}\n'
                for u, i, t in zip((1, 1, 2), (7, 8, 7), days, strict=True)
            )
        )
    raw = read_dataset(import_events(path, **COLUMNS))
    assert raw.events["user"].to_pylist() == [1, 1, 2]
    start = int(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).timestamp())
    assert raw.events["time"].to_pylist() == [start, start + 86_400, start + 216_000]


@pytest.mark.parametrize(
    "when",
    [
        pa.array([10.9, 20.0, 30, 40, 50, 60]),
        pa.array([10_000 + i for i in range(6)], pa.timestamp("ms")),
        pa.array([0, 1, 2, 3, 4, 5], pa.date32()),
        pa.array(["1970-01-01 00:00:10+00:00"] * 6),
    ],
)
def test_times_of_every_kind_become_seconds(folder, when):
    raw = read_dataset(import_events(write_log(folder / "log.parquet", when=when), **COLUMNS))
    assert raw.events["time"][0].as_py() == (0 if pa.types.is_date(when.type) else 10)


def test_without_a_time_the_rows_are_the_order(folder):
    recipe = import_events(write_log(folder / "log.parquet"), user="who", item="what", time=None)
    done = prepare(read_dataset(recipe), recipe)
    ann = done.user_ids.to_pylist().index("ann")
    items = [done.items["item_id"][int(i)].as_py() for i in done.item_index[done.user_index == ann]]
    assert items == ["p1", "p2", "p3"]
    assert done.time is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"who": ["ann", None, "x", "y", "z", "w"]}, "column who has no value in row 2"),
        ({"who": [1.0, 2.0, float("nan"), 1.0, 1.0, 1.0]}, "column who has nan in row 3"),
        ({"what": [1.0, 2.5, 1.0, 1.0, 1.0, 1.0]}, "column what should hold ids, row 2 has 2.5"),
        ({"when": [1, 2, 3, -4, 5, 6]}, "column when has the negative time -4 in row 4"),
        ({"when": [1.0, float("nan"), 3, 4, 5, 6]}, "column when has nan in row 2"),
        ({"when": [1, 2, None, 4, 5, 6]}, "column when has no time in row 3"),
        ({"when": ["1", "2", "3", "4", "soon", "6"]}, "column when should hold times .* row 5 has 'soon'"),
    ],
)
def test_a_bad_value_is_named_with_its_row(folder, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        import_events(write_log(folder / "log.parquet", **changes), **COLUMNS)
    assert "\n" not in str(caught.value)
    assert not (folder / "graphs").exists()


def test_bad_files_and_columns(folder):
    with pytest.raises(DataError, match=r"there is no file .*none\.parquet"):
        import_events(folder / "none.parquet", **COLUMNS)
    path = write_log(folder / "log.parquet")
    with pytest.raises(DataError, match="has no column whom; it has who, what, when"):
        import_events(path, user="whom", item="what", time="when")
    with pytest.raises(ConfigError, match="needs a table of items; give it with --items"):
        import_events(path, **COLUMNS, title="label")
    with pytest.raises(ConfigError, match="a recipe's name has letters"):
        import_events(path, **COLUMNS, name="a/b")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        import_events(path, **COLUMNS)
    (folder / "log.txt").write_text("")
    with pytest.raises(DataError, match=r"should end in \.parquet, \.csv, \.jsonl"):
        import_events(folder / "log.txt", **COLUMNS)
    with pytest.raises(DataError, match="has no rows"):
        import_events(write_csv(folder / "log.csv", []), **COLUMNS)
