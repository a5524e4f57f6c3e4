"""Items that come after the fit get IDs, memberships and a place in the ranking, and nothing else moves."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from toy_bundle import make_bundle

from g2rec.bundle import Bundle, ContentEmbedding
from g2rec.encoders import LightGCNConfig
from g2rec.errors import ConfigError, DataError
from g2rec.interactions import Interactions
from g2rec.prototypes import GraphHeadConfig, ModularityConfig
from g2rec.recipes import ContentSpec, Recipe
from g2rec.recommenders import G2RecConfig, TransformerConfig
from g2rec.tokenizers import RQKMeansConfig
from g2rec.training import FitConfig
from g2rec.training.pipeline import Run
from g2rec.training.run_config import RunConfig

SHORT = FitConfig(epochs=3, batch_size=256, accelerator="cpu")
SMALL = RunConfig(
    encoder=LightGCNConfig(embedding_dim=8),
    prototypes=GraphHeadConfig(num_prototypes=5, nonzeros=2),
    encoder_fit=dataclasses.replace(SHORT, epochs=12, learning_rate=5e-3),
    tokenizer=RQKMeansConfig(num_levels=2, codebook_size=16),
    recommender=G2RecConfig(transformer=TransformerConfig(embedding_dim=16, num_layers=1, max_len=10)),
    recommender_fit=SHORT,
)


@pytest.fixture(scope="module")
def of_text(toy_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose content is made of titles."""
    recipe = dataclasses.replace(toy_recipe, content=ContentSpec(kind="tfidf", columns=("title",), dim=8))
    folder = tmp_path_factory.mktemp("text")
    Run(folder, recipe, SMALL).write_bundle()
    return Bundle.load(folder / "bundle")


@pytest.fixture(scope="module")
def of_head(toy_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose content is given as vectors, with memberships of the graph head."""
    folder = tmp_path_factory.mktemp("head")
    Run(folder, toy_recipe, SMALL).write_bundle()
    return Bundle.load(folder / "bundle")


@pytest.fixture(scope="module")
def of_vectors(toy_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose content is given as vectors, with memberships that no head gives."""
    settings = dataclasses.replace(SMALL, prototypes=ModularityConfig(num_prototypes=5, nonzeros=2))
    folder = tmp_path_factory.mktemp("vectors")
    Run(folder, toy_recipe, settings).write_bundle()
    return Bundle.load(folder / "bundle")


def titles(bundle: Bundle, rows: slice = slice(0, 6)) -> list[str]:
    return bundle.interactions.titles[rows]


def test_content_of_the_catalogue_is_made_again(of_text: Bundle, of_vectors: Bundle) -> None:
    log = of_text.interactions
    assert log.content_map is not None
    np.testing.assert_array_equal(log.content_map.table(log.items), log.content)
    assert of_vectors.interactions.content_map is not None
    raw = np.asarray(of_vectors.interactions.content) * of_vectors.interactions.content_map.scale
    raw = raw + of_vectors.interactions.content_map.mean
    again = of_vectors.interactions.content_map.table(pa.table({"content": raw.tolist()}))
    np.testing.assert_allclose(again, of_vectors.interactions.content, atol=1e-5)


def test_new_items_get_ids_of_their_own(of_text: Bundle) -> None:
    names = titles(of_text)
    table = of_text.tokenize({"item_id": [f"new{at}" for at in range(6)], "title": names})
    assert table["item_id"].to_pylist() == [f"new{at}" for at in range(6)]
    ids = {tuple(row) for row in table["semantic_id"].to_pylist()}
    held = {tuple(row) for row in of_text.semantic_ids.codes.tolist()}
    assert len(ids) == 6 and not ids & held
    rows = [{"item_id": f"new{at}", "title": name} for at, name in enumerate(names)]
    assert of_text.tokenize(rows).equals(table)
    assert of_text.tokenize(pa.Table.from_pylist(rows)).equals(table)


def test_added_items_are_recommended_and_nothing_else_moves(of_text: Bundle, tmp_path: Path) -> None:
    before = of_text.recommend(user=0, k=20, mode="dense")
    held = of_text.interactions.num_items
    bundle = of_text.add_items({"item_id": [9001, 9002], "title": titles(of_text, slice(3, 5))})
    assert of_text.interactions.num_items == held
    assert bundle.interactions.num_items == held + 2
    for name in ("indices", "weights"):
        mine, theirs = getattr(bundle.prototypes, name), getattr(of_text.prototypes, name)
        np.testing.assert_array_equal(mine[:held], theirs)
    np.testing.assert_array_equal(bundle.semantic_ids.codes[:held], of_text.semantic_ids.codes)
    after = bundle.recommend(user=0, k=20, mode="dense", deny=[9001, 9002])
    assert after["item_id"].equals(before["item_id"])
    np.testing.assert_allclose(after["score"].to_numpy(), before["score"].to_numpy(), atol=1e-5)
    for mode in ("generative", "dense", "hybrid"):
        found = bundle.recommend(user=0, k=2, allow=["9001", "9002"], mode=mode)  # type: ignore[arg-type]
        assert set(map(str, found["item_id"].to_pylist())) == {"9001", "9002"}
    assert bundle.recommend([9001], k=3).num_rows == 3
    assert bundle.explain([9001, 9002], k=3).interests
    assert bundle.similar(9001, k=3).num_rows == 3
    assert {"9001", "9002"} <= set(map(str, bundle.search("", k=held + 2)["item_id"].to_pylist()))
    bundle.save(tmp_path / "more")
    again = Bundle.load(tmp_path / "more")
    assert again.recommend([9001], k=3).equals(bundle.recommend([9001], k=3))
    more = again.add_items({"item_id": [9003], "title": ["another"]})
    assert more.interactions.num_items == held + 3
    with pytest.raises(DataError, match="got '9001': the bundle knows it already"):
        again.add_items({"item_id": [9001], "title": ["x"]})


@pytest.mark.parametrize("kind", ["of_vectors", "of_head"])
def test_new_items_belong_where_their_content_says(kind: str, request: pytest.FixtureRequest) -> None:
    """A twin of an item in content belongs mostly to the prototype of its kind."""
    old: Bundle = request.getfixturevalue(kind)
    log = old.interactions
    assert log.content_map is not None and log.content is not None and old.content_embedding is not None
    raw = np.asarray(log.content) * log.content_map.scale + log.content_map.mean
    bundle = old.add_items({"item_id": [f"{9000 + at}" for at in range(40)], "content": raw[:40].tolist()})
    new = bundle.prototypes.memberships
    np.testing.assert_allclose(new.weights[-40:].sum(1), 1, atol=1e-5)
    assert (new.indices[-40:, 0] == old.prototypes.indices[:40, 0]).mean() > 0.5  # chance is .2
    assert bundle.interactions.titles[-1] == "item 9039"
    again = old.content_embedding.memberships(np.asarray(log.content[:40]))
    np.testing.assert_array_equal(new.indices[-40:], again.indices)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"title": ["a"]}, "a column item_id, got the columns title"),
        ({"item_id": ["a"]}, "the column title, which their content is made of, got item_id"),
        ({"item_id": ["x", "x"], "title": ["a", "b"]}, "got 'x': it is there twice"),
        ({"item_id": [None], "title": ["a"]}, "got None at position 0"),
        ({"item_id": [], "title": []}, "at least one new item"),
        ({"item_id": ["9"], "title": ["a", "b"]}, "cannot be read"),
        ("nothing", "a list of rows, got a str"),
        ([1], "a list of rows, got a list"),
    ],
)
def test_what_is_no_new_item_is_refused(of_text: Bundle, new: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        of_text.tokenize(new)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([[1.0]], r"a vector of \d+ numbers in content of row 0, got 1"),
        ([None], r"a vector of \d+ numbers in content of row 0, got NoneType"),
        ([["a"] * 64], "a vector|expected numbers"),
        ([[float("nan")] * 64], "a vector|has a NaN"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(of_vectors: Bundle, content: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        of_vectors.add_items({"item_id": ["9001"], "content": content})


def test_an_id_that_does_not_fit_the_column_is_refused(of_text: Bundle) -> None:
    with pytest.raises(DataError, match="expected int64 in the column item_id of new items"):
        of_text.add_items({"item_id": ["not a number"], "title": ["a"]})


def test_lists_become_text_where_the_catalogue_has_text(of_text: Bundle) -> None:
    new = {"item_id": [9001], "title": [["thing", "with", "a", "list"]]}
    table = of_text.interactions.items.append_column(
        "kind", pa.nulls(of_text.interactions.num_items, pa.string())
    )
    wide = dataclasses.replace(of_text, interactions=dataclasses.replace(of_text.interactions, items=table))
    bundle = wide.add_items({**new, "kind": [["a", "b"]]})
    assert bundle.interactions.items["kind"].to_pylist()[-1] == "a b"


def test_a_bundle_that_cannot_take_new_items_says_so(of_text: Bundle) -> None:
    with pytest.raises(ConfigError, match="has no content, so nothing is known"):
        make_bundle().add_items({"item_id": ["9"], "title": ["a"]})
    older = dataclasses.replace(of_text, tokenizer=None, content_embedding=None)
    with pytest.raises(ConfigError, match="an older g2rec wrote it"):
        older.tokenize({"item_id": ["9"], "title": ["a"]})


def test_content_that_leads_nowhere_is_left_out(toy: Interactions) -> None:
    none = dataclasses.replace(toy, content=None)
    prototypes = make_bundle().prototypes
    assert ContentEmbedding.fit(none, np.zeros((toy.num_items, 8), np.float32), prototypes) is None


def test_a_number_written_otherwise_is_not_another_item(of_text: Bundle) -> None:
    """In a catalogue of whole numbers "007" would become a second item 7, which every lookup finds."""
    with pytest.raises(DataError, match="got '0099999'; write it as 99999"):
        of_text.add_items([{"item_id": "0099999", "title": "stranger"}])
    assert of_text.add_items([{"item_id": "99999", "title": "stranger"}]).item_index([99999]).size == 1


def test_rows_need_not_have_the_same_keys(of_text: Bundle) -> None:
    found = of_text.tokenize([{"item_id": 99998}, {"item_id": 99999, "title": "two", "note": "later"}])
    assert found["item_id"].to_pylist() == ["99998", "99999"]
