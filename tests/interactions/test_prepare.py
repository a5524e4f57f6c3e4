"""Filters, splits, ids and content of the interactions."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from g2rec.errors import ConfigError, DataError
from g2rec.interactions import (
    TEST,
    TRAIN,
    VALIDATION,
    Interactions,
    InteractionsConfig,
    k_core,
    keep_first,
    prepare,
)
from g2rec.recipes import ContentSpec, Filters, RawDataset, Recipe, Source, SyntheticConfig, generate


def make_recipe(**changes):
    plain = {"content": ContentSpec(kind="none"), "ties": "file_order"}
    return Recipe(
        name="tiny", title="Tiny", licence="none", sources=(Source(reader="synthetic"),), **(plain | changes)
    )


def make_raw(user, item, time=None, titles=None, **columns):
    events = {"user": user, "item": item, **columns}
    if time is not None:
        events["time"] = pa.array(time, pa.int64())
    if "position" not in columns:
        events["position"] = list(range(len(user)))
    listed = sorted(set(item))
    titles = titles or {}
    items = {
        "item": listed,
        "item_id": listed,
        "title": pa.array([titles.get(i) for i in listed], pa.string()),
    }
    return RawDataset(name="tiny", events=pa.table(events), items=pa.table(items))


def external(interactions, rows=slice(None)):
    """(user, item) pairs with external ids, in the order of the interactions."""
    users = np.asarray(interactions.user_ids.to_pylist())[interactions.user_index[rows]]
    items = np.asarray(interactions.items["item_id"].to_pylist())[interactions.item_index[rows]]
    return list(zip(users.tolist(), items.tolist(), strict=True))


def item_ids(interactions, index):
    return [interactions.items["item_id"][int(i)].as_py() for i in index]


@pytest.fixture(scope="module")
def planted():
    data = generate(SyntheticConfig(num_users=200, num_items=120, num_interests=6, events_per_user=12))
    return RawDataset(name="planted", events=data.events, items=data.items, content=data.content)


def test_leave_one_out_by_hand():
    raw = make_raw(
        ["a", "a", "b", "a", "a", "b"], ["x", "y", "x", "z", "w", "y"], time=[30, 10, 1, 20, 40, 2]
    )
    done = prepare(raw, make_recipe())
    assert done.num_users == 2
    assert done.num_items == 4
    of_a = [item for user, item in external(done) if user == "a"]
    assert of_a == ["y", "z", "x", "w"]
    a = done.user_ids.to_pylist().index("a")
    assert done.part[done.user_index == a].tolist() == [TRAIN, TRAIN, VALIDATION, TEST]
    assert done.part[done.user_index != a].tolist() == [TRAIN, TRAIN]  # two events: only training
    validation, test = done.targets("validation"), done.targets("test")
    assert item_ids(done, validation.target) == ["x"]
    assert item_ids(done, validation.history) == ["y", "z"]
    assert item_ids(done, test.target) == ["w"]
    assert item_ids(done, test.history) == ["y", "z", "x"]
    assert test.history_time.tolist() == [10, 20, 30]
    assert test.target_time.tolist() == [40]
    assert len(done.train_events().user_index) == 4
    sequences = done.train_sequences()
    assert np.diff(sequences.indptr).tolist() == [2, 2]
    assert done.titles[0].startswith("item ")


def test_next_new_item_by_hand():
    user = ["a"] * 9 + ["b"] * 4
    item = ["x", "y", "x", "z", "y", "w", "x", "w", "z", "x", "x", "y", "y"]
    raw, recipe = make_raw(user, item), make_recipe(filters=Filters(deduplicate=False))
    done = prepare(raw, recipe, InteractionsConfig(target="next_new_item"))
    a = done.user_ids.to_pylist().index("a")
    assert done.part[done.user_index == a].tolist() == [TRAIN] * 3 + [VALIDATION] * 2 + [TEST] * 4
    assert (done.part[done.user_index != a] == TRAIN).all()  # two new items: only training
    validation, test = done.targets("validation"), done.targets("test")
    assert item_ids(done, validation.target) == ["z"]
    assert item_ids(done, validation.history) == ["x", "y", "x"]
    assert item_ids(done, test.target) == ["w"]
    assert item_ids(done, test.history) == ["x", "y", "x", "z", "y"]


def test_next_new_item_of_a_temporal_split_skips_what_the_user_has_had(tmp_path):
    user = ["a", "a", "b", "b", "a", "b", "a", "b", "a", "b"]
    item = ["x", "y", "x", "y", "z", "z", "x", "w", "w", "y"]
    raw, recipe = make_raw(user, item, list(range(1, 11))), make_recipe(filters=Filters(deduplicate=False))
    config = InteractionsConfig(
        split="temporal", target="next_new_item", validation_quantile=0.4, test_quantile=0.6
    )
    prepare(raw, recipe, config).save(tmp_path / "log")
    test = Interactions.load(tmp_path / "log").targets("test")
    assert sorted(test.target_time.tolist()) == [8, 9]  # a's event at 7 repeats x
    assert len(test.history) == 4 + 3
    first = prepare(raw, recipe, dataclasses.replace(config, target="next_item")).targets("test")
    assert sorted(first.target_time.tolist()) == [7, 8]


def test_temporal_split_by_hand():
    # ten events a second apart; the cuts at .6 and .8 fall on times 6 and 8
    user = ["a", "a", "b", "b", "c", "c", "a", "new", "a", "b"]
    item = ["x", "y", "x", "y", "x", "y", "z", "x", "w", "z"]
    done = prepare(
        make_raw(user, item, time=list(range(10))),
        make_recipe(split="temporal"),
        InteractionsConfig(validation_quantile=0.6, test_quantile=0.8),
    )
    validation, test = done.targets("validation"), done.targets("test")
    names = done.user_ids.to_pylist()
    assert {names[u] for u in validation.user_index} == {"a", "new"}
    assert {names[u] for u in test.user_index} == {"a", "b"}
    row = [names[u] for u in test.user_index].index("a")
    assert item_ids(done, test.history[test.indptr[row] : test.indptr[row + 1]]) == ["x", "y", "z"]
    row = [names[u] for u in validation.user_index].index("new")
    assert validation.indptr[row] == validation.indptr[row + 1]  # a cold user has no history
    assert names[-1] == "new"  # cold users and items come last
    assert set(item_ids(done, range(4))[2:]) == {"z", "w"}


def test_a_filter_of_the_temporal_split_sees_nothing_after_the_cut():
    # y has one event before the cut and many after: it is filtered out for good
    user = ["a", "b", "a", "b", "c", "c", "a", "b", "c", "c"]
    item = ["x", "x", "z", "z", "x", "y", "y", "y", "z", "y"]
    done = prepare(
        make_raw(user, item, time=list(range(10))),
        make_recipe(split="temporal", filters=Filters(min_item_events=2)),
        InteractionsConfig(validation_quantile=0.6, test_quantile=0.8),
    )
    assert sorted(done.items["item_id"].to_pylist()) == ["x", "z"]


def test_changes_after_the_cut_change_nothing_that_is_learned_from(planted):
    recipe = make_recipe(split="temporal", filters=Filters(min_user_events=3, min_item_events=3))
    time = planted.events["time"].to_numpy()
    cut = np.quantile(time, 0.8, method="higher")
    rng = np.random.default_rng(0)
    item = planted.events["item"].to_numpy().copy()
    item[time >= cut] = rng.permutation(item[time >= cut])
    changed = planted.events.set_column(1, "item", pa.array(item))
    first = prepare(planted, recipe)
    second = prepare(RawDataset(name="planted", events=changed, items=planted.items), recipe)
    for left, right in zip(
        (first.train_events().user_index, first.train_events().item_index, first.train_events().time),
        (second.train_events().user_index, second.train_events().item_index, second.train_events().time),
        strict=True,
    ):
        assert np.array_equal(left, right)
    assert first.items.equals(second.items)


def test_changed_targets_change_nothing_that_is_learned_from(planted):
    text = planted.items.set_column(
        2, "title", pa.array([f"word{i % 7} word{i % 5}" for i in range(planted.items.num_rows)])
    )
    recipe = make_recipe(
        filters=Filters(deduplicate=False), content=ContentSpec(kind="tfidf", columns=("title",), dim=4)
    )
    first = prepare(RawDataset(name="planted", events=planted.events, items=text), recipe)
    user, item = planted.events["user"].to_numpy(), planted.events["item"].to_numpy().copy()
    for one in np.unique(user):
        last = np.flatnonzero(user == one)[-2:]
        item[last] = item[last[::-1]]
    changed = planted.events.set_column(1, "item", pa.array(item))
    second = prepare(RawDataset(name="planted", events=changed, items=text), recipe)
    assert np.array_equal(first.train_events().item_index, second.train_events().item_index)
    assert np.array_equal(first.content, second.content)
    assert not np.array_equal(first.item_index, second.item_index)


def test_shuffled_ties_keep_times_and_file_order_keeps_the_file():
    raw = make_raw(["a"] * 40, list(range(40)), time=[i // 20 for i in range(40)])
    kept = prepare(raw, make_recipe())
    assert item_ids(kept, kept.item_index) == list(range(40))
    recipe = make_recipe(ties="shuffle")
    order = [item_ids(done, done.item_index) for done in (prepare(raw, recipe), prepare(raw, recipe))]
    assert order[0] == order[1] != list(range(40))
    assert set(order[0][:20]) == set(range(20))
    assert kept.tied is None
    tied = prepare(raw, recipe).tied.tolist()
    assert tied == [False, *[True] * 19, False, *[True] * 19]  # drawn anew in each epoch of training
    sequences = prepare(raw, recipe).train_sequences()
    assert sequences.tied.tolist() == tied[:38]
    other = prepare(raw, recipe, InteractionsConfig(seed=1))
    assert item_ids(other, other.item_index) != order[0]


def test_a_users_own_clock_orders_events_whose_time_is_unknown():
    clock = [5, 5, 0, 9]
    raw = make_raw(["a"] * 4, [1, 2, 3, 4], time=[None, 50, 40, None], clock=clock, position=[1, 2, 0, 3])
    done = prepare(raw, make_recipe())
    assert item_ids(done, done.item_index) == [3, 1, 2, 4]
    assert done.time is None
    assert prepare(raw, make_recipe(ties="shuffle")).tied.tolist() == [False, False, True, False]
    shuffled = {tuple(order(raw, seed)) for seed in range(12)}
    assert shuffled == {(3, 1, 2, 4), (3, 2, 1, 4)}


def order(raw, seed):
    done = prepare(raw, make_recipe(ties="shuffle"), InteractionsConfig(seed=seed))
    return item_ids(done, done.item_index)


def test_without_times_and_order_random_events_are_held_out():
    raw = make_raw(["a"] * 30, list(range(30)))
    bare = RawDataset(name="bare", events=raw.events.drop_columns("position"), items=raw.items)
    done = prepare(bare, make_recipe(ties="shuffle"))
    assert item_ids(done, done.item_index) != list(range(30))
    assert done.tied.tolist() == [False, *[True] * 29]
    with pytest.raises(DataError, match="bare has neither times nor positions"):
        prepare(bare, make_recipe())
    with pytest.raises(
        DataError, match=r"a temporal split needs the time of every event, bare lacks it for 30 of 30"
    ):
        prepare(bare, make_recipe(ties="shuffle", split="temporal"))


def test_internal_ids_are_a_seeded_permutation(planted):
    first, second = (prepare(planted, make_recipe(), InteractionsConfig(seed=seed)) for seed in (0, 1))
    ids = first.items["item_id"].to_pylist()
    assert sorted(ids) != ids
    assert sorted(ids) == sorted(second.items["item_id"].to_pylist())
    assert ids != second.items["item_id"].to_pylist()
    assert sorted(external(first)) == sorted(external(second))


def test_keep_first_and_k_core_by_hand():
    user, item = np.array([0, 0, 0, 1]), np.array([0, 1, 0, 0])
    assert keep_first(user, item, np.array([2, 1, 0, 3])).tolist() == [False, True, True, True]
    # item 2 goes (one event), so user 2 falls below two and goes, then item 1 does
    user, item = np.array([0, 0, 1, 1, 2, 2, 0]), np.array([0, 3, 0, 3, 1, 2, 1])
    assert k_core(user, item, 2, 2).tolist() == [True, True, True, True, False, False, False]


def test_k_core_is_a_fixed_point_whatever_the_order():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 60, 400), rng.integers(0, 60, 400)
    keep = k_core(user, item, 5, 5)
    assert 0 < keep.sum() < 400
    assert k_core(user[keep], item[keep], 5, 5).all()
    shuffled = rng.permutation(400)
    assert np.array_equal(k_core(user[shuffled], item[shuffled], 5, 5), keep[shuffled])


def test_words_of_held_out_items_are_unknown_to_the_content():
    titles = {"x": "red shoe", "y": "red hat", "z": "blue shoe", "w": "green green"}
    raw = make_raw(["a"] * 4 + ["b"] * 2, ["x", "y", "z", "w", "z", "x"], time=range(6), titles=titles)
    done = prepare(raw, make_recipe(content=ContentSpec(kind="tfidf", columns=("title",), dim=2)))
    content = dict(zip(done.items["item_id"].to_pylist(), done.content, strict=True))
    assert not content["w"].any()  # only a test target: its word says nothing
    seen = np.stack([content[key] for key in "xyz"])
    assert np.allclose(seen.mean(0), 0, atol=1e-6)
    assert np.isclose((seen**2).mean(), 1)


def test_given_embeddings_follow_their_items(planted):
    done = prepare(planted, make_recipe(content=ContentSpec(kind="embeddings", columns=())))
    ids = np.asarray(done.items["item_id"].to_pylist())
    given = planted.content[ids]
    centred = given - given[np.unique(done.train_events().item_index)].mean(0)
    assert np.allclose(done.content, centred / np.sqrt((centred**2).mean()), rtol=0.05, atol=0.05)
    assert "dominant_interest" in done.items.column_names


def test_save_and_load(planted, tmp_path):
    done = prepare(planted, make_recipe(content=ContentSpec(kind="embeddings", columns=())))
    done.save(tmp_path / "interactions")
    back = Interactions.load(tmp_path / "interactions")
    for name in ("user_index", "item_index", "time", "part", "content"):
        assert np.array_equal(getattr(done, name), getattr(back, name))
    assert back.items.equals(done.items)
    assert back.user_ids.equals(done.user_ids)
    assert (back.split, back.name) == ("leave_one_out", "planted")


def test_bad_input_is_one_sentence():
    raw = make_raw(["a", "b"], ["x", "y"], time=[1, 2])
    with pytest.raises(DataError, match="no event of tiny is left after filtering with min_user_events=5"):
        prepare(raw, make_recipe(filters=Filters(min_user_events=5)))
    with pytest.raises(
        ConfigError, match=r"expected 0 < validation_quantile < test_quantile < 1, got 0\.9 and 0\.9"
    ):
        prepare(raw, make_recipe(), InteractionsConfig(validation_quantile=0.9))
    with pytest.raises(ConfigError, match="no text column plot; it has item, item_id, title"):
        prepare(raw, make_recipe(content=ContentSpec(columns=("plot",))))
    with pytest.raises(DataError, match="1 events of tiny have no time and the file gives no other order"):
        gaps = make_raw(["a", "b"], ["x", "y"], time=[1, None])
        prepare(
            RawDataset(name="tiny", events=gaps.events.drop_columns("position"), items=gaps.items),
            make_recipe(),
        )
    with pytest.raises(DataError, match="no event of tiny lies before the validation window"):
        prepare(make_raw([1, 2, 3], [1, 2, 3], time=[5, 5, 5]), make_recipe(split="temporal"))


def test_item_ids_tell_items_apart():
    raw = make_raw([1, 1, 2, 2], ["x", "y", "x", "z"], time=[1, 2, 3, 4])

    def named(*item_ids):
        items = raw.items.set_column(1, "item_id", pa.array(item_ids))
        return prepare(RawDataset(name="tiny", events=raw.events, items=items), make_recipe())

    assert set(named("a", None, "c").items["item_id"].to_pylist()) == {"a", "y", "c"}
    with pytest.raises(DataError, match="two items of the item_id a; the recipe's item_key"):
        named("a", "b", "a")
