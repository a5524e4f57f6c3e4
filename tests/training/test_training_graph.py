"""Training from a graph alone, its draws, its optimizer, and the DataModule."""

import json
from pathlib import Path

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import chisquare

from g2rec.cli import main
from g2rec.encoders import GraphSAGEConfig
from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.prototypes import GraphHeadConfig
from g2rec.sampling import NeighborSampler
from g2rec.tokenizers import SemanticIds
from g2rec.training import FitConfig, GraphDataModule, LinkConfig, fit_graph_encoder
from g2rec.training.batches import BatchKey
from g2rec.training.encoder import FittedEncoder
from g2rec.training.links import GraphLinks
from g2rec.training.row_adamw import RowAdamW

USERS, ITEMS = 120, 40


def planted():
    """Users and items of two kinds; nine of ten events stay within the kind."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), 12)
    kind = np.where(rng.random(len(user)) < 0.9, user % 2, 1 - user % 2)
    return user, 2 * rng.integers(0, ITEMS // 2, len(user)) + kind


@pytest.fixture
def graph():
    return InteractionGraph.from_events(USERS, ITEMS, *planted())


def fitted(graph, folder, **fit):
    settings = {"epochs": 6, "batch_size": 128, "learning_rate": 0.02, **fit}
    return fit_graph_encoder(
        graph,
        GraphSAGEConfig(embedding_dim=16),
        GraphHeadConfig(num_prototypes=2, nonzeros=2),
        FitConfig(**settings),
        folder,
        seed=0,
        link_config=LinkConfig(
            fanouts=(5, 5), num_negatives=8, num_edges=128, warmup_epochs=2, num_threads=2
        ),
    )


def test_it_finds_planted_kinds_and_resumes(graph, tmp_path, monkeypatch):
    whole = fitted(graph, tmp_path / "whole")
    items = whole.encoder.embed_items(graph)
    kind = whole.head.memberships(items).indices[:, 0]
    agree = (kind == np.arange(ITEMS) % 2).mean()
    assert max(agree, 1 - agree) > 0.95
    from g2rec.training import encoder

    step, calls = encoder.EncoderModule.training_step, []

    def die(self, batch, index):
        calls.append(index)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(encoder.EncoderModule, "training_step", die)
    with pytest.raises(KeyboardInterrupt):
        fitted(graph, tmp_path / "cut")
    resumed = fitted(graph, tmp_path / "cut")
    assert len(calls) < 40 + 72  # it did not start anew
    np.testing.assert_array_equal(resumed.encoder.embed_items(graph), items)


def test_time_may_be_over_before_the_warm_up(graph, tmp_path):
    found = fitted(graph, tmp_path, epochs=50, minutes=1e-6)
    assert found.report.epochs == 1
    kind = found.head.vectors.detach()
    assert torch.allclose(kind.norm(dim=1), torch.ones(2), atol=1e-4)  # centres, not the random start


def test_pairs_are_drawn_by_the_weights_stated():
    """One user with items 0 1 2 3 in time, window 1: 0-1 and 2-3 weigh 1 + 1/2, 1-2 weighs 1/2 + 1/2."""
    graph = InteractionGraph.from_events(2, 5, np.zeros(4, int), np.arange(4), np.arange(4))
    links = GraphLinks(graph, window=1)
    source, target = links.pairs(BatchKey(0, 0, np.arange(0)), 20_000)
    seen = np.zeros((5, 5))
    np.add.at(seen, (source.numpy(), target.numpy()), 1)
    expected = np.zeros((5, 5))
    for a, b, weight in ((0, 1, 1.5), (1, 2, 1.0), (2, 3, 1.5)):
        expected[a, b] = expected[b, a] = weight
    drawn = expected > 0
    assert seen[~drawn].sum() == 0
    assert chisquare(seen[drawn], expected[drawn] / expected.sum() * 20_000).pvalue > 1e-4
    users, items = links.events(BatchKey(0, 1, np.arange(300)))
    assert set(users.tolist()) == {0} and chisquare(np.bincount(items, minlength=4)).pvalue > 1e-4
    empty = InteractionGraph.from_events(1, 1, np.zeros(0, int), np.zeros(0, int))
    with pytest.raises(DataError, match="expected a graph with events"):
        GraphLinks(empty)


def test_rows_that_are_always_touched_move_as_by_adamw():
    tables = [torch.nn.Embedding(6, 3, sparse=sparse) for sparse in (True, False)]
    tables[1].load_state_dict(tables[0].state_dict())
    start = tables[0].weight.detach().clone()
    makers = (RowAdamW, torch.optim.AdamW)
    makers = [make(t.parameters(), lr=0.1, weight_decay=0.1) for make, t in zip(makers, tables, strict=True)]
    rows = torch.tensor([0, 2, 2, 5])
    for _ in range(5):
        for table, optimizer in zip(tables, makers, strict=True):
            optimizer.zero_grad()
            table(rows).square().sum().backward()
            optimizer.step()
    touched = [0, 2, 5]
    torch.testing.assert_close(tables[0].weight[touched], tables[1].weight[touched])
    assert torch.equal(tables[0].weight[[1, 3, 4]], start[[1, 3, 4]])


def test_the_data_module_feeds_any_trainer(graph):
    features = np.random.default_rng(0).normal(size=(graph.num_nodes, 3)).astype(np.float32)
    seen = []

    class Step(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def training_step(self, batch, index):
            seen.append(batch.subgraph.nodes[batch.subgraph.seed_index])
            expected = features[batch.subgraph.nodes.numpy()]
            np.testing.assert_array_equal(batch.features.numpy(), expected)
            return self.layer(batch.features).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    seeds = torch.arange(100)
    runs = []
    for num_threads in (0, 3):
        module = GraphDataModule(
            NeighborSampler(graph, (3, 2)), seeds, batch_size=32, features=features, num_threads=num_threads
        )
        L.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        ).fit(Step(), module)  # fmt: skip
        runs.append(torch.cat(seen))
        seen.clear()
    assert torch.equal(*runs)
    first, second = runs[0][:100], runs[0][100:]
    assert torch.equal(first.sort().values, seeds) and torch.equal(second.sort().values, seeds)
    assert not torch.equal(first, second)
    with pytest.raises(ConfigError, match="expected seeds, a batch_size of 1 or more"):
        GraphDataModule(NeighborSampler(graph), torch.arange(0))


def test_a_log_becomes_prototypes_and_semantic_ids(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    user, item = planted()
    pq.write_table(pa.table({"user": user, "item": item, "time": np.arange(len(user))}), "log.parquet")
    np.save("content.npy", np.eye(ITEMS, dtype=np.float32)[:, :8])
    Path("small.yaml").write_text(
        "encoder: {class_path: GraphSAGEConfig, init_args: {embedding_dim: 8}}\n"
        "links: {fanouts: [3, 3], num_negatives: 8, num_edges: 16, warmup_epochs: 1}\n"
        "prototypes: {class_path: GraphHeadConfig, init_args: {num_prototypes: 4, nonzeros: 2}}\n"
        "encoder_fit: {epochs: 2, batch_size: 256, minutes: 0}\n"
        "tokenizer: {class_path: RQVAEConfig, init_args: {num_levels: 2, codebook_size: 8}}\n"
        "tokenizer_fit: {epochs: 2, batch_size: 32}\n"
    )
    build = ["graph", "build", "log.parquet", "--out", "run", "--content", "content.npy"]
    assert main([*build, "--config", "billion", "--config", "small.yaml"]) == 0
    assert "learning_rate: 0.01" in Path("run/settings.yaml").read_text()  # from the preset
    assert main(["tokenizer", "fit", "run"]) == 0  # makes the encoder on the way
    ids = SemanticIds.load(Path("run/tokenizer/semantic_ids"))
    assert len(np.unique(ids.codes, axis=0)) == ITEMS
    found = FittedEncoder.load(Path("run/encoder"))
    assert found.prototypes.num_items == ITEMS and len(found.embeddings.users) == 0
    capsys.readouterr()
    assert main(["encoder", "fit", "run"]) == 0
    assert "reused" in capsys.readouterr().out
    assert main(["recommender", "fit", "run"]) == 2
    assert "has the graph of a log" in capsys.readouterr().err
    known = json.loads(Path("run/run.json").read_text())
    np.save("content.npy", np.zeros((3, 8), np.float32))
    Path("run/run.json").write_text(json.dumps(known))
    assert main(["encoder", "fit", "run"]) == 2
    assert "expected features [40, F] of the graph's items, got [3, 8]" in capsys.readouterr().err
