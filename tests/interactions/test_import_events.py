"""A user's own log becomes a recipe that reads back as the same events."""

import datetime
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.interactions import InteractionsConfig, import_events, prepare
from g2rec.recipes import load_recipe, read_dataset

LOG = {
    "who": ["ann", "bob", "ann", "bob", "ann", "bob"],
    "what": ["p1", "p1", "p2", "p3", "p3", "p2"],
    "when": [10, 20, 30, 40, 50, 60],
}
PAIRS = (("007", "p1"), ("8", "p2"))
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
        ({"who": ["", None, " ", None, None, None]}, "no row of .* has who and what and when"),
        ({"what": [1.0, 2.5, 1.0, 1.0, 1.0, 1.0]}, "column what should hold ids, row 2 has 2.5"),
        ({"when": [1, 2, 3, -4, 5, 6]}, "column when has the negative time -4 in row 4"),
        (
            {"when": [1.0, float("nan"), 3, 4, 5, 6]},
            "column when .* 1 of 6 rows do not: 1 without a time, such as row 2;",
        ),
        (
            {"when": [1, 2, None, 4, 5, 6]},
            "column when should hold times .* 1 without a time, such as row 3;",
        ),
        (
            {"when": ["1", "2", "3", "4", "soon", "6"]},
            "column when should hold .* 1 with one that cannot be read, such as row 5, 'soon'",
        ),
        ({"when": [1700000000, 1700000000000] * 3}, "one unit, row 1 has 1700000000 and row 2 has 17"),
        ({"when": ["01/12/2010"] * 6}, "no row tells days from months; write them as 2010-12-01"),
    ],
)
def test_a_bad_value_is_named_with_its_row(folder, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        import_events(write_log(folder / "log.parquet", **changes), **COLUMNS)
    assert "\n" not in str(caught.value)
    assert not (folder / "graphs").exists()


def test_a_shop_s_export_is_read_as_it_is(folder, caplog):
    """Semicolons, a byte order mark, days before months, missing customers, a stray line, quotes."""
    rows = [f"{who};{what};{day:02d}/12/2010 8:26" for day in range(1, 31) for who, what in PAIRS]
    text = "who;what;when\n" + "\n".join([*rows, "TOTAL;60", ";p2;31/12/2010 8:26", "NULL;p3;31/12/2010"])
    (folder / "log.csv").write_text(text, encoding="utf-8-sig")
    (folder / "things.csv").write_text(
        'what;label\np1;"Schöne ""Größe""; neu"\np2;Hut\np2;Hut\n', encoding="cp1252"
    )
    recipe = import_events(
        folder / "log.csv", **COLUMNS, items_path=folder / "things.csv", title="label", text=["label"]
    )
    raw = read_dataset(recipe)
    assert recipe.expected.events == 60
    first = datetime.datetime(2010, 12, 1, 8, 26, tzinfo=datetime.UTC)
    assert raw.events["time"].to_pylist()[:2] == [int(first.timestamp())] * 2
    assert raw.events["user"].to_pylist()[:2] == ["007", "8"]  # leading zeros stay
    assert raw.items["title"].to_pylist() == ['Schöne "Größe"; neu', "Hut"]
    assert [record.getMessage() for record in caplog.records] == [
        "log.csv: left out 1 row not fitting its header, such as line 62 with 2 fields and not 3: TOTAL;60",
        "log.csv: left out 2 rows without who",
        "log.csv: dates of when such as 01/12/2010 8:26 read as day, month, year",
        "things.csv: not UTF-8, read as Windows-1252",
        "things.csv: left out 1 row of items that came before",
    ]


def test_whole_numbers_of_a_csv_meet_those_of_another(folder):
    """Customers as pandas writes them beside a gap, and a product without a number."""
    write_csv(folder / "log.csv", ["17.0,1,10", "17.0,2,20", ",1,30", "18.0,1,40"])
    (folder / "things.csv").write_text("what,label\n1,Hat\n2,Shoe\nNEW,Scarf\n")
    recipe = import_events(folder / "log.csv", **COLUMNS, items_path=folder / "things.csv", title="label")
    raw = read_dataset(recipe)
    assert raw.events["user"].to_pylist() == [17, 17, 18]
    assert raw.events["item"].to_pylist() == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        ("12/25/2010 1:05 PM", 1293282300),
        ("25.12.2010", 1293235200),
        ("2010-12-25T13:05:00+01:00", 1293278700),
        ("1293278700000", 1293278700),
        ("20101225", 1293235200),
        ("20101225130500", 1293282300),
        (20101225, 1293235200),
    ],
)
def test_a_time_as_people_write_it(folder, when, seconds):
    raw = read_dataset(import_events(write_log(folder / "log.parquet", when=[when] * 6), **COLUMNS))
    assert raw.events["time"].to_pylist() == [seconds] * 6


def test_empty_and_unreadable_times_are_told_apart(folder, caplog):
    rows = [f"{user},p{item},2023-01-0{item}" for user in range(20) for item in (1, 2, 3)]
    import_events(write_csv(folder / "log.csv", [*rows, "ann,p1,", "ann,p2,gestern"]), **COLUMNS)
    assert (
        "log.csv: left out 2 rows of when: 1 without a time, 1 with one that cannot be read, such as row 62, "
        "'gestern'" in caplog.messages
    )


@pytest.mark.parametrize(
    ("when", "odd", "second"),
    [
        (20101201, 0, 1291161600),
        (20101201, 19600101, 1291161600),
        ("20101201", "20100231", 1291161600),
        (20101201082600, 20101201240000, 1291191960),
        (1700000000, 9999999999999, 1700000000),
    ],
)
def test_a_few_times_of_no_sense_are_left_out(folder, caplog, when, odd, second):
    log = pa.table({"who": ["ann"] * 41, "what": [f"p{n}" for n in range(41)], "when": [when] * 40 + [odd]})
    raw = read_dataset(import_events(log, **COLUMNS))
    assert raw.events["time"].to_pylist() == [second] * 40
    assert caplog.messages[-1].endswith(f"1 with one that cannot be read, such as row 41, {odd!r}")


def test_dates_of_several_forms(folder):
    when = ["20101201", "2010-12-01", "20101201000000", "1.12.2010", "2010-12-01T00:00:00Z", "9999-12-31"]
    raw = read_dataset(import_events(write_log(folder / "log.parquet", when=when), **COLUMNS))
    assert raw.events["time"].to_pylist() == [1291161600] * 5 + [253402214400]


def test_times_since_a_start_of_their_own_may_be_of_any_size(folder):
    log = pa.table({"who": ["ann"] * 600, "what": [f"p{n}" for n in range(600)],
                    "when": [10**9 * n for n in range(600)]})  # fmt: skip
    raw = read_dataset(import_events(log, **COLUMNS))
    assert raw.events["time"].to_pylist() == [10**6 * n for n in range(600)]


def test_columns_that_nobody_names_may_be_called_as_they_like(folder):
    (folder / "log.csv").write_text("who,what,when,note,note,,\n" + "ann,p1,10,a,b,,\nann,p2,20,a,b,,\n")
    (folder / "things.csv").write_text("what,label,,\np1,Hat,,\np2,Shoe,,\n")
    recipe = import_events(folder / "log.csv", **COLUMNS, items_path=folder / "things.csv", title="label")
    raw = read_dataset(recipe)
    assert raw.events["user"].to_pylist() == ["ann"] * 2
    assert {"title", "label"} <= set(raw.items.column_names) and "" not in raw.items.column_names


def test_numbers_that_only_look_like_dates_are_seconds(folder):
    raw = read_dataset(import_events(write_log(folder / "log.parquet", when=[20231301] * 6), **COLUMNS))
    assert raw.events["time"].to_pylist() == [20231301] * 6


def test_a_name_that_is_taken(folder, caplog):
    path = write_log(folder / "log.parquet")
    with pytest.raises(ConfigError, match="g2rec ships a recipe called ml-100k; give yours another name"):
        import_events(path, **COLUMNS, name="ml-100k")
    assert not (folder / "graphs").exists() and not (folder / "cache").exists()
    import_events(path, **COLUMNS)
    with pytest.raises(DataError, match="has no column whom"):
        import_events(path, user="whom", item="what", time="when")
    assert caplog.messages == []
    import_events(path, **COLUMNS)
    assert caplog.messages == ["log: what was imported under this name is replaced"]


def test_nothing_is_left_where_the_recipe_cannot_be_written(folder):
    (folder / "graphs").write_text("a file")
    with pytest.raises(
        ArtifactError, match=r"writing graphs/log\.yaml failed: (File exists|Not a directory); .* mend that"
    ):
        import_events(write_log(folder / "log.parquet"), **COLUMNS)
    assert not (folder / "cache").exists()


def test_bad_files_and_columns(folder):
    with pytest.raises(DataError, match=r"there is no file .*none\.parquet"):
        import_events(folder / "none.parquet", **COLUMNS)
    path = write_log(folder / "log.parquet")
    with pytest.raises(DataError, match="has no column whom; it has who, what, when"):
        import_events(path, user="whom", item="what", time="when")
    with pytest.raises(ConfigError, match="needs a table of items; give items as well"):
        import_events(path, **COLUMNS, title="label")
    (folder / "things.csv").write_text("sku,label\np1,Hat\n")
    with pytest.raises(
        DataError, match="no column what, as the events call their items; it has sku, label; give"
    ):
        import_events(path, **COLUMNS, items_path=folder / "things.csv", title="label")
    with pytest.raises(ConfigError, match="a recipe's name has letters"):
        import_events(path, **COLUMNS, name="a/b")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        import_events(path, **COLUMNS)
    (folder / "twins.csv").write_text("who,what,what,when\nann,p1,p2,10\n")
    with pytest.raises(DataError, match="has more than one column called what; rename one of them"):
        import_events(folder / "twins.csv", **COLUMNS)
    (folder / "bytes.csv").write_bytes(b"who,what,when\x81\x8d\nann,p1,10\n")
    with pytest.raises(DataError, match="cannot be read as text"):
        import_events(folder / "bytes.csv", **COLUMNS)
    (folder / "log.txt").write_text("")
    with pytest.raises(DataError, match=r"should end in \.parquet, \.csv, \.tsv, \.jsonl"):
        import_events(folder / "log.txt", **COLUMNS)
    with pytest.raises(DataError, match="has no rows"):
        import_events(write_csv(folder / "log.csv", []), **COLUMNS)


def test_a_column_called_title_is_the_title_and_may_be_read(folder):
    write_log(folder / "log.parquet")
    items = {"what": ["p1", "p2", "p3"], "title": ["red shoe", "blue shoe", "red hat"]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    recipe = import_events(
        folder / "log.parquet", **COLUMNS, items_path=folder / "items.parquet", text="title"
    )
    found = prepare(read_dataset(recipe), recipe)
    assert sorted(found.titles) == sorted(items["title"])
    assert found.content is not None


def test_a_title_may_be_a_list_of_words_but_no_struct(folder):
    write_log(folder / "log.parquet")
    given = {"what": ["p1", "p2", "p3"], "words": [["red", "shoe"], ["hat"], []]}
    pq.write_table(pa.table(given), folder / "items.parquet")
    arguments = {**COLUMNS, "items_path": folder / "items.parquet", "title": "words"}
    recipe = import_events(folder / "log.parquet", **arguments)
    assert "red shoe" in read_dataset(recipe).items["title"].to_pylist()
    pq.write_table(pa.table({**given, "words": [{"a": 1}] * 3}), folder / "items.parquet")
    with pytest.raises(DataError, match="column words should hold text, it holds struct"):
        import_events(folder / "log.parquet", **arguments)


def test_hashes_as_ids(folder):
    """Beyond 64 signed bits they are text; as floats, which hold no such number exactly, they are refused."""
    hashes = np.array([2**64 - 1, 2**63, 5, 2**64 - 2, 7, 8], np.uint64)
    write_log(folder / "log.parquet", who=hashes)
    recipe = import_events(folder / "log.parquet", **COLUMNS)
    assert read_dataset(recipe).events["user"].to_pylist() == [str(number) for number in hashes]
    write_log(folder / "floats.parquet", who=hashes.astype(float))
    with pytest.raises(DataError, match=r"not exact beyond .*, row 1"):
        import_events(folder / "floats.parquet", **COLUMNS)


def test_times_finer_than_a_microsecond(folder):
    fine = pa.array([10**9 * second + 123 for second in LOG["when"]], pa.timestamp("ns"))
    write_log(folder / "log.parquet", when=fine)
    recipe = import_events(folder / "log.parquet", **COLUMNS)
    assert read_dataset(recipe).events["time"].to_pylist() == LOG["when"]


FINE = [100.010, 100.030, 100.020, 100.050, 100.040, 101.0]
"""Ann's events by time: p1 (.010), p2 (.020), p3 (.040); the file has p3 at .040 after bob's at .050."""


@pytest.mark.parametrize(
    "times",
    [
        pa.array([int(second * 1000) + 10**12 for second in FINE]),
        pa.array([round(second * 1e6) for second in FINE], pa.timestamp("us", "Europe/Berlin")),
        pa.array(FINE),
        pa.array([f"1970-01-01T00:01:{second - 60:.3f}" for second in FINE]),
    ],
    ids=["milliseconds", "timestamps", "fractions", "text"],
)
def test_events_of_one_second_keep_their_order(folder, times):
    """Only events of exactly the same time are drawn in random order."""
    who = ["ann", "ann", "ann", "bob", "ann", "bob"]
    what = ["p1", "p3", "p2", "p1", "p4", "p2"]
    write_log(folder / "log.parquet", who=who, what=what, when=times)
    recipe = import_events(folder / "log.parquet", **COLUMNS)
    for seed in range(4):
        found = prepare(read_dataset(recipe), recipe, InteractionsConfig(seed=seed))
        ann = found.user_index == found.user_ids.to_pylist().index("ann")
        names = found.items["item_id"].to_pylist()
        assert [names[index] for index in found.item_index[ann]] == ["p1", "p2", "p3", "p4"]
        assert not found.tied.any()


def test_two_projects_may_have_a_log_of_one_name(folder, monkeypatch):
    for project, who in (("a", LOG["who"]), ("b", ["zoe"] * 6)):
        (folder / project).mkdir()
        monkeypatch.chdir(folder / project)
        import_events(write_log(folder / project / "log.parquet", who=who), **COLUMNS)
    monkeypatch.chdir(folder / "a")
    assert read_dataset(load_recipe("log")).events["user"].to_pylist() == LOG["who"]


def test_uuids_are_ids(folder):
    keys = [uuid.UUID(int=number) for number in (1, 2, 1, 2, 1, 2)]
    write_log(
        folder / "log.parquet", who=pa.array([key.bytes for key in keys], pa.binary(16)).cast(pa.uuid())
    )
    recipe = import_events(folder / "log.parquet", **COLUMNS)
    assert read_dataset(recipe).events["user"].to_pylist() == [str(key) for key in keys]
    write_log(folder / "bytes.parquet", who=pa.array([b"\xff\xfe"] * 6))
    with pytest.raises(DataError, match="column who should hold ids, numbers or text, it holds binary"):
        import_events(folder / "bytes.parquet", **COLUMNS)


def test_files_by_other_endings(folder):
    write_csv(folder / "LOG.CSV", ["ann,p1,1", "bob,p2,2"])
    (folder / "log.ndjson").write_text('{"who": "ann", "what": "p1", "when": 1}\n')
    assert import_events(folder / "LOG.CSV", **COLUMNS).expected.events == 2
    assert import_events(folder / "log.ndjson", **COLUMNS).expected.events == 1


def test_items_without_events_are_told(folder, caplog):
    write_log(folder / "log.parquet")
    pq.write_table(pa.table({"what": ["p1", "p2", "p3", "p4", "p5"]}), folder / "items.parquet")
    import_events(folder / "log.parquet", **COLUMNS, items_path=folder / "items.parquet")
    assert "2 rows of items without events" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-13 10:00:00 UTC",
        "2025/1/13 10:00",
        "13 Jan 2025 10:00:00",
        "Mon, 13 Jan 2025 11:00:00 +0100",
        "2025-01-13T10:00Z",
    ],
)
def test_times_as_databases_and_mails_write_them(folder, text):
    write_log(folder / "log.parquet", when=[text] * 6)
    recipe = import_events(folder / "log.parquet", **COLUMNS)
    moment = datetime.datetime(2025, 1, 13, 10, tzinfo=datetime.UTC)
    assert set(read_dataset(recipe).events["time"].to_pylist()) == {int(moment.timestamp())}


def test_days_and_other_zones(folder):
    write_log(folder / "log.parquet", when=["13 Jan 2025"] * 6)
    recipe = import_events(folder / "log.parquet", **COLUMNS)
    moment = datetime.datetime(2025, 1, 13, tzinfo=datetime.UTC)
    assert set(read_dataset(recipe).events["time"].to_pylist()) == {int(moment.timestamp())}
    write_log(folder / "js.parquet", when=["Mon Jan 13 2025 11:00:00 GMT+0100"] * 6)
    with pytest.raises(DataError, match="Mon Jan 13"):
        import_events(folder / "js.parquet", **COLUMNS)


def test_a_header_for_excel(folder):
    (folder / "log.csv").write_text("sep=;\nwho ; what;when\nann;p,1;1\nbob;p2;2\n")
    recipe = import_events(folder / "log.csv", **COLUMNS)
    assert read_dataset(recipe).events["item"].to_pylist() == ["p,1", "p2"]
