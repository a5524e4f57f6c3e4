"""The engine for the GPU, in plain torch operations on the CPU; the fused kernels where there is a GPU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling import NeighborSampler
from g2rec.sampling._device import DeviceSampler
from g2rec.sampling._device_generate import Permutation
from g2rec.sampling._device_graph import DeviceGraph


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
    return InteractionGraph.from_events(num_users, num_items, users, items, times)


def edges_of(sub):
    """Every edge by its hop and what it joins, the tree that it is in included; sorted."""
    nodes, (source, target) = sub.nodes.cpu().numpy(), sub.edge_index.cpu().numpy()
    tree = np.full(len(nodes), -1)
    tree[: sub.num_seeds] = np.arange(sub.num_seeds)
    hop = np.searchsorted(np.array(sub.edges_per_hop), np.arange(len(source)), side="right")
    for a, b in zip(source.tolist(), target.tolist(), strict=True):
        if tree[a] < 0:
            tree[a] = tree[b]
    return sorted(zip(hop, tree[target], nodes[source], nodes[target], strict=True)), tree


@settings(max_examples=150, deadline=None)
@given(
    graphs(),
    st.lists(st.sampled_from([-1, 0, 1, 3, 20, 70]), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_draws_what_the_cpu_engine_draws(graph, fanouts, replace, temporal, number):
    rng = np.random.default_rng(number)
    seeds = torch.from_numpy(rng.integers(0, graph.num_nodes, rng.integers(0, 9)))
    times = torch.from_numpy(rng.integers(-4, 51, len(seeds))) if temporal else None
    how = {"replace": replace, "seed": number}
    ours = DeviceSampler(graph, fanouts, device="cpu", **how).sample(seeds, key=(3, 4), times=times)
    theirs = NeighborSampler(graph, fanouts, **how).sample(seeds, key=(3, 4), times=times)
    check_layout(ours, seeds)
    assert ours.nodes_per_hop == theirs.nodes_per_hop and ours.edges_per_hop == theirs.edges_per_hop
    assert torch.equal(ours.seed_index, theirs.seed_index)
    if temporal:
        (our_edges, our_trees), (their_edges, their_trees) = edges_of(ours), edges_of(theirs)
        assert our_edges == their_edges
    else:
        assert joined(ours) == joined(theirs)
        our_trees, their_trees = np.zeros(len(ours.nodes)), np.zeros(len(theirs.nodes))
    known = [
        sorted(zip(trees, sub.nodes.tolist(), sub.degrees.tolist(), strict=True))
        for sub, trees in ((ours, our_trees), (theirs, their_trees))
    ]
    assert known[0] == known[1]


def joined(sub):
    """Every edge as (hop, source, target) in the numbers of the graph, sorted."""
    source, target = sub.nodes[sub.edge_index].tolist()
    hop = np.searchsorted(np.array(sub.edges_per_hop), np.arange(len(source)), side="right").tolist()
    return sorted(zip(hop, source, target, strict=True))


def check_layout(sub, seeds):
    """Seeds first and in their order, new nodes rising, edges by target, numbers within what is known."""
    assert torch.equal(sub.nodes[sub.seed_index].cpu(), seeds.cpu())
    source, target = sub.edge_index.cpu()
    first = 0
    for hop, last in enumerate(sub.edges_per_hop):
        rows = target[first:last]
        assert (rows[1:] >= rows[:-1]).all()
        assert (source[first:last] < sub.nodes_per_hop[hop + 1]).all()
        low = sub.nodes_per_hop[hop - 1] if hop else 0
        assert ((rows >= low) & (rows < sub.nodes_per_hop[hop])).all()
        first = last
    assert first == len(source) and sub.nodes_per_hop[-1] == len(sub.nodes)


@settings(max_examples=100, deadline=None)
@given(
    graphs(),
    st.lists(st.sampled_from([-1, 0, 1, 3, 20]), min_size=1, max_size=2),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_excluded_pairs(graph, fanouts, replace, temporal, number):
    rng = np.random.default_rng(number)
    seeds = torch.from_numpy(rng.integers(0, graph.num_nodes, rng.integers(0, 9)))
    times = torch.from_numpy(rng.integers(-4, 51, len(seeds))) if temporal else None
    users, items = (
        torch.from_numpy(rng.integers(0, graph.num_users, 6)),
        torch.from_numpy(graph.num_users + rng.integers(0, graph.num_items, 6)),
    )
    sampler = DeviceSampler(graph, fanouts, replace=replace, seed=number, device="cpu")
    sub = sampler.sample(seeds, times=times, exclude=(users, items))
    check_layout(sub, seeds)
    banned = set(zip(users.tolist(), items.tolist(), strict=True))
    banned |= {(item, user) for user, item in banned}
    tree = edges_of(sub)[1]
    source, target = sub.edge_index.numpy()
    nodes = sub.nodes.numpy()
    assert not banned & set(zip(nodes[target].tolist(), nodes[source].tolist(), strict=True))
    for place in range(sub.nodes_per_hop[-2]):
        hop = np.searchsorted(np.array(sub.nodes_per_hop), place, side="right")
        row = slice(graph.indptr[nodes[place]], graph.indptr[nodes[place] + 1])
        open_to = np.array([(nodes[place], other) not in banned for other in graph.indices[row]], bool)
        if temporal:
            open_to &= graph.times[row] < times.numpy()[tree[place]]
        allowed, fanout = int(open_to.sum()), fanouts[hop]
        drawn = nodes[source[target == place]]
        want = allowed if fanout < 0 else (fanout if allowed else 0) if replace else min(fanout, allowed)
        assert len(drawn) == want
        if not replace:  # no more often than the row has them
            ours, theirs = np.bincount(drawn, minlength=40), np.bincount(graph.indices[row], minlength=40)
            assert (ours <= theirs).all()


def star(size):
    return InteractionGraph.from_events(1, size, np.zeros(size, int), np.arange(size))


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("size", [8, 30, 300])  # read as a whole, mixed, by repeated draws
def test_uniform_among_what_is_not_excluded(size, replace):
    sampler = DeviceSampler(star(size), (5,), replace=replace, device="cpu")
    banned = (torch.zeros(size // 2, dtype=torch.int64), torch.arange(1, size // 2 + 1))
    seen = np.zeros(size)
    for step in range(600):
        sub = sampler.sample(torch.tensor([0]), key=(0, step), exclude=banned)
        seen += np.bincount(sub.nodes[sub.edge_index[0]].numpy() - 1, minlength=size)
    assert seen[: size // 2].sum() == 0
    assert seen.sum() == 600 * (5 if replace else min(5, size // 2))
    assert (size == 8 and not replace) or chisquare(seen[size // 2 :]).pvalue > 1e-4


def test_draws_at_the_limits():
    """Numbers near 2^31 and 2^63: the arithmetic of the draws against Python's, and a permutation."""
    from g2rec.sampling._device_random import mix, multiply_high, signed

    rng = np.random.default_rng(0)
    values = [int(x) for x in rng.integers(0, 2**64, 200, dtype=np.uint64)] + [0, 2**64 - 1, 2**63]
    x = torch.tensor([signed(v) for v in values])
    for size in (1, 2**31 - 1, 2**32 - 1, 2**32, 10**10, 2**62 + 12345):
        got = multiply_high(x, torch.full_like(x, size)).tolist()
        assert got == [v * size >> 64 for v in values]

    def reference(v):
        v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        v = (v ^ v >> 27) * 0x94D049BB133111EB % 2**64
        return v ^ v >> 31

    assert mix(x).tolist() == [signed(reference(v)) for v in values]
    big = Permutation(10**10 + 19, 5)
    places = torch.from_numpy(rng.integers(0, big.size, 1000))
    there = big.forward(places, torch.zeros_like(places))
    assert (there >= 0).all() and (there < big.size).all()
    assert torch.equal(big.inverse(there, torch.zeros_like(places)), places)


@pytest.mark.parametrize(
    "how", [{}, {"num_interests": 3, "noise": 0.3, "skew": 0.8}, {"noise": 1.0}, {"num_interests": 15}]
)
def test_generated_graphs_are_transposes(how):
    graph = DeviceGraph.generate(60, 15, 7, seed=2, device="cpu", **how).to_graph()
    counts = np.zeros((75, 75), int)
    np.add.at(counts, (np.repeat(np.arange(75), graph.degrees()), graph.indices), 1)
    assert (counts == counts.T).all() and counts[:60, :60].sum() == counts[60:, 60:].sum() == 0
    assert (graph.degrees()[:60] == 7).all()
    interests = how.get("num_interests", 1)
    blocks = counts[:60, 60:].reshape(interests, 60 // interests, interests, 15 // interests).sum((1, 3))
    kept = 7 - round(how.get("noise", 0.0) * 7)
    assert (np.diag(blocks) >= kept * 60 // interests).all()
    again = DeviceGraph.generate(60, 15, 7, seed=2, device="cpu", **how)
    other = DeviceGraph.generate(60, 15, 7, seed=3, device="cpu", **how)
    assert (again.indices.numpy() == graph.indices).all() and (other.indices.numpy() != graph.indices).any()


def test_copies_graphs_in_chunks(monkeypatch):
    from g2rec.sampling import _device_graph

    monkeypatch.setattr(_device_graph, "_CHUNK", 7)
    graph = InteractionGraph.from_events(5, 4, np.arange(30) % 5, np.arange(30) % 4, np.arange(30))
    seen = []
    copy = DeviceGraph.from_graph(graph, "cpu", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (130, 130) and copy.max_degree == 8 and copy.num_edges == 60
    for mine, theirs in (
        (copy.indptr, graph.indptr),
        (copy.indices, graph.indices),
        (copy.times, graph.times),
    ):
        np.testing.assert_array_equal(mine.numpy(), theirs)


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device; the fused kernels need one")
    pytest.importorskip("triton", reason="no Triton; the fused kernels need it")
    return torch.device("cuda")


def assert_same(a, b):
    for name, value in vars(a).items():
        other = getattr(b, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name


@pytest.mark.gpu
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("fanouts", [(15, 10), (5,), (7, 3, 2), (32, 1)])
def test_fused_kernels_do_what_the_torch_form_does(gpu, fanouts, replace, skewed):
    rng = np.random.default_rng(len(fanouts))
    users, items = rng.integers(0, 20_000, 200_000), rng.integers(0, 5_000, 200_000)
    if skewed:
        items[rng.random(len(items)) < 0.9] = 0
    plain = InteractionGraph.from_events(30_000, 6_000, users, items, rng.integers(0, 50, len(users)))
    graph = DeviceGraph.from_graph(plain, gpu)
    slow = DeviceSampler(graph, fanouts, replace=replace, seed=5, fused=False)
    fast = DeviceSampler(graph, fanouts, replace=replace, seed=5)
    cpu = NeighborSampler(plain, fanouts, replace=replace, seed=5)
    sizes = [1, 300, 300, 300, 300, 40_000, 7, 8, 9, 1, 300]  # launched, recorded, replayed, given up, back
    for step, size in enumerate(sizes):
        seeds = torch.from_numpy(rng.integers(0, graph.num_nodes, size))
        batch = fast.sample(seeds.to(gpu) if step % 2 else seeds, key=(1, step))
        assert_same(slow.sample(seeds, key=(1, step)), batch)
        assert joined(batch) == joined(cpu.sample(seeds, key=(1, step)))
        times, pairs = torch.from_numpy(rng.integers(0, 50, size)), (seeds % 20_000, 30_000 + seeds % 5_000)
        assert_same(slow.sample(seeds, times=times), fast.sample(seeds, times=times))
        assert_same(slow.sample(seeds, exclude=pairs), fast.sample(seeds, exclude=pairs))
    with pytest.raises(DataError, match=r"seeds must be nodes in \[0, 36000\), got -1 to 36000"):
        fast.sample(torch.tensor([-1, 5, 36_000], device=gpu))
    assert fast.sample(torch.zeros(0, dtype=torch.int64)).nodes_per_hop == (0,) * (len(fanouts) + 1)


@pytest.mark.gpu
def test_neighbours_in_host_memory(gpu, caplog):
    graph = DeviceGraph.generate(3000, 500, 20, skew=0.5, device=gpu)
    host = DeviceGraph.from_graph(graph.to_graph(), gpu, spare=1 << 50)
    assert host.on_host and "stay in page-locked host memory" in caplog.text
    seeds = torch.arange(0, 3500, 7)
    for replace in (False, True):
        near, far = (
            DeviceSampler(graph, (15, 10), replace=replace),
            DeviceSampler(host, (15, 10), replace=replace),
        )
        assert_same(near.sample(seeds), far.sample(seeds))
        pairs = seeds % 3000, 3000 + seeds % 500
        assert_same(near.sample(seeds, exclude=pairs), far.sample(seeds, exclude=pairs))


def test_bad_input():
    with pytest.raises(DataError, match=r"seeds must be nodes in \[0, 31\), got 31 to 31"):
        DeviceSampler(star(30), device="cpu").sample(torch.tensor([31]))
    with pytest.raises(DataError, match="this one has none; drop times="):
        DeviceSampler(star(30), device="cpu").sample(torch.tensor([1]), times=torch.tensor([1]))
    with pytest.raises(ConfigError, match="fanouts must be one number a hop"):
        DeviceSampler(star(30), (), device="cpu")
    with pytest.raises(ConfigError, match="must be at least 1, noise in"):
        DeviceGraph.generate(4, 4, 0)
    with pytest.raises(ConfigError, match="must be multiples of num_interests"):
        DeviceGraph.generate(4, 4, 1, num_interests=3)
