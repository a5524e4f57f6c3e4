"""The causal transformer that SASRec, G2Rec and its depth decoder share."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.errors import ConfigError
from g2rec.shapes import Bool, Float, Int, Tensor

_FEW = 8
"""Up to so many queries attention is two plain matrix products: the four levels of an ID cannot fill a tile
of a fused kernel, which took a sixth of a training step of G2Rec on an H200."""


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


class KeysValues(NamedTuple):
    """What attention reads of positions passed, in one block."""

    keys: Float[Tensor, "B H *positions d"]
    values: Float[Tensor, "B H *positions d"]


class BeamCache(NamedTuple):
    """The past of W beams a user that share a prefix: the prefix once a user, the rest once a beam."""

    prefix: tuple[KeysValues, ...]
    """For each block, [B, H, P, d]."""
    visible: Bool[Tensor, "B 1 1 P"]
    """Positions of the prefix that count."""
    position: Int[Tensor, " B"]
    """Where the next token stands."""
    suffix: tuple[KeysValues, ...] | None
    """For each block, [B, H, W, s, d]: the s tokens after the prefix."""


class Packed(NamedTuple):
    """The positions of a padded batch that count, without the others."""

    at: Int[Tensor, " N"]
    """Where each stands in the flattened batch."""
    rows: int
    width: int

    @classmethod
    def of(cls, real: Bool[Tensor, "B T"]) -> "Packed":
        """Those that are true; a GPU is waited for."""
        return cls(real.flatten().nonzero().flatten(), *real.shape)

    @property
    def dense(self) -> bool:
        """Whether all count."""
        return len(self.at) == self.rows * self.width

    def take(self, x: Float[Tensor, "B T *d"]) -> Float[Tensor, "1 N *d"]:
        """What stands at them."""
        return x.flatten(0, 1).index_select(0, self.at).unsqueeze(0)

    def put(self, x: Float[Tensor, "1 N *d"]) -> Float[Tensor, "B T *d"]:
        """The batch with these at their positions, and zero at the others."""
        spread = x.new_zeros(self.rows * self.width, *x.shape[2:]).index_copy_(0, self.at, x[0])
        return spread.view(self.rows, self.width, *x.shape[2:])


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

    def forward(
        self, x: Float[Tensor, "B T D"], real: Bool[Tensor, "B T"] | Packed | None = None
    ) -> Float[Tensor, "B T D"]:
        """Each position's output sees itself and what stands left of it.

        Args:
            x: Inputs, padded on the right.
            real: Positions that count; what stands at the others is meaningless. In training, and on a CPU,
                all but the attention is computed for these alone: of a batch of shopping histories, padded
                to the longest, six of seven positions are padding.
        """
        packed = real if isinstance(real, Packed) else None
        if isinstance(real, Tensor) and (self.training or not x.is_cuda):
            packed = Packed.of(real)
        if packed is not None and packed.dense:
            packed = None
        x = self._place(x)
        position = torch.arange(x.shape[1], device=x.device)
        if packed is not None:
            x, position = packed.take(x), packed.at % packed.width
        x = self.dropout(x)
        for block in self.blocks:
            x, _ = block(x, position, packed)
        out: Tensor = self.norm(x)
        return out if packed is None else packed.put(out)

    def begin(
        self, x: Float[Tensor, "B T D"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B 1 D"], BeamCache]:
        """The output of `forward` at each row's last position, and what `extend` goes on from.

        Args:
            x: The prefix, padded on the right.
            lengths: Positions of each row that count; at least 1.
        """
        B, T, _ = x.shape
        position = torch.arange(T, device=x.device)
        visible = (position < lengths.view(B, 1)).view(B, 1, 1, T)
        x = self.dropout(self._place(x))
        prefix = []
        for at, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            final = at == len(self.blocks) - 1
            x, passed = block.begin(x, position, lengths - 1, visible) if final else block(x, position)
            prefix.append(passed)
        return self.norm(x), BeamCache(tuple(prefix), visible, lengths, None)

    def extend(
        self, x: Float[Tensor, "B W D"], cache: BeamCache, parents: Int[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W D"], BeamCache]:
        """One more token for each beam, which sees the prefix, its beam's tokens and itself.

        For inference: nothing is dropped out.

        Args:
            x: The tokens.
            cache: From `begin` or `extend`.
            parents: Which beam of the former token each beam goes on from; not read for the first token.
        """
        if self.position is not None:
            x = x + self.position[cache.position].unsqueeze(1)
        suffix = []
        for at, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            own = None
            if cache.suffix is not None and parents is not None:
                own = KeysValues(*(reorder_beams(passed, parents) for passed in cache.suffix[at]))
            x, grown = block.extend(x, cache.prefix[at], cache.visible, cache.position, own)
            suffix.append(grown)
        return self.norm(x), cache._replace(position=cache.position + 1, suffix=tuple(suffix))

    def _place(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return x if self.position is None else x + self.position[: x.shape[1]]


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

    def forward(
        self, x: Float[Tensor, "B T D"], position: Int[Tensor, " T"], packed: Packed | None = None
    ) -> tuple[Float[Tensor, "B T D"], KeysValues]:
        q, k, v = self._project(x, position)
        if packed is not None:
            q, k, v = (packed.put(part.transpose(1, 2)).transpose(1, 2) for part in (q, k, v))
        y = attend(q, k, v, self.p if self.training else 0.0, causal=True)
        if packed is not None:
            y = packed.take(y.transpose(1, 2)).transpose(1, 2)
        return self._feed(x, y), KeysValues(k, v)

    def begin(
        self,
        x: Float[Tensor, "B T D"],
        position: Int[Tensor, " T"],
        last: Int[Tensor, " B"],
        visible: Bool[Tensor, "B 1 1 T"],
    ) -> tuple[Float[Tensor, "B 1 D"], KeysValues]:
        """As `forward`, but only the last position of each row goes on."""
        q, k, v = self._project(x, position)
        at = last.view(-1, 1, 1)
        x = x.gather(1, at.expand(-1, -1, x.shape[2]))
        q = q.gather(2, at.unsqueeze(1).expand(-1, q.shape[1], -1, q.shape[3]))
        y = attend(q, k, v, 0.0, visible=visible)
        return self._feed(x, y), KeysValues(k, v)

    def extend(
        self,
        x: Float[Tensor, "B W D"],
        prefix: KeysValues,
        visible: Bool[Tensor, "B 1 1 P"],
        position: Int[Tensor, " B"],
        own: KeysValues | None,
    ) -> tuple[Float[Tensor, "B W D"], KeysValues]:
        q, k, v = self._project(x, position.view(-1, 1, 1))
        k, v = k.unsqueeze(3), v.unsqueeze(3)
        if own is not None:
            k, v = torch.cat([own.keys, k], dim=3), torch.cat([own.values, v], dim=3)
        q = q * q.shape[-1] ** -0.5
        # Beams stand where queries of one sequence would: the prefix is read once for all of them.
        to_prefix = (q @ prefix.keys.transpose(2, 3)).masked_fill(~visible, -torch.inf)
        to_own = (q.unsqueeze(3) * k).sum(-1)
        weight = torch.cat([to_prefix, to_own], dim=3).softmax(-1)
        P = to_prefix.shape[3]
        y = weight[..., :P] @ prefix.values + (weight[..., P:].unsqueeze(-1) * v).sum(3)
        return self._feed(x, y), KeysValues(k, v)

    def _project(
        self, x: Float[Tensor, "B T D"], position: Int[Tensor, "*#T"]
    ) -> tuple[Float[Tensor, "B H T d"], Float[Tensor, "B H T d"], Float[Tensor, "B H T d"]]:
        B, T, D = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(B, T, 3, self.heads, D // self.heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(qkv[:2], position) if self.rotary else qkv[:2]
        return q, k, qkv[2]

    def _feed(self, x: Float[Tensor, "B T D"], y: Float[Tensor, "B H T d"]) -> Float[Tensor, "B T D"]:
        """Add what attention found, then what the feed-forward network makes of it."""
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        gate, up = self.gate_up(self.norm_feed(x)).chunk(2, dim=-1)
        fed: Tensor = x + self.dropout(self.down(F.silu(gate) * up))
        return fed


def attend(
    q: Float[Tensor, "B H T d"],
    k: Float[Tensor, "B H P d"],
    v: Float[Tensor, "B H P d"],
    dropout: float,
    *,
    visible: Bool[Tensor, "B 1 1 P"] | None = None,
    causal: bool = False,
) -> Float[Tensor, "B H T d"]:
    """Attention over the keys that are visible (one at least), or that do not come later; not both."""
    if q.shape[2] > _FEW:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, dropout_p=dropout, is_causal=causal)
    if causal:
        visible = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    weight = q * q.shape[3] ** -0.5 @ k.transpose(2, 3)
    if visible is not None:
        weight = weight.masked_fill(~visible, -torch.inf)
    out: Tensor = F.dropout(weight.softmax(-1), dropout) @ v
    return out


def reorder_beams(
    passed: Float[Tensor, "B H W s d"], parents: Int[Tensor, "B J"]
) -> Float[Tensor, "B H J s d"]:
    """What each beam goes on from: the keys or values of its parent."""
    B, H, _, s, d = passed.shape
    return passed.gather(2, parents.view(B, 1, -1, 1, 1).expand(-1, H, -1, s, d))


def rotate(x: Float[Tensor, "2 B H T d"], position: Int[Tensor, "*#T"]) -> Float[Tensor, "2 B H T d"]:
    """Turn each pair of channels by an angle that grows with the position."""
    d = x.shape[-1]
    rate = 10_000.0 ** (-torch.arange(0, d, 2, device=x.device, dtype=torch.float32) / d)
    angle = position.to(torch.float32).unsqueeze(-1) * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
