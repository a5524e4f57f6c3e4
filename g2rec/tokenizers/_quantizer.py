"""Residual quantization: each level codes what the levels before it left over."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.prototypes import kmeans
from g2rec.shapes import Float, Int, Tensor

CodebookUpdate = Literal["gradient", "ema"]
_SMOOTHING = 1e-5
"""Of the counts of moving-average codebooks, in items."""


def quantize(
    latents: Float[Tensor, "B D"], codebooks: Float[Tensor, "L V D"]
) -> tuple[Int[Tensor, "B L"], Float[Tensor, "L B D"]]:
    """Greedy residual quantization.

    r_0 = z;  c_l = argmin_v ||r_l - e_lv||;  r_{l+1} = r_l - e_{l, c_l}

    Returns:
        Codes, and the residual that each level saw.
    """
    residual = latents
    codes, residuals = [], []
    for codebook in codebooks:
        residuals.append(residual)
        gap = codebook.square().sum(dim=1) - 2 * residual @ codebook.T
        code = gap.argmin(dim=1)
        codes.append(code)
        residual = residual - codebook[code]
    return torch.stack(codes, dim=1), torch.stack(residuals)


class Quantized(NamedTuple):
    """A batch after quantization."""

    codes: Int[Tensor, "B L"]
    straight_through: Float[Tensor, "B D"]
    """Sum of the codes' vectors; its gradient goes to the latents unchanged."""
    residuals: Float[Tensor, "L B D"]
    codebook_loss: Float[Tensor, ""]
    commitment_loss: Float[Tensor, ""]
    balance_loss: Float[Tensor, ""]


class ResidualQuantizer(nn.Module):
    """L codebooks of V vectors (RQ-VAE: Lee et al. 2022, arXiv 2203.01941).

    commitment loss = sum_l ||r_l - sg(e_l)||^2, per item and dimension. The codebooks learn in one
    of two ways:

    - gradient: from the codebook loss sum_l ||sg(r_l) - e_l||^2. The usage balance moves the codes as well
      as the encoder.
    - ema: each code is the moving average of the residuals that chose it (van den Oord et al. 2017,
      arXiv 1711.00937, appendix A.1): with n_v of a batch's residuals, of sum s_v, choosing code v,
      N_v <- d N_v + (1 - d) n_v, m_v <- d m_v + (1 - d) s_v, e_v = m_v / N'_v, where
      N'_v = (N_v + eps) N / (N + V eps), N = sum_v N_v, is smoothed after Laplace. No codebook loss;
      the state is in buffers, so a checkpoint holds it.

    balance loss = mean over levels of log V - H(mean_b softmax_v(-||r_b - e_v||^2 / s)), in nats, with s the
    batch's mean squared distance to the nearest code.

    Shapes: latents [B, D], codebooks [L, V, D].
    """

    codebooks: Tensor
    uses: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(
        self,
        num_levels: int,
        codebook_size: int,
        latent_dim: int,
        *,
        update: CodebookUpdate = "gradient",
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        self.update, self.decay = update, decay
        codebooks = torch.randn(num_levels, codebook_size, latent_dim) * latent_dim**-0.5
        self.register_buffer("uses", torch.zeros(num_levels, codebook_size))
        if update == "gradient":
            self.codebooks = nn.Parameter(codebooks)
        else:
            self.register_buffer("codebooks", codebooks)
            self.register_buffer("counts", torch.ones(num_levels, codebook_size))
            self.register_buffer("sums", codebooks.clone())

    def forward(self, latents: Float[Tensor, "B D"]) -> Quantized:
        """Quantize a batch and give its losses."""
        residual = latents
        total = torch.zeros_like(latents)
        codes, residuals = [], []
        codebook_loss = commitment_loss = balance_loss = latents.new_zeros(())
        for codebook in self.codebooks:
            distance = (
                residual.square().sum(dim=1, keepdim=True)
                - 2 * residual @ codebook.T
                + codebook.square().sum(dim=1)
            )
            nearest = distance.min(dim=1)
            code = nearest.indices
            chosen = codebook[code]
            if self.update == "gradient":
                codebook_loss = codebook_loss + F.mse_loss(chosen, residual.detach())
            commitment_loss = commitment_loss + F.mse_loss(residual, chosen.detach())
            sharpness = nearest.values.mean().detach().clamp_min(1e-6)
            share = torch.softmax(-distance / sharpness, dim=1).mean(dim=0)
            balance_loss = balance_loss + (share * torch.log(share.clamp_min(1e-12) * len(codebook))).sum()
            codes.append(code)
            residuals.append(residual.detach())
            total = total + chosen
            residual = residual - chosen.detach()
        return Quantized(
            torch.stack(codes, dim=1),
            latents + (total - latents).detach(),
            torch.stack(residuals),
            codebook_loss,
            commitment_loss,
            balance_loss / len(self.codebooks),
        )

    @torch.no_grad()
    def start(self, latents: Float[Tensor, "B D"], seed: int) -> None:
        """Move the codebooks to the residual k-means centres of a large batch; clears the counts."""
        self.uses.zero_()
        residual = latents
        for level, codebook in enumerate(self.codebooks):
            codebook.copy_(kmeans(residual, len(codebook), seed=seed + level, iterations=10))
            codes, _ = quantize(residual, codebook.unsqueeze(0))
            self._place(level, torch.arange(len(codebook), device=codebook.device), codebook.clone())
            residual = residual - codebook[codes[:, 0]]

    @torch.no_grad()
    def observe(self, codes: Int[Tensor, "B L"], residuals: Float[Tensor, "L B D"]) -> None:
        """Take note of a training batch after its step: count the codes, and move moving averages."""
        for level, size in enumerate(map(len, self.codebooks)):
            code = codes[:, level]
            chosen = torch.bincount(code, minlength=size).to(self.uses.dtype)
            self.uses[level] += chosen
            if self.update == "ema":
                total = torch.zeros_like(self.sums[level]).index_add_(0, code, residuals[level])
                count = self.counts[level].lerp_(chosen, 1 - self.decay)
                self.sums[level].lerp_(total, 1 - self.decay)
                smooth = (count + _SMOOTHING) * (count.sum() / (count.sum() + size * _SMOOTHING))
                self.codebooks[level] = self.sums[level] / smooth.unsqueeze(1)

    @torch.no_grad()
    def reset_dead(self, residuals: Float[Tensor, "L B D"]) -> int:
        """Move each code unused since the last call onto a random residual of its level; clears the counts.

        Draws from torch's global generator, which the fitting loop reseeds every epoch.

        Returns:
            Codes moved.
        """
        moved = 0
        for level in range(len(self.codebooks)):
            dead = torch.nonzero(self.uses[level] == 0).flatten()
            draw = torch.randint(residuals.shape[1], (len(dead),)).to(dead.device)
            self._place(level, dead, residuals[level, draw])
            moved += len(dead)
        self.uses.zero_()
        return moved

    def _place(self, level: int, codes: Int[Tensor, " n"], vectors: Float[Tensor, "n D"]) -> None:
        """Put codes somewhere else, and forget what they averaged."""
        self.codebooks[level, codes] = vectors
        if self.update == "ema":
            self.counts[level, codes] = 1.0
            self.sums[level, codes] = vectors
