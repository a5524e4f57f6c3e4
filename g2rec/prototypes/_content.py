"""Memberships of items of which only the content is known, learned from the items that have events."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.covariance import ledoit_wolf

from g2rec.errors import DataError
from g2rec.prototypes._interests import InterestPrototypes, Memberships

_ITEMS = 100_000
"""Items fitted on, at most; 384 features and some hundred prototypes have fewer numbers to find."""
_ROWS = 16_384
"""Items whose dense scores are held at a time."""
_FOLDS = 5
_LEAST = 10
"""Items with events below which content is taken to say nothing."""
_TRUST = np.concatenate(([0.0], np.geomspace(0.03, 1.5, 16)))
"""Exponents of the likelihood that are compared."""


@dataclass(frozen=True)
class ContentMemberships:
    """Linear discriminant analysis from content to prototypes, with soft labels.

    Content f of the items of prototype a is taken as Gaussian around m_a, with one covariance S for all::

        m_a = (sum_i p_ia f_i + m) / (sum_i p_ia + 1);   S of f_i - sum_a p_ia m_a, shrunk
        log p(a | f) = beta (m_a S^-1 f - m_a S^-1 m_a / 2) + log pi_a + const;   p over its R largest

    pi is the mean membership, m the mean content: one item's worth of it keeps a prototype that hardly any
    item has from sitting on that item. S is shrunk to a multiple of the identity (Ledoit and Wolf, A
    well-conditioned estimator for large-dimensional covariance matrices, 2004). beta in [0, 1.5] is where the
    cross-entropy to the memberships of items left out is least, five-fold: words are neither Gaussian nor
    independent, so their likelihoods claim too much (beta .2 on Amazon Beauty, .6 on `synthetic`). The rest
    is textbook: Hastie, Tibshirani and Friedman, Elements of Statistical Learning, 4.3.
    """

    weight: NDArray[np.float32]
    """[F, C]."""
    bias: NDArray[np.float32]
    """[C]."""
    nonzeros: int
    """Prototypes that an item may belong to, R."""

    @classmethod
    def fit(
        cls, content: NDArray[np.float32], prototypes: InterestPrototypes, known: NDArray[np.bool_]
    ) -> Self:
        """Learn from the items with training events; no other row of content or memberships is looked at.

        Args:
            content: [I, F]; may be memory-mapped.
            prototypes: With memberships of all items.
            known: [I] which items have training events.

        Raises:
            DataError: If the three are not of the same items.
        """
        if not len(content) == prototypes.num_items == len(known):
            raise DataError(
                f"expected content, memberships and events of the same items, got {len(content)}, "
                f"{prototypes.num_items} and {len(known)}; take them from one run"
            )
        rng = np.random.default_rng(0)
        rows = np.sort(rng.permutation(np.flatnonzero(known))[:_ITEMS])
        own = Memberships(prototypes.indices[rows], prototypes.weights[rows])
        P = own.matrix(prototypes.num_prototypes)
        f = np.asarray(content[rows], dtype=np.float64)
        nonzeros = own.indices.shape[1]
        if len(rows) < _LEAST:
            share = np.asarray(P.sum(axis=0)).ravel() / max(1, len(rows))
            nothing = np.zeros((content.shape[1], len(share)), np.float32)
            return cls(nothing, _log(share).astype(np.float32), nonzeros)
        loss, fold = np.zeros(len(_TRUST)), rng.permutation(len(rows)) % _FOLDS
        for held in range(_FOLDS):
            weight, bias, log_share = _discriminant(f[fold != held], P[fold != held])
            left = np.flatnonzero(fold == held)
            for start in range(0, len(left), _ROWS):
                some = left[start : start + _ROWS]
                loss += _cross_entropies(f[some] @ weight + bias, log_share, P[some])
        beta = float(_TRUST[loss.argmin()])
        weight, bias, log_share = _discriminant(f, P)
        return cls((beta * weight).astype(np.float32), (beta * bias + log_share).astype(np.float32), nonzeros)

    def of(self, content: NDArray[np.float32]) -> Memberships:
        """Memberships of items by their content [n, F], heaviest first."""
        weight, bias = torch.from_numpy(self.weight), torch.from_numpy(self.bias)
        found = Memberships(
            np.empty((len(content), self.nonzeros), np.int32),
            np.empty((len(content), self.nonzeros), np.float32),
        )
        for start in range(0, len(content), _ROWS):
            rows = slice(start, start + _ROWS)
            some = torch.from_numpy(np.array(content[rows], dtype=np.float32))
            top = torch.addmm(bias, some, weight).topk(self.nonzeros, dim=1)
            found.indices[rows], found.weights[rows] = top.indices.numpy(), top.values.softmax(dim=1).numpy()
        return found


def place_by_content(
    prototypes: InterestPrototypes, content: NDArray[np.float32] | None, known: NDArray[np.bool_]
) -> InterestPrototypes:
    """The prototypes with memberships by content (`ContentMemberships`) for the items without events.

    Args:
        prototypes: With memberships of all items.
        content: [I, F]; None leaves all as it is.
        known: [I] which items have training events; these keep their memberships.
    """
    new = np.flatnonzero(~known)
    if content is None or not len(new) or not known.any():
        return prototypes
    found = ContentMemberships.fit(content, prototypes, known)
    indices, weights = prototypes.indices.copy(), prototypes.weights.copy()
    for start in range(0, len(new), _ROWS):  # content may be on disk
        rows = new[start : start + _ROWS]
        indices[rows], weights[rows] = found.of(content[rows])
    return replace(prototypes, indices=indices, weights=weights)


def _discriminant(
    content: NDArray[np.float64], P: csr_matrix
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """S^-1 m_a as columns [F, C], -m_a S^-1 m_a / 2, and log pi_a."""
    mass = np.asarray(P.sum(axis=0)).ravel()
    means = (P.T @ content + content.mean(axis=0)) / (mass + 1)[:, None]
    covariance, _ = ledoit_wolf(content - P @ means, assume_centered=True)
    width = len(covariance)
    # Features may be constant, and shrinkage nil.
    covariance[np.diag_indices(width)] += 1e-6 * np.trace(covariance) / width + 1e-12
    weight = np.linalg.solve(covariance, means.T)
    return weight, -0.5 * (means * weight.T).sum(axis=1), _log(mass / len(content))


def _cross_entropies(
    score: NDArray[np.float64], log_share: NDArray[np.float64], P: csr_matrix
) -> NDArray[np.float64]:
    """Of the posteriors with each exponent, to memberships P, in nats; sums over items."""
    found = np.empty(len(_TRUST))
    for place, beta in enumerate(_TRUST):
        logits = torch.from_numpy(beta * score + log_share)
        found[place] = -P.multiply(logits.log_softmax(dim=1).numpy()).sum()
    return found


def _log(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(share, 1e-12)))
