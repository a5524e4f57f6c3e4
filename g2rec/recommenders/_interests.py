"""A history's interests, on the device: the prefix, and the running profile."""

from typing import Any

import numpy as np
import torch
from torch import nn

from g2rec.errors import DataError
from g2rec.shapes import Bool, Float, Int, Tensor


class HistoryInterests(nn.Module):
    """What `InterestPrototypes.user_interests` says, computed in the batch for any cut of a history.

    s_t = sum_{j <= t} decay^(t-j) p_{x_j} / sum_{j <= t} decay^(t-j), p the memberships. A value depends on
    the items up to its own position only.

    Args:
        vectors: [C, D'] prototype vectors.
        indices: [I, R] prototypes of each item.
        weights: [I, R] membership weights; rows sum to 1.
        decay: Weight of an item over that of the next one.
    """

    vectors: Tensor
    indices: Tensor
    weights: Tensor
    profiles: Tensor

    def __init__(
        self,
        vectors: np.ndarray[Any, Any],
        indices: np.ndarray[Any, Any],
        weights: np.ndarray[Any, Any],
        decay: float,
    ) -> None:
        super().__init__()
        if indices.shape != weights.shape:
            raise DataError(
                f"memberships have indices {indices.shape} and weights {weights.shape}; "
                "fit the prototypes again"
            )
        self.decay = decay
        unit = torch.nn.functional.normalize(torch.from_numpy(np.array(vectors, dtype=np.float32)), dim=-1)
        self.register_buffer("vectors", unit)
        self.register_buffer("indices", torch.from_numpy(np.array(indices, dtype=np.int64)).clamp(min=0))
        self.register_buffer("weights", torch.from_numpy(np.array(weights, dtype=np.float32)))
        profiles = (self.vectors[self.indices] * self.weights.unsqueeze(-1)).sum(1)
        self.register_buffer("profiles", profiles)

    def top(
        self,
        items: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"],
        m: int,
        without: Bool[Tensor, "B C"] | None = None,
    ) -> tuple[Int[Tensor, "B m"], Float[Tensor, "B m"]]:
        """The ``m`` heaviest prototypes of the first ``lengths`` items; weights sum to 1, or 0 without items.

        -1 and weight 0 fill up where there are fewer. Prototypes in ``without`` weigh nothing.
        """
        C = len(self.vectors)
        age = lengths.unsqueeze(1) - 1 - torch.arange(items.shape[1], device=items.device)
        recency = torch.where(age >= 0, self.decay ** age.clamp(min=0).float(), 0.0)
        seen = items.clamp(min=0)
        mass = torch.zeros(len(items), C, device=items.device)
        mass.scatter_add_(
            1, self.indices[seen].flatten(1), (self.weights[seen] * recency.unsqueeze(-1)).flatten(1)
        )
        if without is not None:
            mass = mass.masked_fill(without, 0.0)
        weights, indices = mass.topk(min(m, C), dim=1)
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
        return indices.masked_fill(weights == 0, -1), weights

    def running(
        self, items: Int[Tensor, "B T"], without: Bool[Tensor, "B C"] | None = None
    ) -> Float[Tensor, "B T E"]:
        """The profile of the items up to and including each position, ``without`` some prototypes."""
        known = items.clamp(min=0)
        if without is None:
            return decayed_mean(self.profiles[known], self.decay)
        left = self.weights[known].masked_fill(self._within(known, without), 0.0)
        return decayed_mean((self.vectors[self.indices[known]] * left.unsqueeze(-1)).sum(2), self.decay)

    def share_left(self, items: Int[Tensor, "B T"], without: Bool[Tensor, "B C"]) -> Float[Tensor, "B T"]:
        """How much of each item belongs to none of the prototypes in ``without``, from 0 to 1."""
        known = items.clamp(min=0)
        return self.weights[known].masked_fill(self._within(known, without), 0.0).sum(-1)

    def agreement(
        self, items: Int[Tensor, "B n"], weight: Float[Tensor, "B n"], without: Bool[Tensor, "B C"] | None
    ) -> Float[Tensor, "B I"]:
        """<s, p_i> of every item i with the weighted memberships s of some items, ``without`` prototypes."""
        known, C = items.clamp(min=0), len(self.vectors)
        held = torch.zeros(len(items), C, device=items.device)
        share = self.weights[known] * weight.unsqueeze(2)
        held.scatter_add_(1, self.indices[known].flatten(1), share.flatten(1))
        if without is not None:
            held = held.masked_fill(without, 0.0)
        memberships = torch.zeros(len(self.indices), C, device=items.device)
        return held @ memberships.scatter_add_(1, self.indices, self.weights).T

    def _within(self, known: Int[Tensor, "B T"], without: Bool[Tensor, "B C"]) -> Bool[Tensor, "B T R"]:
        indices = self.indices[known]
        return without.gather(1, indices.flatten(1)).view(indices.shape)


def decayed_mean(x: Float[Tensor, "B T E"], decay: float) -> Float[Tensor, "B T E"]:
    """Recency-weighted mean of the rows up to and including each position."""
    T = x.shape[1]
    at = torch.arange(T, device=x.device)
    age = (at.unsqueeze(1) - at).float()
    weights = torch.where(age >= 0, decay ** age.clamp(min=0), 0.0)
    return (weights / weights.sum(1, keepdim=True)).to(x.dtype) @ x
