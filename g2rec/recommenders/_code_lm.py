"""A causal language model of semantic IDs: one position a code, the next code predicted everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.recommenders._base import RankedItems, Recommender, check_k, read_config
from g2rec.recommenders._decoding import Context, beam_search, score_catalogue
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._transformer import BeamCache, CausalTransformer, TransformerConfig
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Bool, Float, Int, Tensor


@dataclass(frozen=True, kw_only=True)
class CodeLMConfig:
    """The language model of codes."""

    transformer: TransformerConfig = field(default_factory=lambda: TransformerConfig(positions="rotary"))
    """The model; max_len counts items, each of which takes as many positions as its ID has codes."""
    beam_width: int = 50
    """Beams kept by the search; a longer list widens it."""

    def build(self, *, codes: np.ndarray[Any, Any], codebook_size: int) -> "CodeLM":
        """An untrained model for a catalogue.

        Args:
            codes: [I, L] semantic IDs, all different.
            codebook_size: Codes a level.

        Raises:
            ConfigError: If a value is out of range.
            DataError: If the codes do not fit the codebook, or two items share an ID.
        """
        self.transformer.check()
        if self.transformer.positions != "rotary":
            raise ConfigError("the code-level model has rotary positions, got learned; use positions=rotary")
        if self.beam_width < 1:
            raise ConfigError(f"beam_width must be at least 1, got {self.beam_width}; raise it")
        if int(codes.max(initial=0)) >= codebook_size or int(codes.min(initial=0)) < 0:
            raise DataError(
                f"codes must lie in 0 ... {codebook_size - 1}, got {codes.min()} ... {codes.max()}"
            )
        return CodeLM(self, np.asarray(codes), codebook_size)


class CodeCache(NamedTuple):
    """What the language model keeps between levels."""

    last: Float[Tensor, "B 1 D"]
    """Output at the last code of the history, which is all that level 0 needs."""
    beams: BeamCache


class CodeLM(Recommender):
    """A decoder-only language model over flat sequences of codes (after GPTRec, arXiv 2306.11114).

    p(x_1 ... x_nL) = prod_t p(x_t | start, x_1 ... x_{t-1});  score_i = sum_l log p(c_il | history, c_i1 ...)

    A history of n items is a start token and n L codes; code c of level l is token l V + c, and the start is
    token L V. Deviations from GPTRec: semantic IDs where it splits an SVD, Llama's blocks where it has
    GPT-2's, and a search over the trie of the catalogue. Input and output embeddings are tied. Exported by
    `export_llama`, it is an ordinary `LlamaForCausalLM`.
    """

    name = "code_lm"
    config: CodeLMConfig
    codes: Tensor

    def __init__(self, config: CodeLMConfig, codes: np.ndarray[Any, Any], codebook_size: int) -> None:
        super().__init__()
        self.config, self.codebook_size = config, codebook_size
        self.num_items, self.num_levels = codes.shape
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int32)))
        self.trie = PrefixTrie(codes)
        self.start = self.num_levels * codebook_size
        self.token_embedding = nn.Embedding(self.start + 1, config.transformer.embedding_dim)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        self.transformer = CausalTransformer(config.transformer, self.max_positions)

    @property
    def max_positions(self) -> int:
        """Positions of the longest sequence: the start, the history and all codes but one of an item."""
        positions: int = (self.config.transformer.max_len + 1) * self.num_levels
        return positions

    @property
    def scores_all_items(self) -> bool:
        """It ranks by search."""
        return False

    def tokens(self, items: Int[Tensor, "B T"]) -> Int[Tensor, "B P"]:
        """The start and the codes of each item; what stands at padded items is meaningless."""
        offset = torch.arange(self.num_levels, device=items.device) * self.codebook_size
        spelled = (self.codes[items.clamp(min=0)] + offset).flatten(1)
        return F.pad(spelled, (1, 0), value=self.start)

    def logits(self, tokens: Int[Tensor, "B P"]) -> Float[Tensor, "B P N"]:
        """Of the token after each, over all N = L V + 1 tokens."""
        hidden = self.transformer(self.token_embedding(tokens))
        return F.linear(hidden, self.token_embedding.weight)

    def loss(self, items: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of a code, in nats, over right-padded sequences."""
        tokens = self.tokens(items)
        valid = (items >= 0).repeat_interleave(self.num_levels, dim=1)
        hidden = self.transformer(self.token_embedding(tokens[:, :-1]), valid)
        logits = F.linear(hidden[valid], self.token_embedding.weight)
        return F.cross_entropy(logits, tokens[:, 1:][valid])

    def begin(self, context: Context) -> CodeCache:
        """Keys and values of the history, once a user; the context is items [B, T] and lengths [B]."""
        items, lengths = context
        embedded = self.token_embedding(self.tokens(items))
        return CodeCache(*self.transformer.begin(embedded, lengths * self.num_levels + 1))

    def step(
        self, cache: CodeCache, level: int, codes: Int[Tensor, "B W l"], parents: Int[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W V"], CodeCache]:
        """Log-probabilities of the code that follows each beam, among all tokens."""
        out = cache.last
        if level:
            latest = self.token_embedding(codes[:, :, -1] + (level - 1) * self.codebook_size)
            out, beams = self.transformer.extend(latest, cache.beams, parents)
            cache = CodeCache(cache.last, beams)
        logits = F.linear(out, self.token_embedding.weight).float()
        at = level * self.codebook_size
        of_level = logits[..., at : at + self.codebook_size]
        return of_level - logits.logsumexp(-1, keepdim=True), cache

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Log-probability of every item, exactly; slow, and meant for checks."""
        return score_catalogue(self, self._context(batch), self.codes, self.codebook_size)

    def rank(self, batch: HistoryBatch, k: int, *, exclude: Bool[Tensor, "B I"] | None = None) -> RankedItems:
        """The ``k`` best items that the search finds.

        Raises:
            ConfigError: If ``k`` is larger than the catalogue.
        """
        check_k(k, self.num_items)
        width = max(self.config.beam_width, k)
        found = beam_search(self, self.trie, self._context(batch), width, exclude)
        return RankedItems(found.items[:, :k], found.scores[:, :k])

    def _context(self, batch: HistoryBatch) -> tuple[Tensor, Tensor]:
        batch = batch.last(self.config.transformer.max_len)
        return batch.items, batch.lengths

    def meta(self) -> Mapping[str, Any]:
        """Shapes of the IDs."""
        return {"codebook_size": self.codebook_size, "num_levels": self.num_levels}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved shape; the IDs are read at once, because the trie is made of them."""
        codes = folder.tensors("state")["codes"].numpy()
        config = read_config(CodeLMConfig, folder.manifest["config"])
        return cls(config, codes, int(folder.meta["codebook_size"]))
