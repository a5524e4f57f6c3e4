"""Sub-words: by hand, for new items, after a reload, and with the extra missing."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError, DataError
from g2rec.tokenizers import SemanticIds, SubwordConfig, SubwordEmbedding, SubwordTokens, fit_subwords

IDS = SemanticIds(np.array([[0, 1, 2], [0, 1, 0], [2, 1, 0]], np.int32), 3)


def many(num_items: int = 400) -> SemanticIds:
    """Items of which half share one of thirty prefixes."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, (num_items, 4))
    codes[: num_items // 2, :3] = rng.integers(0, 8, (30, 3))[rng.integers(0, 30, num_items // 2)]
    return SemanticIds(np.unique(codes, axis=0).astype(np.int32), 8)


def names(tokens: SubwordTokens, item: int) -> list[tuple[int, ...]]:
    pieces = tokens.vocabulary.pieces()
    return [pieces[token] for token in tokens.indices[tokens.indptr[item] : tokens.indptr[item + 1]]]


def test_ngrams_by_hand() -> None:
    tokens = fit_subwords(IDS, SubwordConfig(ngrams=("unigram", "bigram", "prefix")))
    # 9 single codes; 01., 21., .12, .10 (01. is a prefix as well); 012, 010, 210.
    assert tokens.vocabulary_size == 9 + 4 + 3
    assert sorted(names(tokens, 0)) == sorted(
        [(0, -1, -1), (-1, 1, -1), (-1, -1, 2), (0, 1, -1), (-1, 1, 2), (0, 1, 2)]
    )
    assert len(set(tokens.indices.tolist())) <= tokens.vocabulary_size


def test_new_items_share_the_tokens_that_are_known() -> None:
    tokens = fit_subwords(IDS)
    indptr, indices = tokens.encode(np.array([[0, 1, 1], [1, 2, 2]], np.int32))
    pieces = tokens.vocabulary.pieces()
    found = [[pieces[token] for token in indices[a:b]] for a, b in itertools.pairwise(indptr)]
    assert sorted(found[0]) == sorted([(0, -1, -1), (-1, 1, -1), (-1, -1, 1), (0, 1, -1)])
    assert sorted(found[1]) == sorted([(1, -1, -1), (-1, 2, -1), (-1, -1, 2)])
    with pytest.raises(DataError, match=r"IDs of 3 codes, got codes of shape \(2, 4\)"):
        tokens.encode(np.zeros((2, 4), np.int32))


@pytest.mark.parametrize("kind", ["ngram", "sentencepiece"])
def test_module_sums_the_tokens_of_old_and_new_items(kind: str, tmp_path: Path) -> None:
    if kind == "sentencepiece":
        pytest.importorskip("sentencepiece", reason="the extra subwords is not installed")
    ids = many()
    config = SubwordConfig(kind=kind, vocabulary_size=60)  # type: ignore[arg-type]
    tokens = fit_subwords(ids, config)
    module = SubwordEmbedding(tokens, 5)
    items = torch.tensor([7, 0, 7, 200])
    found = module(items)
    for row, item in zip(found, items.tolist(), strict=True):
        own = tokens.indices[tokens.indptr[item] : tokens.indptr[item + 1]]
        torch.testing.assert_close(row, module.weight[own.tolist()].sum(dim=0))
    torch.testing.assert_close(module.embed_new(ids.codes[[7, 200]]), found[[0, 3]])
    found.sum().backward()
    assert module.weight.grad is not None
    new = module.embed_new(np.full((3, 4), 5, np.int32))
    assert bool((new.abs().sum(dim=1) > 0).all())

    tokens.save(tmp_path / "subwords", config=config)
    again = SubwordTokens.load(tmp_path / "subwords")
    assert np.array_equal(again.indptr, tokens.indptr)
    assert np.array_equal(again.indices, tokens.indices)
    assert again.vocabulary_size == tokens.vocabulary_size
    codes = np.random.default_rng(1).integers(0, 8, (50, 4)).astype(np.int32)
    assert all(map(np.array_equal, again.encode(codes), tokens.encode(codes)))


def test_sentencepiece_cuts_ids_into_runs_of_their_codes() -> None:
    pytest.importorskip("sentencepiece", reason="the extra subwords is not installed")
    ids = many()
    tokens = fit_subwords(ids, SubwordConfig(kind="sentencepiece", vocabulary_size=60))
    pieces = tokens.vocabulary.pieces()
    assert sum(len(piece) == 1 for piece in pieces) == 32
    assert max(map(len, pieces)) > 1
    for item in range(ids.num_items):
        codes = [code for piece in names(tokens, item) for code in piece]
        assert codes == (ids.codes[item] + np.arange(4) * 8).tolist()
    again = fit_subwords(ids, SubwordConfig(kind="sentencepiece", vocabulary_size=60))
    assert np.array_equal(again.indices, tokens.indices)


def test_popular_ids_get_tokens_of_their_own() -> None:
    pytest.importorskip("sentencepiece", reason="the extra subwords is not installed")
    ids = many()
    popularity = np.ones(ids.num_items, np.int64)
    popularity[::20] = 5000
    tokens = fit_subwords(ids, SubwordConfig(kind="sentencepiece", vocabulary_size=60), popularity=popularity)
    popular, length = popularity > 1, np.diff(tokens.indptr)
    assert length[popular].mean() < 0.7 * length[~popular].mean()


def test_bad_settings_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="ngrams must name at least one of unigram, bigram and prefix"):
        fit_subwords(IDS, SubwordConfig(ngrams=()))
    with pytest.raises(ConfigError, match="3 levels of 3 codes have 9 single codes, vocabulary_size is 9"):
        fit_subwords(IDS, SubwordConfig(kind="sentencepiece", vocabulary_size=9))
    with pytest.raises(DataError, match="one count for each of the 3 items"):
        fit_subwords(IDS, SubwordConfig(kind="sentencepiece"), popularity=np.ones(2, np.int64))
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ConfigError, match="need the extra subwords"):
        fit_subwords(IDS, SubwordConfig(kind="sentencepiece"))
