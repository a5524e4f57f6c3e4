import networkx as nx
import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph, event_pairs, pyg_data, to_dgl, to_networkx, to_pyg

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
try:
    import dgl
except (ImportError, OSError):
    dgl = None
needs_dgl = pytest.mark.skipif(dgl is None, reason="dgl is not installed: pip install 'g2rec[dgl]'")


def events(seed=0):
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 6, 40), rng.integers(0, 4, 40), rng.integers(0, 9, 40)
    return (*columns, rng.random(40).astype(np.float32) + 0.1)


@pytest.fixture
def graph():
    return InteractionGraph.from_events(6, 4, *events())


@pytest.fixture
def mapped(graph, tmp_path):
    graph.save(tmp_path / "graph")
    return InteractionGraph.load(tmp_path / "graph")


def rows(*columns):
    return sorted(zip(*(np.asarray(column).tolist() for column in columns), strict=True))


def test_to_pyg_and_back(mapped):
    data = to_pyg(mapped)
    data.validate()
    for kind in (("user", "engages", "item"), ("item", "engaged_by", "user")):
        source, target = data[kind].edge_index
        user, item = (source, target) if kind[0] == "user" else (target, source)
        assert rows(user, item, data[kind].time, data[kind].weight) == rows(*events())
        order = torch.from_numpy(np.lexsort((data[kind].time, target)))
        assert torch.equal(order, torch.arange(len(target))), "sorted by target, then time"


def test_to_networkx_and_back(graph):
    plain = to_networkx(graph)
    assert nx.is_bipartite(plain)
    users, items, held = zip(*plain.edges(data=True), strict=True)
    columns = [data["time"] for data in held], [data["weight"] for data in held]
    assert rows(users, np.array(items) - 6, *columns) == rows(*events())


@needs_dgl
@pytest.mark.parametrize("idtype", [torch.int32, torch.int64])
def test_to_dgl_and_back(mapped, idtype):
    typed = to_dgl(mapped, idtype=idtype)
    assert typed.idtype == idtype and typed.num_nodes("user") == 6
    for kind in typed.canonical_etypes:
        source, target = typed.edges(etype=kind, order="eid")
        user, item = (source, target) if kind[0] == "user" else (target, source)
        data = typed.edges[kind].data
        assert rows(user, item, data["time"], data["weight"]) == rows(*events())
    plain = to_dgl(mapped, hetero=False, idtype=idtype)
    source, target = plain.edges(order="eid")
    assert source.tolist() == mapped.indices.tolist()
    assert target.tolist() == np.repeat(np.arange(10), mapped.degrees()).tolist()
    assert plain.edata["time"].tolist() == mapped.times.tolist()


@pytest.mark.skipif(dgl is not None, reason="dgl is installed")
def test_without_dgl(graph):
    with pytest.raises(ConfigError, match=r"needs DGL 1\.1\.3.*pip install 'g2rec\[dgl\]'"):
        to_dgl(graph)


def test_pyg_data_has_no_edges(mapped):
    typed, plain = pyg_data(mapped), pyg_data(mapped, hetero=False)
    assert typed.metadata() == to_pyg(mapped).metadata()
    assert typed["item"].num_nodes == 4 and plain.num_nodes == 10
    assert plain.num_edges == typed.num_edges == 0


def test_event_pairs(mapped):
    pairs, times = event_pairs(mapped)
    assert rows(*pairs, times) == rows(*events()[:3])
    some, when = event_pairs(mapped, np.array([39, 0, 7]))
    assert torch.equal(some, pairs[:, [39, 0, 7]]) and torch.equal(when, times[[39, 0, 7]])
    with pytest.raises(DataError, match=r"events must lie in \[0, 40\), got 0 to 40; they are numbered"):
        event_pairs(mapped, np.array([0, 40]))
