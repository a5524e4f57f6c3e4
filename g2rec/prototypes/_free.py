"""The paper's prototypes: free memberships that maximise soft modularity on the co-engagement graph."""

import logging
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes._community import community_partition
from g2rec.prototypes._interests import InterestPrototypes, Memberships

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModularityConfig:
    """Prototypes found by soft modularity with free memberships (G2Rec, arXiv 2606.20554)."""

    num_prototypes: int = 64
    """Interest prototypes, C."""
    nonzeros: int = 4
    """Prototypes that an item may belong to, rho."""
    gamma: float = 1.0
    """Resolution; higher favours smaller interests."""
    entropy: float = 0.05
    """Weight of the memberships' entropy; without it the optimum is nearly hard."""
    passes: int = 60
    """Passes over the graph."""
    step_size: float = 2.0
    """Of the mirror ascent, per unit of the neighbours' mean membership."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        if self.num_prototypes < 2:
            raise ConfigError(f"num_prototypes must be at least 2, got {self.num_prototypes}; raise it")
        if not 1 <= self.nonzeros <= self.num_prototypes:
            raise ConfigError(
                f"nonzeros must lie between 1 and num_prototypes={self.num_prototypes}, "
                f"got {self.nonzeros}; lower it"
            )
        if self.passes < 1 or not self.step_size > 0 or self.gamma < 0 or self.entropy < 0:
            raise ConfigError(
                f"passes and step_size must be positive, gamma and entropy not negative, got {self.passes}, "
                f"{self.step_size}, {self.gamma}, {self.entropy}; mend the one that is not"
            )
        if self.entropy * self.step_size >= 1:
            raise ConfigError(
                f"entropy x step_size must stay under 1, got {self.entropy * self.step_size}; lower one"
            )


def fit_modularity(
    graph: CoEngagementGraph,
    items: NDArray[np.float32],
    config: ModularityConfig,
    *,
    seed: int,
    start: NDArray[np.int32] | None = None,
) -> InterestPrototypes:
    """Maximise soft modularity plus entropy over free memberships of rho nonzeros a row.

    Full-batch mirror ascent on Q (see `soft_modularity`), preconditioned by the strength k_i::

        g_i = sum_j w_ij p_j / k_i - gamma P^T k / W
        log p_i <- (1 - step entropy) log p_i + step g_i, renormalised

    Its fixed point is p_i ~ exp(g_i / entropy). The paper ascends with Adam; the multiplicative step
    keeps rows on the simplex and needs no second moment. In each pass the best prototype outside a row's
    support replaces its weakest one if its g is larger. A pass costs O(rho |E|), rows are visited in
    one numba loop, and the result does not depend on the number of threads.

    Args:
        graph: The co-engagement graph.
        items: [I, D] item embeddings; prototype vectors are the weighted means of them.
        config: Settings.
        seed: Of the community partition.
        start: [I] labels to start from; by default Leiden communities, of which those beyond
            ``num_prototypes`` are left for their items' neighbours to decide.

    Raises:
        ConfigError: If a setting is out of range.
        DataError: If the embeddings do not cover the graph's items.
    """
    config.check()
    if len(items) != graph.num_items:
        raise DataError(
            f"embeddings cover {len(items)} items, the graph has {graph.num_items}; "
            "fit both on the same interactions"
        )
    label = community_partition(graph, gamma=config.gamma, seed=seed) if start is None else start
    C, R = config.num_prototypes, config.nonzeros
    known = label < C
    first = np.where(known, label, label % C)
    indices = ((first[:, None] + np.arange(R)) % C).astype(np.int32)
    strength = graph.strength()
    total = max(float(strength.sum()), 1e-12)
    # Nearly hard at the start, so that ascent begins at the partition's own modularity; an item whose
    # community did not fit starts undecided.
    sharp = np.full((graph.num_items, R), 0.02 / max(R - 1, 1))
    sharp[:, 0] = 0.98 if R > 1 else 1.0
    weights = np.where(known[:, None], sharp, 1.0 / R)
    indptr, neighbours, edge = (np.asarray(a) for a in (graph.indptr, graph.indices, graph.weights))
    for _ in range(config.passes):
        mass = np.bincount(indices.ravel(), (weights * strength[:, None]).ravel(), minlength=C)
        indices, weights = _ascend(
            indptr, neighbours, edge, strength, indices, weights, config.gamma * mass / total,
            config.step_size, config.entropy,
        )  # fmt: skip
    order = np.argsort(-weights, axis=1, kind="stable")
    found = Memberships(
        np.take_along_axis(indices, order, axis=1),
        np.take_along_axis(weights, order, axis=1).astype(np.float32),
    )
    logger.info("modularity prototypes: %d items, %d prototypes", graph.num_items, C)
    return InterestPrototypes(_mean_vectors(found, items, C), found.indices, found.weights, "modularity")


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator,unused-ignore]
def _ascend(
    indptr: Any, neighbours: Any, edge: Any, strength: Any, indices: Any, weights: Any, null: Any,
    step: float, entropy: float,
) -> Any:  # fmt: skip
    """One synchronous pass: new supports and weights of all rows."""
    num_items, R = indices.shape
    C = len(null)
    new_indices = indices.copy()
    new_weights = weights.copy()
    for i in numba.prange(num_items):
        if strength[i] <= 0:
            continue
        gain = -null.copy()
        for e in range(indptr[i], indptr[i + 1]):
            share = edge[e] / strength[i]
            j = neighbours[e]
            for r in range(R):
                gain[indices[j, r]] += share * weights[j, r]
        inside = np.zeros(C, dtype=np.bool_)
        weakest = 0
        for r in range(R):
            inside[indices[i, r]] = True
            if weights[i, r] < weights[i, weakest]:
                weakest = r
        best = -1
        for a in range(C):
            if not inside[a] and (best < 0 or gain[a] > gain[best]):
                best = a
        if best >= 0 and gain[best] > gain[indices[i, weakest]]:
            new_indices[i, weakest] = best
        peak = -np.inf
        for r in range(R):
            log_p = np.log(max(weights[i, r], 1e-9))
            new_weights[i, r] = (1 - step * entropy) * log_p + step * gain[new_indices[i, r]]
            peak = max(peak, new_weights[i, r])
        norm = 0.0
        for r in range(R):
            new_weights[i, r] = np.exp(new_weights[i, r] - peak)
            norm += new_weights[i, r]
        for r in range(R):
            new_weights[i, r] /= norm
    return new_indices, new_weights


def _mean_vectors(
    memberships: Memberships, items: NDArray[np.float32], num_prototypes: int
) -> NDArray[np.float32]:
    """Prototype vectors of free memberships: the weighted mean direction of their items, unit norm."""
    P = memberships.matrix(num_prototypes)
    unit = items / np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-12)
    vectors = np.asarray(P.T @ unit)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, 1e-12), dtype=np.float32)
