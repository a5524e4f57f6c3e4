"""Where items that came after the fit belong, by the items that they are engaged with."""

import numpy as np
import pytest

from g2rec.errors import DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes import InterestPrototypes, neighbour_memberships


def graph_of(dense: np.ndarray) -> CoEngagementGraph:
    row, column = np.nonzero(dense)
    indptr = np.searchsorted(row, np.arange(len(dense) + 1)).astype(np.int64)
    weights = dense[row, column].astype(np.float32)
    return CoEngagementGraph(len(dense), indptr, column.astype(np.int32), weights)


def prototypes_of(dominant: list[int], num_prototypes: int = 3) -> InterestPrototypes:
    """Each item wholly in one prototype; the second place is the next one."""
    first = np.array(dominant, np.int32)
    indices = np.stack([first, (first + 1) % num_prototypes], axis=1).astype(np.int32)
    weights = np.tile(np.array([1.0, 0.0], np.float32), (len(first), 1))
    return InterestPrototypes(np.eye(num_prototypes, dtype=np.float32), indices, weights, "graph_head")


def test_memberships_by_hand() -> None:
    # Item 4 is new: two events with 0 (prototype 0), one with each of 1 and 2 (prototype 1); 5 has none.
    dense = np.zeros((6, 6))
    dense[4, :3] = dense[:3, 4] = (2, 1, 1)
    dense[0, 3] = dense[3, 0] = 5
    graph = graph_of(dense)
    found = neighbour_memberships(prototypes_of([0, 1, 1, 0, 2, 2]), graph, np.array([4, 5]), gamma=0.0)
    assert sorted(found.indices[0].tolist()) == [0, 1]
    assert found.weights[0].tolist() == pytest.approx([0.5, 0.5])
    # Prototype 0 holds 12 of the known items' 14: strengths 7 + 5 against 1 + 1.
    found = neighbour_memberships(prototypes_of([0, 1, 1, 0, 2, 2]), graph, np.array([4, 5]), gamma=0.5)
    gain = np.array([0.5 - 0.5 * 2 / 14, 0.5 - 0.5 * 12 / 14])
    assert found.indices[0].tolist() == [1, 0]
    assert found.weights[0].tolist() == pytest.approx(gain / gain.sum())
    assert found.indices[1].tolist() == [2, 0]  # as it was
    assert found.weights[1].tolist() == [1, 0]


def test_new_items_do_not_vouch_for_each_other() -> None:
    dense = np.zeros((4, 4))
    dense[2, 3] = dense[3, 2] = 9
    dense[0, 2] = dense[2, 0] = dense[1, 3] = dense[3, 1] = 1
    found = neighbour_memberships(prototypes_of([0, 1, 2, 2]), graph_of(dense), np.array([2, 3]))
    assert found.indices[:, 0].tolist() == [0, 1]


def test_a_graph_of_other_items_is_refused() -> None:
    with pytest.raises(DataError, match="memberships cover 3 items, the graph has 4"):
        neighbour_memberships(prototypes_of([0, 1, 2]), graph_of(np.zeros((4, 4))), np.array([0]))
