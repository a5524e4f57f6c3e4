"""Every encoder keeps these promises."""

import numpy as np
import pytest
import torch

from g2rec.encoders import GraphSAGEConfig, LightGCNConfig, load_encoder
from g2rec.graph import InteractionGraph
from g2rec.sampling import NeighborSampler

CONFIGS = [
    LightGCNConfig(),
    LightGCNConfig(num_layers=3, user_table=True),
    GraphSAGEConfig(),
    GraphSAGEConfig(num_layers=1),
]


@pytest.fixture
def graph():
    rng = np.random.default_rng(0)
    return InteractionGraph.from_events(12, 9, rng.integers(0, 11, 60), rng.integers(0, 8, 60))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("with_content", [True, False])
@pytest.mark.parametrize("on_disk", [True, False])
def test_forward_with_all_neighbours_is_embed_all(
    graph, config, with_content, on_disk, tmp_path, monkeypatch
):
    monkeypatch.setattr("g2rec.encoders._inference._ROWS", 5)
    content = torch.randn(9, 5) if with_content else None
    encoder = config.build(12, 9, 5 if with_content else 0)
    seeds = torch.tensor([3, 20, 0, 3, 11])  # a repeat, and nodes without edges
    sub = NeighborSampler(graph, (-1,) * config.num_layers).sample(seeds)
    folder = tmp_path / "states" if on_disk else None
    exact = encoder.embed_all(graph, content, folder=folder)
    every = np.concatenate((exact.users, exact.items))
    np.testing.assert_array_equal(encoder.embed_items(graph, content), exact.items)
    found = encoder(sub, content).detach().numpy()
    if with_content:  # an item without edges is what its content says
        found[1] = encoder.embed_new(content[[8]]).detach().numpy()
    np.testing.assert_allclose(found, every[seeds], atol=1e-5)
    assert np.isfinite(every).all()


@pytest.mark.parametrize("config", CONFIGS)
def test_saved_weights_give_the_same_embeddings(graph, config, tmp_path):
    encoder = config.build(12, 9)
    encoder.save(tmp_path / "encoder")
    np.testing.assert_array_equal(
        load_encoder(tmp_path / "encoder").embed_all(graph).items, encoder.embed_all(graph).items
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_no_seeds(graph, config):
    sub = NeighborSampler(graph, (2,) * config.num_layers).sample(torch.zeros(0, dtype=torch.int64))
    assert config.build(12, 9)(sub).shape == (0, 64)
