"""Sampled pairs against the exact clique sum, in the spectral norm that the number of draws is chosen for."""

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from g2rec.graph import CoEngagementConfig, InteractionGraph, build_coengagement

NUM_ITEMS, SIZES, DRAWS = 1200, (500, 600, 800, 1000), 20
EPS = 0.5


def histories() -> InteractionGraph:
    """Users with 500 to 1,000 distinct items each; some of the items are in no history."""
    rng = np.random.default_rng(1)
    items = np.concatenate([rng.choice(NUM_ITEMS - 50, size, replace=False) for size in SIZES])
    return InteractionGraph.from_events(len(SIZES), NUM_ITEMS, np.repeat(np.arange(len(SIZES)), SIZES), items)


def laplacian(graph):
    matrix = np.zeros((NUM_ITEMS, NUM_ITEMS))
    source, target, weight = graph.edge_list()
    matrix[source, target] = -weight.astype(np.float64)
    matrix[np.diag_indices(NUM_ITEMS)] = graph.strength()
    return matrix


def clique_sum(graph: InteractionGraph):
    """The Laplacian of all pairs, from the definition: N_u I - 1 1^T on the items of each user."""
    matrix = np.zeros((NUM_ITEMS, NUM_ITEMS))
    for user in range(graph.num_users):
        items = graph.row(user) - graph.num_users
        matrix[np.ix_(items, items)] -= 1
        matrix[items, items] += len(items)
    return matrix


@pytest.fixture(scope="module")
def exact():
    """The log, and L^{+/2}, [I, rank]: it turns a matrix into its ratio to L on the range of L."""
    graph = histories()
    values, vectors = np.linalg.eigh(clique_sum(graph))
    inside = values > 1e-6 * values[-1]
    assert inside.sum() < NUM_ITEMS - 1  # items in no history, beside the constant vector
    return graph, vectors[:, inside] / np.sqrt(values[inside])


def deviations(exact, config):
    """max |x^T (L~ - L) x| / x^T L x over the range of L, a draw with each of the seeds."""
    graph, root = exact
    found = []
    for seed in range(DRAWS):
        sample = build_coengagement(graph, CoEngagementConfig(**config, seed=seed))
        ratio = root.T @ laplacian(sample) @ root
        ratio[np.diag_indices(len(ratio))] -= 1
        start = np.random.default_rng(0).standard_normal(len(ratio))
        worst = eigsh(ratio, k=1, which="LM", tol=1e-6, v0=start, return_eigenvectors=False)
        found.append(abs(float(worst[0])))
    return np.array(found)


def test_with_m_u_draws_the_laplacian_is_within_eps(exact):
    config = CoEngagementConfig(eps=EPS)
    sizes = np.array(SIZES)
    assert (sizes * config.num_draws(NUM_ITEMS) < 0.9 * sizes * (sizes - 1) / 2).all()  # not the clique
    found = deviations(exact, {"eps": EPS})
    print(f"m_u at eps {EPS}: deviation {found.min():.3f} to {found.max():.3f}")
    assert found.max() < EPS and found.min() > 0


def test_with_a_fiftieth_of_m_u_it_is_not(exact, monkeypatch):
    whole = CoEngagementConfig.num_draws
    monkeypatch.setattr(CoEngagementConfig, "num_draws", lambda self, items: whole(self, items) / 50)
    found = deviations(exact, {"eps": EPS})
    print(f"m_u / 50 at eps {EPS}: deviation {found.min():.3f} to {found.max():.3f}")
    assert found.min() > EPS
