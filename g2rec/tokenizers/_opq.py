"""Product codes: each code describes a part of the item, no code depends on another."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.errors import ConfigError
from g2rec.prototypes import kmeans
from g2rec.shapes import Float, Tensor
from g2rec.tokenizers._base import ItemTokenizer, check_codes, make_scaler
from g2rec.tokenizers._collisions import CollisionMethod
from g2rec.tokenizers._lloyd import lloyd
from g2rec.tokenizers._quantizer import quantize


@dataclass(frozen=True, kw_only=True)
class OPQConfig:
    """Product quantization after a learned rotation; its codes can be decoded in parallel."""

    num_levels: int = 3
    """Codes an item, L: one of each sub-space."""
    codebook_size: int = 256
    """Codes a sub-space, V."""
    rounds: int = 20
    """Rounds of one k-means step in each sub-space and one step of the rotation."""
    collisions: CollisionMethod = "reassign"
    """How items with the same codes are told apart."""
    start: str | None = None
    """Folder of an earlier tokenizer of the same sizes to begin from, so that items keep most codes."""

    def build(self, *, content: int = 0, embedding: int = 0) -> "OPQ":
        """Make an unfitted tokenizer for ``content`` features and ``embedding`` dimensions; 0 is none."""
        check_codes(self.num_levels, self.codebook_size)
        return OPQ(self, content, embedding)


class OPQ(ItemTokenizer):
    """Optimized product quantization (Ge, He, Ke and Sun 2013, CVPR; TPAMI 2014, the non-parametric form).

    min_{R, e, c} sum_i ||R^T x_i - [e_{1, c_i1}; ...; e_{L, c_iL}]||^2,  R orthogonal

    Alternates k-means in each of the L sub-spaces of R^T x and R = U V^T of the singular value decomposition
    X^T Y = U S V^T (orthogonal Procrustes), Y the quantized rows. R starts at the principal directions, dealt
    out so that the variances multiply to about the same in each sub-space (their parametric solution).

    Level l is sub-space l. Its codebook is kept with zeros in all others: product codes are then residual
    codes whose levels do not meet, and all else is shared with them. Unlike residual codes the first of them
    is no coarser than the last.

    Shapes: inputs [B, F], codebooks [L, V, F], rotation [F, F].
    """

    codebooks: Tensor
    rotation: Tensor

    def __init__(self, config: OPQConfig, content: int, embedding: int) -> None:
        super().__init__()
        self.config = config
        self.scaler = make_scaler(content, embedding)
        dim = self.scaler.num_features
        if dim < config.num_levels:
            raise ConfigError(
                f"{config.num_levels} sub-spaces need as many input dimensions, got {dim}; lower num_levels"
            )
        self.register_buffer("codebooks", torch.zeros(config.num_levels, config.codebook_size, dim))
        self.register_buffer("rotation", torch.eye(dim))

    @torch.no_grad()
    def fit(
        self,
        content: NDArray[np.float32] | None,
        embedding: NDArray[np.float32] | None = None,
        *,
        seed: int,
        start: "ItemTokenizer | None" = None,
    ) -> "OPQ":
        """Learn rotation and codebooks from the catalogue; from those of an earlier tokenizer, if given."""
        if start is None:
            self.scaler.fit(content=content, embedding=embedding)
        else:
            self.take_over(start)
        inputs = self.scaler.join(content=content, embedding=embedding)
        columns = torch.arange(inputs.shape[1], device=inputs.device).tensor_split(self.config.num_levels)
        if start is None:
            self.rotation.copy_(principal_rotation(inputs, [len(part) for part in columns]))
        rotated = inputs @ self.rotation
        books = [
            kmeans(rotated[:, part], self.config.codebook_size, seed=seed + level, iterations=1)
            if start is None
            else self.codebooks[level][:, part].clone()
            for level, part in enumerate(columns)
        ]
        for _ in range(self.config.rounds):
            books = [lloyd(rotated[:, part], book) for part, book in zip(columns, books, strict=True)]
            found = []
            for part, book in zip(columns, books, strict=True):
                codes, _ = quantize(rotated[:, part], book[None])
                found.append(book[codes[:, 0]])
            left, _, right = torch.linalg.svd(inputs.T.double() @ torch.cat(found, dim=1).double())
            self.rotation.copy_(left @ right)
            rotated = inputs @ self.rotation
        self.codebooks.zero_()
        for level, (part, book) in enumerate(zip(columns, books, strict=True)):
            self.codebooks[level][:, part] = lloyd(rotated[:, part], book, iterations=2)
        return self

    def level_codebooks(self) -> Float[Tensor, "L V F"]:
        """The cluster centres of each sub-space, zero in all others."""
        return self.codebooks

    def latents(self, inputs: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Rotated inputs."""
        return inputs @ self.rotation

    def reconstruct(self, quantized: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """The centres of all sub-spaces together, rotated back."""
        return quantized @ self.rotation.T


def principal_rotation(points: Float[Tensor, "B F"], sizes: list[int]) -> Float[Tensor, "F F"]:
    """Principal directions in columns, dealt out to sub-spaces of given sizes by eigenvalue allocation.

    From the largest variance on, each goes to the sub-space with room whose product of variances is smallest.
    """
    covariance = torch.cov(points.T.double(), correction=0).reshape(sum(sizes), sum(sizes))
    variance, directions = torch.linalg.eigh(covariance)
    floor = variance[-1].clamp_min(1e-12) * 1e-6
    # Relative to the least, so that no factor shrinks a product.
    gain = torch.log(variance.clamp_min(floor) / floor).tolist()
    held: list[list[int]] = [[] for _ in sizes]
    total = [0.0] * len(sizes)
    for index in reversed(range(len(gain))):
        room = [place for place, size in enumerate(sizes) if len(held[place]) < size]
        place = min(room, key=total.__getitem__)
        held[place].append(index)
        total[place] += gain[index]
    order = torch.tensor([index for part in held for index in part], device=points.device)
    rotation: Tensor = directions.index_select(1, order).float()
    return rotation
