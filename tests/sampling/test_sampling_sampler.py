import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling import NegativeSamplerConfig, NeighborSampler, prefetch


@pytest.fixture
def graph():
    """User 0: items 0, 1 at 1 s and 2 s; user 1: item 1 at 3 s; user 2 and item 2: nothing."""
    return InteractionGraph.from_events(3, 3, np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 2, 3]))


def star(degree):
    return InteractionGraph.from_events(
        1, degree, np.zeros(degree, int), np.arange(degree), np.arange(degree)
    )


def edges(sub):
    nodes = sub.nodes[sub.edge_index]
    return sorted(map(tuple, nodes.T.tolist()))


def test_by_hand(graph):
    sub = NeighborSampler(graph, (-1, -1)).sample(torch.tensor([4, 2, 4]))
    assert sub.nodes.tolist() == [4, 2, 0, 1, 3]
    assert sub.seed_index.tolist() == [0, 1, 0] and sub.num_seeds == 2
    assert sub.nodes_per_hop == (2, 4, 5) and sub.edges_per_hop == (2, 5)
    assert sub.edge_index.tolist() == [[2, 3, 4, 0, 0], [0, 0, 2, 2, 3]]
    assert sub.degrees.tolist() == [2, 0, 2, 1, 1]


def test_fanout_above_the_degree_takes_all(graph):
    full = NeighborSampler(graph, (-1, -1)).sample(torch.arange(6))
    assert edges(NeighborSampler(graph, (9, 9)).sample(torch.arange(6))) == edges(full)


def test_replacement_fills_the_fanout(graph):
    sub = NeighborSampler(graph, (9,), replace=True).sample(torch.tensor([0, 2]))
    assert sub.edges_per_hop == (9,)
    assert set(sub.nodes.tolist()) == {0, 2, 3, 4}


def test_empty_seeds(graph):
    sub = NeighborSampler(graph).sample(torch.zeros(0, dtype=torch.int64))
    assert sub.num_seeds == 0 and sub.edge_index.shape == (2, 0) and sub.seed_index.shape == (0,)


def test_strictly_before_each_seeds_own_time(graph):
    sampler = NeighborSampler(graph, (-1, -1))
    sub = sampler.sample(torch.tensor([4, 4]), times=torch.tensor([3, 2]))
    assert sub.nodes.tolist()[:2] == [4, 4] and sub.seed_index.tolist() == [0, 1]
    assert sub.nodes.tolist() == [4, 4, 0, 3]  # the second seed sees nothing before 2 s
    assert edges(sub) == [(0, 4), (3, 0), (4, 0)]
    assert sub.degrees.tolist() == [1, 0, 2, 1]


def test_subtrees_are_disjoint(graph):
    sub = NeighborSampler(graph, (-1, -1)).sample(torch.tensor([4, 4]), times=torch.tensor([9, 9]))
    assert sub.nodes.tolist() == [4, 4, 0, 1, 0, 1, 3, 3]


def test_target_edges_are_excluded_in_both_directions(graph):
    sub = NeighborSampler(graph, (-1, -1)).sample(
        torch.tensor([0, 4]), exclude=(torch.tensor([0]), torch.tensor([4]))
    )
    assert (4, 0) not in edges(sub) and (0, 4) not in edges(sub)
    assert (3, 0) in edges(sub) and (1, 4) in edges(sub)


@pytest.mark.parametrize("fanout", [3, 40])
def test_excluded_neighbours_of_a_hub(fanout):
    hub = star(50)
    banned = torch.arange(1, 31)
    sub = NeighborSampler(hub, (fanout,)).sample(
        torch.tensor([0]), exclude=(torch.zeros(30, dtype=torch.int64), banned)
    )
    drawn = sub.nodes[1:].tolist()
    assert len(drawn) == len(set(drawn)) == min(fanout, 20) and min(drawn) > 30


@pytest.mark.parametrize(("degree", "fanout", "replace"), [(12, 8, False), (40, 5, False), (12, 5, True)])
def test_neighbours_are_drawn_uniformly(degree, fanout, replace):
    sampler = NeighborSampler(star(degree), (fanout,), replace=replace)
    seen = np.zeros(degree)
    for step in range(1500):
        sub = sampler.sample(torch.tensor([0]), key=(0, step))
        seen += np.bincount(sub.nodes[sub.edge_index[0]].numpy() - 1, minlength=degree)
    assert seen.sum() == 1500 * fanout
    assert chisquare(seen).pvalue > 1e-4


def test_threads_do_not_matter():
    rng = np.random.default_rng(0)
    graph = InteractionGraph.from_events(
        300, 200, rng.integers(0, 300, 9000), rng.integers(0, 200, 9000), rng.integers(0, 99, 9000)
    )
    sampler = NeighborSampler(graph, (7, 4), seed=3)

    def make(step):
        return sampler.sample(torch.arange(250), key=(1, step))

    alone = [make(step) for step in range(12)]
    for num_threads in (1, 4):
        for a, b in zip(alone, prefetch(make, range(12), num_threads=num_threads, depth=6), strict=True):
            assert torch.equal(a.edge_index, b.edge_index) and torch.equal(a.nodes, b.nodes)
    assert not torch.equal(alone[0].nodes[:300], alone[1].nodes[:300])


def test_the_batch_around_a_node_does_not_matter():
    sampler = NeighborSampler(star(60), (5,))
    alone = sampler.sample(torch.tensor([0]))
    assert set(edges(alone)) <= set(edges(sampler.sample(torch.tensor([7, 0, 9]))))


def test_bad_input(graph):
    with pytest.raises(ConfigError, match="fanouts must be one number a hop"):
        NeighborSampler(graph, (-2,))
    with pytest.raises(DataError, match=r"seeds must be nodes in \[0, 6\), got 6 to 6"):
        NeighborSampler(graph).sample(torch.tensor([6]))
    timeless = InteractionGraph.from_events(1, 1, np.array([0]), np.array([0]))
    with pytest.raises(DataError, match="needs a graph with times"):
        NeighborSampler(timeless).sample(torch.tensor([0]), times=torch.tensor([1]))


@pytest.mark.parametrize(("kind", "expected"), [("uniform", [1, 1, 1]), ("popularity", [0, 1, 8])])
def test_negatives(kind, expected):
    sampler = NegativeSamplerConfig(kind=kind, power=0.75).build(np.array([0, 1, 16]), seed=1)
    drawn = sampler.sample(30_000, key=(0, 1))
    q = np.array(expected) / np.sum(expected)
    seen = np.bincount(drawn.items.numpy(), minlength=3)
    assert chisquare(seen[q > 0], 30_000 * q[q > 0]).pvalue > 1e-4
    np.testing.assert_allclose(drawn.log_q.exp(), q[drawn.items], rtol=1e-5)
    assert torch.equal(drawn.items, sampler.sample(30_000, key=(0, 1)).items)


def test_in_batch_negatives():
    sampler = NegativeSamplerConfig(kind="in_batch").build(np.array([1, 3]))
    drawn = sampler.sample(0, positives=torch.tensor([1, 0]))
    assert drawn.items.tolist() == [1, 0] and drawn.log_q.exp().tolist() == pytest.approx([0.75, 0.25])
    with pytest.raises(ConfigError, match="in_batch negatives are the batch's positives"):
        sampler.sample(4)
