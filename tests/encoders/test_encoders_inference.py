"""Exact inference that is streamed to disk, and importance-weighted means."""

import numpy as np
import pytest
import torch

from g2rec.encoders import GraphSAGEConfig, LightGCNConfig
from g2rec.errors import ArtifactError, DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling import PinSageSampler, sum_neighbors


@pytest.fixture
def graph():
    """A hub with nine tenths of the edges, isolated nodes, repeated edges."""
    rng = np.random.default_rng(0)
    items = np.where(rng.random(400) < 0.9, 0, rng.integers(0, 15, 400))
    return InteractionGraph.from_events(40, 20, rng.integers(0, 35, 400), items)


def test_sums_by_hand():
    graph = InteractionGraph.from_events(2, 2, np.array([0, 0, 1]), np.array([0, 1, 1]))
    values = np.array([[1, 2], [10, 20]], np.float32)
    np.testing.assert_array_equal(sum_neighbors(graph, values, 0, 2), [[11, 22], [10, 20]])
    scaled = sum_neighbors(graph, values, 2, 4, scale=np.array([2, 3], np.float32))
    np.testing.assert_array_equal(scaled, [[2, 4], [32, 64]])
    np.testing.assert_array_equal(sum_neighbors(graph, values, 1, 2), [[10, 20]])
    with pytest.raises(DataError, match="expected nodes of one side and values of the 2 on the other"):
        sum_neighbors(graph, values, 1, 3)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_sums_do_not_depend_on_threads(graph, num_threads):
    values = np.random.default_rng(1).normal(size=(20, 33)).astype(np.float32)
    expected = [values[graph.row(user) - 40].sum(axis=0) for user in range(40)]
    found = sum_neighbors(graph, values, 0, 40, num_threads=num_threads)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_killed_inference_goes_on(graph, tmp_path):
    encoder = LightGCNConfig().build(40, 20)
    folder, steps = tmp_path / "states", []

    def die(step, done, total):
        steps.append(step)
        if step == "items-2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.embed_all(graph, folder=folder, progress=die)
    assert "items-1" in steps and (folder / "users-2.npy").exists()
    steps.clear()
    found = encoder.embed_all(graph, folder=folder, progress=lambda step, done, total: steps.append(step))
    assert set(steps) == {"items-2", "items", "users"}
    whole = encoder.embed_all(graph)
    np.testing.assert_array_equal(found.items, whole.items)
    np.testing.assert_array_equal(found.users, whole.users)
    assert sorted(file.name for file in folder.iterdir()) == ["items.npy", "key.json", "users.npy"]
    with torch.no_grad():
        encoder.features.item.weight += 1  # other weights: nothing of the old is used
    assert not np.allclose(encoder.embed_all(graph, folder=folder).items, whole.items)


def test_a_full_disk_is_one_sentence(graph, tmp_path, monkeypatch):
    def refuse(*where):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("g2rec.encoders._inference.replace_path", refuse)
    with pytest.raises(ArtifactError, match="No space left on device"):
        LightGCNConfig().build(40, 20).embed_items(graph, folder=tmp_path / "states")


def test_the_mean_over_walks_is_weighted(graph):
    encoder = GraphSAGEConfig(num_layers=1).build(40, 20)
    sub = PinSageSampler(graph, (3,), num_walks=30).sample(torch.tensor([40, 45, 46]))
    x = encoder.features(sub.nodes, sub.degrees, None)
    source, target = sub.edge_index
    for place in range(sub.num_seeds):
        mine = target == place
        mean = (sub.edge_weight[mine, None] * x[source[mine]]).sum(0)
        expected = encoder.own[0](x[place]) + encoder.neighbours[0](mean)
        torch.testing.assert_close(encoder(sub)[place], expected)
