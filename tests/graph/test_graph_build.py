"""The graph that is built out of core equals the one built in memory."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.graph import GraphBuildConfig, InteractionGraph, _build, _build_ids, build_from_log
from g2rec.graph._build import plan_parts

EVENTS, USERS, ITEMS = 30_000, 700, 90


def make(*, rising: bool = True, ties: bool = False) -> dict[str, np.ndarray]:
    """Events with hubs, repeats, and nodes without events."""
    rng = np.random.default_rng(0)
    time = rng.integers(0, 50 if ties else 10**9, EVENTS)
    return {
        "user": np.concatenate(([USERS - 1], (rng.random(EVENTS - 1) ** 4 * (USERS - 100)).astype(np.int64))),
        "item": np.concatenate(([ITEMS - 1], (rng.random(EVENTS - 1) ** 2 * (ITEMS - 10)).astype(np.int64))),
        "time": np.sort(time) if rising else time,
        "w": rng.random(EVENTS).astype(np.float32) + 0.5,
    }


def write(folder: Path, columns: dict, shards: int = 3, **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    cuts = np.linspace(0, len(table), shards + 1).astype(int)
    for n, (start, stop) in enumerate(itertools.pairwise(cuts)):
        pq.write_table(table.slice(start, stop - start), folder / f"part-{n}.parquet", **options)
    return folder


def same(built: InteractionGraph, expected: InteractionGraph) -> None:
    assert (built.num_users, built.num_items) == (expected.num_users, expected.num_items)
    for name in ("indptr", "indices", "times", "weights"):
        one, two = getattr(built, name), getattr(expected, name)
        assert (one is None) == (two is None), name
        if one is not None:
            np.testing.assert_array_equal(one, two, err_msg=name)


def in_memory(events: dict, users: int = USERS, items: int = ITEMS, **change) -> InteractionGraph:
    held = {**events, **change}
    return InteractionGraph.from_events(users, items, held["user"], held["item"], held["time"], held["w"])


def by_first(ids) -> tuple[np.ndarray, list]:
    """Ids numbered by first occurrence, and the ids in that order."""
    known: dict = {}
    numbers = np.array([known.setdefault(each, len(known)) for each in ids])
    return numbers, list(known)


def small_parts(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(_build, "room", lambda config, fixed=0: size)


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("room", [1 << 30, 12 * EVENTS // 2])
def test_equals_the_graph_built_in_memory(tmp_path, monkeypatch, rising, ties, room):
    small_parts(monkeypatch, room)
    events = make(rising=rising, ties=ties)
    log = write(tmp_path / "log", events)
    steps = []
    graph = build_from_log(
        log, tmp_path / "g", GraphBuildConfig(weight="w"), progress=lambda *told: steps.append(told)
    )
    same(graph, in_memory(events))
    assert graph.times.dtype == np.int32 and isinstance(graph.indices, np.memmap)
    assert any("part 5" in step for step, _, _ in steps) == (room < 1 << 30)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["g", "log"]
    same(InteractionGraph.load(tmp_path / "g"), graph)


def test_by_hand_without_times_and_with_nodes_without_events(tmp_path):
    write(tmp_path / "log", {"u": [0, 4, 0, 4, 4], "i": [2, 0, 0, 2, 2]}, 1)
    graph = build_from_log(tmp_path / "log", tmp_path / "g", GraphBuildConfig(user="u", item="i", time=None))
    assert graph.times is None and (graph.num_users, graph.num_items) == (5, 3)
    assert (
        graph.row(0).tolist() == [7, 5] and graph.row(1).tolist() == [] and graph.row(4).tolist() == [5, 7, 7]
    )
    assert graph.row(6).tolist() == [] and graph.row(7).tolist() == [0, 4, 4]


@pytest.mark.parametrize("kind", ["text", "large_text", "dictionary", "int64", "uint64", "negative"])
@pytest.mark.parametrize("bound", [1 << 30, 1])
def test_ids_are_numbered_by_first_occurrence(tmp_path, monkeypatch, kind, bound):
    """Whatever the memory: with little of it, the ids are numbered in partitions."""
    monkeypatch.setattr(_build_ids, "_FIRST_SLOTS", 64)
    small_parts(monkeypatch, 1 << 30)
    rooms = []
    number = _build_ids._number
    monkeypatch.setattr(
        _build_ids,
        "_number",
        lambda log, column, out, bits, room, say: (
            rooms.append(bits) or number(log, column, out, bits, 5000 if bound == 1 else room, say)
        ),
    )
    events = make(rising=False)
    ids = {
        "text": lambda n: pa.array([f"ü{x * 7}" * (x % 5) + str(x) for x in n.tolist()]),
        "large_text": lambda n: pa.array([f"id-{x}" for x in n.tolist()], pa.large_string()),
        "dictionary": lambda n: pa.array([f"id-{x}" for x in n.tolist()]).dictionary_encode(),
        "int64": lambda n: pa.array(n * 10**15 + 3),
        "uint64": lambda n: pa.array(n.astype(np.uint64) + np.uint64(2**63)),
        "negative": lambda n: pa.array(n - 5),
    }[kind]
    columns = {**events, "user": ids(events["user"]), "item": ids(events["item"])}
    graph = build_from_log(write(tmp_path / "log", columns), tmp_path / "g", GraphBuildConfig(weight="w"))
    assert (max(rooms) > 0) == (bound == 1)
    users, user_ids = by_first(columns["user"].to_pylist())
    items, item_ids = by_first(columns["item"].to_pylist())
    same(graph, in_memory(events, len(user_ids), len(item_ids), user=users, item=items))
    assert pq.read_table(tmp_path / "g" / "users.parquet")["id"].to_pylist() == user_ids
    assert pq.read_table(tmp_path / "g" / "items.parquet")["id"].to_pylist() == item_ids


def test_without_statistics_the_range_is_read(tmp_path):
    events = make()
    log = write(tmp_path / "log", events, write_statistics=False)
    same(build_from_log(log, tmp_path / "g", GraphBuildConfig(weight="w")), in_memory(events))


@pytest.mark.parametrize(
    ("last", "dtype"), [(2**31 - 1, np.int32), (2**31, np.int64), (-(2**31) - 1, np.int64)]
)
def test_times_take_the_smaller_type_that_holds_them(tmp_path, last, dtype):
    write(tmp_path / "log", {"user": [0, 0, 1], "item": [0, 1, 1], "time": [5, last, 7]}, 1)
    graph = build_from_log(tmp_path / "log", tmp_path / "g")
    assert graph.times.dtype == dtype and sorted(graph.times[:2].tolist()) == sorted([5, last])
    assert graph.times[:2].tolist() == sorted([5, last])


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.int32(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
             pa.timestamp("ms", "UTC"), pa.date32(), pa.date64()]
)  # fmt: skip
def test_times_of_all_types_are_seconds(tmp_path, kind):
    seconds = np.array([86_400 * 2, 0, -86_400])
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    if pa.types.is_timestamp(kind):
        time = pa.array(seconds * scale[kind.unit] + (scale[kind.unit] > 1), pa.int64()).cast(kind)
    elif pa.types.is_date(kind):
        time = pa.array((seconds // 86_400).astype(np.int32)).cast(pa.date32()).cast(kind)
    else:
        time = pa.array(seconds).cast(kind)
    write(tmp_path / "log", {"user": [0, 0, 0], "item": [0, 1, 2], "time": time}, 1)
    graph = build_from_log(tmp_path / "log", tmp_path / "g")
    assert graph.times[:3].tolist() == [-86_400, 0, 86_400 * 2] and graph.row(0).tolist() == [3, 2, 1]


@pytest.mark.parametrize("form", ["iterator", "list", "function"])
def test_streams_of_batches(tmp_path, form):
    events = make(rising=False)
    batches = pa.table(events).to_batches(max_chunksize=7000)
    source = {"iterator": iter(batches), "list": batches, "function": lambda: iter(batches)}[form]
    same(build_from_log(source, tmp_path / "g", GraphBuildConfig(weight="w")), in_memory(events))
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_files_patterns_and_lists(tmp_path):
    events = make()
    log = write(tmp_path / "log", events)
    config = GraphBuildConfig(weight="w")
    for source in (str(log), str(log / "part-*.parquet"), sorted(log.iterdir())):
        same(build_from_log(source, tmp_path / "g", config), in_memory(events))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"user": [0], "item": [0]}, "no column time; it has user, item"),
        ({"user": [0, None, None], "item": [0, 1, 2], "time": [1, 2, 3]}, "column user has 2 rows without"),
        ({"user": [0], "item": [0], "time": ["noon"]}, "column time should hold times"),
        ({"user": [0], "item": [0], "time": [0.5]}, "whole seconds since 1970, got 0.5"),
        ({"user": [0.5], "item": [0], "time": [1]}, "column user should hold ids"),
        ({name: pa.array([], pa.int32()) for name in ("user", "item", "time")}, "has no events"),
    ],
)  # fmt: skip
def test_bad_logs_are_refused_in_one_sentence(tmp_path, columns, says):
    write(tmp_path / "log", columns, 1)
    with pytest.raises(DataError, match=says) as caught:
        build_from_log(tmp_path / "log", tmp_path / "g")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "g").exists()


def test_bad_weights_are_refused(tmp_path):
    write(tmp_path / "log", {"user": [0, 1], "item": [0, 0], "time": [1, 2], "w": [1.0, 0.0]}, 1)
    with pytest.raises(DataError, match=r"positive weights, got 0\.0"):
        build_from_log(tmp_path / "log", tmp_path / "g", GraphBuildConfig(weight="w"))


def test_truncated_and_missing_files_are_named(tmp_path):
    log = write(tmp_path / "log", make())
    file = log / "part-1.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"part-1.parquet is not a whole Parquet file"):
        build_from_log(log, tmp_path / "g")
    damaged = bytearray(whole)
    damaged[: len(whole) // 2] = b"\xff" * (len(whole) // 2)  # the footer is whole, the pages are not
    file.write_bytes(damaged)
    with pytest.raises(DataError, match=r"part-1.parquet is not a whole Parquet file"):
        build_from_log(log, tmp_path / "g")
    with pytest.raises(DataError, match="there is no file"):
        build_from_log(tmp_path / "other.parquet", tmp_path / "g")
    with pytest.raises(DataError, match=r"found no \.parquet file"):
        build_from_log(tmp_path / "none-*.parquet", tmp_path / "g")


def test_a_row_beyond_the_memory_says_what_it_needs(tmp_path, monkeypatch):
    log = write(tmp_path / "log", make())
    monkeypatch.setattr(_build, "room", lambda config, fixed=0: 1000)
    with pytest.raises(DataError, match=r"a row of \d+ events does not fit .* it needs \d+ MiB"):
        build_from_log(log, tmp_path / "g")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"memory": "some"}, "number of bytes"),
        ({"memory": "10MB"}, "at least"),
        ({"item": "user"}, "one meaning"),
    ],
)
def test_bad_settings(tmp_path, change, says):
    log = write(tmp_path / "log", make())
    with pytest.raises(ConfigError, match=says):
        build_from_log(log, tmp_path / "g", GraphBuildConfig(**change))


def test_memory_is_bytes_or_text():
    sizes = {"8GiB": 8 << 30, "500MB": 500 * 10**6, 1024: 1024, "1.5 gib": 3 << 29, "64k": 64_000}
    assert {text: GraphBuildConfig(memory=text).memory_bytes for text in sizes} == sizes


def test_parts_are_even_and_within_the_budget():
    rng = np.random.default_rng(1)
    indptr = np.concatenate(([0], np.cumsum(rng.integers(0, 50, 400))))
    for budget in (49, 100, 1000, 10**6):
        parts = plan_parts(indptr, 0, budget)
        assert parts[0][0] == 0 and parts[-1][1] == 400
        assert all(one[1] == two[0] for one, two in itertools.pairwise(parts))
        assert max(indptr[b] - indptr[a] for a, b in parts) <= budget
    assert plan_parts(indptr, 0, 20) is None


def test_an_edited_graph_is_refused_unless_opened_unread(tmp_path):
    build_from_log(write(tmp_path / "log", make()), tmp_path / "g")
    file = tmp_path / "g" / "times.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"times.npy does not match the checksum"):
        InteractionGraph.load(tmp_path / "g")
    assert InteractionGraph.load(tmp_path / "g", preload=False).num_users == USERS


def test_opening_reports_bytes_and_skips_what_does_not_fit(tmp_path, monkeypatch, caplog):
    from g2rec.graph import _pages

    build_from_log(write(tmp_path / "log", make()), tmp_path / "g")
    told = []
    InteractionGraph.load(tmp_path / "g", progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 16 * EVENTS and not caplog.records
    monkeypatch.setattr(_pages, "available_bytes", lambda: 10)
    InteractionGraph.load(tmp_path / "g")
    assert "read from disk as they are used" in caplog.text and len(caplog.records) == 1
