"""Memberships that stay while their prototypes learn."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from g2rec.prototypes._interests import InterestPrototypes
from g2rec.shapes import Float, Int, Tensor


class FixedMemberships(nn.Module):
    """Prototypes whose memberships were found without a head: these stay, the vectors may learn.

    Stands in for a `PrototypeHead` in joint training; a new item has no membership here.

    Shapes: prototypes [C, D], items [B], memberships [B, C].
    """

    indices: Tensor
    weights: Tensor

    def __init__(self, prototypes: InterestPrototypes) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.from_numpy(np.array(prototypes.vectors)))
        self.method = prototypes.method
        self.register_buffer(
            "indices", torch.from_numpy(prototypes.indices.astype(np.int64)), persistent=False
        )
        self.register_buffer("weights", torch.from_numpy(np.array(prototypes.weights)), persistent=False)

    def forward(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B C"]:
        """Dense memberships of items."""
        dense = self.weights.new_zeros(len(items), len(self.vectors))
        return dense.scatter(1, self.indices[items], self.weights[items])

    def export(self, items: NDArray[np.float32]) -> InterestPrototypes:
        """The prototypes with the vectors as they are now."""
        vectors = self.vectors.detach().cpu().numpy().copy()
        indices = self.indices.cpu().numpy().astype(np.int32)
        return InterestPrototypes(vectors, indices, self.weights.cpu().numpy(), self.method)
