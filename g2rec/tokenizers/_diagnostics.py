"""Do the leading codes of the semantic IDs mean anything: categories and similarity, prefix by prefix."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from g2rec.errors import ConfigError, DataError


def prefix_groups(codes: NDArray[np.integer], depth: int) -> NDArray[np.int64]:
    """Number the distinct prefixes of ``depth`` codes and say which one each item has.

    Args:
        codes: [I, L] semantic IDs.
        depth: Leading codes that make the prefix, 0 (all items in one group) to L.

    Returns:
        [I] group of each item, in the order of the sorted prefixes.

    Raises:
        ConfigError: If there is no such depth.
    """
    if not 0 <= depth <= codes.shape[1]:
        raise ConfigError(f"expected a depth of 0 to {codes.shape[1]} codes, got {depth}; lower it")
    if not depth:
        return np.zeros(len(codes), dtype=np.int64)
    group = np.unique(codes[:, :depth], axis=0, return_inverse=True)[1]
    return np.asarray(group, dtype=np.int64).reshape(-1)  # numpy 2.0 gives a column


def category_agreement(
    codes: NDArray[np.integer],
    labels: NDArray[np.integer],
    *,
    max_items: int = 50_000,
    seed: int = 0,
) -> list[dict[str, int | float]]:
    """Mutual information between code prefixes and item categories, one row a depth.

    NMI = I(prefix; category) / ((H(prefix) + H(category)) / 2), and the adjusted form
    AMI = (I - E[I]) / ((H + H) / 2 - E[I]), E over random labellings with the same group sizes
    (Vinh, Epps and Bailey, JMLR 2010, https://jmlr.org/papers/v11/vinh10a.html). Deep prefixes hold an item
    or two each, so that I rises by chance alone: compare depths by AMI, where 0 is chance and 1 is identity.

    Args:
        codes: [I, L] semantic IDs.
        labels: [I] category of each item, -1 for none; items without one are left out.
        max_items: Items compared, drawn at random where there are more (E[I] takes prefixes × categories).
        seed: Of that draw.

    Returns:
        For depth 1 to L: ``depth``, ``prefixes`` and ``items`` (counts), ``nmi`` and ``ami``
        (dimensionless); empty where fewer than two categories are given.

    Raises:
        DataError: If there is not one label an item.
    """
    if len(labels) != len(codes):
        raise DataError(
            f"expected one category for each of the {len(codes)} items, got {len(labels)}; use -1 for none"
        )
    rows = np.flatnonzero(labels >= 0)
    if len(rows) > max_items:
        rows = np.sort(np.random.default_rng(seed).choice(rows, max_items, replace=False))
    known = labels[rows]
    if len(np.unique(known)) < 2:
        return []
    found = []
    for depth in range(1, codes.shape[1] + 1):
        groups = prefix_groups(codes[rows], depth)
        found.append(
            {
                "depth": depth,
                "prefixes": int(groups.max()) + 1,
                "items": len(rows),
                "nmi": float(normalized_mutual_info_score(known, groups)),
                "ami": float(adjusted_mutual_info_score(known, groups)),
            }
        )
    return found


def prefix_similarity(
    codes: NDArray[np.integer], vectors: NDArray[np.float32], *, num_pairs: int = 20_000, seed: int = 0
) -> list[dict[str, int | float]]:
    """Mean cosine of two items that share exactly d leading codes, for d = 0 to L - 1.

    Where IDs carry meaning the mean rises with d. Pairs are drawn uniformly, with replacement, from all
    pairs that share exactly d codes: an item i with probability proportional to n_d(i) - n_{d+1}(i), n_d
    the number of items with its first d codes, then one of those n_d - n_{d+1} others.

    Args:
        codes: [I, L] semantic IDs.
        vectors: [I, D] item embeddings or content; need not have unit norm, rows of zeros are left out.
        num_pairs: Pairs drawn for each depth; no more than there are.
        seed: Of the draw.

    Returns:
        One row a depth that has pairs: ``depth``, ``pairs`` (how many there are), ``sampled``,
        ``cosine``, and its 95% interval ``low`` to ``high`` (normal, over the pairs drawn).

    Raises:
        DataError: If there is not one vector an item.
        ConfigError: If no pair may be drawn.
    """
    if len(vectors) != len(codes):
        raise DataError(
            f"expected one vector for each of the {len(codes)} items, got {len(vectors)}; "
            "take both from one run"
        )
    if num_pairs < 1:
        raise ConfigError(f"num_pairs must be at least 1, got {num_pairs}; draw one pair or more")
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    rows = np.flatnonzero(norms > 0)
    rows = rows[np.lexsort(codes[rows].T[::-1])]  # items with one prefix stand together
    rng = np.random.default_rng(seed)
    start, stop = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), len(rows), dtype=np.int64)
    found = []
    for depth in range(codes.shape[1]):
        inner_start, inner_stop = _runs(codes[rows], depth + 1)
        others = (stop - start) - (inner_stop - inner_start)
        total = int(others.sum())
        if total:
            draws = min(num_pairs, total // 2)
            left = rng.choice(len(rows), draws, p=others / total)
            right = start[left] + rng.integers(0, others[left])
            right += np.where(right >= inner_start[left], inner_stop[left] - inner_start[left], 0)
            left, right = rows[left], rows[right]
            product = np.einsum("nd,nd->n", vectors[left], vectors[right], dtype=np.float64)
            cosine = product / (norms[left] * norms[right])
            spread = 1.96 * cosine.std(ddof=1) / np.sqrt(draws) if draws > 1 else 0.0
            mean = float(cosine.mean())
            found.append(
                {
                    "depth": depth,
                    "pairs": total // 2,
                    "sampled": draws,
                    "cosine": mean,
                    "low": float(mean - spread),
                    "high": float(mean + spread),
                }
            )
        start, stop = inner_start, inner_stop
    return found


def _runs(codes: NDArray[np.integer], depth: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last-plus-one row of the run of equal prefixes that each row of sorted codes lies in."""
    group = prefix_groups(codes, depth)
    edges = np.searchsorted(group, np.arange(group[-1] + 2 if len(group) else 1))
    return edges[group], edges[group + 1]
