"""The strong simple baselines: their equations by hand, what they refuse, and the fusion of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from toy_run import TOY

from g2rec.artifacts import StageRecord
from g2rec.errors import ConfigError, DataError
from g2rec.graph import build_coengagement
from g2rec.interactions import TRAIN, Interactions
from g2rec.recipes import load_recipe
from g2rec.recommenders import (
    EASE,
    EASEConfig,
    Fusion,
    HistoryBatch,
    ItemKNN,
    ItemTransitions,
    NearItems,
    Popularity,
    Recommender,
    SASRec,
    SASRecConfig,
    TextNeighbors,
    TextNeighborsConfig,
    TransformerConfig,
    WordNeighbors,
    history_batch,
)
from g2rec.training import FitConfig
from g2rec.training.baselines import fit_baseline, fusion_parts
from g2rec.training.fusion import fit_fusion
from g2rec.training.pipeline import TITLES, Run
from g2rec.training.ranking import rank_all
from g2rec.training.run_config import RunConfig
from g2rec.training.sequence import ITEM_GRAPH

SMALL = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, dropout=0.0, max_len=10)
CONFIG = RunConfig(
    sasrec=SASRecConfig(transformer=SMALL),
    sasrec_fit=FitConfig(epochs=1, batch_size=64, accelerator="cpu"),
)


def histories(*rows: list[int]) -> HistoryBatch:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    history = np.array([item for row in rows for item in row], dtype=np.int32)
    return history_batch(indptr, history, np.arange(len(rows)))


def test_ease_is_the_closed_form(toy: Interactions) -> None:
    config = EASEConfig(regularization=20.0, decay=0.5, neighbours=toy.num_items)
    events = toy.train_events()
    X = np.zeros((toy.num_users, toy.num_items))
    X[events.user_index, events.item_index] = 1.0
    P = np.linalg.inv(X.T @ X + 20.0 * np.eye(toy.num_items))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0.0)
    expected = B[5] + 0.5 * B[9] + 0.25 * B[2]  # the last item votes most
    scores = EASE.fit(toy, config).score(histories([2, 9, 5]))
    np.testing.assert_allclose(scores[0].numpy(), expected, atol=1e-5)


def test_ease_keeps_the_largest_weights(toy: Interactions) -> None:
    whole = EASE.fit(toy, EASEConfig(neighbours=toy.num_items)).rows
    few = EASE.fit(toy, EASEConfig(neighbours=4)).rows
    assert len(few.values) == 4 * toy.num_items
    row = whole.values[whole.indptr[7] : whole.indptr[8]].abs()
    kept = few.values[few.indptr[7] : few.indptr[8]].abs()
    torch.testing.assert_close(kept.sort(descending=True).values, row.topk(4).values)


def test_a_catalogue_too_large_for_ease_is_one_sentence(
    toy: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("g2rec.recommenders._ease.available_bytes", lambda: 10_000)
    with pytest.raises(DataError, match=r"EASE of 90 items needs .* GB .* leave ease out of the baselines"):
        EASE.fit(toy, device="cpu")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (EASEConfig(regularization=0.0), "regularization must be positive, got 0.0"),
        (EASEConfig(decay=1.5), r"decay must be in \(0, 1\], got 1.5"),
        (EASEConfig(neighbours=0), "neighbours must be at least 1, got 0"),
    ],
)
def test_bad_settings_of_ease_are_one_sentence(toy: Interactions, config: EASEConfig, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        EASE.fit(toy, config)


def test_text_neighbours_by_hand() -> None:
    content = np.array([[3.0, 0.0], [0.0, 0.5], [1.0, 1.0]], dtype=np.float32)
    model = TextNeighborsConfig(last_items=2, decay=0.5).build(content=content)
    scores = model.score(histories([2, 0, 1]))[0]
    root = 0.5**0.5
    np.testing.assert_allclose(scores.numpy(), [0.5, 1.0, root + 0.5 * root], atol=1e-6)


def test_text_neighbours_need_content(toy: Interactions) -> None:
    bare = dataclasses.replace(toy, content=None)
    with pytest.raises(DataError, match=r"text_neighbors needs item content, .* has none; .* leave"):
        TextNeighbors.fit(bare)
    assert "text_neighbors" in fusion_parts(toy.content is not None)
    assert "text_neighbors" not in fusion_parts(bare.content is not None)


def test_word_neighbours_by_hand(toy: Interactions) -> None:
    titles = ["Blue car", "red car", "Red kite", "kite red", "boat"] + [f"thing{i}" for i in range(85)]
    at = toy.items.column_names.index("title")
    table = toy.items.set_column(at, "title", pa.array(titles))
    model = WordNeighbors.fit(dataclasses.replace(toy, items=table), TextNeighborsConfig(decay=0.5))
    one = model.score(histories([2]))[0]
    assert one[3] == pytest.approx(1.0, abs=1e-6)  # the same words
    assert one[2] == 0 and one[4] == 0 and one[5:].abs().sum() == 0  # an item has no vote for itself
    assert 0 < one[1] < 1 and one[0] == 0
    two = model.score(histories([0, 2]))[0]
    torch.testing.assert_close(two, one + 0.5 * model.score(histories([0]))[0])
    keys = pa.array([str(key) for key in toy.items["item_id"].to_pylist()])
    bare = dataclasses.replace(toy, items=toy.items.set_column(at, "title", keys))
    assert NearItems.by_words(bare) is None
    assert not WordNeighbors.fit(bare).score(histories([2])).any()


def test_embeddings_are_smoothed_along_the_graph(toy: Interactions) -> None:
    graph = build_coengagement(toy, ITEM_GRAPH)
    config = SASRecConfig(transformer=SMALL, hops=2, use_content=True)
    model = config.build(num_items=toy.num_items, coengagement=graph, content=toy.content).eval()
    source, target, weight = graph.edge_list()
    A = np.zeros((toy.num_items, toy.num_items))
    A[source, target] = weight
    root = np.sqrt(np.maximum(A.sum(1), 1e-12))
    A /= root[:, None] * root[None, :]
    assert model.project is not None and toy.content is not None
    unit = toy.content / np.linalg.norm(toy.content, axis=1, keepdims=True)
    E = (model.item_embedding.weight + torch.from_numpy(unit) @ model.project.weight.T).detach().numpy()
    np.testing.assert_allclose(model.table().detach().numpy(), E + A @ E + A @ (A @ E), atol=1e-5)


def test_the_kept_table_is_forgotten_when_training_goes_on(toy: Interactions) -> None:
    graph = build_coengagement(toy, ITEM_GRAPH)
    model = SASRecConfig(transformer=SMALL, hops=1).build(num_items=toy.num_items, coengagement=graph)
    before = model.eval().table().clone()
    model.train()
    with torch.no_grad():
        model.item_embedding.weight.add_(1.0)
    assert not torch.allclose(model.eval().table(), before)


@pytest.mark.parametrize("name", ["sasrec_bce", "sasrec", "sasrec_cosine", "sasrec_graph"])
def test_each_sasrec_is_what_it_is_named(name: str, toy: Interactions, tmp_path: Path) -> None:
    model = fit_baseline(name, toy, CONFIG, tmp_path)  # type: ignore[arg-type]
    assert isinstance(model, SASRec)
    settings = model.config
    assert settings.transformer == SMALL
    shown = (
        settings.loss,
        settings.logits,
        settings.label_smoothing,
        settings.hops,
        model.content is not None,
    )
    assert (
        shown
        == {
            "sasrec_bce": ("bce", "dot", 0.0, 0, False),
            "sasrec": ("softmax", "dot", 0.0, 0, False),
            "sasrec_cosine": ("softmax", "cosine", 0.1, 0, False),
            "sasrec_graph": ("softmax", "cosine", 0.1, 2, True),
        }[name]
    )


def test_what_is_counted_sees_training_events_only(toy: Interactions) -> None:
    held_out = toy.part != TRAIN
    changed = np.where(held_out, (toy.item_index + 7) % toy.num_items, toy.item_index)
    other = dataclasses.replace(toy, item_index=changed.astype(np.int32))
    for fit in (EASE.fit, ItemTransitions.fit, ItemKNN.fit):
        first, second = fit(toy).state_dict(), fit(other).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)
    first_graph, second_graph = build_coengagement(toy, ITEM_GRAPH), build_coengagement(other, ITEM_GRAPH)
    assert np.array_equal(first_graph.weights, second_graph.weights)
    assert np.array_equal(first_graph.indices, second_graph.indices)


def test_what_a_sasrec_lacks_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="hops=2 needs a co-engagement graph, got none"):
        SASRecConfig(hops=2).build(num_items=9)
    with pytest.raises(ConfigError, match="use_content needs item content, got none"):
        SASRecConfig(use_content=True).build(num_items=9)
    with pytest.raises(ConfigError, match="hops must not be negative, got -1"):
        SASRecConfig(hops=-1).build(num_items=9)


def masked_ndcg(model: Recommender, log: Interactions) -> float:
    return float(rank_all(model, log.targets("validation")).ndcg(masked=True).mean())


def test_the_fusion_is_no_worse_than_its_best_part(toy: Interactions) -> None:
    parts = {"item_transitions": ItemTransitions.fit(toy), "text_neighbors": TextNeighbors.fit(toy)}
    fused = fit_fusion(toy, parts)
    assert masked_ndcg(fused, toy) >= max(masked_ndcg(part, toy) for part in parts.values()) - 1e-6


def test_scores_are_standardised_over_what_is_not_in_the_history(toy: Interactions) -> None:
    part = TextNeighbors.fit(toy)
    batch = histories([4, 8], [])
    scores = Fusion({"text": part}, torch.tensor([2.0]), -3.0).score(batch)
    fresh = np.setdiff1d(np.arange(toy.num_items), [4, 8])
    plain = part.score(batch)[0].numpy()
    z = (plain - plain[fresh].mean()) / plain[fresh].std()
    np.testing.assert_allclose(scores[0].numpy()[fresh], 2 * z[fresh], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scores[0].numpy()[[4, 8]], 2 * z[[4, 8]] - 3.0, rtol=1e-4)
    assert (scores[1] == 0).all()  # nothing is known of a user without a history


def test_the_history_goes_where_validation_says(toy: Interactions) -> None:
    """No event repeats in the toy graph, so without a mask the history is put last."""
    fused = fit_fusion(toy, {"text_neighbors": TextNeighbors.fit(toy), "ease": EASE.fit(toy)})
    assert float(fused.repeat) < 0
    ranks = rank_all(fused, toy.targets("validation"))
    plain, masked = float(ranks.ndcg().mean()), float(ranks.ndcg(masked=True).mean())
    assert plain == pytest.approx(masked, rel=0.05)


def test_what_a_fusion_refuses_is_one_sentence(toy: Interactions, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fusion needs fitted parts, got none; fit sasrec_graph, text"):
        fit_baseline("fusion", toy, CONFIG, tmp_path)
    with pytest.raises(ConfigError, match=r"a fusion holds sasrec, .* got popularity as p; leave it out"):
        Fusion({"p": Popularity.fit(toy)}, torch.ones(1), 0.0)
    with pytest.raises(ConfigError, match="parts of one catalogue and a weight for each, got 1 parts"):
        Fusion({"t": TextNeighbors.fit(toy)}, torch.ones(2), 0.0)


def test_the_fusion_of_a_run_takes_the_run_s_own_parts(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(TOY)
    seen: list[StageRecord] = []
    recipe = load_recipe(str(tmp_path / "toy.yaml"))
    run = Run(tmp_path / "run", recipe, CONFIG, announce=seen.append)
    run.baseline("ease")
    first = run.baseline("fusion")
    assert isinstance(first, Fusion)
    assert [(stage.name, stage.reused) for stage in seen] == [
        ("interactions", False),
        ("baselines/ease", False),
        ("baselines/sasrec_graph", False),
        ("baselines/text_neighbors", False),
        ("baselines/word_neighbors", False),
        ("baselines/ease", True),
        ("baselines/item_transitions", False),
        ("baselines/recent_popularity", False),
        ("baselines/newness", False),
        ("baselines/fusion", False),
    ]
    del seen[:]
    again = Run(tmp_path / "run", recipe, CONFIG, announce=seen.append).baseline("fusion")
    assert all(stage.reused for stage in seen)
    before, after = first.state_dict(), again.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert {*fusion_parts(run.interactions.content is not None), "fusion"} <= set(TITLES)
