"""The token head: spell the next item's semantic ID code by code, and search for the likeliest ones."""

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.recommenders._base import RankedItems
from g2rec.recommenders._transformer import CausalTransformer, TransformerConfig
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Bool, Float, Int, Tensor

_CELLS = 20_000_000  # activations held at once when all items are scored


class DepthDecoder(nn.Module):
    """A small causal transformer over the levels of one ID (RQ-Transformer, Lee et al., CVPR 2022).

    p(c_1 ... c_L | h) = prod_l p(c_l | h, c_1 ... c_{l-1}); position 1 reads h, position l the embedding
    of c_{l-1}. The history is encoded once per item instead of once per code.

    Args:
        config: Width, heads and dropout of the model it belongs to.
        num_layers: Its own depth.
        num_levels: L.
        codebook_size: V.
    """

    def __init__(
        self, config: TransformerConfig, num_layers: int, num_levels: int, codebook_size: int
    ) -> None:
        super().__init__()
        own = TransformerConfig(
            embedding_dim=config.embedding_dim,
            num_layers=num_layers,
            num_heads=config.num_heads,
            dropout=min(config.dropout, 0.1),  # four positions leave little to overfit on
            max_len=num_levels,
        )
        dim = config.embedding_dim
        self.num_levels, self.codebook_size = num_levels, codebook_size
        self.enter = nn.Linear(dim, dim, bias=False)
        self.code_embedding = nn.Embedding(num_levels * codebook_size, dim)
        self.transformer = CausalTransformer(own, num_levels)
        self.head = nn.Parameter(torch.randn(num_levels, codebook_size, dim) * 0.02)

    def forward(self, hidden: Float[Tensor, "P D"], codes: Int[Tensor, "P l"]) -> Float[Tensor, "P m V"]:
        """Logits of levels 1 ... l + 1 (at most L), given the codes before each."""
        before = codes[:, : self.num_levels - 1]
        offset = torch.arange(before.shape[1], device=codes.device) * self.codebook_size
        entered = torch.cat([self.enter(hidden).unsqueeze(1), self.code_embedding(before + offset)], dim=1)
        out = self.transformer(entered)
        return torch.einsum("pmd,mvd->pmv", out, self.head[: out.shape[1]].to(out.dtype))

    def loss(self, hidden: Float[Tensor, "P D"], codes: Int[Tensor, "P L"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of a code, in nats."""
        return F.cross_entropy(self(hidden, codes).flatten(0, 1), codes.flatten())

    def score_items(self, hidden: Float[Tensor, "B D"], codes: Int[Tensor, "B W L"]) -> Float[Tensor, "B W"]:
        """Log-probability of given items, by teacher forcing."""
        B, W, L = codes.shape
        repeated = hidden.unsqueeze(1).expand(B, W, -1).reshape(B * W, -1)
        log_p: Tensor = self(repeated, codes.reshape(B * W, L)).float().log_softmax(-1)
        return log_p.gather(2, codes.reshape(B * W, L, 1)).sum((1, 2)).view(B, W)

    def next_log_probs(
        self, hidden: Float[Tensor, "B D"], codes: Int[Tensor, "B W l"]
    ) -> Float[Tensor, "B W V"]:
        """Log-probabilities of the code that follows each beam."""
        B, W, done = codes.shape
        repeated = hidden.unsqueeze(1).expand(B, W, -1).reshape(B * W, -1)
        logits: Tensor = self(repeated, codes.reshape(B * W, done))[:, -1]
        return logits.float().log_softmax(-1).view(B, W, -1)


def beam_search(
    decoder: DepthDecoder,
    trie: PrefixTrie,
    hidden: Float[Tensor, "B D"],
    width: int,
    exclude: Bool[Tensor, "B I"] | None = None,
) -> RankedItems:
    """The likeliest items of the catalogue, best first.

    Log-probabilities are over all codes, not only those that the trie admits, so a beam as wide as the
    catalogue gives exactly `score_catalogue`.

    Args:
        decoder: The token head.
        trie: The catalogue.
        hidden: What the backbone says of each user.
        width: Beams kept after each level; items returned (fewer if the catalogue has fewer).
        exclude: Items that cannot be recommended; prefixes that lead to none but them are not walked.
    """
    B = len(hidden)
    nodes = torch.zeros(B, 1, dtype=torch.long, device=hidden.device)
    codes = torch.zeros(B, 1, 0, dtype=torch.long, device=hidden.device)
    scores = torch.zeros(B, 1, device=hidden.device)
    running = None if exclude is None else trie.count_open(exclude)
    for level in range(trie.num_levels):
        log_p = decoder.next_log_probs(hidden, codes)
        code, child, real = trie.successors(nodes, level)
        if running is not None:
            real = real & trie.is_open(child, running)
        total = scores.unsqueeze(-1) + log_p.gather(2, code)
        total = total.masked_fill(~real, -torch.inf).flatten(1)
        scores, pick = total.topk(min(width, total.shape[1]), dim=1)
        beam = pick // code.shape[2]
        before = codes.gather(1, beam.unsqueeze(-1).expand(-1, -1, level))
        codes = torch.cat([before, code.flatten(1).gather(1, pick).unsqueeze(-1)], dim=2)
        nodes = child.flatten(1).gather(1, pick)
    return RankedItems(trie.items(nodes).masked_fill(scores == -torch.inf, -1), scores)


def score_catalogue(
    decoder: DepthDecoder, trie: PrefixTrie, hidden: Float[Tensor, "B D"], codes: Int[Tensor, "I L"]
) -> Float[Tensor, "B I"]:
    """Log-probability of every item, exactly: for small catalogues and to check the beam.

    Costs one decoder pass for each user and item.
    """
    num_items, L = codes.shape
    per_user = num_items * L * hidden.shape[1]
    rows = max(1, _CELLS // per_user)
    parts = [
        decoder.score_items(part, codes.unsqueeze(0).expand(len(part), -1, -1))
        for part in torch.split(hidden, rows)
    ]
    return torch.cat(parts)
