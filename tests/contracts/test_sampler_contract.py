"""Every neighbour sampler keeps these promises."""

import numpy as np
import pytest
import torch

from g2rec.graph import InteractionGraph
from g2rec.sampling import NeighborSampler


@pytest.fixture
def graph():
    rng = np.random.default_rng(0)
    return InteractionGraph.from_events(
        30, 20, rng.integers(0, 30, 300), rng.integers(0, 20, 300), rng.integers(0, 50, 300)
    )


@pytest.mark.parametrize("make", [NeighborSampler])
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("temporal", [False, True])
def test_layout(graph, make, replace, temporal):
    seeds = torch.tensor([5, 40, 5, 12])
    times = torch.tensor([10, 25, 49, 0]) if temporal else None
    sub = make(graph, (4, 3), replace=replace).sample(seeds, times=times)
    assert torch.equal(sub.nodes[sub.seed_index], seeds)
    assert sub.nodes_per_hop[0] == sub.num_seeds and sub.nodes_per_hop[-1] == len(sub.nodes)
    assert sub.edges_per_hop[-1] == sub.edge_index.shape[1]
    first = 0
    for hop, last in enumerate(sub.edges_per_hop):
        source, target = sub.edge_index[:, first:last]
        assert (target < sub.nodes_per_hop[hop]).all() and (source < sub.nodes_per_hop[hop + 1]).all()
        assert torch.bincount(target).max() <= (4, 3)[hop]
        first = last
    for source, target in sub.nodes[sub.edge_index].T.tolist():
        assert source in graph.row(target)


@pytest.mark.parametrize("make", [NeighborSampler])
def test_the_key_decides(graph, make):
    seeds = torch.arange(50)
    draw = [
        make(graph, (3, 2), seed=s).sample(seeds, key=k) for s, k in ((0, (0, 0)), (0, (0, 0)), (1, (0, 0)))
    ]
    assert torch.equal(draw[0].edge_index, draw[1].edge_index)
    assert not torch.equal(
        draw[0].nodes[draw[0].edge_index[0]][:90], draw[2].nodes[draw[2].edge_index[0]][:90]
    )
