"""Free memberships: numba and torch take the same steps, batches end where passes do."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes import ModularityConfig, fit_modularity, soft_modularity
from g2rec.prototypes._ascend import ascend
from g2rec.prototypes._ascend_kernel import ascend_rows
from g2rec.prototypes._free import _by_passes, _on_device, spread

ITEMS, GROUPS = 240, 6


def planted(seed: int = 0) -> tuple[CoEngagementGraph, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, GROUPS, ITEMS)
    near = group[:, None] == group[None, :]
    edge = np.triu(rng.random((ITEMS, ITEMS)) < np.where(near, 0.3, 0.03), 1)
    weight = edge * rng.integers(1, 6, (ITEMS, ITEMS)).astype(np.float32)
    weight[5], weight[:, 5] = 0, 0  # an item without edges
    row, column = np.nonzero(weight + weight.T)
    indptr = np.searchsorted(row, np.arange(ITEMS + 1))
    weights = (weight + weight.T)[row, column].astype(np.float32)
    return CoEngagementGraph(ITEMS, indptr, column.astype(np.int32), weights), group


def state(graph: CoEngagementGraph, C: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    indices = np.argsort(rng.random((ITEMS, C)), axis=1)[:, :3].astype(np.int32)
    weights = rng.dirichlet(np.ones(3), ITEMS)
    strength = graph.strength()
    mass = np.bincount(indices.ravel(), (weights * strength[:, None]).ravel(), minlength=C) / strength.sum()
    return indices, weights, strength, 1.3 * mass


def test_a_step_by_hand() -> None:
    # A path 0 - 1 - 2 with weights 1 and 3; supports {0, 1}; gamma m = (.5, .3, .2).
    graph = CoEngagementGraph(
        3, np.array([0, 1, 3, 4]), np.array([1, 0, 2, 1], np.int32), np.array([1, 1, 3, 3], np.float32)
    )
    indices = np.array([[0, 1], [0, 1], [2, 0]], np.int32)
    weights = np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1]])
    null = np.array([0.5, 0.3, 0.2])
    found, moved, largest = ascend_rows(
        graph.indptr, graph.indices, graph.weights, graph.strength(), indices, weights, null, 2.0, 0.1
    )
    # Item 1: its neighbours hold (1/4 + 3/4 * .1, 0, 3/4 * .9): gains -.175, -.3, .475. Of equal weights the
    # first is the weakest, so 2 replaces 0.
    assert found[1].tolist() == [2, 1]
    logits = 0.8 * np.log([0.5, 0.5]) + 2 * np.array([0.475, -0.3])
    np.testing.assert_allclose(moved[1], np.exp(logits) / np.exp(logits).sum())
    assert largest[1] == pytest.approx(0.475)


def test_torch_takes_the_same_step_as_numba() -> None:
    graph, _ = planted()
    indices, weights, strength, null = state(graph)
    found = ascend_rows(
        graph.indptr, graph.indices, graph.weights, strength, indices, weights, null, 2.0, 0.1
    )
    row = np.repeat(np.arange(ITEMS), np.diff(graph.indptr))
    share = graph.weights / np.maximum(strength, 1e-12)[row]
    arrays = (row, graph.indices.astype(np.int64), share, indices.astype(np.int64), weights)
    row_, neighbour, share_, own, weight = (torch.from_numpy(np.array(a)) for a in arrays)
    other = ascend(row_, neighbour, share_, own, weight, own, weight, torch.from_numpy(null), 2.0, 0.1)
    np.testing.assert_array_equal(found[0], other[0].numpy())
    np.testing.assert_allclose(found[1], other[1].numpy(), rtol=1e-6)
    np.testing.assert_allclose(found[2], other[2].numpy(), rtol=1e-6)
    np.testing.assert_array_equal(found[1][5], weights[5])  # without edges nothing moves it


def test_device_passes_are_the_numba_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("g2rec.prototypes._free._EDGES", 500)  # many blocks
    graph, group = planted()
    config = ModularityConfig(num_prototypes=8, passes=6)
    indices, weights = spread(group.astype(np.int32), config)
    here = _by_passes(graph, graph.strength(), indices, weights, config, 1.0)
    there = _on_device(graph, graph.strength(), indices, weights, config, 1.0, torch.device("cpu"))
    np.testing.assert_array_equal(here[0], there[0])
    np.testing.assert_allclose(here[1], there[1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("batch_items", [None, 48])
@pytest.mark.parametrize("start", ["random", "merged"])
def test_a_poor_start_is_left(batch_items: int | None, start: str) -> None:
    graph, group = planted()
    rng = np.random.default_rng(0)
    labels = {"random": rng.integers(0, 10, ITEMS), "merged": group // 2}[start].astype(np.int32)
    config = ModularityConfig(num_prototypes=10, gamma=1.0, batch_items=batch_items)
    found = fit_modularity(graph, np.zeros((ITEMS, 1), np.float32), config, seed=0, start=labels)
    truth = np.delete(group, 5)
    assert adjusted_mutual_info_score(truth, np.delete(found.dominant(), 5)) > 0.9
    planted_q = soft_modularity(
        found.memberships._replace(indices=group[:, None].astype(np.int32), weights=np.ones((ITEMS, 1))),
        graph, 10,
    )  # fmt: skip
    assert soft_modularity(found.memberships.hardened(), graph, 10) > 0.95 * planted_q


def test_batches_repeat_from_their_seed() -> None:
    graph, _ = planted()
    config = ModularityConfig(num_prototypes=8, batch_items=32, passes=4)
    fits = [fit_modularity(graph, np.ones((ITEMS, 2), np.float32), config, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].weights, fits[1].weights)
    assert not np.array_equal(fits[0].weights, fits[2].weights)


def test_a_start_of_another_length_is_refused() -> None:
    graph, group = planted()
    items = np.zeros((ITEMS, 1), np.float32)
    with pytest.raises(DataError, match="one label of 0 or more for each of 240 items, got 3"):
        fit_modularity(graph, items, ModularityConfig(), seed=0, start=group[:3].astype(np.int32))


def test_bad_steps() -> None:
    with pytest.raises(ConfigError, match="batch_items must be at least 1, got 0"):
        ModularityConfig(batch_items=0).check()
    with pytest.raises(ConfigError, match=r"must stay under 1, got 0\.2 at the end and 1\.2"):
        ModularityConfig(start_entropy=0.6).check()
