"""How many prototypes, and at what resolution: settings compared without labels."""

import hashlib
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score

from g2rec.artifacts import derive_seed, fingerprint
from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes._free import ModularityConfig, fit_modularity
from g2rec.prototypes._interests import InterestPrototypes
from g2rec.prototypes._modularity import modularity_report, soft_modularity

logger = logging.getLogger(__name__)
_FORMAT = 1
"""Part of every key; raised when a row's figures change for the same settings."""
_EDGES = 1 << 22
"""Edges looked at a time."""
_ENOUGH = 0.8
"""Share of the best modularity that a setting must reach to be chosen."""
_ALIKE = 0.02
"""Stabilities that differ by less are taken as equal."""


@dataclass(frozen=True)
class SweepRow:
    """What is measured of one setting; figures are means over the seeds."""

    num_prototypes: int
    """C."""
    gamma: float
    """Resolution that the prototypes were fitted at."""
    stability: float
    """Adjusted mutual information of the items' dominant prototypes between two seeds, in [0, 1] or a little
    below; the mean over pairs."""
    modularity: float
    """Of the dominant prototypes, at gamma."""
    modularity_one: float
    """Of the dominant prototypes, at gamma = 1, which makes rows of different gamma comparable."""
    used: float
    """Prototypes that are dominant for an item."""
    usage_perplexity: float
    """exp of the entropy of the prototypes' shares: the number of them that would be used evenly."""
    softness: float
    """Entropy of the memberships over its largest value."""
    seconds: float
    """Of one fit."""
    key: str
    """Hash of the graph and of all settings of the row."""


def sweep_prototypes(
    graph: CoEngagementGraph,
    *,
    num_prototypes: Sequence[int] = (16, 32, 64, 128),
    gammas: Sequence[float] = (1.0, 2.0, 4.0),
    seeds: Sequence[int] = (0, 1, 2),
    share: float = 0.9,
    config: ModularityConfig | None = None,
    known: Iterable[SweepRow] = (),
    report: Callable[[SweepRow], None] = lambda row: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[SweepRow]:
    """Fit the free modularity prototypes with each C and gamma, and see which of them stand on the data.

    For each seed a random share of the item pairs is kept, another one for each, and the prototypes are
    fitted to it from the Leiden communities of that seed; what a seed keeps does not depend on C and gamma.
    Interests that are in the data come back, those that the search or single pairs made do not: that is the
    stability (von Luxburg, Clustering stability, 2010; subsampling as in Lange et al., Neural Computation
    2004). Modularity and usage are taken on the whole graph. Items without a pair there are left out.

    Args:
        graph: The co-engagement graph.
        num_prototypes: Each C.
        gammas: Each resolution.
        seeds: Two or more.
        share: Of the pairs that a fit sees, in (0, 1].
        config: The other settings of a fit.
        known: Rows of an earlier call; those with the same graph and settings are not measured again.
        report: Told of each row as it is there.
        progress: Called with fits done and their total.

    Returns:
        One row for each C and gamma, by C first.

    Raises:
        ConfigError: If a setting is out of range, or there are fewer than two seeds.
        DataError: If the graph has no edges.
    """
    base = config or ModularityConfig()
    settings = [
        replace(base, num_prototypes=number, gamma=gamma, nonzeros=min(base.nonzeros, number))
        for number, gamma in itertools.product(dict.fromkeys(num_prototypes), dict.fromkeys(gammas))
    ]
    seeds = list(dict.fromkeys(seeds))
    _check(graph, settings, seeds, share)
    digest = _digest(graph)
    there = {row.key: row for row in known}
    keys = [fingerprint("sweep", _FORMAT, digest, each, seeds, share) for each in settings]
    total = len(seeds) * sum(key not in there for key in keys)
    kept: dict[int, CoEngagementGraph] = {}
    rows: list[SweepRow] = []
    done = 0
    for each, key in zip(settings, keys, strict=True):
        if key in there:
            rows.append(there[key])
            report(rows[-1])
            continue
        fits: list[tuple[InterestPrototypes, float]] = []
        for seed in seeds:
            if seed not in kept:
                kept[seed] = keep_pairs(graph, share, seed)
            start = time.monotonic()
            nothing = np.ones((graph.num_items, 1), dtype=np.float32)  # vectors are not looked at
            fits.append((fit_modularity(kept[seed], nothing, each, seed=seed), time.monotonic() - start))
            done += 1
            progress(done, total)
        rows.append(_row(graph, each, fits, key))
        report(rows[-1])
        logger.info("sweep: %s", rows[-1])
    return rows


def choose_prototypes(rows: Sequence[SweepRow]) -> SweepRow:
    """The setting to take if nothing else is known.

    Of the settings with at least 80% of the best modularity at gamma = 1, those whose stability is within .02
    of their best; of those the one with the highest modularity at gamma = 1 (to three decimals), then the
    one with the smallest C.

    Stability decides because it follows the truth where that is known: on four planted graphs (16 and 64
    interests, noise .3 and .5; C from 4 to 128, gamma from 1 to 4; scripts/bench_sweep.py) its rank
    correlation with the adjusted mutual information to the planted interests was .92 to .96, that of
    modularity at gamma = 1 was .63 to .76: where 64 interests are planted it prefers about 16, its resolution
    limit (Fortunato and Barthelemy, PNAS 2007). The floor is there because one interest for all items is
    perfectly stable and says nothing.

    Raises:
        ConfigError: If there is no row.
    """
    if not rows:
        raise ConfigError("expected the rows of a sweep to choose from, got none; sweep one setting or more")
    best = max(row.modularity_one for row in rows)
    good = [row for row in rows if row.modularity_one >= min(_ENOUGH * best, best)]
    most = max(row.stability for row in good)
    steady = [row for row in good if row.stability >= most - _ALIKE]
    return min(steady, key=lambda row: (-round(row.modularity_one, 3), row.num_prototypes, row.gamma))


def keep_pairs(graph: CoEngagementGraph, share: float, seed: int) -> CoEngagementGraph:
    """The graph with a random share of its pairs, both directions of each.

    Whether a pair stays is a hash of the seed and its two items, so no list of pairs is made or shuffled.
    """
    if share >= 1:
        return graph
    salt = _mix(np.full(1, derive_seed(seed, "pairs of a sweep"), dtype=np.uint64))
    bound = np.uint64(int(share * 2**32))
    keep = np.empty(graph.num_edges, dtype=np.bool_)
    kept = np.zeros(graph.num_items + 1, dtype=np.int64)
    low = 0
    while low < graph.num_items:
        begin = int(graph.indptr[low])
        high = max(low + 1, int(np.searchsorted(graph.indptr, begin + _EDGES, side="right")) - 1)
        row = np.repeat(np.arange(low, high), np.diff(graph.indptr[low : high + 1]))
        edges = slice(begin, int(graph.indptr[high]))
        column = np.asarray(graph.indices[edges], dtype=np.int64)
        pair = np.minimum(row, column) << 32 | np.maximum(row, column)
        keep[edges] = (_mix(_mix(pair.astype(np.uint64)) ^ salt) >> np.uint64(32)) < bound
        kept[low + 1 : high + 1] = np.bincount(row[keep[edges]] - low, minlength=high - low)
        low = high
    return CoEngagementGraph(graph.num_items, np.cumsum(kept), graph.indices[keep], graph.weights[keep])


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014), after a step."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _row(
    graph: CoEngagementGraph, config: ModularityConfig, fits: list[tuple[InterestPrototypes, float]], key: str
) -> SweepRow:
    gamma = 1.0 if config.gamma is None else config.gamma
    joined = np.diff(graph.indptr) > 0
    labels = [prototypes.dominant()[joined] for prototypes, _ in fits]
    reports = [modularity_report(prototypes, graph, gamma) for prototypes, _ in fits]
    hard = [
        soft_modularity(prototypes.memberships.hardened(), graph, config.num_prototypes)
        for prototypes, _ in fits
    ]
    shares = [np.bincount(label, minlength=config.num_prototypes) / len(label) for label in labels]
    return SweepRow(
        num_prototypes=config.num_prototypes,
        gamma=gamma,
        stability=_mean(adjusted_mutual_info_score(*pair) for pair in itertools.combinations(labels, 2)),
        modularity=_mean(each["modularity_hardened"] for each in reports),
        modularity_one=_mean(hard),
        used=_mean(float((share > 0).sum()) for share in shares),
        usage_perplexity=_mean(
            float(np.exp(-(share * np.log(np.maximum(share, 1e-30))).sum())) for share in shares
        ),
        softness=_mean(each["softness"] for each in reports),
        seconds=_mean(seconds for _, seconds in fits),
        key=key,
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _digest(graph: CoEngagementGraph) -> str:
    hashed = hashlib.sha256()
    for array in (graph.indptr, graph.indices, graph.weights):
        hashed.update(np.ascontiguousarray(array).data.cast("B") if len(array) else b"")
    return hashed.hexdigest()


def _check(
    graph: CoEngagementGraph, settings: Sequence[ModularityConfig], seeds: Sequence[int], share: float
) -> None:
    if not settings:
        raise ConfigError(
            "a sweep needs one num_prototypes and one gamma at least; list some, such as [32,64]"
        )
    for each in settings:
        each.check()
    if len(seeds) < 2:
        raise ConfigError(f"stability is between seeds, got {len(seeds)} of them; name two or more")
    if not 0 < share <= 1:
        raise ConfigError(f"share must lie in (0, 1], got {share}; a usual value is 0.9")
    if not graph.num_edges:
        raise DataError("the co-engagement graph has no edges; build it from users with two items or more")
