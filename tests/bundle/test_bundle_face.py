"""What people ask a bundle: in batches, with columns of any library, with lists, without an interest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from toy_bundle import LENGTH, NUM_ITEMS, make_bundle

from g2rec.bundle import Bundle
from g2rec.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(0)
    return make_bundle()


class ArrowColumn:
    """What pandas and polars give: a column behind Arrow's C interface."""

    def __init__(self, values: list[Any]) -> None:
        self.values = pa.chunked_array([values])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.values.__arrow_c_stream__(requested_schema)


class ListColumn:
    """An older pandas: no Arrow, only ``to_list``."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def to_list(self) -> list[Any]:
        return self.values


class MixedColumn(ListColumn):
    """Python objects that Arrow refuses, as in a pandas column of mixed IDs."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise pa.ArrowInvalid("mixed")


KINDS: list[Callable[[list[Any]], Any]] = [
    list,
    tuple,
    np.array,
    pa.array,
    lambda values: pa.chunked_array([values]),
    ArrowColumn,
    ListColumn,
    MixedColumn,
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_in_any_column(bundle: Bundle, kind: Callable[[list[Any]], Any]) -> None:
    assert bundle.recommend(kind(["i1", "i2"])).equals(bundle.recommend(["i1", "i2"]))


def test_frames_of_pandas_and_polars() -> None:
    found = 0
    bundle = make_bundle()
    expected = bundle.recommend(["i1", "i2"])
    for name in ("pandas", "polars"):
        try:
            library = __import__(name)
        except ImportError:
            continue
        found += 1
        assert bundle.recommend(library.Series(["i1", "i2"])).equals(expected)
    if not found:
        pytest.skip("neither pandas nor polars is installed")


def test_numbers_are_ids_however_they_are_written() -> None:
    from g2rec.bundle._ids import as_ids

    assert as_ids(np.array([5.0, 7.0]), "items") == as_ids([5, "7"], "items") == ["5", "7"]
    assert as_ids(np.array([5], dtype=np.uint8), "items") == as_ids(pa.array([5]), "items") == ["5"]


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ("i1", "a list of items, got 'i1'; put it into a list"),
        ({"i1": 1}, "put it into a list"),
        (["i1", None], "got None at position 1"),
        ([float("nan")], "got nan at position 0"),
        ([["i1"]], r"got \['i1'\] at position 0"),
        ([True], "got True at position 0"),
        (7, "got a int; make a list of it"),
        (pa.table({"item": ["i1"]}), "got a table; take one column"),
        (["x" * 500], "got 'xxx.{60}"),
    ],
)
def test_what_is_no_history_is_refused(bundle: Bundle, history: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        bundle.recommend(history)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("mode", ["generative", "dense", "hybrid"])
def test_the_same_answer_alone_and_in_a_batch(bundle: Bundle, mode: Any) -> None:
    """Whatever the others in the batch ask for: longer lists, other lengths, lists of their own."""
    rng = np.random.default_rng(0)
    asked: list[dict[str, Any]] = []
    for row in range(40):
        deny = [f"i{item}" for item in rng.integers(NUM_ITEMS, size=3)] if row % 2 else None
        allow = [f"i{item}" for item in rng.permutation(NUM_ITEMS)[:20]] if row % 5 == 0 else None
        asked.append(
            {
                "history": [f"i{item}" for item in rng.permutation(NUM_ITEMS)[: rng.integers(1, 9)]],
                "k": int(rng.integers(1, 22)),
                "exclude_seen": bool(row % 3),
                "allow": allow,
                "deny": deny,
                "without": [int(rng.integers(5))] if row % 4 == 0 else [],
            }
        )
    names = {key: [each[key] for each in asked] for key in asked[0]}
    together = bundle.recommend_many(names.pop("history"), mode=mode, **names)
    assert len(together) == len(asked)
    for each, table in zip(asked, together, strict=True):
        alone = bundle.recommend(mode=mode, **each)
        assert alone["item_id"].equals(table["item_id"])
        assert alone["title"].equals(table["title"])
        np.testing.assert_allclose(alone["score"].to_numpy(), table["score"].to_numpy(), atol=1e-5)


def test_a_batch_in_any_column(bundle: Bundle) -> None:
    histories = [["i1"], ["i2", "i3"]]
    expected = bundle.recommend_many(histories, k=3)
    for given in (pa.array(histories), ArrowColumn(histories), tuple(map(np.array, histories))):
        assert all(a.equals(b) for a, b in zip(bundle.recommend_many(given, k=3), expected, strict=True))
    assert bundle.recommend_many([], k=3) == []
    with pytest.raises(ConfigError, match="one k for all or one for each of 2 histories, got 3"):
        bundle.recommend_many(histories, k=[1, 2, 3])


@pytest.mark.parametrize("mode", ["generative", "dense", "hybrid"])
def test_lists_rule_what_is_recommended(bundle: Bundle, mode: Any) -> None:
    shop = ["i3", "i4", "i5", "unknown"]
    table = bundle.recommend(["i1"], allow=shop, mode=mode)
    assert set(table["item_id"].to_pylist()) == {"i3", "i4", "i5"}
    table = bundle.recommend(["i1"], allow=shop, deny=np.array(["i4", "gone"]), mode=mode)
    assert set(table["item_id"].to_pylist()) == {"i3", "i5"}
    assert bundle.recommend(["i1"], allow=["unknown"], mode=mode).num_rows == 0
    assert "i4" not in bundle.recommend(["i1"], k=29, deny=["i4"], mode=mode)["item_id"].to_pylist()


def test_an_interest_can_be_switched_off(bundle: Bundle) -> None:
    history = [f"i{item}" for item in bundle.interactions.item_index[:LENGTH]]
    before = bundle.explain(history, k=5)
    gone = before.interests[0][0].index
    after = bundle.explain(history, k=5, without=[gone])
    assert gone not in {interest.index for interest, _ in after.interests}
    assert sum(weight for _, weight in after.interests) == pytest.approx(1)
    assert all(gone not in item.shared for item in after.items)
    assert [item.score for item in before.items] != [item.score for item in after.items]
    assert not set(history) & {item.item_id for item in after.items}  # unread, but seen all the same
    everything = range(bundle.prototypes.num_prototypes)
    assert bundle.explain(history, k=5, without=list(everything)).interests == ()
    for wrong in ([5], [-1], ["0"], [True]):
        with pytest.raises(ConfigError, match="prototypes between 0 and 4 in without"):
            bundle.recommend(history, without=wrong)


def test_a_switched_off_interest_leaves_the_prefix_and_the_evidence() -> None:
    from g2rec.recommenders import HistoryBatch

    model = make_bundle().recommender
    assert model.interests is not None
    items = torch.tensor([[1, 2, 3]])
    batch = HistoryBatch(torch.tensor([-1]), items, torch.tensor([3]))
    first = int(model.prefix(items, batch.lengths)[0][0, 0])
    off = torch.zeros(1, 5, dtype=torch.bool)
    off[0, first] = True
    indices, weights = model.prefix(items, batch.lengths, off)
    assert first not in indices
    assert float(weights.sum()) == pytest.approx(1)
    left = model.interests.share_left(items, off)[0]
    inside = model.interests.indices[items[0]] == first
    expected = (model.interests.weights[items[0]] * ~inside).sum(1)
    torch.testing.assert_close(left, expected)
    alone = HistoryBatch(batch.user_index, items, batch.lengths, torch.zeros(1, 5, dtype=torch.bool))
    torch.testing.assert_close(model.score(batch), model.score(alone))


def test_an_explanation_says_what_was_read(bundle: Bundle) -> None:
    history = ["i1", "i2", "i1", "i7"]
    explained = bundle.explain(history, k=4)
    for (interest, weight), past in zip(explained.interests, explained.past, strict=True):
        assert weight > 0
        assert sum(item.share for item in past) == pytest.approx(1)
        assert [item.share for item in past] == sorted((item.share for item in past), reverse=True)
        for item in past:
            assert item.item_id in history
            assert interest.index in bundle.prototypes.indices[bundle.item_index([item.item_id])[0]]
    for item in explained.items:
        row = bundle.item_index([item.item_id])[0]
        assert item.semantic_id == tuple(bundle.semantic_ids.codes[row].tolist())


def test_similar_items(bundle: Bundle) -> None:
    table = bundle.similar("i3", k=NUM_ITEMS - 1)
    assert table.column_names == ["item_id", "title", "score", "shared_levels"]
    assert sorted(table["item_id"].to_pylist()) == sorted(f"i{at}" for at in range(NUM_ITEMS) if at != 3)
    items = bundle.embeddings.items
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    for row in table.slice(0, 5).to_pylist():
        other = bundle.item_index([row["item_id"]])[0]
        assert row["score"] == pytest.approx(float(unit[3] @ unit[other]), abs=1e-6)
        same = bundle.semantic_ids.codes[3] == bundle.semantic_ids.codes[other]
        assert row["shared_levels"] == (0 if not same[0] else 1 if not same[1] else 2)
    scores = table["score"].to_numpy()
    assert np.all(np.diff(scores) <= 0)
    with pytest.raises(DataError, match="known items"):
        bundle.similar("zz")
    with pytest.raises(ConfigError, match="k between 1 and the 29 other items, got 30"):
        bundle.similar("i3", k=30)


def test_search_finds_words_and_beginnings() -> None:
    from g2rec.bundle._search import TitleSearch

    titles = ["Misérables, Les", "Star Wars (1977)", "A Star Is Born", "The Mustard Tin", "STARGATE"]
    search = TitleSearch(titles, np.array([1, 9, 3, 5, 4]))
    assert search.rows("star", 10).tolist() == [1, 4, 2]
    assert search.rows("wars STA", 10).tolist() == [1]
    assert search.rows("les miserables", 10).tolist() == [0]
    assert search.rows("  ", 2).tolist() == [1, 3]
    assert search.rows("(.*", 2).tolist() == [1, 3]
    assert search.rows("nothing", 5).tolist() == []


def test_search_in_a_bundle(bundle: Bundle) -> None:
    table = bundle.search("item 1", k=50)
    assert set(table["title"].to_pylist()) == {f"Item <{at}>" for at in [1, *range(10, 20)]}
    events = table["events"].to_pylist()
    assert events == sorted(events, reverse=True)
    with pytest.raises(ConfigError, match="k of at least 1"):
        bundle.search("item", k=0)


@pytest.mark.parametrize("k", [0, -1, 10**9, 2.5, True, "3"])
def test_a_bad_k_is_refused(bundle: Bundle, k: Any) -> None:
    with pytest.raises(ConfigError, match="expected k"):
        bundle.recommend(["i1"], k=k)


def test_arguments_of_many_in_any_column(bundle: Bundle) -> None:
    histories = [["i1", "i2"], ["i3"]]
    expected = [
        bundle.recommend(history, k=3, deny=[denied], exclude_seen=False)
        for history, denied in zip(histories, ["i4", "i5"], strict=True)
    ]
    found = bundle.recommend_many(
        pa.array(histories), k=np.int64(3), exclude_seen=np.bool_(False), deny=pa.array([["i4"], ["i5"]])
    )
    assert [table["item_id"] for table in found] == [table["item_id"] for table in expected]


def test_a_user_is_an_id_like_any_other(bundle: Bundle) -> None:
    assert bundle.recommend(user=100.0).equals(bundle.recommend(user="100"))  # type: ignore[arg-type]


def test_a_search_is_for_text(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="expected a text to search for, got None"):
        bundle.search(None)  # type: ignore[arg-type]
