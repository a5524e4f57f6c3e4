"""PyG's loaders and models on our graph, through `G2RecSampler`."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError, DataError
from g2rec.graph import TO_ITEM, TO_USER, InteractionGraph, event_pairs, pyg_data, to_pyg
from g2rec.sampling import NeighborSampler, PinSageSampler, prefetch

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
USERS, ITEMS = 60, 40


def adapter(*args, **options):
    from g2rec.sampling import G2RecSampler  # PyG warns on import

    return G2RecSampler(*args, **options)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Two groups of users, each with items of its own; mapped from disk."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, USERS, 800)
    item = rng.integers(0, ITEMS // 2, 800) * 2 + user % 2
    path = tmp_path_factory.mktemp("graph") / "graph"
    InteractionGraph.from_events(USERS, ITEMS, user, item, rng.integers(0, 100, 800)).save(path)
    return InteractionGraph.load(path)


@pytest.fixture(scope="module")
def whole(graph):
    return to_pyg(graph)


def typed_edges(batch, kind):
    """Edges of a batch as indices of the types."""
    source, target = batch[kind].edge_index
    return torch.stack((batch[kind[0]].n_id[source], batch[kind[2]].n_id[target]))


def test_import_is_lazy():
    code = (
        "import sys, g2rec.sampling; held = [m for m in ('torch_geometric', 'dgl') if m in sys.modules]; "
        "assert not held, held; g2rec.sampling.G2RecSampler; assert 'torch_geometric' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plain_nodes(graph):
    from torch_geometric.loader import NodeLoader

    sampler = NeighborSampler(graph, (4, 3), edge_ids=True)
    seeds = torch.tensor([3, 70, 12])
    loader = NodeLoader(pyg_data(graph, hetero=False), adapter(sampler, key=(1, 2)), seeds, batch_size=3)
    batch, expected = next(iter(loader)), sampler.sample(seeds, key=(1, 2))
    assert torch.equal(batch.n_id, expected.nodes) and torch.equal(batch.edge_index, expected.edge_index)
    assert torch.equal(batch.e_id, expected.edge_ids) and batch.batch_size == 3 and batch.batch is None
    assert np.cumsum(batch.num_sampled_nodes).tolist() == list(expected.nodes_per_hop)
    assert np.cumsum(batch.num_sampled_edges).tolist() == list(expected.edges_per_hop)
    assert graph.indices[batch.e_id].tolist() == batch.n_id[batch.edge_index[0]].tolist()


@pytest.mark.parametrize("edge_ids", [False, True])
def test_typed_nodes(graph, whole, edge_ids):
    from torch_geometric.loader import NodeLoader

    sampler = NeighborSampler(graph, (4, 3), edge_ids=edge_ids)
    data = pyg_data(graph)
    data["item"].x = np.arange(ITEMS * 2, dtype=np.float32).reshape(-1, 2)
    seeds = torch.tensor([5, 0, 31])
    loader = NodeLoader(data, adapter(sampler, key=(1, 2)), ("item", seeds), batch_size=3)
    batch, expected = next(iter(loader)), sampler.sample(seeds + USERS, key=(1, 2))
    batch.validate()
    assert batch["item"].n_id[:3].tolist() == seeds.tolist() and batch["item"].batch_size == 3
    assert batch["item"].x[:, 0].tolist() == (2 * batch["item"].n_id).tolist()
    assert batch["user"].num_sampled_nodes[0] == 0 and batch["item"].num_sampled_nodes[0] == 3
    found = set()
    for kind, first, last in ((TO_ITEM, 0, USERS), (TO_USER, USERS, 0)):
        edges = typed_edges(batch, kind)
        found |= {(a + first, b + last) for a, b in edges.T.tolist()}
        assert sum(batch[kind].num_sampled_edges) == edges.shape[1]
        if edge_ids:
            assert torch.equal(whole[kind].edge_index[:, batch[kind].e_id], edges)
    assert found == {tuple(pair) for pair in expected.nodes[expected.edge_index].T.tolist()}
    # item seeds receive in the first hop only, users in the second
    assert batch[TO_ITEM].num_sampled_edges[1] == 0 == batch[TO_USER].num_sampled_edges[0]
    nodes = [sum(batch[kind].num_sampled_nodes[hop] for kind in ("user", "item")) for hop in range(3)]
    assert np.cumsum(nodes).tolist() == list(expected.nodes_per_hop)


def test_repeated_seeds(graph):
    from torch_geometric.loader import NodeLoader

    sampler = adapter(NeighborSampler(graph, (4, 3), edge_ids=True))
    seeds = torch.tensor([7, 3, 7, 80, 3, 7])
    data = pyg_data(graph, hetero=False)
    batch = next(iter(NodeLoader(data, sampler, seeds, batch_size=6)))
    assert torch.equal(batch.n_id[:6], seeds) and batch.num_sampled_nodes[0] == 6
    source, target = batch.n_id[batch.edge_index]
    assert graph.indices[batch.e_id].tolist() == source.tolist()
    row = np.searchsorted(graph.indptr, batch.e_id.numpy(), side="right") - 1
    assert row.tolist() == target.tolist()
    near = [batch.edge_index[0, batch.edge_index[1] == place].tolist() for place in range(6)]
    assert near[0] == near[2] == near[5] and near[1] == near[4] and len(near[0]) == 4
    first, last = batch.num_sampled_edges[0], batch.num_sampled_nodes[0]
    assert (batch.edge_index[1, :first] < last).all() and (batch.edge_index[1, first:] >= last).all()


def test_temporal_nodes(graph, whole):
    from torch_geometric.loader import NodeLoader

    sampler = adapter(NeighborSampler(graph, (4, 3), edge_ids=True))
    users, times = torch.tensor([7, 3, 7]), torch.tensor([20, 50, 90])
    loader = NodeLoader(pyg_data(graph), sampler, ("user", users), times, batch_size=3)
    batch = next(iter(loader))
    assert batch["user"].seed_time.tolist() == times.tolist()
    assert torch.equal(batch["user"].n_id[:3], users) and batch["user"].batch[:3].tolist() == [0, 1, 2]
    for kind in (TO_ITEM, TO_USER):
        source, target = batch[kind].edge_index
        tree = batch[kind[2]].batch[target]
        assert torch.equal(batch[kind[0]].batch[source], tree) and len(tree) > 0
        assert (whole[kind].time[batch[kind].e_id] < times[tree]).all()
    plain = NodeLoader(pyg_data(graph, hetero=False), sampler, users, times, batch_size=3)
    batch = next(iter(plain))
    tree = batch.batch[batch.edge_index[1]]
    assert (torch.from_numpy(np.array(graph.times[batch.e_id])) < times[tree]).all()


@pytest.mark.parametrize("hetero", [False, True])
@pytest.mark.parametrize("negatives", [None, "binary", "triplet"])
def test_links(graph, hetero, negatives):
    from torch_geometric.loader import LinkLoader
    from torch_geometric.sampler import NegativeSampling

    pairs, _ = event_pairs(graph, np.arange(0, 800, 9))
    pairs = pairs.unique(dim=1)
    sampling = negatives and NegativeSampling(negatives, 2)
    sampler = adapter(NeighborSampler(graph, (-1, 4)))
    offset = torch.tensor([[0], [USERS]])
    seeds = (TO_ITEM, pairs) if hetero else pairs + offset
    loader = LinkLoader(pyg_data(graph, hetero=hetero), sampler, seeds, neg_sampling=sampling, batch_size=16)
    seen = []
    for batch in loader:
        if hetero:
            users, items, labels = batch["user"], batch["item"], batch[TO_ITEM]
            edges = torch.cat((typed_edges(batch, TO_ITEM), typed_edges(batch, TO_USER).flip(0)), 1)
            user_ids, item_ids = users.n_id, items.n_id
        else:
            users = items = labels = batch
            edges = batch.n_id[batch.edge_index].sort(0).values - offset
            user_ids, item_ids = batch.n_id, batch.n_id - USERS
        if negatives == "triplet":
            positive = torch.stack((user_ids[users.src_index], item_ids[items.dst_pos_index]))
            assert items.dst_neg_index.shape == (positive.shape[1], 2)
        else:
            index = labels.edge_label_index
            both = torch.stack((user_ids[index[0]], item_ids[index[1]]))
            positive = both[:, : len(labels.input_id)]
            if negatives:
                assert labels.edge_label.tolist() == [1] * positive.shape[1] + [0] * (2 * positive.shape[1])
            if hetero:
                assert both[0].max() < USERS and both[1].max() < ITEMS
        targets = set(map(tuple, positive.T.tolist()))
        assert edges.shape[1] and not targets & set(map(tuple, edges.T.tolist())), (
            "no target among the inputs"
        )
        seen.append(positive)
    assert torch.equal(torch.cat(seen, 1), pairs)


def test_temporal_links(graph, whole):
    from torch_geometric.loader import LinkLoader

    pairs, times = event_pairs(graph)
    sampler = adapter(NeighborSampler(graph, (5, 3), edge_ids=True))
    options = {"edge_label_time": times, "neg_sampling": "binary", "batch_size": 32}
    batch = next(iter(LinkLoader(pyg_data(graph), sampler, (TO_ITEM, pairs), shuffle=True, **options)))
    index, when = batch[TO_ITEM].edge_label_index, batch[TO_ITEM].edge_label_time
    for kind, at in (("user", 0), ("item", 1)):
        assert torch.equal(batch[kind].n_id[index[at, :32]], pairs[at, batch[TO_ITEM].input_id])
    assert torch.equal(when[:32], times[batch[TO_ITEM].input_id])
    for kind in (TO_ITEM, TO_USER):
        tree = batch[kind[2]].batch[batch[kind].edge_index[1]]
        assert (whole[kind].time[batch[kind].e_id] < when[tree]).all()


def test_draws_follow_torch(graph):
    from torch_geometric.loader import NodeLoader

    def epochs(num_workers):
        torch.manual_seed(0)
        sampler = adapter(NeighborSampler(graph, (3, 2)))
        loader = NodeLoader(pyg_data(graph), sampler, "user", batch_size=20, num_workers=num_workers)
        return [[batch[TO_USER].edge_index.tolist() for batch in loader] for _ in range(2)]

    alone, forked = epochs(0), epochs(2)
    assert alone == epochs(0) and alone[0] != alone[1]
    assert forked == epochs(2) and forked[0] != forked[1]


def test_threads(graph):
    from torch_geometric.loader import NodeLoader

    loader = NodeLoader(pyg_data(graph), adapter(NeighborSampler(graph, (3, 2)), key=(0, 0)), "user")
    batches = list(prefetch(loader, torch.arange(USERS).split(7)))
    assert torch.cat([batch["user"].input_id for batch in batches]).tolist() == list(range(USERS))
    for batch, index in zip(batches, torch.arange(USERS).split(7), strict=True):
        assert torch.equal(batch[TO_USER].edge_index, loader(index)[TO_USER].edge_index)


def test_refusals(graph):
    from torch_geometric.loader import NodeLoader

    with pytest.raises(ConfigError, match=r"a sampler of the graph's own edges, got one of random walks"):
        adapter(PinSageSampler(graph))
    sampler = adapter(NeighborSampler(graph))
    loader = NodeLoader(pyg_data(graph), sampler, ("user", torch.tensor([USERS])))
    with pytest.raises(
        DataError, match=r"seeds of type user must lie in \[0, 60\), got 60 to 60; count each"
    ):
        next(iter(loader))


def test_a_plain_model_learns(graph):
    """SAGEConv over one node type tells the groups of users apart from the items alone."""
    from torch_geometric.loader import NodeLoader
    from torch_geometric.nn import GraphSAGE

    torch.manual_seed(0)
    data = pyg_data(graph, hetero=False)
    data.x = torch.cat((torch.zeros(USERS, 8), torch.randn(ITEMS, 8)))
    data.y = torch.arange(USERS + ITEMS) % 2
    sampler = adapter(NeighborSampler(graph, (5, 5)))
    loader = NodeLoader(data, sampler, torch.arange(USERS), batch_size=20, shuffle=True)
    model = GraphSAGE(8, 16, 2, 2)
    losses = fit(
        model.parameters(),
        loader,
        lambda batch: torch.nn.functional.cross_entropy(
            model(
                batch.x,
                batch.edge_index,
                num_sampled_nodes_per_hop=batch.num_sampled_nodes,
                num_sampled_edges_per_hop=batch.num_sampled_edges,
            )[: batch.batch_size],
            batch.y[: batch.batch_size],
        ),
    )
    assert losses[-1] < 0.45 < 0.6 < losses[0]


def test_a_typed_model_learns(graph):
    """A model made for types by ``to_hetero`` ranks a user's items above random ones."""
    from torch_geometric.loader import LinkLoader
    from torch_geometric.nn import GraphSAGE, to_hetero

    torch.manual_seed(0)
    data = pyg_data(graph)
    data["user"].x, data["item"].x = torch.zeros(USERS, 8), torch.randn(ITEMS, 8)
    sampler = adapter(NeighborSampler(graph, (5, 5)))
    pairs, _ = event_pairs(graph)
    seeds = (TO_ITEM, pairs)
    loader = LinkLoader(data, sampler, seeds, neg_sampling="binary", batch_size=80, shuffle=True)
    model = to_hetero(GraphSAGE(8, 16, 2, 16), data.metadata())

    def loss(batch):
        out = model(batch.x_dict, batch.edge_index_dict)
        user, item = batch[TO_ITEM].edge_label_index
        score = (out["user"][user] * out["item"][item]).sum(1)
        return torch.nn.functional.binary_cross_entropy_with_logits(score, batch[TO_ITEM].edge_label)

    losses = fit(model.parameters(), loader, loss)
    assert losses[-1] < 0.62 < losses[0]  # half of the negatives are of the same group: log 2 is chance


def fit(parameters, loader, loss_of, epochs=12):
    """Mean loss of each epoch."""
    optimizer = torch.optim.Adam(parameters, 0.01)
    means = []
    for _ in range(epochs):
        losses = []
        for batch in loader:
            optimizer.zero_grad()
            loss = loss_of(batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return means
