"""A tokenizer's input: standardized content joined with the standardized graph embedding."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from g2rec.errors import DataError
from g2rec.shapes import Float, Tensor


class InputScaler(nn.Module):
    """Standardizes each block of features and gives all blocks the same total variance.

    x = concat_b sqrt(F / (n_b F_b)) (block_b - mean_b) / std_b,  F = sum_b F_b, n_b blocks

    Graph embeddings are scaled to unit norm first: the link loss compares directions, so their norm says
    little but how many neighbours were seen.

    Without the standardization an RQ-VAE tends to collapse; without the common variance 384 content
    features drown a 64-dimensional embedding. The statistics are those of the fitted catalogue, so a new
    item is placed on the same scale.
    """

    def __init__(self, blocks: Mapping[str, int]) -> None:
        super().__init__()
        self.blocks = dict(blocks)
        for name, dim in self.blocks.items():
            self.register_buffer(f"{name}_mean", torch.zeros(dim))
            self.register_buffer(f"{name}_scale", torch.ones(dim))

    @property
    def num_features(self) -> int:
        """F, of all blocks together."""
        return sum(self.blocks.values())

    @torch.no_grad()
    def fit(self, **blocks: NDArray[np.float32] | None) -> "InputScaler":
        """Take means and scales from the catalogue's blocks, each [I, F_b]."""
        for name, given in self._checked(blocks).items():
            value = F.normalize(torch.from_numpy(given), dim=1).numpy() if name == "embedding" else given
            std = value.std(axis=0)
            dim = self.blocks[name]
            share = np.sqrt(self.num_features / (len(self.blocks) * dim))
            scale = share / np.where(std > 1e-6, std, np.inf)  # a constant feature says nothing
            self.get_buffer(f"{name}_mean").copy_(torch.from_numpy(value.mean(axis=0)))
            self.get_buffer(f"{name}_scale").copy_(torch.from_numpy(scale))
        return self

    def forward(self, blocks: Mapping[str, Float[Tensor, "B _"]]) -> Float[Tensor, "B F"]:
        """Scale and join blocks."""
        parts = []
        for name in self.blocks:
            value = F.normalize(blocks[name], dim=1) if name == "embedding" else blocks[name]
            parts.append((value - self.get_buffer(f"{name}_mean")) * self.get_buffer(f"{name}_scale"))
        return torch.cat(parts, dim=1)

    def join(self, **blocks: NDArray[np.float32] | None) -> Float[Tensor, "I F"]:
        """Scale and join the blocks of items given as arrays, checked."""
        device = next(self.buffers()).device
        tensors = {
            name: torch.from_numpy(np.array(value, dtype=np.float32)).to(device)
            for name, value in self._checked(blocks).items()
        }
        return self(tensors)  # type: ignore[no-any-return]

    def _checked(self, blocks: Mapping[str, NDArray[np.float32] | None]) -> dict[str, NDArray[np.float64]]:
        given = {name: value for name, value in blocks.items() if value is not None}
        if set(given) != set(self.blocks):
            raise DataError(
                f"the tokenizer takes {' and '.join(self.blocks)}, got {' and '.join(given) or 'nothing'}; "
                "give each item the inputs that the tokenizer was fitted on"
            )
        for name, value in given.items():
            if value.ndim != 2 or value.shape[1] != self.blocks[name]:
                raise DataError(
                    f"the tokenizer takes {name} of shape [items, {self.blocks[name]}], "
                    f"got {value.shape}; use the features it was fitted on"
                )
            if not np.isfinite(value).all():
                row = int(np.argwhere(~np.isfinite(value).all(axis=1))[0, 0])
                raise DataError(f"{name} of item {row} is not finite; mend or drop the item's features")
        return {name: np.asarray(given[name], dtype=np.float64) for name in self.blocks}
