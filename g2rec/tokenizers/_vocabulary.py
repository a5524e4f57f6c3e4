"""Vocabularies of sub-word tokens: which pieces of a semantic ID have an embedding of their own."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from g2rec.errors import ConfigError

NGram = Literal["unigram", "bigram", "prefix"]
_NO_CODE = -1
_FIRST_CHARACTER = 0xF0000
"""Codes are written in Unicode's private planes 15 and 16: 65,534 characters each, a gap of 2 between."""
_PLANE = 0xFFFE


class NGramVocabulary:
    """Tuples of codes at given levels: no hashing, so no two tuples share an embedding.

    A unigram is one code of one level, a bigram those of two levels that follow one another, a prefix the
    first two codes or more. All unigrams have a token; of the others those that the catalogue holds.

    Shapes: grams [N, L], -1 at the levels that a token says nothing of.
    """

    def __init__(self, grams: NDArray[np.int32]) -> None:
        self.grams = grams

    @classmethod
    def fit(
        cls, codes: NDArray[np.int32], codebook_size: int, orders: tuple[NGram, ...]
    ) -> "NGramVocabulary":
        """The tuples of a catalogue's codes, [I, L]."""
        num_levels = codes.shape[1]
        kept = []
        for levels in _spans(num_levels, orders):
            if levels.stop - levels.start == 1:
                gram = np.full((codebook_size, num_levels), _NO_CODE, np.int32)
                gram[:, levels.start] = np.arange(codebook_size)
            else:
                gram = np.full(codes.shape, _NO_CODE, np.int32)
                gram[:, levels] = codes[:, levels]
            kept.append(np.unique(gram, axis=0))
        return cls(np.unique(np.concatenate(kept), axis=0))

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.grams)

    def encode(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Tokens of items, as CSR; tuples that the catalogue did not hold have none."""
        found = []
        for pattern in np.unique(self.grams != _NO_CODE, axis=0):
            gram = np.where(pattern, codes, _NO_CODE).astype(np.int32)
            _, place = np.unique(np.concatenate([self.grams, gram]), axis=0, return_inverse=True)
            place = np.asarray(place).ravel()
            token = np.full(int(place.max()) + 1, -1, np.int32)
            token[place[: self.size]] = np.arange(self.size)
            found.append(token[place[self.size :]])
        tokens = np.stack(found, axis=1)
        known = tokens >= 0
        return np.concatenate([[0], np.cumsum(known.sum(axis=1))]).astype(np.int64), tokens[known]

    def pieces(self) -> list[tuple[int, ...]]:
        """The codes of each token, -1 at the levels that it says nothing of."""
        return [tuple(row) for row in self.grams.tolist()]


class SentencePieceVocabulary:
    """A SentencePiece unigram model over code sequences (Kudo 2018, arXiv 1804.10959).

    Each (level, code) is one character; the model's tokens are runs of them, of any length, which cut an ID
    without overlap. Frequent runs get a token, so popular items have few tokens and rare ones share theirs.
    Every single code has a token.

    Shapes: model [bytes], the serialized model, which is data and runs no code when it is read.
    """

    def __init__(self, model: NDArray[np.uint8], codebook_size: int) -> None:
        self.model = model
        self.codebook_size = codebook_size

    @classmethod
    def fit(
        cls,
        codes: NDArray[np.int32],
        codebook_size: int,
        vocabulary_size: int,
        weights: NDArray[np.int64],
    ) -> "SentencePieceVocabulary":
        """Train on a catalogue's codes, [I, L], each ID counted as often as ``weights`` [I] say."""
        num_levels = codes.shape[1]
        characters = num_levels * codebook_size
        if vocabulary_size <= characters or characters > 2 * _PLANE:
            raise ConfigError(
                f"{num_levels} levels of {codebook_size} codes have {characters} single codes, "
                f"vocabulary_size is {vocabulary_size}; it must be larger to hold any sub-word, and "
                f"single codes at most {2 * _PLANE}"
            )
        library = _sentencepiece()
        alphabet = "".join(_character(code) for code in range(characters))
        with tempfile.TemporaryDirectory() as folder:
            log, seeds, prefix = (Path(folder) / name for name in ("ids.tsv", "seeds.tsv", "model"))
            _write(log, zip(_sentences(codes, codebook_size), weights.tolist(), strict=True))
            # The library finds its candidates among bytes, and characters share their first ones: in 217 IDs
            # it found two runs of codes (0.2.3). It takes candidates from a file as well.
            _write(seeds, _runs(codes, codebook_size, weights))
            library.SentencePieceTrainer.train(
                input=str(log), input_format="tsv", seed_sentencepieces_file=str(seeds),
                model_prefix=str(prefix), model_type="unigram",
                vocab_size=vocabulary_size, hard_vocab_limit=False, character_coverage=1.0,
                required_chars=alphabet, max_sentencepiece_length=num_levels, num_threads=1,
                normalization_rule_name="identity", add_dummy_prefix=False, split_by_whitespace=False,
                split_by_unicode_script=False, split_by_number=False, unk_id=0, bos_id=-1, eos_id=-1,
                pad_id=-1, minloglevel=2,
            )  # fmt: skip
            model = np.frombuffer(prefix.with_suffix(".model").read_bytes(), dtype=np.uint8)
        return cls(model, codebook_size)

    @cached_property
    def _processor(self) -> Any:
        return _sentencepiece().SentencePieceProcessor(model_proto=self.model.tobytes())

    @property
    def size(self) -> int:
        """Number of tokens, the unknown one included."""
        return int(self._processor.get_piece_size())

    def encode(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Tokens of items, as CSR: the likeliest cut of each ID."""
        rows = self._processor.encode(_sentences(codes, self.codebook_size), out_type=int)
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return indptr, np.fromiter((token for row in rows for token in row), np.int32, int(indptr[-1]))

    def pieces(self) -> list[tuple[int, ...]]:
        """The code sequence of each token, each as ``level * codebook_size + code``; the unknown has none."""
        texts = [self._processor.id_to_piece(index) for index in range(self.size)]
        return [
            tuple(_code(letter) for letter in text) if ord(text[0]) >= _FIRST_CHARACTER else ()
            for text in texts
        ]


def _spans(num_levels: int, orders: tuple[NGram, ...]) -> list[slice]:
    """The levels that the n-grams cover."""
    spans = {
        "unigram": [slice(level, level + 1) for level in range(num_levels)],
        "bigram": [slice(level, level + 2) for level in range(num_levels - 1)],
        "prefix": [slice(0, depth) for depth in range(2, num_levels + 1)],
    }
    found = [span for order in orders for span in spans[order]]
    return [span for place, span in enumerate(found) if span not in found[:place]]


def _runs(
    codes: NDArray[np.int32], codebook_size: int, weights: NDArray[np.int64]
) -> Iterator[tuple[str, int]]:
    """Single codes, and runs of codes that occur twice at least, with counts; frequent long ones first."""
    offsets = codes + np.arange(codes.shape[1]) * codebook_size
    found: dict[tuple[int, ...], int] = {(code,): 1 for code in range(codes.shape[1] * codebook_size)}
    for start, stop in itertools.combinations(range(codes.shape[1] + 1), 2):
        runs, place = np.unique(offsets[:, start:stop], axis=0, return_inverse=True)
        count = np.bincount(np.asarray(place).ravel(), weights).astype(np.int64)
        kept = count > 1
        found |= zip(map(tuple, runs[kept].tolist()), count[kept].tolist(), strict=True)
    for run in sorted(found, key=lambda run: (-found[run] * len(run), run)):
        yield "".join(map(_character, run)), found[run]


def _write(path: Path, rows: Iterable[tuple[str, int]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{text}\t{count}\n" for text, count in rows)


def _sentences(codes: NDArray[np.int32], codebook_size: int) -> list[str]:
    offsets = codes + np.arange(codes.shape[1]) * codebook_size
    return ["".join(map(_character, row)) for row in offsets.tolist()]


def _character(code: int) -> str:
    return chr(_FIRST_CHARACTER + code + (code // _PLANE) * 2)


def _code(letter: str) -> int:
    place = ord(letter) - _FIRST_CHARACTER
    return place - (place // (_PLANE + 2)) * 2


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise ConfigError(
            "sub-words of kind sentencepiece need the extra subwords, sentencepiece is missing; "
            "pip install 'g2rec[subwords]', or use kind ngram"
        ) from None
    return sentencepiece
