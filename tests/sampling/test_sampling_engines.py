"""Engines of other libraries; the promises that all engines keep are in tests/contracts."""

import importlib
import sys

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph, pyg_data
from g2rec.sampling import DGLNeighborSampler, PyGNeighborSampler, prefetch

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
LIBRARIES = {PyGNeighborSampler: ("pyg_lib", "torch_sparse"), DGLNeighborSampler: ("dgl",)}


@pytest.fixture
def graph():
    rng = np.random.default_rng(0)
    return InteractionGraph.from_events(30, 20, rng.integers(0, 30, 300), rng.integers(0, 20, 300))


@pytest.fixture(params=LIBRARIES)
def make(request):
    for name in LIBRARIES[request.param]:
        try:
            importlib.import_module(name)
        except (ImportError, OSError):
            continue
        return request.param
    pytest.skip(f"{' and '.join(LIBRARIES[request.param])} cannot be imported here")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (PyGNeighborSampler, r"needs pyg-lib or torch-sparse, and neither can be imported; pip install"),
        (
            DGLNeighborSampler,
            r"needs DGL 1\.1\.3, which cannot be imported \(.*\); pip install 'g2rec\[dgl\]'",
        ),
    ],
)
def test_a_missing_library(graph, make, sentence, monkeypatch):
    for name in LIBRARIES[make]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=sentence):
        make(graph)


def test_excluded_edges_are_refused(graph, make):
    pairs = torch.tensor([0]), torch.tensor([30])
    with pytest.raises(ConfigError, match=r"without times and excluded edges, got excluded edges; use Neigh"):
        make(graph).sample(torch.arange(4), exclude=pairs)


def test_calls_from_threads(graph, make):
    sampler = make(graph, (3, 2))

    def batch(step):
        return sampler.sample(torch.arange(5), key=(0, step))

    alone = list(prefetch(batch, range(12), num_threads=0))
    assert not torch.equal(alone[0].nodes, alone[1].nodes)
    for one, other in zip(alone, prefetch(batch, range(12), num_threads=3), strict=True):
        if make is PyGNeighborSampler:  # DGL has a generator for each thread
            assert torch.equal(one.nodes, other.nodes) and torch.equal(one.edge_index, other.edge_index)
        assert one.edges_per_hop[0] == other.edges_per_hop[0]
        assert torch.equal(one.nodes[:5], other.nodes[:5])


def test_a_mapped_graph(graph, make, tmp_path):
    graph.save(tmp_path / "graph")
    mapped = make(InteractionGraph.load(tmp_path / "graph"), (3, 2)).sample(torch.arange(50))
    assert torch.equal(mapped.edge_index, make(graph, (3, 2)).sample(torch.arange(50)).edge_index)


def test_under_loaders(graph, make):
    """Every engine also serves PyG's loaders."""
    from torch_geometric.loader import NodeLoader

    from g2rec.sampling import G2RecSampler

    sampler = G2RecSampler(make(graph, (3, 2), edge_ids=True))
    batches = list(NodeLoader(pyg_data(graph), sampler, "user", batch_size=10))
    assert len(batches) == 3
    for batch in batches:
        batch.validate()
        assert batch["user", "engages", "item"].e_id.max() < 300
