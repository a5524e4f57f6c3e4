"""What each prototype is like: size, popularity, softness, and how pure in categories."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from g2rec.errors import ConfigError, DataError
from g2rec.prototypes._interests import InterestPrototypes


@dataclass(frozen=True)
class PrototypePurity:
    """How much of each prototype lies in one category."""

    category: NDArray[np.int64]
    """[C] the category that holds most of its weight; -1 for a prototype without labelled items."""
    share: NDArray[np.float64]
    """[C] the share of its labelled weight that lies there, in [0, 1]; 0 without labelled items."""
    overall: float
    """The shares' mean, each prototype counted by its labelled weight."""
    chance: float
    """What ``overall`` is when the labels are dealt to the items at random."""
    labelled: float
    """Share of the items that have a category."""


def prototype_purity(
    prototypes: InterestPrototypes, labels: NDArray[np.integer], *, num_shuffles: int = 10, seed: int = 0
) -> PrototypePurity:
    """Weighted purity: the share of a prototype's mass in its most frequent category.

    purity_a = max_k sum_{i: label_i = k} p_ia / sum_i p_ia, overall = sum_a max_k (...) / sum_ia p_ia
    (Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 16.3, with soft
    memberships). It rises with the number of prototypes and with the size of the largest category, so it
    means something only beside its chance level.

    Args:
        prototypes: The prototypes.
        labels: [I] category of each item, -1 for none; items without one are left out.
        num_shuffles: Random labellings that the chance level is the mean of.
        seed: Of the shuffles.

    Raises:
        DataError: If there is not one label an item.
        ConfigError: If no shuffle is asked for.
    """
    if len(labels) != prototypes.num_items:
        raise DataError(
            f"expected one category for each of the {prototypes.num_items} items, got {len(labels)}; "
            "use -1 for none"
        )
    if num_shuffles < 1:
        raise ConfigError(f"num_shuffles must be at least 1, got {num_shuffles}; chance needs one or more")
    rows = np.flatnonzero(labels >= 0)
    known = labels[rows].astype(np.int64)
    member = prototypes.memberships.matrix(prototypes.num_prototypes)[rows]
    mass = _by_category(member, known)
    total = mass.sum(axis=1)
    best = mass.max(axis=1, initial=0.0)
    whole = max(float(total.sum()), 1e-30)
    rng = np.random.default_rng(seed)
    by_chance = [
        _by_category(member, rng.permutation(known)).max(axis=1, initial=0.0).sum() / whole
        for _ in range(num_shuffles)
    ]
    held = total > 0
    return PrototypePurity(
        category=np.where(held, mass.argmax(axis=1) if mass.size else -1, -1),
        share=np.where(held, best / np.where(held, total, 1.0), 0.0),
        overall=float(best.sum() / whole),
        chance=float(np.mean(by_chance)),
        labelled=len(rows) / max(1, len(labels)),
    )


@dataclass(frozen=True)
class PrototypeStatistics:
    """Size, popularity and softness of each prototype."""

    size: NDArray[np.float64]
    """[C] items: the sum of the memberships."""
    popularity: NDArray[np.float64]
    """[C] training events of its items, the mean weighted by membership; 0 for an empty prototype."""
    softness: NDArray[np.float64]
    """[C] entropy of its items' memberships over its largest value log R, the mean weighted by membership."""
    exclusive: NDArray[np.float64]
    """[C] share of its weight that comes from items which belong to it by more than one half."""


def prototype_statistics(
    prototypes: InterestPrototypes, popularity: NDArray[np.integer]
) -> PrototypeStatistics:
    """Describe each prototype by its items.

    Args:
        prototypes: The prototypes.
        popularity: [I] training events of each item.

    Raises:
        DataError: If there is not one count an item.
    """
    if len(popularity) != prototypes.num_items:
        raise DataError(
            f"expected the events of each of the {prototypes.num_items} items, got {len(popularity)}; "
            "take both from one run"
        )
    member = prototypes.memberships.matrix(prototypes.num_prototypes)
    weights = prototypes.weights.astype(np.float64)
    largest = np.log(weights.shape[1]) if weights.shape[1] > 1 else 1.0
    entropy = -(weights * np.log(np.maximum(weights, 1e-30))).sum(axis=1) / largest
    size = np.asarray(member.sum(axis=0)).ravel()
    above = member.multiply(member > 0.5)
    per_item = np.where(size > 0, size, 1.0)
    return PrototypeStatistics(
        size=size,
        popularity=(member.T @ popularity.astype(np.float64)) / per_item,
        softness=(member.T @ entropy) / per_item,
        exclusive=np.asarray(above.sum(axis=0)).ravel() / per_item,
    )


def _by_category(member: csr_matrix, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of each prototype in each category, [C, K]."""
    num_categories = int(labels.max(initial=-1)) + 1
    one_hot = csr_matrix(
        (np.ones(len(labels)), labels, np.arange(len(labels) + 1)), shape=(len(labels), num_categories)
    )
    return np.asarray((member.T @ one_hot).toarray())
