"""Residual quantization: each level codes what the levels before it left over."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.prototypes import kmeans
from g2rec.shapes import Float, Int, Tensor


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
    """L codebooks of V vectors, trained by gradient (RQ-VAE: Lee et al. 2022, arXiv 2203.01941).

    codebook loss = sum_l ||sg(r_l) - e_l||^2, commitment loss = sum_l ||r_l - sg(e_l)||^2, per item and
    dimension. Gradient rather than moving-average codebooks: the usage balance then moves the codes as
    well as the encoder, and a checkpoint holds one kind of state.

    balance loss = mean over levels of log V - H(mean_b softmax_v(-||r_b - e_v||^2 / s)), in nats, with s the
    batch's mean squared distance to the nearest code.

    Shapes: latents [B, D], codebooks [L, V, D].
    """

    uses: Tensor

    def __init__(self, num_levels: int, codebook_size: int, latent_dim: int) -> None:
        super().__init__()
        scale = latent_dim**-0.5
        self.codebooks = nn.Parameter(torch.randn(num_levels, codebook_size, latent_dim) * scale)
        self.register_buffer("uses", torch.zeros(num_levels, codebook_size))

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
        """Move the codebooks to the residual k-means centres of a large batch."""
        residual = latents
        for level, codebook in enumerate(self.codebooks):
            codebook.copy_(kmeans(residual, len(codebook), seed=seed + level, iterations=10))
            _, residuals = quantize(residual, codebook.unsqueeze(0))
            code, _ = quantize(residual, codebook.unsqueeze(0))
            residual = residuals[0] - codebook[code[:, 0]]

    @torch.no_grad()
    def count(self, codes: Int[Tensor, "B L"]) -> None:
        """Remember which codes a batch used, for `reset_dead`."""
        for level, uses in enumerate(self.uses):
            uses += torch.bincount(codes[:, level], minlength=uses.shape[0])

    @torch.no_grad()
    def reset_dead(self, residuals: Float[Tensor, "L B D"]) -> int:
        """Move each code unused since the last call onto a random residual of its level; clears the counts.

        Draws from torch's global generator, which the fitting loop reseeds every epoch.

        Returns:
            Codes moved.
        """
        moved = 0
        for level, codebook in enumerate(self.codebooks):
            dead = torch.nonzero(self.uses[level] == 0).flatten()
            draw = torch.randint(residuals.shape[1], (len(dead),)).to(dead.device)
            codebook[dead] = residuals[level, draw]
            moved += len(dead)
        self.uses.zero_()
        return moved
