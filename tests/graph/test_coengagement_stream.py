"""The co-engagement graph within a bound of memory: from a mapped graph, with runs on disk."""

import errno
from pathlib import Path

import numpy as np
import pytest

from g2rec.errors import ArtifactError, ConfigError
from g2rec.graph import (
    CoEngagementConfig,
    CoEngagementGraph,
    InteractionGraph,
    build_coengagement,
    build_graph,
)
from g2rec.graph import _pairs as pairs
from g2rec.graph._pairs_kernels import ONE
from g2rec.graph._pairs_runs import RECORD, PairCounter, merge_runs

USERS, ITEMS, EVENTS = 400, 150, 20_000


@pytest.fixture(scope="module")
def log() -> InteractionGraph:
    """Users with about 50 events, some of them repeats; one user with most items."""
    rng = np.random.default_rng(0)
    user = np.append(rng.integers(0, USERS, EVENTS), np.full(140, 7))
    item = np.append((ITEMS * rng.random(EVENTS) ** 2).astype(int), rng.permutation(ITEMS)[:140])
    return InteractionGraph.from_events(USERS, ITEMS, user, item, rng.permutation(len(user)))


def same(one: CoEngagementGraph, two: CoEngagementGraph) -> None:
    for name in ("indptr", "indices", "weights"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("config", [
    CoEngagementConfig(),
    CoEngagementConfig(window=5, weighting="log1p", popularity_correction=True),
    CoEngagementConfig(eps=3.0, seed=4),  # draws
])  # fmt: skip
@pytest.mark.parametrize("records", [300, 7_000, 10**6])
def test_any_memory_gives_the_same_graph(log, tmp_path, monkeypatch, config, records):
    spilled = []
    close = PairCounter.close
    monkeypatch.setattr(pairs, "room", lambda config, fixed: records * RECORD)
    monkeypatch.setattr(pairs, "_EVENTS", 900)
    monkeypatch.setattr(PairCounter, "close", lambda self: (spilled.append(self.num_runs), close(self)))
    log.save(tmp_path / "log")
    mapped = InteractionGraph.load(tmp_path / "log")
    graph = build_coengagement(mapped, config, out=tmp_path / "out")
    assert isinstance(graph.weights, np.memmap)
    assert spilled[0] > 3 if records == 300 else spilled[0] == 0 or records == 7_000
    monkeypatch.undo()
    whole = build_coengagement(log, config)
    same(graph, whole)
    same(CoEngagementGraph.load(tmp_path / "out"), whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out"]


def test_a_graph_and_its_interactions_give_the_same(toy):
    for config in (CoEngagementConfig(), CoEngagementConfig(eps=6.0, window=4, seed=2)):
        same(build_coengagement(toy, config), build_coengagement(build_graph(toy), config))


def test_rows_are_sorted_and_symmetric(log):
    graph = build_coengagement(log, CoEngagementConfig(eps=3.0))
    source, target, weight = graph.edge_list()
    assert (np.diff(source * ITEMS + target) > 0).all() and (source != target).all()
    dense = np.zeros((ITEMS, ITEMS))
    dense[source, target] = weight
    np.testing.assert_array_equal(dense, dense.T)
    np.testing.assert_allclose(graph.strength(), dense.sum(axis=0), rtol=1e-12)


def test_another_seed_draws_other_pairs(log):
    one, two = (build_coengagement(log, CoEngagementConfig(eps=3.0, seed=seed)) for seed in (0, 1))
    assert one.num_edges != two.num_edges or (one.indices != two.indices).any()


def test_counting_by_hand(tmp_path):
    counter = PairCounter(4, most=4, folder=tmp_path / "runs")
    pushed = [(0, 1), (2, 3), (0, 1), (1, 3), (0, 2), (0, 1), (1, 2), (0, 3)]
    for a, b in pushed:
        if counter.fill == 4:
            counter.make_room()
        counter.room[0][counter.fill], counter.room[1][counter.fill] = 4 * a + b, ONE
        counter.fill += 1
    merged = merge_runs(counter.finish(), None, lambda done, total: None)
    blocks = [(keys.copy(), values.copy()) for keys, values in merged]
    assert counter.num_runs > 1
    found = [divmod(int(key), 4) for keys, _ in blocks for key in keys]
    counts = [int(value) / ONE for _, values in blocks for value in values]
    counter.close()
    assert not (tmp_path / "runs").exists()
    assert found == [(a, b) for a in range(4) for b in range(4) if a != b]
    assert counts == [3, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1]


def test_without_pairs_there_are_no_edges(tmp_path):
    lonely = InteractionGraph.from_events(2, 3, np.array([0, 1]), np.array([2, 2]))
    for out in (None, tmp_path / "out"):
        graph = build_coengagement(lonely, out=out)
        assert graph.num_edges == 0 and graph.indptr.tolist() == [0, 0, 0, 0]


def test_progress_ends_at_the_total(log):
    seen: dict[str, tuple[int, int]] = {}
    build_coengagement(log, progress=lambda step, done, total: seen.update({step: (done, total)}))
    assert seen["pairs of items"] == (EVENTS + 140, EVENTS + 140)
    assert seen["co-engagement edges"][0] == seen["co-engagement edges"][1] > 0


def test_a_full_disk_leaves_what_was_there(log, tmp_path, monkeypatch):
    build_coengagement(log, out=tmp_path / "out")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pairs, "room", lambda config, fixed: 300 * RECORD)
    monkeypatch.setattr(PairCounter, "_spill", full)
    with pytest.raises(ArtifactError, match="out failed: No space left on device; nothing was changed"):
        build_coengagement(log, CoEngagementConfig(window=3), out=tmp_path / "out")
    assert [path.name for path in Path(tmp_path).iterdir()] == ["out"]
    same(CoEngagementGraph.load(tmp_path / "out"), build_coengagement(log))


def test_too_little_memory_says_how_much_is_needed(log, tmp_path):
    with pytest.raises(ConfigError, match=r"memory is 1MiB, this build needs at least \d+ MiB"):
        build_coengagement(log, out=tmp_path / "out", memory="1MiB")
