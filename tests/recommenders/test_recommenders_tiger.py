"""TIGER: the search computes what training computes, and what the model is told decides."""

import itertools

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError, DataError
from g2rec.recommenders import (
    TIGER,
    EncoderDecoderConfig,
    HistoryBatch,
    TargetBatch,
    TIGERConfig,
    history_batch,
)

SMALL = EncoderDecoderConfig(
    embedding_dim=16, num_layers=2, num_heads=3, head_dim=6, feed_dim=24, dropout=0.1
)
NUM_ITEMS, LEVELS, SIZE = 30, 3, 5
ROWS = ([], [1], [2, 3, 4], [5, 6, 7, 8, 9, 10])


def tiger(num_user_tokens: int = 1) -> TIGER:
    torch.manual_seed(0)
    every = np.array(list(itertools.product(range(SIZE), repeat=LEVELS)))
    codes = np.random.default_rng(0).permutation(every)[:NUM_ITEMS]
    config = TIGERConfig(transformer=SMALL, max_len=4, num_user_tokens=num_user_tokens, beam_width=NUM_ITEMS)
    model = config.build(codes=codes, codebook_size=SIZE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def histories(*rows: list[int]) -> HistoryBatch:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    return history_batch(indptr, items, np.arange(len(rows)))


@torch.no_grad()
def test_the_search_and_the_loss_see_one_model() -> None:
    model = tiger()
    batch = histories(*ROWS)
    scores = model.score(batch)
    for item in (0, 7, 29):
        target = torch.full((len(ROWS),), item)
        loss = model.loss(TargetBatch(batch.user_index, batch.items, batch.lengths, target))
        torch.testing.assert_close(loss, -scores[:, item].mean() / LEVELS, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_full_beam_is_exact() -> None:
    model = tiger()
    batch = histories(*ROWS)
    ranked = model.rank(batch, NUM_ITEMS)
    best = model.score(batch).sort(dim=1, descending=True)
    torch.testing.assert_close(ranked.scores, best.values, rtol=1e-5, atol=1e-5)
    assert torch.equal(ranked.items, best.indices)


@torch.no_grad()
def test_every_code_of_the_history_and_their_order_count() -> None:
    model = tiger()
    scores = model.score(histories([2, 3, 4], [4, 3, 2], [2, 3], [9, 8, 2, 3, 4]))
    assert not torch.allclose(scores[0], scores[1], atol=1e-3)
    assert not torch.allclose(scores[0], scores[2], atol=1e-3)
    same = model.score(histories([9, 8, 2, 3, 4], [7, 8, 2, 3, 4]))  # four items are read
    torch.testing.assert_close(same[0], same[1])


@torch.no_grad()
def test_users_are_told_apart_by_their_tokens_alone() -> None:
    rows = [[1, 2]] * 4
    shared = tiger().score(histories(*rows))
    torch.testing.assert_close(shared, shared[:1].expand(4, -1))
    hashed = tiger(num_user_tokens=3).score(histories(*rows))
    torch.testing.assert_close(hashed[0], hashed[3])
    assert not torch.allclose(hashed[0], hashed[1], atol=1e-3)


def test_bad_settings_are_one_sentence() -> None:
    codes = np.array([[0, 1], [1, 0]])
    with pytest.raises(ConfigError, match="head_dim must be even and positive, got 5"):
        TIGERConfig(transformer=EncoderDecoderConfig(head_dim=5)).build(codes=codes, codebook_size=2)
    with pytest.raises(ConfigError, match="num_user_tokens must be at least 1, got 0"):
        TIGERConfig(num_user_tokens=0).build(codes=codes, codebook_size=2)
    with pytest.raises(DataError, match=r"codes must lie in 0 ... 1, got 0 ... 2"):
        TIGERConfig(transformer=SMALL).build(codes=codes * 2, codebook_size=2)
