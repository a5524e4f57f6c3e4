"""Search the catalogue for the items whose semantic IDs a model finds likeliest, and score items exactly."""

from typing import Any, Protocol

import torch

from g2rec.recommenders._base import RankedItems
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Bool, Float, Int, Tensor

Context = Tensor | tuple[Tensor, ...]
"""What is known of B users: tensors whose first dimension is B."""
_CELLS = 4_000_000  # log-probabilities held at once when all items are scored


class CodeDecoder(Protocol):
    """What the search needs of a model that spells semantic IDs level by level.

    What is known of a user is computed once, by `begin`, and kept once; only the codes spelled so far
    belong to a beam.
    """

    def begin(self, context: Context) -> Any:
        """The users' part of the cache: keys and values of [B, ...], not of [B, W, ...]."""

    def step(
        self, cache: Any, level: int, codes: Int[Tensor, "B W l"], parents: Int[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W V"], Any]:
        """Log-probabilities, in float32, of the code that follows each beam.

        Args:
            cache: From `begin` or the step before; it is read, never written to.
            level: Codes spelled so far, from 0; at level 0 there is one beam.
            codes: Those codes, without level offsets.
            parents: Which beam of the step before each beam goes on from; none at level 0.

        Returns:
            The log-probabilities, and the cache for the next level.
        """


def beam_search(
    decoder: CodeDecoder,
    trie: PrefixTrie,
    context: Context,
    width: int,
    exclude: Bool[Tensor, "#B I"] | None = None,
    *,
    admitted: bool = False,
) -> RankedItems:
    """The likeliest items of the catalogue, best first; all beams of all users go in one batch.

    A beam as wide as the catalogue gives exactly `score_catalogue`.

    Args:
        decoder: Gives the log-probabilities.
        trie: The catalogue.
        context: What the decoder is told of each user.
        width: Beams kept after each level; items returned (fewer if the catalogue has fewer).
        exclude: Items that cannot be recommended, for each user or, as one row, for all: seen ones, a deny
            list, what an allow list leaves out. Prefixes that lead to none but them are not walked.
        admitted: Log-probabilities are of a code among those that the trie admits, as `DepthDecoder` is
            trained, instead of among all codes.
    """
    first = context if isinstance(context, Tensor) else context[0]
    B, device = len(first), first.device
    nodes = torch.zeros(B, 1, dtype=torch.long, device=device)
    codes = torch.zeros(B, 1, 0, dtype=torch.long, device=device)
    scores = torch.zeros(B, 1, device=device)
    parents: Tensor | None = None
    running = None if exclude is None else trie.count_open(exclude)
    cache = decoder.begin(context)
    for level in range(trie.num_levels):
        log_p, cache = decoder.step(cache, level, codes, parents)
        code, child, real = trie.successors(nodes, level)
        log_p = log_p.gather(2, code)
        if admitted:
            log_p = log_p - _shared(log_p, real)
        if running is not None:
            real = real & trie.is_open(child, level, running)
        total = torch.where(real, scores.unsqueeze(-1) + log_p, -torch.inf).flatten(1)
        scores, pick = total.topk(min(width, total.shape[1]), dim=1)
        parents = pick // code.shape[2]
        before = codes.gather(1, parents.unsqueeze(-1).expand(-1, -1, level))
        codes = torch.cat([before, code.flatten(1).gather(1, pick).unsqueeze(-1)], dim=2)
        nodes = child.flatten(1).gather(1, pick)
    return RankedItems(trie.items(nodes).masked_fill(scores == -torch.inf, -1), scores)


def score_items(
    decoder: CodeDecoder, context: Context, codes: Int[Tensor, "#B W L"], trie: PrefixTrie | None = None
) -> Float[Tensor, "B W"]:
    """Log-probability of given IDs, by teacher forcing; with a trie, of codes among those that it admits."""
    return _spell(decoder, decoder.begin(context), context, codes, trie)


def score_catalogue(
    decoder: CodeDecoder,
    context: Context,
    codes: Int[Tensor, "I L"],
    codebook_size: int,
    trie: PrefixTrie | None = None,
) -> Float[Tensor, "B I"]:
    """Log-probability of every item, exactly: for small catalogues and to check the beam.

    Costs one decoder step for each user, item and level; no search is involved.
    """
    users = len(context if isinstance(context, Tensor) else context[0])
    cache = decoder.begin(context)
    parts = torch.split(codes, max(1, _CELLS // (max(1, users) * codebook_size)))
    return torch.cat([_spell(decoder, cache, context, part.unsqueeze(0), trie) for part in parts], dim=1)


def _spell(
    decoder: CodeDecoder, cache: Any, context: Context, codes: Int[Tensor, "#B W L"], trie: PrefixTrie | None
) -> Float[Tensor, "B W"]:
    first = context if isinstance(context, Tensor) else context[0]
    codes = codes.expand(len(first), -1, -1)
    B, W, L = codes.shape
    scores = torch.zeros(B, W, device=codes.device)
    nodes = torch.zeros(B, W, dtype=torch.long, device=codes.device)
    log_p, cache = decoder.step(cache, 0, codes[:, :1, :0], None)
    parents = torch.zeros(B, W, dtype=torch.long, device=codes.device)
    for level in range(L):
        if level:
            log_p, cache = decoder.step(cache, level, codes[:, :, :level], parents)
            parents = torch.arange(W, device=codes.device).expand(B, W)
        log_p = log_p.expand(B, W, -1)
        scores = scores + log_p.gather(2, codes[:, :, level : level + 1]).squeeze(2)
        if trie is not None:
            code, child, real = trie.successors(nodes, level)
            scores = scores - _shared(log_p.gather(2, code), real).squeeze(2)
            nodes = (child * (real & (code == codes[:, :, level : level + 1]))).sum(2)
    return scores


def _shared(log_p: Float[Tensor, "B W M"], real: Bool[Tensor, "B W M"]) -> Float[Tensor, "B W 1"]:
    """log of what the admitted codes have of the probability; 0 where a beam has none."""
    total = log_p.masked_fill(~real, -torch.inf).logsumexp(2, keepdim=True)
    return torch.where(real.any(2, keepdim=True), total, 0.0)
