import numpy as np
import pyarrow as pa
import pytest

from g2rec.encoders import DroppedItems, LightGCNConfig
from g2rec.errors import ConfigError
from g2rec.graph import build_coengagement, build_graph
from g2rec.interactions import Interactions
from g2rec.prototypes import GraphHeadConfig
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
    with pytest.raises(ConfigError, match="fanouts needs one number per layer, 2, got 1"):
        fitted(log, tmp_path, fanouts=(3,))
