"""The training-free control: residual k-means on the inputs themselves."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.prototypes import kmeans
from g2rec.shapes import Float, Tensor
from g2rec.tokenizers._base import ItemTokenizer, check_codes, make_scaler
from g2rec.tokenizers._collisions import CollisionMethod
from g2rec.tokenizers._lloyd import lloyd
from g2rec.tokenizers._quantizer import quantize


@dataclass(frozen=True, kw_only=True)
class RQKMeansConfig:
    """Residual k-means tokenizer."""

    num_levels: int = 3
    """Codes an item, L."""
    codebook_size: int = 256
    """Codes a level, V."""
    iterations: int = 20
    """Lloyd steps a level, at most."""
    collisions: CollisionMethod = "reassign"
    """How items with the same codes are told apart."""
    start: str | None = None
    """Folder of an earlier tokenizer of the same sizes to begin from, so that items keep most codes."""

    def build(self, *, content: int = 0, embedding: int = 0) -> "RQKMeans":
        """Make an unfitted tokenizer for ``content`` features and ``embedding`` dimensions; 0 is none."""
        check_codes(self.num_levels, self.codebook_size)
        return RQKMeans(self, content, embedding)


class RQKMeans(ItemTokenizer):
    """Residual k-means (QARM, arXiv 2411.11739): level l clusters what levels before it left over.

    Shapes: inputs [B, F], codebooks [L, V, F].
    """

    codebooks: Tensor

    def __init__(self, config: RQKMeansConfig, content: int, embedding: int) -> None:
        super().__init__()
        self.config = config
        self.scaler = make_scaler(content, embedding)
        shape = (config.num_levels, config.codebook_size, self.scaler.num_features)
        self.register_buffer("codebooks", torch.zeros(shape))

    def fit(
        self,
        content: NDArray[np.float32] | None,
        embedding: NDArray[np.float32] | None = None,
        *,
        seed: int,
        start: "ItemTokenizer | None" = None,
    ) -> "RQKMeans":
        """Cluster the catalogue, level by level; from the centres of an earlier tokenizer, if given."""
        if start is None:
            self.scaler.fit(content=content, embedding=embedding)
        else:
            self.take_over(start)
        residual = self.scaler.join(content=content, embedding=embedding)
        steps = self.config.iterations
        for level, book in enumerate(self.codebooks):
            if start is None:
                book.copy_(kmeans(residual, len(book), seed=seed + level, iterations=steps))
            else:
                book.copy_(lloyd(residual, book.clone(), steps))
            codes, _ = quantize(residual, book.unsqueeze(0))
            residual = residual - book[codes[:, 0]]
        return self

    def level_codebooks(self) -> Float[Tensor, "L V F"]:
        """The cluster centres of each level."""
        return self.codebooks

    def latents(self, inputs: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """The scaled inputs themselves."""
        return inputs

    def reconstruct(self, quantized: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """The sum of the centres itself."""
        return quantized
