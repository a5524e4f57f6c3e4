"""An encoder-decoder transformer for short IDs after long histories, with one cross cache a user."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.errors import ConfigError
from g2rec.recommenders._transformer import KeysValues, attend, reorder_beams, rotate
from g2rec.shapes import Bool, Float, Int, Tensor


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig:
    """Size of the encoder-decoder; the defaults are those of TIGER."""

    embedding_dim: int = 128
    """Width of the residual streams."""
    num_layers: int = 4
    """Blocks of the encoder, and as many of the decoder."""
    num_heads: int = 6
    """Attention heads."""
    head_dim: int = 64
    """Width of a head; heads need not add up to embedding_dim."""
    feed_dim: int = 1024
    """Inner width of the feed-forward networks."""
    dropout: float = 0.1
    """Share of activations dropped: inputs, attention weights, inner and outer ends of each block."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        for name in ("embedding_dim", "num_layers", "num_heads", "feed_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if self.head_dim < 2 or self.head_dim % 2:
            raise ConfigError(f"head_dim must be even and positive, got {self.head_dim}; 64 is usual")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}; 0.1 is usual")


class CrossCache(NamedTuple):
    """What W beams a user read: the encoded history once a user, the codes spelled once a beam."""

    memory: tuple[KeysValues, ...]
    """For each block of the decoder, [B, H, P, d]."""
    visible: Bool[Tensor, "B 1 1 P"]
    """Positions of the history that count."""
    spelled: tuple[KeysValues, ...] | None
    """For each block, [B, H, W, s, d]: the s inputs of the decoder so far."""


class EncoderDecoder(nn.Module):
    """A T5-style transformer (Raffel et al., JMLR 2020, arXiv 1910.10683): pre-norm RMSNorm, ReLU, no biases.

    Deviations from T5: rotary positions in the encoder where T5 has a bias for each distance, and none in the
    decoder, whose inputs say themselves where they stand (a code of level l is at position l); logits of
    attention are scaled.

    Args:
        config: Its size.
    """

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        config.check()
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList(_EncoderBlock(config) for _ in range(config.num_layers))
        self.encoder_norm = nn.RMSNorm(config.embedding_dim, eps=1e-6)
        self.decoder = nn.ModuleList(_DecoderBlock(config) for _ in range(config.num_layers))
        self.decoder_norm = nn.RMSNorm(config.embedding_dim, eps=1e-6)

    def encode(self, x: Float[Tensor, "B P D"], visible: Bool[Tensor, "B 1 1 P"]) -> Float[Tensor, "B P D"]:
        """Read the history in both directions; what stands at positions that do not count is meaningless."""
        x = self.dropout(x)
        for block in self.encoder:
            x = block(x, visible)
        out: Tensor = self.dropout(self.encoder_norm(x))
        return out

    def forward(
        self, y: Float[Tensor, "B T D"], memory: Float[Tensor, "B P D"], visible: Bool[Tensor, "B 1 1 P"]
    ) -> Float[Tensor, "B T D"]:
        """Decode all positions at once, each seeing itself, what stands left of it, and the history."""
        y = self.dropout(y)
        for block in self.decoder:
            y = block(y, memory, visible)
        out: Tensor = self.decoder_norm(y)
        return out

    def begin(self, memory: Float[Tensor, "B P D"], visible: Bool[Tensor, "B 1 1 P"]) -> CrossCache:
        """The decoder's view of the history, once a user."""
        read = []
        for block in self.decoder:
            assert isinstance(block, _DecoderBlock)
            read.append(block.cross.keys_values(memory))
        return CrossCache(tuple(read), visible, None)

    def extend(
        self, y: Float[Tensor, "B W D"], cache: CrossCache, parents: Int[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W D"], CrossCache]:
        """One more input for each beam; for inference, so nothing is dropped out.

        Args:
            y: The inputs.
            cache: From `begin` or `extend`.
            parents: Which beam of the former input each beam goes on from; not read for the first one.
        """
        spelled = []
        for at, block in enumerate(self.decoder):
            assert isinstance(block, _DecoderBlock)
            own = None
            if cache.spelled is not None and parents is not None:
                own = KeysValues(*(reorder_beams(passed, parents) for passed in cache.spelled[at]))
            y, grown = block.extend(y, cache.memory[at], cache.visible, own)
            spelled.append(grown)
        return self.decoder_norm(y), cache._replace(spelled=tuple(spelled))


class _Attention(nn.Module):
    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        dim, inner = config.embedding_dim, config.num_heads * config.head_dim
        self.heads, self.p = config.num_heads, config.dropout
        self.query = nn.Linear(dim, inner, bias=False)
        self.key_value = nn.Linear(dim, 2 * inner, bias=False)
        self.out = nn.Linear(inner, dim, bias=False)

    def queries(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B H T d"]:
        return self._split(self.query(x))

    def keys_values(self, x: Float[Tensor, "B T D"]) -> KeysValues:
        keys, values = self.key_value(x).chunk(2, dim=-1)
        return KeysValues(self._split(keys), self._split(values))

    def forward(
        self,
        q: Float[Tensor, "B H T d"],
        read: KeysValues,
        visible: Bool[Tensor, "B 1 1 P"] | None = None,
        *,
        causal: bool = False,
    ) -> Float[Tensor, "B T D"]:
        dropout = self.p if self.training else 0.0
        return self.join(attend(q, read.keys, read.values, dropout, visible=visible, causal=causal))

    def join(self, y: Float[Tensor, "B H T d"]) -> Float[Tensor, "B T D"]:
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Float[Tensor, "B T N"]) -> Float[Tensor, "B H T d"]:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class _Feed(nn.Module):
    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.embedding_dim, eps=1e-6)
        self.up = nn.Linear(config.embedding_dim, config.feed_dim, bias=False)
        self.down = nn.Linear(config.feed_dim, config.embedding_dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        fed: Tensor = x + self.dropout(self.down(self.dropout(F.relu(self.up(self.norm(x))))))
        return fed


class _EncoderBlock(nn.Module):
    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.embedding_dim, eps=1e-6)
        self.attention = _Attention(config)
        self.feed = _Feed(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "B P D"], visible: Bool[Tensor, "B 1 1 P"]) -> Float[Tensor, "B P D"]:
        normed = self.norm(x)
        read = self.attention.keys_values(normed)
        position = torch.arange(x.shape[1], device=x.device)
        q, k = rotate(torch.stack([self.attention.queries(normed), read.keys]), position)
        x = x + self.dropout(self.attention(q, KeysValues(k, read.values), visible))
        out: Tensor = self.feed(x)
        return out


class _DecoderBlock(nn.Module):
    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.embedding_dim, eps=1e-6)
        self.attention = _Attention(config)
        self.cross_norm = nn.RMSNorm(config.embedding_dim, eps=1e-6)
        self.cross = _Attention(config)
        self.feed = _Feed(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, y: Float[Tensor, "B T D"], memory: Float[Tensor, "B P D"], visible: Bool[Tensor, "B 1 1 P"]
    ) -> Float[Tensor, "B T D"]:
        normed = self.norm(y)
        own = self.attention(self.attention.queries(normed), self.attention.keys_values(normed), causal=True)
        return self._read(y + self.dropout(own), self.cross.keys_values(memory), visible)

    def extend(
        self,
        y: Float[Tensor, "B W D"],
        memory: KeysValues,
        visible: Bool[Tensor, "B 1 1 P"],
        own: KeysValues | None,
    ) -> tuple[Float[Tensor, "B W D"], KeysValues]:
        normed = self.norm(y)
        q, latest = self.attention.queries(normed), self.attention.keys_values(normed)
        k, v = (part.unsqueeze(3) for part in latest)
        if own is not None:
            k, v = torch.cat([own.keys, k], dim=3), torch.cat([own.values, v], dim=3)
        weight = ((q * q.shape[-1] ** -0.5).unsqueeze(3) * k).sum(-1).softmax(-1)
        y = y + self.attention.join((weight.unsqueeze(-1) * v).sum(3))
        # Beams stand where queries of one sequence would: the history is read once for all of them.
        return self._read(y, memory, visible), KeysValues(k, v)

    def _read(
        self, y: Float[Tensor, "B T D"], memory: KeysValues, visible: Bool[Tensor, "B 1 1 P"]
    ) -> Float[Tensor, "B T D"]:
        found = self.cross(self.cross.queries(self.cross_norm(y)), memory, visible)
        out: Tensor = self.feed(y + self.dropout(found))
        return out
