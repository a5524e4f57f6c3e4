import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from g2rec.encoders import DroppedItems, LightGCNConfig
from g2rec.errors import ConfigError
from g2rec.graph import build_coengagement, build_graph
from g2rec.interactions import Interactions
from g2rec.prototypes import (
    GraphHeadConfig,
    Memberships,
    PrototypeHead,
    community_partition,
    place_by_content,
    soft_modularity,
)
from g2rec.sampling import NeighborSampler
from g2rec.training import FitConfig
from g2rec.training.encoder import EncoderModule, LinkConfig, encoder_loader, fit_encoder
from g2rec.training.links import EventLinks


@pytest.fixture(scope="module")
def log():
    """Two audiences, each with ten items of its own; content says nothing."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 6).astype(np.int32)
    item = np.concatenate([rng.permutation(10)[:6] + 10 * (u % 2) for u in range(40)]).astype(np.int32)
    names = [f"i{i}" for i in range(20)]
    return Interactions(
        user_index=user,
        item_index=item,
        time=np.tile(np.arange(6), 40).astype(np.int64),
        part=np.zeros(240, np.uint8),
        user_ids=pa.array([str(u) for u in range(40)]),
        items=pa.table({"item_id": names, "title": names}),
        content=rng.normal(size=(20, 4)).astype(np.float32),
    )


def fitted(log, folder, seed=0, **link):
    return fit_encoder(
        log,
        build_graph(log),
        build_coengagement(log),
        LightGCNConfig(embedding_dim=8),
        GraphHeadConfig(num_prototypes=2, nonzeros=2),
        FitConfig(epochs=4, batch_size=64, learning_rate=0.02, accelerator="cpu"),
        folder,
        seed,
        LinkConfig(num_edges=64, num_negatives=8, warmup_epochs=2, **link),
    )


def test_two_audiences_become_two_prototypes_and_runs_repeat(log, tmp_path):
    first, again = fitted(log, tmp_path / "a"), fitted(log, tmp_path / "b")
    found = first.prototypes.dominant()
    assert len(set(found[:10])) == len(set(found[10:])) == 1 and found[0] != found[10]
    np.testing.assert_array_equal(first.embeddings.items, again.embeddings.items)
    np.testing.assert_array_equal(first.prototypes.weights, again.prototypes.weights)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_resumed_fit_is_the_whole_one(log, tmp_path, monkeypatch, done):
    """Cut off before, at and after the epoch in which k-means starts the prototypes."""
    whole = fitted(log, tmp_path / "whole")

    def cut(module):
        if module.current_epoch == done:
            raise RuntimeError("cut off")
        start(module)

    start = EncoderModule.on_train_epoch_start
    monkeypatch.setattr(EncoderModule, "on_train_epoch_start", cut)
    with pytest.raises(RuntimeError, match="cut off"):
        fitted(log, tmp_path / "cut")
    monkeypatch.undo()
    resumed = fitted(log, tmp_path / "cut")
    np.testing.assert_array_equal(resumed.embeddings.items, whole.embeddings.items)
    np.testing.assert_array_equal(resumed.prototypes.vectors, whole.prototypes.vectors)
    np.testing.assert_array_equal(resumed.prototypes.weights, whole.prototypes.weights)


def test_a_batch_does_not_see_its_own_edges(log):
    graph = build_graph(log)
    links = EventLinks(log, build_coengagement(log), seed=0)
    sampler = NeighborSampler(graph, seed=0)
    users, rows = graph.num_users, len(links)
    loader = encoder_loader(links, sampler, users, LinkConfig(), 16, has_content=True, seed=0, num_rows=rows)
    for batch in loader:
        sub = batch.subgraph
        size = len(batch.positives)
        users = sub.nodes[sub.seed_index[:size]]
        own = set(zip(users.tolist(), (batch.positives + graph.num_users).tolist(), strict=True))
        seen = {tuple(sorted(edge)) for edge in sub.nodes[sub.edge_index].T.tolist()}
        assert len(own) == size and not own & seen
        assert isinstance(batch.dropped, DroppedItems)


def test_bad_fanouts(log, tmp_path):
    with pytest.raises(ConfigError, match="fanouts needs one number per layer of the encoder, 2, got 1"):
        fitted(log, tmp_path, fanouts=(3,))


AUDIENCES = 4
EACH = 12


@pytest.fixture(scope="module")
def planted():
    """Four audiences, of 30, 24, 18 and 12 users, with twelve items each; one event in eight lies outside."""
    rng = np.random.default_rng(0)
    audience = np.repeat(np.arange(AUDIENCES), [30, 24, 18, 12])
    user = np.repeat(np.arange(len(audience)), 8).astype(np.int32)
    mine = np.concatenate([rng.permutation(EACH)[:8] + EACH * a for a in audience])
    item = np.where(rng.random(len(user)) < 1 / 8, rng.integers(0, AUDIENCES * EACH, len(user)), mine)
    names = [f"i{i}" for i in range(AUDIENCES * EACH)]
    return Interactions(
        user_index=user,
        item_index=item.astype(np.int32),
        time=np.tile(np.arange(8), len(audience)).astype(np.int64),
        part=np.zeros(len(user), np.uint8),
        user_ids=pa.array([str(u) for u in range(len(audience))]),
        items=pa.table({"item_id": names, "title": names}),
        content=None,
    )


def from_communities(log, folder, num_prototypes=AUDIENCES, **head):
    return fit_encoder(
        log,
        build_graph(log),
        build_coengagement(log),
        LightGCNConfig(embedding_dim=16),
        GraphHeadConfig(num_prototypes=num_prototypes, nonzeros=2, start="communities", **head),
        FitConfig(epochs=6, batch_size=128, learning_rate=0.02, accelerator="cpu"),
        folder,
        0,
        LinkConfig(num_edges=64, num_negatives=16, num_in_batch=32, warmup_epochs=2),
    )


def test_the_head_starts_from_the_communities_and_keeps_them(planted, tmp_path):
    fitted = from_communities(planted, tmp_path)
    communities = community_partition(build_coengagement(planted))
    found = fitted.prototypes.dominant()
    assert adjusted_mutual_info_score(communities, found) > 0.9
    # Not merely the same groups: community c, by size, is prototype c.
    assert (found == communities).mean() > 0.9


def test_the_start_is_told_the_communities_of_the_items_with_events(planted, tmp_path, monkeypatch):
    told = []
    start = PrototypeHead.start

    def watch(head, items, seed, labels=None):
        start(head, items, seed, labels)
        told.append((len(items), labels.numpy()))

    monkeypatch.setattr(PrototypeHead, "start", watch)
    part = np.where(planted.item_index == 0, 1, 0).astype(np.uint8)  # item 0 has none in training
    log = dataclasses.replace(planted, part=part)
    from_communities(log, tmp_path)
    [(num_items, labels)] = told
    assert num_items == planted.num_items - 1
    expected = community_partition(build_coengagement(log))[1:]
    assert adjusted_mutual_info_score(expected, labels) > 0.99


def test_communities_beyond_the_prototypes_join_the_others(planted, tmp_path):
    communities = community_partition(build_coengagement(planted))
    fitted = from_communities(planted, tmp_path, num_prototypes=3)
    inside = communities < 3
    assert 0 < inside.sum() < len(inside)
    assert np.isfinite(fitted.prototypes.vectors).all()
    assert (fitted.prototypes.dominant()[inside] == communities[inside]).mean() > 0.9


def test_a_batch_without_any_label_has_a_finite_loss(planted, monkeypatch):
    """As the last batch of an epoch, of few events, may be where most communities have no prototype."""
    graph, coengagement = build_graph(planted), build_coengagement(planted)
    labels = np.full(planted.num_items, 7, np.int32)
    labels[0] = 0
    link, fit_config = LinkConfig(num_edges=8, num_negatives=4, warmup_epochs=0), FitConfig(epochs=4)
    torch.manual_seed(0)
    encoder = LightGCNConfig(embedding_dim=8).build(graph.num_users, graph.num_items)
    head = GraphHeadConfig(num_prototypes=2, nonzeros=2, start="communities").build(8)
    monkeypatch.setattr(EncoderModule, "log", lambda *values, **options: None)
    links = EventLinks(planted, coengagement, seed=0)
    sampler = NeighborSampler(graph, seed=0)
    users, rows = graph.num_users, len(links)
    loader = encoder_loader(links, sampler, users, link, 1, has_content=False, seed=0, num_rows=rows)
    losses = {}
    for batch in loader:
        item = int(batch.positives)
        if labels[item] in losses:
            continue
        plain, taught = (
            EncoderModule(encoder, head, graph, None, link, fit_config, 0, communities=known)
            .training_step(batch, 0).item()
            for known in (None, labels)
        )  # fmt: skip
        losses[labels[item]] = (plain, taught)
        if len(losses) == 2:
            break
    assert losses[7][0] == losses[7][1]  # no label, no loss from it
    assert np.isfinite(losses[0]).all() and losses[0][1] > losses[0][0]


def test_settled_communities_are_better_and_no_more_than_the_prototypes(planted, tmp_path, monkeypatch):
    """A third of the labels drawn anew, and a community too many: what the head learns is mended first."""
    part = np.where(planted.item_index == 0, 1, 0).astype(np.uint8)  # item 0 has no neighbour
    log = dataclasses.replace(planted, part=part)
    graph = build_coengagement(log)
    rng = np.random.default_rng(0)
    rough = community_partition(graph).copy()
    drawn = rng.random(len(rough)) < 1 / 3
    rough[drawn] = rng.integers(0, AUDIENCES + 1, drawn.sum())
    told = []
    start = PrototypeHead.start
    monkeypatch.setattr("g2rec.training.encoder.community_partition", lambda *graph, **settings: rough)
    monkeypatch.setattr(
        EncoderModule,
        "_start_prototypes",
        lambda module: (told.append(module.communities.numpy()), start(module.head, torch.randn(9, 16), 0)),
    )
    from_communities(log, tmp_path, gamma=1.0)
    [settled] = told
    assert settled[0] == AUDIENCES and settled[1:].max() < AUDIENCES
    before, after = (
        soft_modularity(
            Memberships(label[:, None].astype(np.int32), np.ones((len(label), 1), np.float32)), graph, 5
        )
        for label in (rough, settled)
    )
    assert after > before + 0.1
    assert adjusted_mutual_info_score(np.arange(1, 48) // EACH, settled[1:]) > 0.9


@pytest.mark.parametrize("done", [2, 3, 5])
def test_a_resumed_fit_from_communities_is_the_whole_one(planted, tmp_path, monkeypatch, done):
    """Cut off as the prototypes start, and while they learn the communities."""
    whole = from_communities(planted, tmp_path / "whole")

    def cut(module):
        if module.current_epoch == done:
            raise RuntimeError("cut off")
        start(module)

    start = EncoderModule.on_train_epoch_start
    monkeypatch.setattr(EncoderModule, "on_train_epoch_start", cut)
    with pytest.raises(RuntimeError, match="cut off"):
        from_communities(planted, tmp_path / "cut")
    monkeypatch.undo()
    resumed = from_communities(planted, tmp_path / "cut")
    np.testing.assert_array_equal(resumed.prototypes.vectors, whole.prototypes.vectors)
    np.testing.assert_array_equal(resumed.prototypes.indices, whole.prototypes.indices)
    np.testing.assert_array_equal(resumed.embeddings.items, whole.embeddings.items)


def test_the_entropys_weight_makes_memberships_softer(planted, tmp_path):
    soft, hard = (
        from_communities(planted, tmp_path / name, entropy_weight=weight).prototypes.softness()
        for name, weight in (("soft", 2.0), ("hard", -2.0))
    )
    assert soft > hard + 0.05


def without_events(log, new, **changes):
    """The log before anybody engaged with the new items."""
    early = ~new[log.item_index]
    return dataclasses.replace(
        log,
        user_index=log.user_index[early],
        item_index=log.item_index[early],
        time=log.time[early],
        part=log.part[early],
        **changes,
    )


def test_an_item_that_comes_after_the_fit_gets_the_prototype_of_its_audience(planted, tmp_path):
    """Two items of each audience have no event in training; later, with events, their neighbours tell."""
    new = np.arange(AUDIENCES * EACH) % EACH < 2
    before = without_events(planted, new)
    fitted = from_communities(before, tmp_path)
    assert not fitted.encoder.features.item.weight[torch.from_numpy(new)].any()
    known = fitted.prototypes.dominant()
    audience = np.arange(AUDIENCES * EACH) // EACH
    mode = np.array([np.bincount(known[(audience == a) & ~new]).argmax() for a in range(AUDIENCES)])
    assert len(set(mode)) == AUDIENCES
    later = fitted.encoder.embed_items(build_graph(planted))
    found = fitted.head.export(later).dominant()[new]
    assert (found == mode[audience[new]]).mean() >= 7 / 8


def test_an_item_known_by_content_alone_gets_the_prototype_that_its_content_says(planted, tmp_path):
    new = np.arange(AUDIENCES * EACH) % EACH < 2
    audience = np.arange(AUDIENCES * EACH) // EACH
    content = 2 * np.eye(AUDIENCES)[audience] + 0.3 * np.random.default_rng(0).normal(
        size=(len(new), AUDIENCES)
    )
    before = without_events(planted, new, content=content.astype(np.float32))
    fitted = from_communities(before, tmp_path)
    known = fitted.head.export(fitted.embeddings.items)
    np.testing.assert_array_equal(fitted.prototypes.indices[~new], known.indices[~new])
    found = fitted.prototypes.dominant()
    mode = np.array([np.bincount(found[(audience == a) & ~new]).argmax() for a in range(AUDIENCES)])
    assert len(set(mode)) == AUDIENCES
    assert (found[new] == mode[audience[new]]).mean() >= 7 / 8
    np.testing.assert_array_equal(
        fitted.prototypes.indices, place_by_content(known, before.content, ~new).indices
    )
