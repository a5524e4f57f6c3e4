import numpy as np
import pytest
import torch
import torch.nn.functional as F

from g2rec.encoders import (
    DroppedItems,
    GraphSAGEConfig,
    LightGCNConfig,
    NodeEmbeddings,
    drop_items,
    link_loss,
    load_encoder,
)
from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph
from g2rec.sampling import NeighborSampler


def random_graph(order=None):
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 20, 150), rng.integers(0, 14, 150)
    order = np.arange(150) if order is None else order
    return InteractionGraph.from_events(21, 15, user[order], item[order])  # the last user and item: no event


def content():
    return torch.randn(15, 6, generator=torch.Generator().manual_seed(0))


def test_lightgcn_by_hand():
    graph = InteractionGraph.from_events(1, 2, np.array([0, 0]), np.array([0, 1]))
    encoder = LightGCNConfig(embedding_dim=1, num_layers=2).build(1, 2)
    with torch.no_grad():
        encoder.features.item.weight.copy_(torch.tensor([[2.0], [4.0]]))
    found = encoder.embed_all(graph)
    user = 6 / 2**0.5  # layer 1; the items' layer 2 is user / sqrt(2) = 3
    np.testing.assert_allclose(found.users, [[user / 3]], rtol=1e-6)
    np.testing.assert_allclose(found.items, [[(2 + 3) / 3], [(4 + 3) / 3]], rtol=1e-6)


@pytest.mark.parametrize("config", [LightGCNConfig(), GraphSAGEConfig(), LightGCNConfig(num_layers=3)])
def test_edge_order_does_not_matter(config):
    encoder = config.build(21, 15, 6)
    plain = encoder.embed_all(random_graph(), content())
    mixed = encoder.embed_all(random_graph(np.random.default_rng(1).permutation(150)), content())
    np.testing.assert_allclose(plain.items, mixed.items, atol=1e-6)


def test_sampled_lightgcn_sums_are_unbiased():
    encoder = LightGCNConfig(num_layers=1, embedding_dim=4).build(21, 15)
    graph = random_graph()
    sampler = NeighborSampler(graph, (3,))
    with torch.no_grad():
        runs = [encoder(sampler.sample(torch.arange(21), key=(0, step))) for step in range(800)]
    mean = torch.stack(runs).mean(dim=0).numpy()
    np.testing.assert_allclose(mean, encoder.embed_all(graph).users, atol=0.03)


def test_dropped_items_are_seen_through_content_only():
    encoder = LightGCNConfig().build(21, 15, 6)
    sub = NeighborSampler(random_graph(), (-1, -1)).sample(torch.tensor([21, 22]))
    first = torch.arange(15) == 0
    out = encoder(sub, content(), DroppedItems(first, first))
    unit = F.normalize(encoder.features.content(content()), dim=1)
    torch.testing.assert_close(out[0], encoder.features.log_content_scale.exp() * unit[0] / 3)
    assert F.cosine_similarity(out[1], unit[1], dim=0) < 0.99


def test_items_without_events_are_what_their_content_says():
    graph, rng = random_graph(), np.random.default_rng(0)
    encoder = LightGCNConfig(embedding_dim=8).build(21, 15, 6)
    features = rng.standard_normal((15, 6)).astype(np.float32)
    with torch.no_grad():
        encoder.features.item.weight.copy_(torch.from_numpy(features @ rng.standard_normal((6, 8))))
    encoder.learn_new_items(graph, features)
    found = encoder.embed_all(graph, features).items
    new = encoder.embed_new(torch.from_numpy(features)).detach().numpy()
    np.testing.assert_allclose(found[14], new[14], rtol=1e-5)  # the last item has no event
    assert not encoder.features.item.weight[14].any() and encoder.features.item.weight[0].any()
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    cosine = (unit * new / np.linalg.norm(new, axis=1, keepdims=True)).sum(axis=1)
    assert np.median(cosine[:14]) > 0.7


def test_an_encoder_without_content_refuses_content_only_items():
    with pytest.raises(ConfigError, match="built without content"):
        LightGCNConfig().build(21, 15).embed_new(torch.zeros(1, 6))


def test_an_item_without_its_id_still_has_its_neighbours():
    encoder = LightGCNConfig().build(21, 15)
    sub = NeighborSampler(random_graph(), (-1, -1)).sample(torch.tensor([21, 22]))
    first, none = torch.arange(15) == 0, torch.zeros(15, dtype=torch.bool)
    with torch.no_grad():
        nameless = encoder(sub, None, DroppedItems(first, none))[0]
        encoder.features.item.weight[0] = 0
        torch.testing.assert_close(nameless, encoder(sub)[0])
    assert nameless.abs().sum() > 0


def test_content_counts_as_one_event():
    features = LightGCNConfig().build(21, 15, 6).features
    item = torch.tensor([21])
    with torch.no_grad():
        known = features.item.weight[0]
        alone = features(item, torch.tensor([0]), content())[0] - known
        among = features(item, torch.tensor([9]), content())[0] - known
    torch.testing.assert_close(alone, 10 * among)


def test_drop_items_depends_on_the_key():
    first = drop_items(4000, 0.3, seed=0, key=(0, 1))
    assert torch.equal(first.ids, drop_items(4000, 0.3, seed=0, key=(0, 1)).ids)
    assert not torch.equal(first.ids, drop_items(4000, 0.3, seed=0, key=(0, 2)).ids)
    assert 0.26 < first.ids.float().mean() < 0.34
    assert 0.12 < first.edges.float().mean() < 0.18 and not (first.edges & ~first.ids).any()
    assert not drop_items(4000, 0.3, seed=0, key=(0, 1), edges=False).edges.any()


def test_users_have_no_table_unless_asked():
    assert LightGCNConfig().build(21, 15).features.user is None
    assert LightGCNConfig(user_table=True).build(21, 15).features.user.weight.shape == (21, 64)


def test_link_loss_by_hand():
    user, item = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    negatives = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    zero = torch.zeros(1)
    loss = link_loss(
        user, item, torch.tensor([5]), zero, negatives, torch.tensor([6, 5]), torch.zeros(2), temperature=1.0
    )
    assert float(loss) == pytest.approx(float(np.log(1 + np.exp(-1))), rel=1e-5)  # item 5 is masked


def test_link_loss_with_fewer_negatives_of_the_batch():
    generator = torch.Generator().manual_seed(0)
    users, items, drawn = (torch.randn(size, 4, generator=generator) for size in (6, 6, 3))
    index, log_q, none = torch.arange(6), torch.rand(6, generator=generator), torch.zeros(3)

    def loss(count):
        known = torch.tensor([7, 8, 9])
        return link_loss(users, items, index, log_q, drawn, known, none, num_in_batch=count)

    unit = [torch.nn.functional.normalize(x, dim=1) for x in (users, items, drawn)]
    logits = torch.cat((unit[0] @ unit[1].T / 0.1 - log_q, unit[0] @ unit[2].T / 0.1), dim=1)
    torch.testing.assert_close(loss(None), torch.nn.functional.cross_entropy(logits, index))
    torch.testing.assert_close(loss(6), loss(None))
    assert float(loss(0)) < float(loss(2)) < float(loss(6))


def test_link_loss_where_every_negative_is_masked():
    user = torch.randn(1, 4, requires_grad=True)
    item, zero = torch.ones(1, 4), torch.zeros(1)
    loss = link_loss(user, item, torch.tensor([2]), zero, item, torch.tensor([2]), zero)
    loss.backward()
    assert loss.item() == 0 and torch.equal(user.grad, torch.zeros(1, 4))


def test_embeddings_save_and_load(tmp_path):
    made = NodeEmbeddings(np.ones((2, 3), np.float32), np.zeros((4, 3), np.float32))
    made.save(tmp_path / "e")
    np.testing.assert_array_equal(NodeEmbeddings.load(tmp_path / "e").items, made.items)


def test_bad_input(tmp_path):
    with pytest.raises(ConfigError, match="num_layers must be at least 1, got 0"):
        LightGCNConfig(num_layers=0).build(1, 1)
    encoder = LightGCNConfig().build(21, 15, 6)
    with pytest.raises(ConfigError, match="built for content of 6 features, got 0"):
        encoder.embed_all(random_graph())
    encoder.save(tmp_path / "w")
    assert load_encoder(tmp_path / "w").config == encoder.config
