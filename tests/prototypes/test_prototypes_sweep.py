import dataclasses

import numpy as np
import pytest

from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes import (
    ModularityConfig,
    SweepRow,
    choose_prototypes,
    community_partition,
    soft_modularity,
    sweep_prototypes,
)
from g2rec.prototypes._interests import Memberships
from g2rec.prototypes._sweep import keep_pairs

BLOCKS, SIZE = 6, 20
SWEEP = {"seeds": (0, 1, 2), "config": ModularityConfig(passes=20)}


def symmetric(dense):
    row, column = np.nonzero(dense)
    indptr = np.searchsorted(row, np.arange(len(dense) + 1)).astype(np.int64)
    return CoEngagementGraph(
        len(dense), indptr, column.astype(np.int32), dense[row, column].astype(np.float32)
    )


@pytest.fixture(scope="module")
def planted() -> CoEngagementGraph:
    """Six blocks of twenty items, joined with .6 inside and .03 outside, and one item without edges."""
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(BLOCKS), SIZE)
    chance = np.where(block[:, None] == block, 0.6, 0.03)
    upper = np.triu(rng.random(chance.shape) < chance, 1).astype(float)
    return symmetric(np.pad(upper + upper.T, (0, 1)))


def row(**values) -> SweepRow:
    plain = {
        "num_prototypes": 16, "gamma": 1.0, "stability": 0.9, "modularity": 0.4, "modularity_one": 0.4,
        "used": 16.0, "usage_perplexity": 15.0, "softness": 0.3, "seconds": 1.0, "key": "",
    }  # fmt: skip
    return SweepRow(**{**plain, **values})


def test_planted_blocks_are_stable_and_chosen(planted):
    rows = sweep_prototypes(planted, num_prototypes=(3, 6, 12), gammas=(1.0,), **SWEEP)
    assert [each.num_prototypes for each in rows] == [3, 6, 12]
    chosen = choose_prototypes(rows)
    assert chosen.num_prototypes == 6 and chosen.stability > 0.95 and chosen.used == 6
    block = np.append(np.repeat(np.arange(BLOCKS), SIZE), 0).astype(np.int32)
    truth = Memberships(block[:, None], np.ones((len(block), 1), np.float32))
    assert chosen.modularity_one == pytest.approx(soft_modularity(truth, planted, 6), abs=0.01)
    assert rows[0].modularity_one < chosen.modularity_one


def test_noise_is_not_stable():
    rng = np.random.default_rng(1)
    upper = np.triu(rng.random((120, 120)) < 0.1, 1).astype(float)
    noise = symmetric(upper + upper.T)
    rows = sweep_prototypes(noise, num_prototypes=(6,), gammas=(1.0,), **SWEEP)
    assert rows[0].stability < 0.4


def test_known_rows_are_kept_and_others_measured(planted):
    settings = {"num_prototypes": (4, 6), "gammas": (0.5, 1.0)}
    fits = []
    rows = sweep_prototypes(planted, **settings, **SWEEP)
    marked = [dataclasses.replace(each, seconds=-1.0) for each in rows[:3]]
    again = sweep_prototypes(
        planted, **settings, **SWEEP, known=marked, progress=lambda done, total: fits.append((done, total))
    )
    assert [each.seconds == -1 for each in again] == [True, True, True, False]
    assert fits == [(1, 3), (2, 3), (3, 3)]  # three seeds of one setting
    assert [dataclasses.replace(each, seconds=0) for each in again[3:]] == [
        dataclasses.replace(each, seconds=0) for each in rows[3:]
    ]
    other = sweep_prototypes(planted, num_prototypes=(4,), gammas=(0.5,), seeds=(0, 1), known=marked)
    assert other[0].key not in {each.key for each in rows}


def test_pairs_are_kept_whole(planted):
    thin = keep_pairs(planted, 0.5, seed=3)
    source, target, weight = thin.edge_list()
    dense = np.zeros((planted.num_items,) * 2)
    dense[source, target] = weight
    np.testing.assert_array_equal(dense, dense.T)
    assert 0.4 < thin.num_edges / planted.num_edges < 0.6
    assert keep_pairs(planted, 1.0, seed=3) is planted
    assert keep_pairs(planted, 0.5, seed=4).num_edges != thin.num_edges
    labels = [community_partition(keep_pairs(planted, 0.9, seed), seed=seed) for seed in (0, 1)]
    assert len(labels[0]) == len(labels[1]) == planted.num_items


def test_the_rule_by_hand():
    coarse = row(num_prototypes=2, stability=1.0, modularity_one=0.2)  # most stable, but no structure
    limit = row(num_prototypes=16, stability=0.70, modularity_one=0.41)
    fine = row(num_prototypes=64, stability=0.96, modularity_one=0.3904)
    same = row(num_prototypes=128, stability=0.97, modularity_one=0.3901)
    finer = row(num_prototypes=256, stability=0.97, modularity_one=0.35)
    assert choose_prototypes([coarse, limit, same, fine, finer]) is fine
    assert choose_prototypes([coarse, limit]) is limit
    assert choose_prototypes([limit, finer]) is finer
    assert choose_prototypes([row(modularity_one=-0.1)]).modularity_one == -0.1


def test_bad_input(planted):
    with pytest.raises(ConfigError, match="stability is between seeds, got 1 of them; name two or more"):
        sweep_prototypes(planted, seeds=(4, 4))
    with pytest.raises(ConfigError, match=r"share must lie in \(0, 1\], got 1.5"):
        sweep_prototypes(planted, share=1.5)
    with pytest.raises(ConfigError, match="num_prototypes must be at least 2, got 1"):
        sweep_prototypes(planted, num_prototypes=(1,))
    with pytest.raises(ConfigError, match=r"list some, such as \[32,64\]"):
        sweep_prototypes(planted, gammas=())
    with pytest.raises(DataError, match="has no edges"):
        sweep_prototypes(symmetric(np.zeros((3, 3))))
    with pytest.raises(ConfigError, match="got none"):
        choose_prototypes([])
