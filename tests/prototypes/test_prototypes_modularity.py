"""Modularity: exact against networkx, the mini-batch estimate against exact, free memberships."""

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes import (
    InterestPrototypes,
    Memberships,
    ModularityConfig,
    community_partition,
    fit_modularity,
    modularity_loss,
    modularity_report,
    partition_into,
    random_prototypes,
    soft_modularity,
)


def from_edges(num_items: int, edges: dict[tuple[int, int], float]) -> CoEngagementGraph:
    dense = np.zeros((num_items, num_items), dtype=np.float32)
    for (i, j), weight in edges.items():
        dense[i, j] = dense[j, i] = weight
    row, column = np.nonzero(dense)
    indptr = np.searchsorted(row, np.arange(num_items + 1))
    return CoEngagementGraph(num_items, indptr, column.astype(np.int32), dense[row, column])


def planted(num_groups: int = 4, size: int = 15, seed: int = 0) -> CoEngagementGraph:
    rng = np.random.default_rng(seed)
    edges = {}
    for i in range(num_groups * size):
        for j in range(i):
            if rng.random() < (0.5 if i // size == j // size else 0.03):
                edges[j, i] = float(rng.integers(1, 5))
    return from_edges(num_groups * size, edges)


def test_two_triangles_by_hand() -> None:
    # Two triangles joined by one edge: |E| = 14 directed, strengths 2,2,3,3,2,2.
    triangles = {(0, 1): 1.0, (1, 2): 1.0, (0, 2): 1.0, (3, 4): 1.0, (4, 5): 1.0, (3, 5): 1.0, (2, 3): 1.0}
    graph = from_edges(6, triangles)
    hard = Memberships(np.array([[0], [0], [0], [1], [1], [1]], np.int32), np.ones((6, 1), np.float32))
    assert soft_modularity(hard, graph, 2) == pytest.approx(12 / 14 - (7**2 + 7**2) / 14**2)
    even = Memberships(np.tile(np.array([[0, 1]], np.int32), (6, 1)), np.full((6, 2), 0.5, np.float32))
    assert soft_modularity(even, graph, 2) == pytest.approx(0.0)


def test_hard_modularity_is_networkx_modularity() -> None:
    graph = planted()
    label = np.random.default_rng(3).integers(0, 5, graph.num_items).astype(np.int32)
    network = nx.Graph()
    network.add_nodes_from(range(graph.num_items))
    network.add_weighted_edges_from(zip(*graph.edge_list(), strict=True))
    groups = [set(np.flatnonzero(label == a).tolist()) for a in range(5)]
    hard = Memberships(label[:, None], np.ones((len(label), 1), np.float32))
    for gamma in (0.5, 1.0, 2.0):
        expected = nx.community.modularity(network, groups, weight="weight", resolution=gamma)
        assert soft_modularity(hard, graph, 5, gamma) == pytest.approx(expected)


def test_minibatch_estimate_is_unbiased_on_a_weighted_graph() -> None:
    graph = planted(3, 6)
    found = random_prototypes(graph.num_items, 5, 4, nonzeros=3, seed=1)
    exact = soft_modularity(found.memberships, graph, 5, 1.5)
    P = torch.from_numpy(found.memberships.matrix(5).toarray())
    source, target, weight = (torch.from_numpy(np.asarray(a)) for a in graph.edge_list())
    generator = torch.Generator().manual_seed(0)
    batch, repeats = 4, 20_000
    draws = torch.multinomial(weight.double(), batch * repeats, replacement=True, generator=generator).view(
        repeats, batch
    )
    estimates = torch.stack([-modularity_loss(P[source[d]], P[target[d]], 1.5) for d in draws])
    error = float(estimates.std()) / repeats**0.5
    assert abs(float(estimates.mean()) - exact) < 4 * error
    # The same edges drawn uniformly miss the weights.
    uniform = torch.randint(len(source), (repeats, batch), generator=generator)
    biased = torch.stack([-modularity_loss(P[source[d]], P[target[d]], 1.5) for d in uniform])
    assert abs(float(biased.mean()) - exact) > 4 * float(biased.std()) / repeats**0.5


def test_free_memberships_find_planted_groups_from_a_bad_start() -> None:
    graph = planted()
    items = np.eye(graph.num_items, dtype=np.float32)
    config = ModularityConfig(num_prototypes=6, nonzeros=3, gamma=1.0, passes=100)
    truth = Memberships((np.arange(60) // 15)[:, None].astype(np.int32), np.ones((60, 1), np.float32))
    best = soft_modularity(truth, graph, 6)
    noisy = (np.arange(60) // 15).astype(np.int32)
    noisy[::3] = np.random.default_rng(0).integers(0, 4, 20)
    for start in (None, noisy):
        found = fit_modularity(graph, items, config, seed=0, start=start)
        assert np.allclose(found.weights.sum(axis=1), 1, atol=1e-5)
        assert (np.diff(np.sort(found.indices, axis=1), axis=1) > 0).all()
        report = modularity_report(found, graph, start=start)
        assert report["modularity_hardened"] >= 0.99 * best
        if start is None:
            assert report["modularity_start"] is None
        else:
            labels = Memberships(start[:, None], np.ones((60, 1), np.float32))
            assert report["modularity_start"] == pytest.approx(soft_modularity(labels, graph, 4))
            assert report["modularity_start"] < report["modularity"] < report["modularity_hardened"]
    again = fit_modularity(graph, items, config, seed=0)
    other = fit_modularity(graph, items, config, seed=0)
    assert np.array_equal(again.weights, other.weights)


def ring_of_cliques(num_cliques: int, size: int) -> CoEngagementGraph:
    """Cliques in a ring, each joined to the next by one edge; at gamma = 1 modularity merges them by twos."""
    edges = {}
    for clique in range(num_cliques):
        items = range(clique * size, (clique + 1) * size)
        edges |= {(i, j): 1.0 for i in items for j in items if i < j}
        edges[clique * size, (clique * size + size) % (num_cliques * size) + 1] = 1.0
    return from_edges(num_cliques * size, edges)


def test_as_many_communities_as_prototypes_where_modularity_merges_them() -> None:
    cliques, size = 30, 4
    graph = ring_of_cliques(cliques, size)
    truth = np.arange(cliques * size) // size
    assert len(np.unique(community_partition(graph))) < cliques
    label, gamma = partition_into(graph, cliques)
    assert gamma > 1
    assert adjusted_mutual_info_score(truth, label) == pytest.approx(1)
    items = np.eye(graph.num_items, dtype=np.float32)
    for given, found in ((None, True), (1.0, False)):
        config = ModularityConfig(num_prototypes=cliques, gamma=given)
        dominant = fit_modularity(graph, items, config, seed=0).dominant()
        assert (adjusted_mutual_info_score(truth, dominant) > 0.99) == found
    # As many as there are at gamma = 1, and more than there can be.
    assert partition_into(graph, 3)[1] == 1.0
    label, _ = partition_into(graph, 500)
    assert len(np.unique(label)) <= graph.num_items


def test_entropy_softens() -> None:
    graph = planted()
    items = np.eye(graph.num_items, dtype=np.float32)
    softness = [
        fit_modularity(graph, items, ModularityConfig(num_prototypes=4, entropy=e), seed=0).softness()
        for e in (0.01, 0.2)
    ]
    assert softness[0] < softness[1]


def test_more_communities_than_prototypes_and_lonely_items() -> None:
    graph = from_edges(9, {(0, 1): 1.0, (2, 3): 2.0, (4, 5): 1.0, (6, 7): 3.0})
    assert len(np.unique(community_partition(graph))) == 5
    found = fit_modularity(
        graph, np.ones((9, 2), np.float32), ModularityConfig(num_prototypes=2, nonzeros=2), seed=0
    )
    assert isinstance(found, InterestPrototypes)
    assert np.isfinite(found.weights).all()
    assert np.isfinite(found.vectors).all()


def test_bad_input_says_what_to_do() -> None:
    graph = planted()
    with pytest.raises(DataError, match="embeddings cover 3 items, the graph has 60"):
        fit_modularity(graph, np.ones((3, 2), np.float32), ModularityConfig(), seed=0)
    with pytest.raises(ConfigError, match="nonzeros must lie between 1 and num_prototypes=4, got 9"):
        ModularityConfig(num_prototypes=4, nonzeros=9).check()
    with pytest.raises(DataError, match="memberships cover 2 items"):
        soft_modularity(Memberships(np.zeros((2, 1), np.int32), np.ones((2, 1), np.float32)), graph, 1)
