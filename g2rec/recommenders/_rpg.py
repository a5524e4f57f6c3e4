"""RPG: predict all digits of the next item's long semantic ID at once, and score items by their digits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._transformer import CausalTransformer, TransformerConfig
from g2rec.shapes import Float, Int, Tensor
from g2rec.tokenizers import OPQConfig


@dataclass(frozen=True, kw_only=True)
class RPGConfig:
    """RPG-style parallel codes."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    """The backbone."""
    tokenizer: OPQConfig = field(default_factory=lambda: OPQConfig(num_levels=32))
    """The product codes of the content; num_levels is the number of digits."""
    temperature: float = 0.07
    """Divides the cosines between outputs and codes."""

    def build(self, *, codes: np.ndarray[Any, Any]) -> "RPG":
        """An untrained model for a catalogue.

        Args:
            codes: [I, L] semantic IDs; items that share one get equal scores.

        Raises:
            ConfigError: If a value is out of range.
            DataError: If the codes do not fit the codebook.
        """
        self.transformer.check()
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; 0.07 is usual")
        size = self.tokenizer.codebook_size
        if int(codes.max(initial=0)) >= size or int(codes.min(initial=0)) < 0:
            raise DataError(f"codes must lie in 0 ... {size - 1}, got {codes.min()} ... {codes.max()}")
        return RPG(self, np.asarray(codes))


class RPG(Recommender):
    """Long semantic IDs decoded in parallel (RPG: Hou et al., KDD 2025, arXiv 2506.05781).

    e_i = mean_l E_l[c_il];  h = transformer(e_1 ... e_t);  h_l = h + SiLU(W_l h)
    score_i = sum_l log p(c_il | h),  p(c | h) = softmax_c(cos(h_l, E_l[c]) / temperature)

    The digits are unordered and independent given h; one table E serves input and output.

    Deviations: every item is scored, exactly, by L gathers an item, where the paper walks a graph of similar
    items to score some: cheap up to a million items. No two items share an ID, because the tokenizer
    reassigns last digits; where IDs are shared nonetheless, the scores tie.
    """

    name = "rpg"
    config: RPGConfig
    codes: Tensor

    def __init__(self, config: RPGConfig, codes: np.ndarray[Any, Any]) -> None:
        super().__init__()
        self.config = config
        self.num_items, self.num_digits = codes.shape
        self.codebook_size = config.tokenizer.codebook_size
        dim = config.transformer.embedding_dim
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int32)))
        self.code_embedding = nn.Embedding(self.num_digits * self.codebook_size, dim)
        nn.init.normal_(self.code_embedding.weight, std=0.02)
        self.transformer = CausalTransformer(config.transformer, config.transformer.max_len)
        self.heads = nn.Parameter(torch.randn(self.num_digits, dim, dim) * 0.02)

    def hidden(self, items: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Encode histories; what stands at padded positions is meaningless."""
        rows = self._rows(items.clamp(min=0).flatten())
        entered = F.embedding_bag(rows, self.code_embedding.weight, mode="mean")
        scale = (entered.shape[-1] * self.num_digits) ** 0.5  # a mean of L codes is that much shorter
        out: Tensor = self.transformer(entered.view(*items.shape, -1) * scale, items >= 0)
        return out

    def logits(self, hidden: Float[Tensor, "P D"]) -> Float[Tensor, "P L V"]:
        """Of all codes of all digits."""
        own = hidden.unsqueeze(1) + F.silu(torch.einsum("pd,lde->ple", hidden, self.heads))
        table = self.code_embedding.weight.view(self.num_digits, self.codebook_size, -1)
        cosine = torch.einsum("pld,lvd->plv", F.normalize(own, dim=-1), F.normalize(table, dim=-1))
        return cosine.float() / self.config.temperature

    def loss(self, items: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of a digit, in nats, of every next item of right-padded sequences."""
        hidden, targets = self.hidden(items[:, :-1]), items[:, 1:]
        valid = targets >= 0
        logits = self.logits(hidden[valid])
        return F.cross_entropy(logits.flatten(0, 1), self.codes[targets[valid]].long().flatten())

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Log-probability of every item; users without a history get equal scores."""
        batch = batch.last(self.config.transformer.max_len)
        users = torch.arange(len(batch.lengths), device=batch.items.device)
        if batch.items.shape[1] == 0:
            return torch.zeros(len(users), self.num_items, device=batch.items.device)
        last = self.hidden(batch.items)[users, (batch.lengths - 1).clamp(min=0)]
        log_p = self.logits(last.float()).log_softmax(-1).flatten(1)
        every = torch.arange(self.num_items, device=last.device)
        scores = F.embedding_bag(self._rows(every), log_p.T.contiguous(), mode="sum").T
        return scores.masked_fill((batch.lengths == 0).unsqueeze(1), 0.0)

    def _rows(self, items: Int[Tensor, " P"]) -> Int[Tensor, "P L"]:
        """Which rows of the table spell items."""
        return self.codes[items] + torch.arange(self.num_digits, device=items.device) * self.codebook_size

    def meta(self) -> Mapping[str, Any]:
        """Nothing beside the configuration; the codes are among the weights."""
        return {}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved shape; the codes are loaded with the weights."""
        codes = folder.tensors("state")["codes"].numpy()
        return cls(read_config(RPGConfig, folder.manifest["config"]), codes)
