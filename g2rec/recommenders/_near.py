"""The items nearest to each item, which vote for it: by the words of their titles, or by co-engagement."""

from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from g2rec.graph import CoEngagementConfig, build_coengagement
from g2rec.interactions import Interactions
from g2rec.recommenders._sparse import normalized_coengagement
from g2rec.shapes import Float, Int, Tensor

_NEAREST = 64
"""Neighbours of an item that vote."""
_ROWS = 1024
"""Items compared with all others at once."""
_TOGETHER = CoEngagementConfig(window=5, weighting="count")
"""Which events count as one engagement with both of their items."""
_SOURCE_POWER, _TARGET_POWER = 0.5, 0.4
"""How far a count is divided by how often each of its two items is counted at all."""


class NearItems(nn.Module):
    """For each item the few that are nearest to it, and what each of them gets of its vote.

    Args:
        num_items: I; nobody votes yet.
    """

    near: Tensor
    near_share: Tensor

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.register_buffer("near", torch.zeros(num_items, _NEAREST, dtype=torch.long))
        self.register_buffer("near_share", torch.zeros(num_items, _NEAREST))

    def keep(self, weights: csr_matrix, first: int = 0) -> None:
        """Keep the largest weights of each row, of the items from ``first`` on."""
        row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
        order = np.lexsort((-weights.data, row))
        place = np.arange(len(order)) - weights.indptr[row]
        kept, place = order[place < _NEAREST], place[place < _NEAREST]
        at = (torch.from_numpy(first + row[kept]), torch.from_numpy(place.astype(np.int64)))
        self.near[at] = torch.from_numpy(weights.indices[kept].astype(np.int64))
        self.near_share[at] = torch.from_numpy(weights.data[kept].astype(np.float32))

    @classmethod
    def by_words(cls, interactions: Interactions) -> Self | None:
        """The items with the likest titles: cosines of TF-IDF vectors, with words counted in training items.

        An embedding of the text forgets which words it has read; a shared rare word, a brand's or a series',
        says more than its share of a cosine of embeddings.

        Returns:
            None if no two titles share a word, or if there are only item IDs.
        """
        titles = interactions.titles
        if titles == [str(key) for key in interactions.items["item_id"].to_pylist()]:
            return None
        seen = np.bincount(interactions.train_events().item_index, minlength=len(titles)) > 0
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, token_pattern=r"\w+", dtype=np.float32)
        try:
            vectorizer.fit([title for title, known in zip(titles, seen, strict=True) if known])
        except ValueError:  # an empty vocabulary
            return None
        vectors = vectorizer.transform(titles).tocsr()
        made, transposed = cls(len(titles)), vectors.T.tocsr()
        for first in range(0, len(titles), _ROWS):
            cosines = vectors[first : first + _ROWS] @ transposed
            own = diags(cosines.diagonal(first), first, cosines.shape, "csr")
            cosines = (cosines - own).tocsr()
            cosines.eliminate_zeros()
            made.keep(cosines, first)
        return made

    @classmethod
    def by_engagement(cls, interactions: Interactions) -> Self:
        """The items that the same users engaged with shortly before or after, in training.

        share_ij = n_ij / (n_i^.5 n_j^.4),  n_ij the pairs at most four events apart, n_i those with i

        Masked N@10 of the votes of the last ten on validation, against n_ij / n_i: Toys .060 and .056, Beauty
        .052 and .053, Online Retail .130 and .110. Powers .5, .5 do better on Online Retail and worse on both
        others; log(1 + n_ij) is worse everywhere.
        """
        graph = build_coengagement(interactions, _TOGETHER)
        made = cls(graph.num_items)
        made.keep(normalized_coengagement(graph, _SOURCE_POWER, _TARGET_POWER))
        return made

    def votes(self, recent: Int[Tensor, "B n"], weight: Float[Tensor, "B n"]) -> Float[Tensor, "B I"]:
        """sum_r weight_r share_{x_r, i} over the recent items x_r; -1 has no vote."""
        known = recent.clamp(min=0)
        share = self.near_share[known] * weight.unsqueeze(2)
        votes = torch.zeros(len(recent), len(self.near), device=recent.device)
        return votes.scatter_add_(1, self.near[known].flatten(1), share.flatten(1))
