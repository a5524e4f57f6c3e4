"""The token head: spell the next item's semantic ID code by code, given what the backbone says."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.recommenders._decoding import Context
from g2rec.recommenders._transformer import BeamCache, CausalTransformer, TransformerConfig
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Float, Int, Tensor


class DepthCache(NamedTuple):
    """What the depth decoder keeps between levels."""

    entered: Float[Tensor, "B 1 D"]
    """Output at the first position, which is all that level 0 needs."""
    beams: BeamCache


class DepthDecoder(nn.Module):
    """A small causal transformer over the levels of one ID (RQ-Transformer, Lee et al., CVPR 2022).

    p(c_1 ... c_L | h) = prod_l p(c_l | h, c_1 ... c_{l-1}); position 1 reads h, position l the embedding
    of c_{l-1}. The history is encoded once per item instead of once per code. It is trained on p among the
    codes that the catalogue admits, so that the probabilities of all items add up to one.

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

    def losses(
        self,
        hidden: Float[Tensor, "P D"],
        codes: Int[Tensor, "P L"],
        trie: PrefixTrie,
        teacher: Float[Tensor, "P J"] | None = None,
        share: float = 0.0,
    ) -> Float[Tensor, " P"]:
        """Cross-entropy, in nats, of a code among those that the trie admits after the codes before it.

        The mean over the codes of each ID.

        Args:
            hidden: What the backbone says.
            codes: IDs of the next items.
            trie: The catalogue.
            teacher: `PrefixTrie.accumulate` of another head's probabilities of the items.
            share: What its probabilities of the codes weigh, against the next item's code alone.
        """
        logits = self(hidden, codes).float()
        node = codes.new_zeros(len(codes), 1)
        total: Tensor = logits.new_zeros(len(codes))
        for level in range(self.num_levels):
            code, child, real = trie.successors(node, level)
            among = logits[:, level].gather(1, code[:, 0]).masked_fill(~real[:, 0], -torch.inf)
            log_p = among.log_softmax(1).masked_fill(~real[:, 0], 0.0)
            goal = real[:, 0] & (code[:, 0] == codes[:, level : level + 1])
            weight = goal.to(log_p.dtype)
            if teacher is not None:
                mass = trie.mass(child, level, teacher)[:, 0].masked_fill(~real[:, 0], 0.0)
                mass = mass / mass.sum(1, keepdim=True).clamp(min=1e-20)
                weight = (1 - share) * weight + share * mass.to(log_p.dtype)
            total = total - (weight * log_p).sum(1)
            node = (child[:, 0] * goal).sum(1, keepdim=True)
        return total / self.num_levels

    def begin(self, context: Context) -> DepthCache:
        """Keys and values of the first position, once a user; the context is the backbone's [B, D]."""
        assert isinstance(context, Tensor)
        one = torch.ones(len(context), dtype=torch.long, device=context.device)
        return DepthCache(*self.transformer.begin(self.enter(context).unsqueeze(1), one))

    def step(
        self, cache: DepthCache, level: int, codes: Int[Tensor, "B W l"], parents: Int[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W V"], DepthCache]:
        """Log-probabilities of the code that follows each beam; only its latest code is new."""
        out = cache.entered
        if level:
            latest = self.code_embedding(codes[:, :, -1] + (level - 1) * self.codebook_size)
            out, beams = self.transformer.extend(latest, cache.beams, parents)
            cache = DepthCache(cache.entered, beams)
        logits = F.linear(out, self.head[level].to(out.dtype))
        return logits.float().log_softmax(-1), cache
