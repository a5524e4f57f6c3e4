import networkx as nx
import numpy as np
import pyarrow as pa
import pytest

from g2rec.errors import ConfigError, DataError
from g2rec.graph import (
    CoEngagementConfig,
    CoEngagementGraph,
    InteractionGraph,
    build_coengagement,
    build_graph,
    to_networkx,
    to_pyg,
)
from g2rec.interactions import Interactions


def log(histories, num_items, part=None):
    """Interactions from lists of items; times rise within a user."""
    user = np.repeat(np.arange(len(histories)), [len(h) for h in histories]).astype(np.int32)
    item = np.concatenate([np.asarray(h, dtype=np.int32) for h in histories])
    time = np.concatenate([np.arange(len(h)) for h in histories]).astype(np.int64)
    names = [f"i{i}" for i in range(num_items)]
    return Interactions(
        user_index=user,
        item_index=item,
        time=time,
        part=np.zeros(len(user), np.uint8) if part is None else np.asarray(part, np.uint8),
        user_ids=pa.array([f"u{u}" for u in range(len(histories))]),
        items=pa.table({"item_id": names, "title": names}),
    )


def weight(graph, a, b):
    row = graph.indices[graph.indptr[a] : graph.indptr[a + 1]].tolist()
    return float(graph.weights[graph.indptr[a] + row.index(b)]) if b in row else 0.0


def test_both_directions_sorted_by_time():
    graph = InteractionGraph.from_events(
        2, 3, np.array([0, 0, 1]), np.array([2, 0, 2]), np.array([20, 10, 5])
    )
    assert graph.indptr.tolist() == [0, 2, 3, 4, 4, 6]
    assert graph.row(0).tolist() == [2, 4]  # item 0 at 10 s, item 2 at 20 s
    assert graph.row(4).tolist() == [1, 0]
    assert graph.times.tolist() == [10, 20, 5, 10, 5, 20]
    assert graph.indices.dtype == np.int32 and graph.indptr.dtype == np.int64
    assert graph.item_node(2) == 4 and graph.degrees().tolist() == [2, 1, 1, 0, 2]


def test_order_of_events_does_not_matter_when_times_differ():
    rng = np.random.default_rng(0)
    user, item, time = rng.integers(0, 9, 50), rng.integers(0, 7, 50), rng.permutation(50)
    plain = InteractionGraph.from_events(9, 7, user, item, time)
    order = rng.permutation(50)
    mixed = InteractionGraph.from_events(9, 7, user[order], item[order], time[order])
    np.testing.assert_array_equal(plain.indices, mixed.indices)
    np.testing.assert_array_equal(plain.times, mixed.times)


def test_without_times_a_row_keeps_the_order_given():
    graph = InteractionGraph.from_events(1, 3, np.zeros(3, int), np.array([2, 0, 1]))
    assert graph.times is None and graph.row(0).tolist() == [3, 1, 2]


def test_only_training_events():
    data = log([[0, 1, 2], [1, 2, 0]], 3, part=[0, 0, 2, 0, 1, 2])
    assert build_graph(data).num_edges == 6
    graph = build_coengagement(data)
    assert graph.num_edges == 2 and weight(graph, 0, 1) == 1


@pytest.mark.parametrize("time", [None, np.array([3, 4])])
def test_saving_and_loading(tmp_path, time):
    graph = InteractionGraph.from_events(2, 2, np.array([0, 1]), np.array([1, 1]), time)
    graph.save(tmp_path / "g")
    again = InteractionGraph.load(tmp_path / "g")
    assert isinstance(again.indices, np.memmap)
    assert again.num_users == 2 and (again.times is None) == (time is None)
    np.testing.assert_array_equal(again.indices, graph.indices)
    pairs = build_coengagement(log([[0, 1, 2]], 3))
    pairs.save(tmp_path / "c")
    np.testing.assert_array_equal(CoEngagementGraph.load(tmp_path / "c").weights, pairs.weights)


def test_bad_events():
    with pytest.raises(DataError, match=r"item_index must lie in \[0, 2\), got 0 to 2"):
        InteractionGraph.from_events(1, 2, np.zeros(2, int), np.array([0, 2]))
    with pytest.raises(DataError, match="one length"):
        InteractionGraph.from_events(1, 2, np.zeros(2, int), np.array([0]))


def test_full_clique_by_hand():
    graph = build_coengagement(log([[0, 1, 2], [1, 2], [2, 2, 1]], 4))  # a repeat counts once
    assert weight(graph, 0, 1) == 1 and weight(graph, 1, 2) == 3 and weight(graph, 0, 2) == 1
    assert graph.strength().tolist() == [2, 4, 4, 0] and graph.total_weight == 10
    source, target, w = graph.edge_list()
    assert len(source) == len(target) == len(w) == 6 and (source != target).all()


def test_window():
    graph = build_coengagement(log([[0, 1, 2, 3, 4]], 5), CoEngagementConfig(window=2))
    dense = [[weight(graph, a, b) for b in range(5)] for a in range(5)]
    expected = [[float(0 < abs(a - b) <= 2) for b in range(5)] for a in range(5)]
    assert dense == expected


def test_weighting_and_popularity():
    data = log([[0, 1], [0, 1], [0, 2]], 3)
    assert weight(build_coengagement(data, CoEngagementConfig(weighting="log1p")), 0, 1) == pytest.approx(
        np.log(3)
    )
    assert weight(build_coengagement(data, CoEngagementConfig(weighting="binary")), 0, 1) == 1
    corrected = build_coengagement(data, CoEngagementConfig(popularity_correction=True))
    assert weight(corrected, 0, 1) == pytest.approx(2 / np.sqrt(3 * 2))


@pytest.mark.parametrize("window", [None, 30])
def test_sampled_pairs_are_unbiased(window):
    data = log([list(range(60)), list(range(30, 90))], 90)
    full = build_coengagement(data, CoEngagementConfig(window=window))
    mean = np.zeros((90, 90))
    for seed in range(200):
        config = CoEngagementConfig(window=window, eps=6.0, delta=0.9, seed=seed)
        graph = build_coengagement(data, config)
        assert graph.num_edges < full.num_edges
        source, target, w = graph.edge_list()
        mean[source, target] += w / 200
    source, target, w = full.edge_list()
    outside = np.ones((90, 90), bool)
    outside[source, target] = False
    assert mean[outside].sum() == 0
    assert mean.sum() == pytest.approx(full.total_weight)
    shallow = w == 1
    assert mean[source, target][shallow].mean() == pytest.approx(1, rel=0.03)
    assert mean[source, target][~shallow].mean() == pytest.approx(2, rel=0.03)


def test_bad_config():
    with pytest.raises(ConfigError, match=r"eps must be positive, got 0; a usual value is 0\.5"):
        build_coengagement(log([[0, 1]], 2), CoEngagementConfig(eps=0))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_conversions():
    graph = InteractionGraph.from_events(2, 2, np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([1, 2, 3]))
    data = to_pyg(graph)
    assert data["user", "engages", "item"].edge_index.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert data["item", "engaged_by", "user"].edge_index.tolist() == [[1, 1, 0], [0, 1, 1]]
    plain = to_networkx(graph)
    assert plain.number_of_edges() == 3 and nx.is_bipartite(plain)
    assert plain[0][3][0]["time"] == 1
    assert to_networkx(build_coengagement(log([[0, 1]], 2)))[0][1]["weight"] == 1
