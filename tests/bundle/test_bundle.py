"""A bundle comes back the same, refuses what does not belong to it, and explains itself."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_bundle import LENGTH, NUM_ITEMS, make_bundle

from g2rec.bundle import Bundle, name_interests
from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.prototypes import InterestPrototypes


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(0)
    return make_bundle()


def test_a_saved_bundle_recommends_the_same(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "bundle")
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.recommend(user=103).equals(bundle.recommend(user=103))
    assert not [path for path in tmp_path.iterdir() if path.name != "bundle"]


def test_a_part_of_another_run_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    torch.manual_seed(1)
    bundle.save(tmp_path / "one")
    make_bundle(seed=1).save(tmp_path / "two")
    shutil.rmtree(tmp_path / "one" / "recommender")
    shutil.copytree(tmp_path / "two" / "recommender", tmp_path / "one" / "recommender")
    with pytest.raises(
        ArtifactError, match=r"one was saved with recommender \w+, it holds recommender \w+; restore"
    ):
        Bundle.load(tmp_path / "one")


def test_a_damaged_manifest_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "bundle")
    (tmp_path / "bundle" / "prototypes" / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"prototypes/manifest.json is missing"):
        Bundle.load(tmp_path / "bundle")


def test_a_failed_save_leaves_the_old_bundle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.save(tmp_path / "bundle")

    def full(*_: Any, **__: Any) -> None:
        raise ArtifactError("writing failed: No space left on device")

    monkeypatch.setattr(type(bundle.recommender), "save", full)
    with pytest.raises(ArtifactError, match="No space left"):
        bundle.save(tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    Bundle.load(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["mine", "log.csv"])
def test_what_is_no_bundle_is_not_replaced(bundle: Bundle, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "log.csv").write_text("mine")
    with pytest.raises(ArtifactError, match="which g2rec did not write and does not replace"):
        bundle.save(tmp_path / name)
    assert (tmp_path / "mine" / "notes.txt").read_text() == (tmp_path / "log.csv").read_text() == "mine"
    with pytest.raises(ArtifactError, match="expected a folder's name"):
        bundle.save(".")


def test_parts_of_two_runs_do_not_make_a_bundle(bundle: Bundle) -> None:
    other = make_bundle(seed=1)
    with pytest.raises(ArtifactError, match="trained on other semantic IDs"):
        dataclasses.replace(bundle, recommender=other.recommender)


@pytest.mark.parametrize("mode", [None, "generative", "dense", "hybrid"])
def test_seen_items_are_left_out_unless_wanted(bundle: Bundle, mode: Any) -> None:
    seen = {f"i{item}" for item in bundle.interactions.item_index[:LENGTH]}
    fresh = bundle.recommend(user=100, k=NUM_ITEMS - LENGTH, mode=mode)
    assert set(fresh["item_id"].to_pylist()) == {f"i{item}" for item in range(NUM_ITEMS)} - seen
    assert (
        set(bundle.recommend(user=100, k=NUM_ITEMS, mode=mode, exclude_seen=False)["item_id"].to_pylist())
        >= seen
    )
    scores = fresh["score"].to_numpy()
    assert np.all(np.diff(scores) <= 0)


def test_a_user_is_what_the_user_did(bundle: Bundle) -> None:
    history = bundle.item_ids(bundle.interactions.item_index[:LENGTH])
    assert bundle.recommend(history=history).equals(bundle.recommend(user="100"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda b: b.recommend(user=7), DataError, r"one of the 12 known users \(such as '100'\), got '7'"),
        (lambda b: b.recommend(history=["i1", "zz"]), DataError, r"one of the 30 known items .*, got 'zz'"),
        (lambda b: b.recommend(history=[]), DataError, "a history of at least one item"),
        (lambda b: b.recommend(), ConfigError, "a user or a history, got neither"),
        (
            lambda b: b.recommend(user=100, k=23),
            ConfigError,
            "k between 1 and the 22 items that the user has not",
        ),
        (
            lambda b: b.recommend(user=100, k=31, exclude_seen=False),
            ConfigError,
            "k between 1 and the 30 items, got 31",
        ),
        (
            lambda b: b.recommend(user=100, mode="best"),
            ConfigError,
            "mode to be generative, dense, hybrid, got 'best'",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    bundle: Bundle, call: Callable[[Bundle], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(bundle)


def test_an_explanation_adds_up(bundle: Bundle) -> None:
    explained = bundle.explain(user=100, k=3)
    weights = {interest.index: weight for interest, weight in explained.interests}
    assert sum(weights.values()) == pytest.approx(1)
    table = bundle.recommend(user=100, k=3)
    assert [item.item_id for item in explained.items] == table["item_id"].to_pylist()
    for item in explained.items:
        index = bundle.item_index([item.item_id])[0]
        own = dict(zip(bundle.prototypes.indices[index], bundle.prototypes.weights[index], strict=True))
        assert item.overlap == pytest.approx(sum(weights.get(a, 0) * p for a, p in own.items()), abs=1e-6)
        assert set(item.shared) == {a for a in own if a in weights}


def test_interests_are_named_by_membership_and_use() -> None:
    prototypes = InterestPrototypes(
        np.eye(2, dtype=np.float32),
        np.array([[0, 1], [0, 1], [1, 0]], dtype=np.int32),
        np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1]], dtype=np.float32),
        "graph_head",
    )
    first, second = name_interests(prototypes, ["Rare", "Hit", "Other"], np.array([1, 9, 1]))
    assert first.titles == ("Hit", "Rare", "Other")
    assert second.titles == ("Hit", "Other")
    assert (first.mass, second.mass) == (pytest.approx(1.6), pytest.approx(1.4))
    assert first.name == "Hit · Rare"
