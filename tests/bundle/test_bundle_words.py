"""Words of groups of items, and the category column of a catalogue."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from g2rec.bundle import group_words, item_labels, item_terms, name_interests
from g2rec.prototypes import InterestPrototypes


def catalogue() -> pa.Table:
    """Forty nail polishes and forty shampoos; every title ends in a size."""
    polish = [f"OPI Nail Polish shade {at}, {at}.5 oz" for at in range(40)]
    shampoo = [f"Tigi Shampoo for Curly Hair {at} oz (Pack of 2)" for at in range(40)]
    return pa.table({"title": polish + shampoo, "categories": [["Beauty", "Nails"]] * 40 + [["Beauty"]] * 40})


def halves() -> csr_matrix:
    return csr_matrix(np.repeat(np.eye(2), 40, axis=0))


def test_words_of_groups_are_their_own() -> None:
    terms = item_terms(catalogue())
    assert "beauty" not in terms.terms  # all items carry it
    assert not {"oz", "pack", "5", "for"} & set(terms.terms)
    polish, shampoo = group_words(halves(), terms)
    assert "Nail Polish" in polish or "OPI Nail" in polish
    assert "Shampoo for Curly" in shampoo or "Tigi Shampoo" in shampoo
    said = [word for phrase in polish for word in phrase.lower().split()]
    assert len(said) == len(set(said))


def test_groups_at_random_have_no_words() -> None:
    groups = csr_matrix(np.tile(np.eye(2), (40, 1)))
    assert group_words(groups, item_terms(catalogue())) == [(), ()]


def test_words_do_not_depend_on_the_order_of_the_items() -> None:
    order = np.random.default_rng(0).permutation(80)
    mixed = group_words(halves()[order], item_terms(catalogue().take(pa.array(order))))
    assert mixed == group_words(halves(), item_terms(catalogue()))


def test_a_catalogue_of_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    none = item_terms(catalogue().slice(0, 0))
    assert none.terms == ()
    monkeypatch.setattr("g2rec.bundle._words._MOST_ITEMS", 50)
    popularity = np.arange(80)[::-1]  # the polishes first, then ten shampoos
    read = item_terms(catalogue(), popularity)
    assert len(read.items) == 50
    assert group_words(halves(), read)[1]


def test_decades_and_genres_are_terms() -> None:
    table = pa.table(
        {"title": ["A"] * 12, "year": ["1942"] * 5 + ["x"] * 7, "genres": [["War"]] * 5 + [[]] * 7}
    )
    assert set(item_terms(table).shown) == {"1940s", "War"}


def test_an_interest_with_words_is_named_by_them() -> None:
    prototypes = InterestPrototypes(
        np.eye(2, dtype=np.float32),
        np.repeat([[0], [1]], 40, axis=0).astype(np.int32),
        np.ones((80, 1), np.float32),
        "graph_head",
    )
    table = catalogue()
    titles = table["title"].to_pylist()
    named = name_interests(prototypes, titles, np.ones(80, np.int64), terms=item_terms(table))
    assert named[0].words
    assert named[0].name.startswith(named[0].words[0])
    assert len(named[0].titles) == 6


def test_labels_of_each_kind_of_catalogue() -> None:
    paths = item_labels(catalogue())
    assert paths is not None
    assert (paths.source, paths.names) == ("level 2 of the column categories", ("Beauty", "Nails"))
    genres = item_labels(pa.table({"genres": [["War", "Drama"], ["Drama"], None]}))
    assert genres is not None
    assert genres.index.tolist() == [1, 0, -1]
    planted = pa.table({"dominant_interest": [3, 5, 3], "dominant_weight": [0.9, 0.8, 0.5]})
    own = item_labels(planted)
    assert own is not None
    assert (own.names, own.index.tolist()) == (("interest 3", "interest 5"), [0, 1, -1])
    plain = item_labels(pa.table({"category": ["b", None, "a", ""]}))
    assert plain is not None
    assert plain.index.tolist() == [1, -1, 0, -1]


def test_a_path_is_cut_where_values_stay_few() -> None:
    found = item_labels(pa.table({"categories": [["All", f"c{at % 7}", f"item {at}"] for at in range(99)]}))
    assert found is not None
    assert len(found.names) == 7


def test_no_labels_without_a_column_that_tells_items_apart() -> None:
    assert item_labels(pa.table({"title": ["a", "b"]})) is None
    assert item_labels(pa.table({"category": ["a", "a"]})) is None
    assert item_labels(pa.table({"categories": pa.array([None, None], pa.list_(pa.string()))})) is None
