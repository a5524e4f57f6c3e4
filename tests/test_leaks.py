"""The three leak tests of the design: nothing that is fitted or fed sees what it must not."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest

from g2rec.encoders import LightGCNConfig
from g2rec.interactions import TEST, VALIDATION, Interactions, InteractionsConfig
from g2rec.prototypes import GraphHeadConfig
from g2rec.recipes import ContentSpec, Filters, RawDataset, Recipe, read_dataset
from g2rec.recommenders import G2RecConfig, ItemTimeline, TransformerConfig, history_batch
from g2rec.tokenizers import RQVAEConfig
from g2rec.training import FitConfig
from g2rec.training.pipeline import Run
from g2rec.training.run_config import RunConfig

SHORT = FitConfig(epochs=2, batch_size=512, accelerator="cpu")
SMALL = RunConfig(
    encoder=LightGCNConfig(embedding_dim=8),
    prototypes=GraphHeadConfig(num_prototypes=5, nonzeros=2),
    encoder_fit=SHORT,
    tokenizer=RQVAEConfig(num_levels=2, codebook_size=16, latent_dim=8, hidden_dims=(16,)),
    tokenizer_fit=SHORT,
    recommender=G2RecConfig(transformer=TransformerConfig(embedding_dim=8, num_layers=1, max_len=10)),
    recommender_fit=SHORT,
)


@pytest.fixture(scope="module")
def recipe(toy_recipe: Recipe) -> Recipe:
    """No filter that looks at all events, and content that has to be fitted."""
    content = ContentSpec(kind="tfidf", columns=("title",), dim=8)
    return dataclasses.replace(toy_recipe, filters=Filters(deduplicate=False), content=content)


def fit(recipe: Recipe, raw: RawDataset, folder: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("g2rec.training.pipeline.read_dataset", lambda *args, **kwargs: raw)
    config = dataclasses.replace(SMALL, interactions=InteractionsConfig(split=split))  # type: ignore[arg-type]
    return Run(folder, recipe, config)


def fitted(run: Run) -> dict[str, Any]:
    """Every array that was fitted on training events."""
    log, (graph, coengagement), encoder, tokens = run.interactions, run.graphs, run.encoder, run.tokenizer
    assert tokens.prototypes is not None and tokens.embeddings is not None
    return {
        "content": log.content,
        "train users": log.train_events().user_index,
        "train items": log.train_events().item_index,
        "neighbours": graph.indices,
        "offsets": graph.indptr,
        "co-engagement": coengagement.indices,
        "co-engagement weights": coengagement.weights,
        "encoder's items": encoder.embeddings.items,
        "encoder's users": encoder.embeddings.users,
        "encoder's prototypes": encoder.prototypes.weights,
        "joint items": tokens.embeddings.items,
        "joint prototypes": tokens.prototypes.weights,
        "prototype vectors": tokens.prototypes.vectors,
        "semantic IDs": tokens.semantic_ids.codes,
        "items over time": None if (timeline := ItemTimeline.of(log)) is None else timeline.counts,
    }


def assert_same(first: dict[str, Any], second: dict[str, Any], *, users: int) -> None:
    for name in first:
        a, b = np.asarray(first[name]), np.asarray(second[name])
        if name in ("encoder's users", "offsets"):  # later users have rows without an event
            a, b = a[:users], b[:users]
        assert np.array_equal(a, b), f"{name} saw later events"


def with_items(raw: RawDataset, rows: Any, seed: int = 1) -> RawDataset:
    """The events of ``rows`` trade their items with each other."""
    items = raw.events["item"].to_numpy().copy()
    traded = np.random.default_rng(seed).permutation(items[rows])
    assert (traded != items[rows]).mean() > 0.8
    items[rows] = traded
    at = raw.events.column_names.index("item")
    column = pa.array(items, raw.events["item"].type)
    return dataclasses.replace(raw, events=raw.events.set_column(at, "item", column))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_prefix_sees_nothing_from_the_target_on(
    toy: Interactions, part: Literal["validation", "test"]
) -> None:
    """Artefacts frozen, a user's target and all that is later changed: the prefix is bit-identical."""
    rng = np.random.default_rng(0)
    codes = np.stack(np.divmod(np.arange(toy.num_items), 16), axis=1)
    vectors = rng.standard_normal((5, 8)).astype(np.float32)
    indices = np.stack([rng.permutation(5)[:2] for _ in range(toy.num_items)]).astype(np.int32)
    weights = rng.dirichlet((1, 1), toy.num_items).astype(np.float32)
    config = G2RecConfig(transformer=TransformerConfig(embedding_dim=8, num_layers=1, max_len=10))
    model = config.build(codes=codes, codebook_size=16, prototypes=(vectors, indices, weights))

    changed = toy.item_index.copy()
    later = toy.part >= (VALIDATION if part == "validation" else TEST)
    changed[later] = (changed[later] + 7) % toy.num_items
    other = dataclasses.replace(toy, item_index=changed)
    prefixes = []
    for log in (toy, other):
        targets = log.targets(part)
        batch = history_batch(targets.indptr, targets.history, targets.user_index).last(10)
        prefixes.append(model.prefix(batch.items, batch.lengths))
    assert not np.array_equal(toy.targets(part).target, other.targets(part).target)
    for first, second in zip(*prefixes, strict=True):
        assert first.equal(second)


def test_b_temporal_artefacts_see_nothing_after_the_cut(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event after the cut changed, everything refitted: every artefact is identical."""
    raw = read_dataset(recipe)
    cut = np.quantile(raw.events["time"].to_numpy(), 0.8, method="higher")
    rows = np.flatnonzero(raw.events["time"].to_numpy() >= cut)
    first = fit(recipe, raw, tmp_path / "a", "temporal", monkeypatch)
    before = fitted(first)
    second = fit(recipe, with_items(raw, rows), tmp_path / "b", "temporal", monkeypatch)
    assert_same(before, fitted(second), users=int(before["train users"].max()) + 1)


def test_c_leave_one_out_artefacts_see_no_held_out_event(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All validation and test events changed, everything refitted: every artefact is identical."""
    raw = read_dataset(recipe)
    user, time = (raw.events[name].to_numpy() for name in ("user", "time"))
    position = (
        raw.events["position"].to_numpy() if "position" in raw.events.column_names else np.arange(len(user))
    )
    order = np.lexsort((position, time, user))
    from_end = np.concatenate([np.arange(n)[::-1] for n in np.unique(user, return_counts=True)[1]])
    rows = order[from_end < 2]
    first = fit(recipe, raw, tmp_path / "a", "leave_one_out", monkeypatch)
    before = fitted(first)
    second = fit(recipe, with_items(raw, rows), tmp_path / "b", "leave_one_out", monkeypatch)
    after = fitted(second)
    assert not np.array_equal(
        first.interactions.targets("test").target, second.interactions.targets("test").target
    )
    assert_same(before, after, users=first.interactions.num_users)


def test_the_leak_tests_can_fail(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing training events changes what is fitted."""
    raw = read_dataset(recipe)
    before = fitted(fit(recipe, raw, tmp_path / "a", "leave_one_out", monkeypatch))
    rows = np.arange(0, raw.num_events, 3)
    after = fitted(fit(recipe, with_items(raw, rows), tmp_path / "b", "leave_one_out", monkeypatch))
    with pytest.raises(AssertionError, match="saw later events"):
        assert_same(before, after, users=10)
