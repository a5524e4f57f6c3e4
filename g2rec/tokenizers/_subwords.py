"""Sub-word tokens over semantic IDs: item features for ranking models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.shapes import Float, Int, Tensor
from g2rec.tokenizers._ids import SemanticIds
from g2rec.tokenizers._vocabulary import NGram, NGramVocabulary, SentencePieceVocabulary

Vocabulary = NGramVocabulary | SentencePieceVocabulary


@dataclass(frozen=True, kw_only=True)
class SubwordConfig:
    """Sub-word tokens over semantic IDs."""

    kind: Literal["ngram", "sentencepiece"] = "ngram"
    """Fixed n-grams of codes, or runs of codes that SentencePiece learns (extra: subwords)."""
    ngrams: tuple[NGram, ...] = ("unigram", "prefix")
    """Which n-grams, of kind ngram."""
    vocabulary_size: int = 8000
    """Tokens, at most, of kind sentencepiece."""


@dataclass(frozen=True)
class SubwordTokens:
    """The tokens of each item, as rows of a sparse matrix (CSR).

    A ranking model that gives every item ID an embedding of its own learns nothing of rare and new items; one
    that sums the embeddings of an ID's sub-words shares what it learns among like items (Singh et al. 2023,
    "Better Generalization with Semantic IDs: A Case Study in Ranking for Recommendations", arXiv 2306.08121).
    Prefix n-grams are of Zheng et al. 2025, "Enhancing Embedding Representation Stability in Recommendation
    Systems with Semantic ID", arXiv 2504.02137.
    """

    indptr: NDArray[np.int64]
    """[I + 1] where each item's tokens start."""
    indices: NDArray[np.int32]
    """[T] tokens, each in [0, vocabulary_size)."""
    vocabulary: Vocabulary
    """What the tokens are; encodes new IDs."""
    num_levels: int
    """Codes an ID."""

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.indptr) - 1

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return self.vocabulary.size

    def encode(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Tokens of new items from their IDs, [n, L]: indptr [n + 1] and indices."""
        if codes.ndim != 2 or codes.shape[1] != self.num_levels:
            raise DataError(
                f"the sub-words are of IDs of {self.num_levels} codes, got codes of shape {codes.shape}; "
                "use the tokenizer whose IDs they were fitted on"
            )
        return self.vocabulary.encode(codes)

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the tokens into a folder."""
        held, meta = self.vocabulary, {"num_levels": self.num_levels}
        arrays: dict[str, NDArray[Any]] = {"indptr": self.indptr, "indices": self.indices}
        if isinstance(held, NGramVocabulary):
            arrays["grams"] = held.grams
        else:
            arrays["model"] = held.model
            meta["codebook_size"] = held.codebook_size
        return save_folder(path, "subwords", arrays=arrays, config=config, made_from=made_from, meta=meta)

    @classmethod
    def load(cls, path: Path) -> "SubwordTokens":
        """Read a folder that `save` wrote."""
        folder = open_folder(path, "subwords")
        vocabulary: Vocabulary
        if "codebook_size" in folder.meta:
            vocabulary = SentencePieceVocabulary(
                folder.array("model", mmap=False), int(folder.meta["codebook_size"])
            )
        else:
            vocabulary = NGramVocabulary(folder.array("grams", mmap=False))
        indptr, indices = folder.array("indptr", mmap=False), folder.array("indices", mmap=False)
        if len(indices) != indptr[-1] or indices.max(initial=0) >= vocabulary.size:
            raise ArtifactError(f"{path} holds tokens beyond its vocabulary; make the sub-words again")
        return cls(indptr, indices, vocabulary, int(folder.meta["num_levels"]))


def fit_subwords(
    ids: SemanticIds, config: SubwordConfig | None = None, *, popularity: NDArray[np.int64] | None = None
) -> SubwordTokens:
    """Find the sub-words of a catalogue's IDs, and tokenize each item with them.

    Args:
        ids: The catalogue's semantic IDs.
        config: Which kind.
        popularity: [I] training events of each item: how often SentencePiece sees its ID, plus once. Once
            each if not given.

    Raises:
        ConfigError: If a setting is out of range, or SentencePiece is not installed.
    """
    config = config or SubwordConfig()
    codes = np.ascontiguousarray(ids.codes)
    vocabulary: Vocabulary
    if config.kind == "ngram":
        if not config.ngrams:
            raise ConfigError(
                "ngrams must name at least one of unigram, bigram and prefix, got none; add one"
            )
        vocabulary = NGramVocabulary.fit(codes, ids.codebook_size, config.ngrams)
    else:
        weights = np.ones(len(codes), np.int64)
        if popularity is not None:
            if popularity.shape != weights.shape:
                raise DataError(
                    f"expected one count for each of the {len(codes)} items, got {popularity.shape}; "
                    "count the training events of the same catalogue"
                )
            weights = weights + popularity
        vocabulary = SentencePieceVocabulary.fit(codes, ids.codebook_size, config.vocabulary_size, weights)
    return SubwordTokens(*vocabulary.encode(codes), vocabulary, ids.num_levels)


class SubwordEmbedding(nn.Module):
    """Embeds items as the sum of their tokens' embeddings, for a ranking model to use as an item feature.

    Shapes: item indices [B], embeddings [B, D].
    """

    indptr: Tensor
    indices: Tensor

    def __init__(self, tokens: SubwordTokens, embedding_dim: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.weight = nn.Parameter(torch.randn(tokens.vocabulary_size, embedding_dim) * embedding_dim**-0.5)
        self.register_buffer("indptr", torch.from_numpy(tokens.indptr.copy()), persistent=False)
        self.register_buffer("indices", torch.from_numpy(tokens.indices.astype(np.int64)), persistent=False)

    def forward(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Embeddings of catalogue items."""
        start, length = self.indptr[items], self.indptr[items + 1] - self.indptr[items]
        offsets = length.cumsum(0) - length
        shift = torch.repeat_interleave(start - offsets, length)
        return self._sum(self.indices[torch.arange(len(shift), device=shift.device) + shift], offsets)

    def embed_new(self, codes: NDArray[np.int32]) -> Float[Tensor, "n D"]:
        """Embeddings of new items from their semantic IDs, [n, L]."""
        indptr, indices = self.tokens.encode(codes)
        device = self.weight.device
        return self._sum(
            torch.from_numpy(indices).long().to(device), torch.from_numpy(indptr[:-1]).to(device)
        )

    def _sum(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        return F.embedding_bag(tokens, self.weight, offsets, mode="sum")
