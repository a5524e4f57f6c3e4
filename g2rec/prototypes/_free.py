"""The paper's prototypes: free memberships that maximise soft modularity on the co-engagement graph."""

import itertools
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes._ascend import ascend
from g2rec.prototypes._ascend_kernel import ascend_rows
from g2rec.prototypes._community import community_partition, partition_into
from g2rec.prototypes._interests import InterestPrototypes, Memberships
from g2rec.shapes import Float, Int, Tensor

logger = logging.getLogger(__name__)
Array = NDArray[Any]
_EDGES = 1 << 22
"""Edges whose ends are held at a time on a device."""
_LEAST_GAIN = 1e-6
"""Least unit of step and entropy, for graphs without structure."""


@dataclass(frozen=True, kw_only=True)
class ModularityConfig:
    """Prototypes found by soft modularity with free memberships (G2Rec, arXiv 2606.20554)."""

    num_prototypes: int = 64
    """Interest prototypes, C."""
    nonzeros: int = 4
    """Prototypes that an item may belong to, rho."""
    gamma: float | None = None
    """Resolution; higher favours smaller interests. Null: where Leiden finds ``num_prototypes`` of them."""
    entropy: float = 0.1
    """Weight of the memberships' entropy, in units of the mean largest gain; at 0 the optimum is hard."""
    start_entropy: float = 0.45
    """The same in the first pass; falls to ``entropy`` in 60% of the passes, so that a poor start melts."""
    passes: int = 100
    """Passes over the graph."""
    step_size: float = 2.0
    """Of the mirror ascent, over the mean largest gain."""
    batch_items: int | None = None
    """Items moved in a step, by sampled neighbours; null moves all items by all their neighbours."""
    num_neighbors: int = 32
    """Neighbours drawn for each item of a batch."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        if self.num_prototypes < 2:
            raise ConfigError(f"num_prototypes must be at least 2, got {self.num_prototypes}; raise it")
        if not 1 <= self.nonzeros <= self.num_prototypes:
            raise ConfigError(
                f"nonzeros must lie between 1 and num_prototypes={self.num_prototypes}, "
                f"got {self.nonzeros}; lower it"
            )
        least = min(self.gamma or 0.0, self.entropy, self.start_entropy)
        if self.passes < 1 or not self.step_size > 0 or least < 0:
            raise ConfigError(
                f"passes and step_size must be positive, gamma, entropy and start_entropy not negative, got "
                f"{self.passes}, {self.step_size}, {self.gamma}, {self.entropy}, {self.start_entropy}; "
                "mend the one that is not"
            )
        for name in ("batch_items", "num_neighbors"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}; raise it")
        if max(self.entropy, self.start_entropy) * self.step_size >= 1:
            raise ConfigError(
                f"entropy x step_size must stay under 1, got {self.entropy * self.step_size} at the end and "
                f"{self.start_entropy * self.step_size} at the start; lower one"
            )

    def entropy_at(self, number: int) -> float:
        """Weight of the entropy in a pass, counted from 0."""
        return max(self.entropy, self.start_entropy * (1 - number / (0.6 * self.passes)))


def fit_modularity(
    graph: CoEngagementGraph,
    items: NDArray[np.float32],
    config: ModularityConfig,
    *,
    seed: int,
    start: NDArray[np.int32] | None = None,
    device: str | torch.device = "cpu",
) -> InterestPrototypes:
    """Maximise soft modularity plus entropy over free memberships of rho nonzeros a row.

    Mirror ascent on Q (see `soft_modularity`), preconditioned by the strength k_i::

        g_i = sum_j w_ij p_j / k_i - gamma P^T k / W
        log p_i <- (1 - step entropy) log p_i + step g_i / s, renormalised

    s, the mean over items of the largest g_ia, is the unit of step and entropy, so that one setting suits
    graphs of strong and of weak structure (Q .40 on Beauty, .06 on Online Retail without a window). The fixed
    point is p_i ~ exp(g_i / (s entropy)). The entropy starts high and falls: without that, k-means as a start
    ended at 84% of Leiden's Q on Beauty, with it at 97%. The paper ascends with Adam; the multiplicative
    step keeps rows on the simplex and needs no second moment. In each pass the best prototype outside a row's
    support replaces its weakest one if its g is larger. A pass costs O(rho |E|), whatever C is.

    With ``config.batch_items`` a step moves that many items only, each by ``config.num_neighbors`` of its
    neighbours, drawn in proportion to their weights: an unbiased estimate of g_i, and a step whose cost does
    not depend on the graph. P^T k is kept up to date by the rows that moved. The running sum of the edges'
    weights is held, 8 bytes an edge.

    Args:
        graph: The co-engagement graph.
        items: [I, D] item embeddings; prototype vectors are the weighted means of them.
        config: Settings.
        seed: Of the community partition, and of the draws.
        start: [I] labels to start from; by default Leiden communities at that resolution, of which those
            beyond ``num_prototypes`` are left for their items' neighbours to decide.
        device: Where to ascend. Full passes run in numba on the CPU, the same for any number of threads;
            in torch on a GPU, where sums may differ in their last bits.

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
    label, gamma = start, config.gamma
    if gamma is None:
        communities, gamma = partition_into(graph, config.num_prototypes, seed=seed)
        label = communities if label is None else label
    elif label is None:
        label = community_partition(graph, gamma=gamma, seed=seed)
    if len(label) != graph.num_items or label.min(initial=0) < 0:
        raise DataError(
            f"start needs one label of 0 or more for each of {graph.num_items} items, got {len(label)} "
            f"labels from {label.min(initial=0)}; leave it out to start from communities"
        )
    indices, weights = spread(label, config)
    strength = graph.strength()
    if config.batch_items is not None:
        indices, weights = _by_batches(
            graph, strength, indices, weights, config, gamma, seed, torch.device(device)
        )
    elif torch.device(device).type == "cpu":
        indices, weights = _by_passes(graph, strength, indices, weights, config, gamma)
    else:
        indices, weights = _on_device(graph, strength, indices, weights, config, gamma, torch.device(device))
    order = np.argsort(-weights, axis=1, kind="stable")
    found = Memberships(
        np.take_along_axis(indices, order, axis=1).astype(np.int32),
        np.take_along_axis(weights, order, axis=1).astype(np.float32),
    )
    logger.info(
        "modularity prototypes: %d items, %d prototypes, gamma %.2f",
        graph.num_items, config.num_prototypes, gamma,
    )  # fmt: skip
    vectors = _mean_vectors(found, items, config.num_prototypes)
    return InterestPrototypes(vectors, found.indices, found.weights, "modularity")


def spread(
    label: NDArray[np.int32], config: ModularityConfig
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Memberships to start from: nearly hard, so that ascent begins at the labels' own modularity.

    An item whose community is not among the C largest starts undecided.
    """
    C, R = config.num_prototypes, config.nonzeros
    known = label < C
    first = np.where(known, label, label % C)
    indices = ((first[:, None] + np.arange(R)) % C).astype(np.int32)
    sharp = np.full((len(label), R), 0.02 / max(R - 1, 1))
    sharp[:, 0] = 0.98 if R > 1 else 1.0
    return indices, np.where(known[:, None], sharp, 1.0 / R)


def _by_passes(
    graph: CoEngagementGraph, strength: Array, indices: Array, weights: Array, config: ModularityConfig,
    gamma: float,
) -> tuple[Array, Array]:  # fmt: skip
    indptr, neighbours, edge = (np.asarray(a) for a in (graph.indptr, graph.indices, graph.weights))
    total, C = max(float(strength.sum()), 1e-12), config.num_prototypes

    def ascend_all(step: float, entropy: float) -> tuple[Array, Array, float]:
        mass = np.bincount(indices.ravel(), (weights * strength[:, None]).ravel(), minlength=C) / total
        moved, weighed, largest = ascend_rows(
            indptr, neighbours, edge, strength, indices, weights, gamma * mass, step, entropy
        )
        return moved, weighed, max(float(largest @ strength) / total, _LEAST_GAIN)

    _, _, scale = ascend_all(0.0, 0.0)
    for number in range(config.passes):
        indices, weights, scale = ascend_all(config.step_size / scale, config.entropy_at(number) * scale)
    return indices, weights


def _on_device(
    graph: CoEngagementGraph, strength: Array, indices: Array, weights: Array, config: ModularityConfig,
    gamma: float, device: torch.device,
) -> tuple[Array, Array]:  # fmt: skip
    state = _State(graph, strength, indices, weights, config, device)
    neighbours = torch.from_numpy(np.array(graph.indices)).to(device)
    edge = torch.from_numpy(np.array(graph.weights)).to(device)
    indptr = torch.from_numpy(np.array(graph.indptr)).to(device)
    cuts = np.searchsorted(graph.indptr, np.arange(_EDGES, graph.num_edges, _EDGES))
    bounds = np.unique(np.concatenate(([0], cuts, [graph.num_items])))
    scale = 0.0
    for number in range(-1, config.passes):  # the first round only measures the gains
        null, parts = gamma * state.mass(), []
        step, entropy = (config.step_size / scale, config.entropy_at(number) * scale) if scale else (0.0, 0.0)
        for low, high in itertools.pairwise(bounds.tolist()):
            begin, end = int(graph.indptr[low]), int(graph.indptr[high])
            degree = indptr[low + 1 : high + 1] - indptr[low:high]
            row = torch.repeat_interleave(torch.arange(high - low, device=device), degree)
            share = edge[begin:end].double() / state.strength[low:high].clamp_min(1e-12)[row]
            rows = torch.arange(low, high, device=device)
            parts.append(state.ascend(rows, row, neighbours[begin:end].long(), share, null, step, entropy))
        moved, weighed, largest = (torch.cat(column) for column in zip(*parts, strict=True))
        if scale:
            state.indices, state.weights = moved, weighed
        scale = max(float(largest @ state.strength) / state.total, _LEAST_GAIN)
    return state.indices.cpu().numpy(), state.weights.cpu().numpy()


def _by_batches(
    graph: CoEngagementGraph, strength: Array, indices: Array, weights: Array, config: ModularityConfig,
    gamma: float, seed: int, device: torch.device,
) -> tuple[Array, Array]:  # fmt: skip
    state = _State(graph, strength, indices, weights, config, device)
    neighbours = torch.from_numpy(np.array(graph.indices)).to(device)
    cumulative = torch.from_numpy(np.cumsum(graph.weights, dtype=np.float64)).to(device)
    first = torch.from_numpy(np.array(graph.indptr)).to(device)
    reach = torch.cat([cumulative.new_zeros(1), cumulative])
    generator = torch.Generator().manual_seed(derive_seed(seed, "modularity"))
    connected = torch.from_numpy(np.flatnonzero(strength > 0))
    assert config.batch_items is not None
    mass, scale = state.mass(), 0.0
    for number in range(config.passes):
        # Large steps find the partition, small ones average over the draws.
        shrink = min(1.0, 2 * (1 - number / config.passes))
        order = connected[torch.randperm(len(connected), generator=generator)].to(device)
        for rows in torch.split(order, config.batch_items):
            draw = torch.rand((len(rows), config.num_neighbors), generator=generator, dtype=torch.float64)
            low, high = reach[first[rows]].unsqueeze(1), reach[first[rows + 1]].unsqueeze(1)
            place = torch.searchsorted(cumulative, low + draw.to(device) * (high - low), right=True)
            place = place.clamp(first[rows].unsqueeze(1), first[rows + 1].unsqueeze(1) - 1)
            row = torch.arange(len(rows), device=device).repeat_interleave(config.num_neighbors)
            share = torch.full_like(row, 1 / config.num_neighbors, dtype=torch.float64)
            drawn, null = neighbours[place.flatten()].long(), gamma * mass
            if not scale:
                scale = state.mean_gain(rows, state.ascend(rows, row, drawn, share, null, 0.0, 0.0)[2])
            step, entropy = shrink * config.step_size / scale, config.entropy_at(number) * scale
            before = state.part(rows)
            moved = state.ascend(rows, row, drawn, share, null, step, entropy)
            state.indices[rows], state.weights[rows] = moved[:2]
            mass += state.part(rows) - before
            scale += 0.1 * (state.mean_gain(rows, moved[2]) - scale)
    return state.indices.cpu().numpy(), state.weights.cpu().numpy()


class _State:
    """Memberships on a device, and the mass that each prototype holds."""

    def __init__(
        self, graph: CoEngagementGraph, strength: Array, indices: Array, weights: Array,
        config: ModularityConfig, device: torch.device,
    ) -> None:  # fmt: skip
        self.config = config
        self.strength = torch.from_numpy(strength).to(device)
        self.total = max(float(strength.sum()), 1e-12)
        self.indices = torch.from_numpy(indices.astype(np.int64)).to(device)
        self.weights = torch.from_numpy(weights).to(device)

    def mass(self) -> Float[Tensor, " C"]:
        """P^T k / W."""
        return self.part(torch.arange(len(self.indices), device=self.indices.device))

    def part(self, rows: Int[Tensor, " B"]) -> Float[Tensor, " C"]:
        """What some rows hold of it."""
        held = (self.weights[rows] * self.strength[rows].unsqueeze(1)).flatten() / self.total
        empty = self.weights.new_zeros(self.config.num_prototypes)
        return empty.index_add_(0, self.indices[rows].flatten(), held)

    def mean_gain(self, rows: Int[Tensor, " B"], largest: Float[Tensor, " B"]) -> float:
        """The mean of rows' largest gains, weighted by strength."""
        strength = self.strength[rows]
        return max(float(largest @ strength / strength.sum()), _LEAST_GAIN)

    def ascend(
        self, rows: Tensor, row: Tensor, neighbour: Tensor, share: Tensor, null: Tensor, step: float,
        entropy: float,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Where a step takes some rows, and their largest gains."""
        return ascend(
            row, neighbour, share, self.indices[rows], self.weights[rows], self.indices, self.weights,
            null, step, entropy,
        )  # fmt: skip


def _mean_vectors(
    memberships: Memberships, items: NDArray[np.float32], num_prototypes: int
) -> NDArray[np.float32]:
    """Prototype vectors of free memberships: the weighted mean direction of their items, unit norm."""
    P = memberships.matrix(num_prototypes)
    unit = items / np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-12)
    vectors = np.asarray(P.T @ unit)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, 1e-12), dtype=np.float32)
