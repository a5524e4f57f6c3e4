"""Metrics worked by hand, in expectation over ties, and chance for a scorer that knows nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2rec.errors import ConfigError, DataError
from g2rec.evaluation import (
    TargetRanks,
    bootstrap_interval,
    coverage,
    expected_mrr_at_k,
    expected_ndcg_at_k,
    expected_recall_at_k,
    gini,
    novelty,
    paired_test,
    popularity_slices,
    ranked_target_rank,
    summarize,
    target_rank,
)


def test_ranks_by_hand() -> None:
    scores = torch.tensor([[3.0, 2.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    above, tied = target_rank(scores, torch.tensor([2, 0]))
    assert above.tolist() == [1, 0]
    assert tied.tolist() == [2, 4]
    exclude = torch.tensor([[True, False, True, False], [False, True, True, False]])
    above, tied = target_rank(scores, torch.tensor([2, 0]), exclude)  # an excluded target still counts itself
    assert above.tolist() == [0, 0]
    assert tied.tolist() == [2, 2]


def test_metrics_by_hand() -> None:
    above, tied = torch.tensor([1, 4]), torch.tensor([2, 4])  # positions 2-3, and 5-8
    assert expected_recall_at_k(above, tied, 2).tolist() == [0.5, 0.0]
    assert expected_recall_at_k(above, tied, 5).tolist() == [1.0, 0.25]
    assert expected_ndcg_at_k(above, tied, 5).tolist() == pytest.approx(
        [(1 / math.log2(3) + 1 / math.log2(4)) / 2, 1 / math.log2(6) / 4]
    )
    assert expected_mrr_at_k(above, tied, 5).tolist() == pytest.approx([(1 / 2 + 1 / 3) / 2, 1 / 5 / 4])


@settings(max_examples=50, deadline=None)
@given(num_items=st.integers(2, 60), k=st.integers(1, 60), target=st.integers(0, 59))
def test_a_constant_scorer_scores_like_chance(num_items: int, k: int, target: int) -> None:
    k = min(k, num_items)
    above, tied = target_rank(torch.zeros(1, num_items), torch.tensor([target % num_items]))
    assert float(expected_recall_at_k(above, tied, k)) == pytest.approx(k / num_items)
    chance = sum(1 / math.log2(place + 1) for place in range(1, k + 1)) / num_items
    assert float(expected_ndcg_at_k(above, tied, k)) == pytest.approx(chance)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 12))
def test_expectation_is_the_mean_over_random_orders(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 3, (1, 12), generator=generator).float()
    target = torch.tensor([seed % 12])
    above, tied = target_rank(scores, target)
    places = [int(above) + place for place in range(1, int(tied) + 1)]  # each equally likely
    expected = sum(1 / math.log2(place + 1) for place in places if place <= k) / len(places)
    assert float(expected_ndcg_at_k(above, tied, k)) == pytest.approx(expected)
    assert 1 <= places[0] <= places[-1] <= 12


def test_items_that_a_beam_did_not_return_are_misses() -> None:
    items = torch.tensor([[4, 2, -1], [1, 3, 0]])
    scores = torch.tensor([[0.5, 0.1, -torch.inf], [0.3, 0.2, 0.2]])
    above, tied = ranked_target_rank(items, scores, torch.tensor([0, 0]), num_items=9)
    assert above.tolist() == [9, 1]
    assert tied.tolist() == [1, 2]
    assert expected_recall_at_k(above, tied, 9).tolist() == [0.0, 1.0]


def test_a_list_and_the_scores_it_came_from_agree() -> None:
    scores = torch.randn(20, 15, generator=torch.Generator().manual_seed(0))
    target = torch.arange(20) % 15
    ranked = scores.topk(15)
    from_list = ranked_target_rank(ranked.indices, ranked.values, target, 15)
    assert all(torch.equal(a, b) for a, b in zip(from_list, target_rank(scores, target), strict=True))


def test_diversity_by_hand() -> None:
    lists = torch.tensor([[0, 1], [0, -1]])
    assert coverage(lists, 4) == 0.5
    assert gini(lists, 4) == pytest.approx((1 * 1 + 3 * 2) / (4 * 3))  # counts 0, 0, 1, 2
    assert gini(torch.tensor([[0, 1, 2, 3]]), 4) == pytest.approx(0.0)
    counts = torch.tensor([3, 1, 0, 0])  # smoothed: 4/8, 2/8, 1/8, 1/8
    assert novelty(lists, counts) == pytest.approx((1 + 2 + 1) / 3)


def test_slices_share_the_events_and_set_cold_targets_apart() -> None:
    counts = torch.tensor([4, 4, 2, 2, 0])
    slices = popularity_slices(torch.arange(5), counts)
    assert slices["head"].tolist() == [True, False, False, False, False]
    assert slices["torso"].tolist() == [False, True, False, False, False]
    assert slices["tail"].tolist() == [False, False, True, True, False]
    assert slices["cold"].tolist() == [False, False, False, False, True]


def test_the_bootstrap_covers_the_mean_as_theory_says() -> None:
    values = torch.randn(4000, generator=torch.Generator().manual_seed(1)) + 2.0
    interval = bootstrap_interval(values, seed=3)
    half = 1.96 * float(values.std()) / math.sqrt(4000)
    assert interval.mean == pytest.approx(float(values.double().mean()))
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.1)
    assert interval == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(torch.zeros(0)) == (0.0, 0.0, 0.0)


def test_the_paired_test_sees_a_small_steady_gain_only() -> None:
    base = torch.rand(500, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(500, generator=torch.Generator().manual_seed(1))
    assert paired_test(base + 0.01, base).p_value < 0.01
    assert paired_test(base + 0.01 * (noise - noise.mean()), base).p_value > 0.5
    assert paired_test(base, base).p_value == 1.0


def ranks(num_items: int = 12) -> TargetRanks:
    above, tied = torch.tensor([0, 3, 11]), torch.tensor([1, 1, 1])
    return TargetRanks(
        num_above=above,
        num_tied=tied,
        masked_above=torch.tensor([0, 1, 0]),
        masked_tied=tied,
        in_history=torch.tensor([False, False, True]),
        target=torch.tensor([0, 1, 2]),
        top_items=torch.arange(30).view(3, 10) % num_items,
        num_items=num_items,
    )


def test_masked_figures_leave_out_targets_in_the_history() -> None:
    report = summarize(ranks(), torch.ones(12, dtype=torch.long), cutoffs=(2, 10))
    assert report["num_users"] == 3
    assert report["left_out_when_masked"] == 1
    assert report["unmasked"]["recall@2"]["mean"] == pytest.approx(1 / 3)
    assert report["masked"]["recall@2"]["mean"] == 1.0
    assert report["masked"]["hit@2"] == report["masked"]["recall@2"]
    assert report["coverage@10"] == 1.0
    slices = report["slices"].values()
    assert sum(part["num_users"] for part in slices) == 2
    for part in slices:
        assert part["ndcg@10"]["low"] <= part["ndcg@10"]["mean"] <= part["ndcg@10"]["high"]
    whole = sum(part["num_users"] * part["ndcg@10"]["mean"] for part in slices) / 2
    assert whole == pytest.approx(report["masked"]["ndcg@10"]["mean"])


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"K=20 is larger than the catalogue of 12 items"):
        summarize(ranks(), torch.ones(12), cutoffs=(5, 20))
    with pytest.raises(DataError, match=r"got NaN; the model diverged"):
        target_rank(torch.full((1, 3), torch.nan), torch.tensor([0]))
    with pytest.raises(ConfigError, match="same users, got 3 and 2"):
        paired_test(torch.zeros(3), torch.zeros(2))
