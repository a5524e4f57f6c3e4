"""TIGER: an encoder-decoder reads the codes of the history and spells the semantic ID of the next item."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.recommenders._base import RankedItems, Recommender, check_k, read_config
from g2rec.recommenders._decoding import Context, beam_search, score_catalogue
from g2rec.recommenders._encoder_decoder import CrossCache, EncoderDecoder, EncoderDecoderConfig
from g2rec.recommenders._history import HistoryBatch, TargetBatch
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Bool, Float, Int, Tensor


@dataclass(frozen=True, kw_only=True)
class TIGERConfig:
    """TIGER; the defaults are the paper's, the user tokens apart."""

    transformer: EncoderDecoderConfig = field(default_factory=EncoderDecoderConfig)
    """The encoder-decoder."""
    max_len: int = 20
    """Items of history that are read; older ones are cut off."""
    num_user_tokens: int = 1
    """Tokens that users are hashed to, one of which opens the history: 2,000 in the paper, 1 tells nobody
    apart."""
    beam_width: int = 50
    """Beams kept by the search; a longer list widens it."""

    def build(self, *, codes: np.ndarray[Any, Any], codebook_size: int) -> "TIGER":
        """An untrained model for a catalogue.

        Args:
            codes: [I, L] semantic IDs, all different.
            codebook_size: Codes a level.

        Raises:
            ConfigError: If a value is out of range.
            DataError: If the codes do not fit the codebook, or two items share an ID.
        """
        self.transformer.check()
        for name in ("max_len", "num_user_tokens", "beam_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if int(codes.max(initial=0)) >= codebook_size or int(codes.min(initial=0)) < 0:
            raise DataError(
                f"codes must lie in 0 ... {codebook_size - 1}, got {codes.min()} ... {codes.max()}"
            )
        return TIGER(self, np.asarray(codes), codebook_size)


class TIGER(Recommender):
    """Generative retrieval (Rajput et al., NeurIPS 2023, arXiv 2305.05065).

    p(c_1 ... c_L | u, x) = prod_l p(c_l | encoder(u, x_11 ... x_nL), c_1 ... c_{l-1})

    The encoder reads a token of the user and one position for each code of the history, the decoder a start
    token and the codes spelled so far. Code c of level l has one embedding, at the input of either side and,
    transposed, at the output (tied and scaled as in T5).

    Deviations: a softmax over the codes of the level, not of all levels; a search over the trie of the
    catalogue, so that no ID without an item is returned; collisions are resolved by the tokenizer; what
    `EncoderDecoder` says.
    """

    name = "tiger"
    capturable = True
    config: TIGERConfig
    codes: Tensor

    def __init__(self, config: TIGERConfig, codes: np.ndarray[Any, Any], codebook_size: int) -> None:
        super().__init__()
        self.config, self.codebook_size = config, codebook_size
        self.num_items, self.num_levels = codes.shape
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int32)))
        self.trie = PrefixTrie(codes)
        dim = config.transformer.embedding_dim
        self.code_embedding = nn.Embedding(self.num_levels * codebook_size, dim)
        self.user_embedding = nn.Embedding(config.num_user_tokens, dim)
        self.start = nn.Parameter(torch.randn(dim) * dim**-0.5)
        for table in (self.code_embedding, self.user_embedding):
            nn.init.normal_(table.weight, std=dim**-0.5)
        self.transformer = EncoderDecoder(config.transformer)

    @property
    def scores_all_items(self) -> bool:
        """It ranks by search."""
        return False

    def encode(
        self, items: Int[Tensor, "B T"], lengths: Int[Tensor, " B"], user_index: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B P D"], Bool[Tensor, "B 1 1 P"]]:
        """Encoded histories of P = T L + 1 positions, and which of them count."""
        offset = torch.arange(self.num_levels, device=items.device) * self.codebook_size
        history = self._enter(self.code_embedding((self.codes[items.clamp(min=0)] + offset).flatten(1)))
        user = self._enter(self.user_embedding(user_index % self.config.num_user_tokens))
        x = torch.cat([user.unsqueeze(1), history], dim=1)
        position = torch.arange(x.shape[1], device=items.device)
        visible = (position <= (lengths * self.num_levels).unsqueeze(1)).view(len(x), 1, 1, -1)
        return self.transformer.encode(x, visible), visible

    def loss(self, batch: TargetBatch) -> Float[Tensor, ""]:
        """Mean cross-entropy of a code, in nats, of the item after each history."""
        user_index, items, lengths, target = batch
        memory, visible = self.encode(*self._context(HistoryBatch(user_index, items, lengths)))
        codes = self.codes[target].long()
        offset = torch.arange(self.num_levels - 1, device=codes.device) * self.codebook_size
        start = self.start.expand(len(codes), 1, -1)
        y = self._enter(torch.cat([start, self.code_embedding(codes[:, :-1] + offset)], dim=1))
        table = self.code_embedding.weight.view(self.num_levels, self.codebook_size, -1)
        logits = torch.einsum("bld,lvd->blv", self.transformer(y, memory, visible), table)
        return F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten())

    def begin(self, context: Context) -> CrossCache:
        """Keys and values of the history, once a user; the context is items, lengths and user indices."""
        items, lengths, user_index = context
        return self.transformer.begin(*self.encode(items, lengths, user_index))

    def step(
        self, cache: CrossCache, level: int, codes: Int[Tensor, "B W l"], parents: Int[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W V"], CrossCache]:
        """Log-probabilities of the code that follows each beam, among those of its level."""
        if level:
            latest = self.code_embedding(codes[:, :, -1] + (level - 1) * self.codebook_size)
        else:
            latest = self.start.expand(len(codes), 1, -1)
        out, cache = self.transformer.extend(self._enter(latest), cache, parents)
        at = level * self.codebook_size
        logits = F.linear(out, self.code_embedding.weight[at : at + self.codebook_size])
        return logits.float().log_softmax(-1), cache

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Log-probability of every item, exactly; slow, and meant for checks."""
        return score_catalogue(self, self._context(batch), self.codes.long(), self.codebook_size)

    def rank(self, batch: HistoryBatch, k: int, *, exclude: Bool[Tensor, "B I"] | None = None) -> RankedItems:
        """The ``k`` best items that the search finds.

        Raises:
            ConfigError: If ``k`` is larger than the catalogue.
        """
        check_k(k, self.num_items)
        width = max(self.config.beam_width, k)
        found = beam_search(self, self.trie, self._context(batch), width, exclude)
        return RankedItems(found.items[:, :k], found.scores[:, :k])

    def _enter(self, embedded: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """T5's tied tables: unit variance at the input, scaled by D^-1/2 at the output."""
        out: Tensor = embedded * embedded.shape[-1] ** 0.5
        return out

    def _context(self, batch: HistoryBatch) -> tuple[Tensor, Tensor, Tensor]:
        batch = batch.last(self.config.max_len)
        return batch.items, batch.lengths, batch.user_index

    def meta(self) -> Mapping[str, Any]:
        """Shapes of the IDs."""
        return {"codebook_size": self.codebook_size, "num_levels": self.num_levels}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved shape; the IDs are read at once, because the trie is made of them."""
        codes = folder.tensors("state")["codes"].numpy()
        config = read_config(TIGERConfig, folder.manifest["config"])
        return cls(config, codes, int(folder.meta["codebook_size"]))
