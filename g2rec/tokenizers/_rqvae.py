"""The residual-quantized autoencoder."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from g2rec.errors import ConfigError
from g2rec.shapes import Float, Int, Tensor
from g2rec.tokenizers._base import ItemTokenizer, check_codes, make_scaler
from g2rec.tokenizers._collisions import CollisionMethod
from g2rec.tokenizers._quantizer import CodebookUpdate, Quantized, ResidualQuantizer

_START_ROWS = 20_480
"""Items in the batch that k-means starts the codebooks on, at most."""


@dataclass(frozen=True, kw_only=True)
class RQVAEConfig:
    """Residual-quantized autoencoder over content and graph embeddings."""

    num_levels: int = 3
    """Codes an item, L."""
    codebook_size: int = 256
    """Codes a level, V."""
    latent_dim: int = 64
    """Dimensions that are quantized."""
    hidden_dims: tuple[int, ...] = (512, 256)
    """Hidden layers of the encoder; the decoder mirrors them."""
    codebook_update: CodebookUpdate = "gradient"
    """How the codebooks learn: from the loss, or as moving averages of what they code (ema)."""
    ema_decay: float = 0.99
    """Share of the old average that a step keeps, where codebook_update is ema."""
    commitment_weight: float = 0.25
    """Pull of the latents towards their codes."""
    balance_weight: float = 0.01
    """Pull towards even use of the codes."""
    prototype_weight: float = 0.1
    """Weight of the cross-entropy over the interest prototypes, where there are any."""
    pair_weight: float = 0.1
    """Weight of the contrast between co-engaged items, where there is a graph."""
    temperature: float = 0.1
    """Of both contrastive losses."""
    collisions: CollisionMethod = "reassign"
    """How items with the same codes are told apart."""
    start: str | None = None
    """Folder of an earlier tokenizer of the same sizes to begin from, so that items keep most codes."""

    def build(self, *, content: int = 0, embedding: int = 0) -> "RQVAE":
        """Make an untrained tokenizer for ``content`` features and ``embedding`` dimensions; 0 is none."""
        check_codes(self.num_levels, self.codebook_size)
        if self.latent_dim < 1 or any(width < 1 for width in self.hidden_dims):
            raise ConfigError(
                f"latent_dim and hidden_dims must be positive, got {self.latent_dim} and {self.hidden_dims}; "
                "raise them"
            )
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; a usual value is 0.1")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must lie in [0, 1), got {self.ema_decay}; a usual value is 0.99")
        return RQVAE(self, content, embedding)


class RQVAEOutput(NamedTuple):
    """A batch after the autoencoder."""

    codes: Int[Tensor, "B L"]
    quantized: Float[Tensor, "B Z"]
    """Straight-through: its gradient reaches encoder and inputs."""
    residuals: Float[Tensor, "L B Z"]
    reconstruction_loss: Float[Tensor, ""]
    loss: Float[Tensor, ""]
    """reconstruction + codebook + weighted commitment + weighted balance."""


class RQVAE(ItemTokenizer):
    """RQ-VAE tokenizer (TIGER: Rajput et al. 2023, arXiv 2305.05065).

    z = encoder(x), q = residual quantization of z, x' = decoder(q), loss = ||x - x'||^2 + codebook +
    commitment + balance, all per dimension. The target x carries no gradient, so an encoder trained
    through x cannot lower the loss by making its embeddings constant.

    Shapes: inputs [B, F], latents [B, Z], codes [B, L].
    """

    def __init__(self, config: RQVAEConfig, content: int, embedding: int) -> None:
        super().__init__()
        self.config = config
        self.scaler = make_scaler(content, embedding)
        widths = (self.scaler.num_features, *config.hidden_dims, config.latent_dim)
        self.encoder = _mlp(widths)
        self.decoder = _mlp(widths[::-1])
        self.quantizer = ResidualQuantizer(
            config.num_levels,
            config.codebook_size,
            config.latent_dim,
            update=config.codebook_update,
            decay=config.ema_decay,
        )

    def forward(self, inputs: Float[Tensor, "B F"]) -> RQVAEOutput:
        """Encode, quantize and rebuild scaled inputs."""
        found = self.quantize(inputs)
        rebuilt = F.mse_loss(self.decoder(found.straight_through), inputs.detach())
        loss = (
            rebuilt
            + found.codebook_loss
            + self.config.commitment_weight * found.commitment_loss
            + self.config.balance_weight * found.balance_loss
        )
        return RQVAEOutput(found.codes, found.straight_through, found.residuals, rebuilt, loss)

    def quantize(self, inputs: Float[Tensor, "B F"]) -> Quantized:
        """Encode and quantize scaled inputs; distances are float32 whatever the precision of training."""
        latents = self.encoder(inputs)
        with torch.autocast(latents.device.type, enabled=False):
            return self.quantizer(latents.float())  # type: ignore[no-any-return]

    def start(
        self,
        content: NDArray[np.float32] | None,
        embedding: NDArray[np.float32] | None = None,
        *,
        seed: int,
        start: ItemTokenizer | None = None,
    ) -> "RQVAE":
        """Fit the scaler, and start the codebooks by k-means on a large batch; or take over earlier ones."""
        if start is not None:
            self.take_over(start)
            return self
        self.scaler.fit(content=content, embedding=embedding)
        inputs = self.scaler.join(content=content, embedding=embedding)
        self.start_codebooks(inputs, seed)
        return self

    @torch.no_grad()
    def start_codebooks(self, inputs: Float[Tensor, "I F"], seed: int) -> None:
        """K-means on the latents of at most 20,480 scaled inputs."""
        if len(inputs) > _START_ROWS:
            rows = np.random.default_rng(seed).choice(len(inputs), _START_ROWS, replace=False)
            inputs = inputs[torch.from_numpy(rows).to(inputs.device)]
        self.quantizer.start(self.encoder(inputs), seed)

    def level_codebooks(self) -> Float[Tensor, "L V Z"]:
        """The trained codebooks."""
        return self.quantizer.codebooks

    def latents(self, inputs: Float[Tensor, "B F"]) -> Float[Tensor, "B Z"]:
        """Encoded inputs."""
        return self.encoder(inputs)  # type: ignore[no-any-return]

    def reconstruct(self, quantized: Float[Tensor, "B Z"]) -> Float[Tensor, "B F"]:
        """Decoded latents."""
        return self.decoder(quantized)  # type: ignore[no-any-return]


def _mlp(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
