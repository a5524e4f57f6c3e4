"""The causal transformer that SASRec, G2Rec and its depth decoder share."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.errors import ConfigError
from g2rec.shapes import Float, Tensor


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Size of the causal transformer."""

    embedding_dim: int = 64
    """Width of the residual stream."""
    num_layers: int = 2
    """Blocks of attention and feed-forward."""
    num_heads: int = 2
    """Attention heads; must divide embedding_dim."""
    dropout: float = 0.2
    """Share of activations dropped: inputs, attention weights and each block's outputs."""
    max_len: int = 50
    """Items of history that are read; older ones are cut off."""
    positions: Literal["learned", "rotary"] = "learned"
    """Learned absolute positions, as in SASRec, or rotary ones (Su et al., 2021, arXiv 2104.09864)."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        for name in ("embedding_dim", "num_layers", "num_heads", "max_len"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if self.embedding_dim % (2 * self.num_heads):
            raise ConfigError(
                f"embedding_dim must be a multiple of twice num_heads ({2 * self.num_heads}), "
                f"got {self.embedding_dim}; change either"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}; 0.2 is usual")


class CausalTransformer(nn.Module):
    """Pre-norm decoder blocks: RMSNorm, causal attention, SwiGLU.

    SASRec (Kang and McAuley, ICDM 2018, arXiv 1808.09781) with the parts that later language models
    settled on: RMSNorm (arXiv 1910.07467) for LayerNorm and SwiGLU (arXiv 2002.05202) for the pointwise
    network. Inputs are padded on the right, so causality alone hides the padding.

    Args:
        config: Its size.
        max_positions: Positions of the longest input, prefix tokens included.
    """

    def __init__(self, config: TransformerConfig, max_positions: int) -> None:
        super().__init__()
        config.check()
        dim = config.embedding_dim
        self.position: nn.Parameter | None = None
        if config.positions == "learned":
            self.position = nn.Parameter(torch.randn(max_positions, dim) * 0.02)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(dim, eps=1e-6)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Each position's output sees itself and what stands left of it."""
        if self.position is not None:
            x = x + self.position[: x.shape[1]]
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class _Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim = config.embedding_dim
        hidden = 8 * round(dim * 8 / 3 / 8)
        self.heads, self.p = config.num_heads, config.dropout
        self.rotary = config.positions == "rotary"
        self.norm_attention = nn.RMSNorm(dim, eps=1e-6)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.norm_feed = nn.RMSNorm(dim, eps=1e-6)
        self.gate_up = nn.Linear(dim, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        x = x + self.dropout(self.out(self._attend(self.norm_attention(x))))
        gate, up = self.gate_up(self.norm_feed(x)).chunk(2, dim=-1)
        fed: Tensor = x + self.dropout(self.down(F.silu(gate) * up))
        return fed

    def _attend(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        if self.rotary:
            q, k = _rotate(q), _rotate(k)
        y = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, dropout_p=self.p if self.training else 0.0
        )
        return y.transpose(1, 2).reshape(B, T, D)


def _rotate(x: Float[Tensor, "B H T d"]) -> Float[Tensor, "B H T d"]:
    """Turn each pair of channels by an angle that grows with the position."""
    T, d = x.shape[-2:]
    rate = 10_000.0 ** (-torch.arange(0, d, 2, device=x.device, dtype=torch.float32) / d)
    angle = torch.arange(T, device=x.device, dtype=torch.float32).unsqueeze(1) * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
