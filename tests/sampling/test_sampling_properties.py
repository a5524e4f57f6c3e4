"""What every sample must be, on graphs made to break it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling import NeighborSampler, PinSageSampler, prefetch


@st.composite
def graphs(draw):
    """Few nodes, so that isolated nodes, hubs, repeated edges and equal times are common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_users, num_items = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    size = draw(st.sampled_from([0, 1, 5, 60, 400]))
    users, items = rng.integers(0, num_users, size), rng.integers(0, num_items, size)
    if draw(st.booleans()):
        items[rng.random(size) < 0.9] = 0  # a hub with nine tenths of the edges
    times = rng.integers(-3, draw(st.sampled_from([-2, 3, 50])), size)
    weights = rng.choice([1e-6, 0.5, 1.0, 1e6], size).astype(np.float32)
    return InteractionGraph.from_events(num_users, num_items, users, items, times, weights)


@settings(max_examples=150, deadline=None)
@given(
    graphs(),
    st.lists(st.sampled_from([-1, 0, 1, 3, 20, 70]), min_size=1, max_size=3),
    *[st.booleans() for _ in range(4)],
    st.integers(0, 2**32),
)
def test_a_sample(graph, fanouts, replace, weighted, temporal, exclude, number):
    rng = np.random.default_rng(number)
    sampler = NeighborSampler(graph, fanouts, replace=replace, weighted=weighted, edge_ids=True, seed=number)
    seeds = rng.integers(0, graph.num_nodes, rng.integers(0, 9))
    times = rng.integers(-4, 51, len(seeds)) if temporal else None
    banned = set()
    pairs = None
    if exclude:
        pairs = rng.integers(0, graph.num_users, 6), graph.num_users + rng.integers(0, graph.num_items, 6)
        banned = set(zip(*pairs, strict=True)) | set(zip(*pairs[::-1], strict=True))
        pairs = tuple(map(torch.from_numpy, pairs))
    sub = sampler.sample(
        torch.from_numpy(seeds),
        key=(1, 2),
        times=None if times is None else torch.from_numpy(times),
        exclude=pairs,
    )
    nodes, ids = sub.nodes.numpy(), sub.edge_ids.numpy()
    source, target = sub.edge_index.numpy()
    np.testing.assert_array_equal(nodes[sub.seed_index], seeds)
    np.testing.assert_array_equal(graph.indices[ids], nodes[source])
    assert ((graph.indptr[nodes[target]] <= ids) & (ids < graph.indptr[nodes[target] + 1])).all()
    tree = _trees(sub)
    if temporal:
        assert (tree[source] == tree[target]).all()
        assert (graph.times[ids] < times[tree[target]]).all()
        assert len(set(zip(tree, nodes, strict=True))) == len(nodes)
    else:
        assert len(set(nodes)) == len(nodes)
    assert not banned & set(zip(nodes[target], nodes[source], strict=True))
    first_node = first_edge = 0
    for hop, fanout in enumerate(fanouts):
        last_node, last_edge = sub.nodes_per_hop[hop], sub.edges_per_hop[hop]
        rows = target[first_edge:last_edge]
        assert (np.diff(rows) >= 0).all() and (
            source[first_edge:last_edge] < sub.nodes_per_hop[hop + 1]
        ).all()
        for place in range(first_node, last_node):
            node = nodes[place]
            row = slice(graph.indptr[node], graph.indptr[node + 1])
            open_to = np.array([(node, other) not in banned for other in graph.indices[row]], bool)
            if temporal:
                early = graph.times[row] < times[tree[place]]
                assert sub.degrees[place] == early.sum()
                open_to &= early
            else:
                assert sub.degrees[place] == len(open_to)
            allowed = int(open_to.sum())
            drawn = ids[first_edge:last_edge][rows == place]
            if fanout < 0:
                assert len(drawn) == allowed
            elif replace:
                assert len(drawn) == (fanout if allowed else 0)
            else:
                assert len(drawn) == len(set(drawn)) == min(fanout, allowed)
        first_node, first_edge = last_node, last_edge
    again = sampler.sample(
        torch.from_numpy(seeds),
        key=(1, 2),
        times=None if times is None else torch.from_numpy(times),
        exclude=pairs,
    )
    assert torch.equal(sub.edge_ids, again.edge_ids) and torch.equal(sub.edge_index, again.edge_index)


def _trees(sub):
    """The seed that each node belongs to, found along the edges."""
    tree = np.full(len(sub.nodes), -1)
    tree[: sub.num_seeds] = np.arange(sub.num_seeds)
    for source, target in sub.edge_index.T.tolist():
        if tree[source] < 0:
            tree[source] = tree[target]
    return tree


def star(weights):
    size = len(weights)
    return InteractionGraph.from_events(
        1, size, np.zeros(size, int), np.arange(size), None, np.array(weights, np.float32)
    )


def counts(sampler, size, steps=3000, **how):
    seen = np.zeros(size)
    for step in range(steps):
        sub = sampler.sample(torch.tensor([0]), key=(0, step), **how)
        seen += np.bincount(sub.nodes[sub.edge_index[0]].numpy() - 1, minlength=size)
    return seen


def test_weighted_draws_with_replacement():
    weights = np.array([1, 2, 3, 4, 90.0])
    seen = counts(NeighborSampler(star(weights), (4,), replace=True, weighted=True), 5)
    assert chisquare(seen, weights / weights.sum() * seen.sum()).pvalue > 1e-4


@pytest.mark.parametrize("heaviest", [4.0, 4000.0])  # the second is so skewed that rows are read as a whole
def test_weighted_draws_without_replacement(heaviest):
    weights = np.array([1, 2, 3, heaviest])
    share = weights / weights.sum()
    # successive draws: i first, or j first and then i among the others
    expected = share + [
        sum(share[j] * share[i] / (1 - share[j]) for j in range(4) if j != i) for i in range(4)
    ]
    for padding in (0, 40):  # weightless beside the others, but too many to be a short row
        light = np.concatenate((weights, np.full(padding, 1e-9)))
        seen = counts(NeighborSampler(star(light), (2,), weighted=True), len(light), steps=2000)[:4]
        assert chisquare(seen, expected / expected.sum() * seen.sum()).pvalue > 1e-4


def test_uniform_among_what_is_not_excluded():
    sampler = NeighborSampler(star(np.ones(30)), (5,))
    banned = (torch.zeros(20, dtype=torch.int64), torch.arange(1, 21))
    seen = counts(sampler, 30, exclude=banned)
    assert seen[:20].sum() == 0 and chisquare(seen[20:]).pvalue > 1e-4


def test_large_nodes_and_positions():
    """Numbers near 2^31: the arrays are virtual, only what is touched takes memory."""
    num_nodes = 2**31 - 1
    indptr = np.lib.stride_tricks.as_strided(np.zeros(1, np.int64), (num_nodes + 1,), (0,))
    assert indptr[-1] == 0
    graph = InteractionGraph(num_nodes - 1, 1, indptr, np.zeros(0, np.int32), None)
    sub = _virtual(graph).sample(torch.tensor([num_nodes - 1, 0, num_nodes - 1]))
    assert sub.nodes.tolist() == [num_nodes - 1, 0] and sub.edges_per_hop == (0,)


def _virtual(graph):
    sampler = NeighborSampler(InteractionGraph.from_events(1, 1, np.zeros(0, int), np.zeros(0, int)), (3,))
    sampler.graph, sampler._indptr = graph, graph.indptr
    sampler._indptr.flags.writeable = False
    return sampler


def test_important_neighbours():
    """Item 0 shares two users with item 1 and one with item 2; walks of one step."""
    graph = InteractionGraph.from_events(
        3, 4, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 2]), np.arange(6)
    )
    sampler = PinSageSampler(graph, (2,), num_walks=4000, walk_length=1)
    sub = sampler.sample(torch.tensor([3, 6]))
    assert sub.nodes.tolist() == [3, 6, 4, 5]  # item 3 has no user, so it has no neighbours
    np.testing.assert_allclose(sub.edge_weight, [2 / 3, 1 / 3], atol=0.04)
    early = sampler.sample(torch.tensor([3, 3]), times=torch.tensor([4, 1]))
    assert early.nodes.tolist() == [3, 3, 4] and early.edge_weight.tolist() == [1]
    cut = sampler.sample(torch.tensor([3]), exclude=(torch.tensor([2]), torch.tensor([3])))
    assert cut.nodes.tolist() == [3, 4]
    again = sampler.sample(torch.tensor([3, 6]))
    assert torch.equal(sub.edge_weight, again.edge_weight)


def test_prefetch_keeps_order_and_raises_in_place():
    def make(key):
        if key == 3:
            raise DataError("expected less than 3, got 3; stop earlier")
        return key

    ahead = prefetch(make, iter(range(9)), num_threads=3, depth=5)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="expected less than 3"):
        next(ahead)
    assert list(prefetch(make, range(2), num_threads=0)) == [0, 1]
    with pytest.raises(ConfigError, match="must not be negative"):
        prefetch(make, [], num_threads=-1)


def test_bad_input():
    with pytest.raises(DataError, match="needs a graph with weights"):
        plain = InteractionGraph.from_events(1, 1, np.array([0]), np.array([0]))
        NeighborSampler(plain, (2,), weighted=True)
    with pytest.raises(ConfigError, match="fanouts, num_walks and walk_length must be at least 1"):
        PinSageSampler(plain, (-1,))
