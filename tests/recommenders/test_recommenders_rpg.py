"""RPG: the score of an item is the sum over its digits, whatever the order of the digits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from g2rec.errors import ConfigError, DataError
from g2rec.recommenders import RPG, RPGConfig, TransformerConfig, history_batch
from g2rec.tokenizers import OPQConfig

SMALL = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, dropout=0.1, max_len=5)
CODES = np.random.default_rng(0).integers(0, 7, (20, 6))
CODES[1] = CODES[0]


def rpg(**settings: float) -> RPG:
    torch.manual_seed(0)
    tokenizer = OPQConfig(num_levels=6, codebook_size=7)
    model = RPGConfig(transformer=SMALL, tokenizer=tokenizer, **settings).build(codes=CODES)  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@torch.no_grad()
def test_the_score_by_hand() -> None:
    model = rpg()
    batch = history_batch(np.array([0, 3]), np.array([4, 5, 6], dtype=np.int32), np.arange(1))
    table = model.code_embedding.weight.view(6, 7, 16)
    codes, digits = torch.from_numpy(CODES), torch.arange(6)
    entered = torch.stack([table[digits, codes[item]].mean(0) for item in (4, 5, 6)])
    hidden = model.transformer(entered.unsqueeze(0) * (16 * 6) ** 0.5)[0, -1]
    expected = torch.zeros(20)
    for digit in range(6):
        own = hidden + F.silu(hidden @ model.heads[digit])
        log_p = (F.cosine_similarity(own, table[digit], dim=-1) / 0.07).log_softmax(-1)
        expected += log_p[codes[:, digit]]
    scores = model.score(batch)
    torch.testing.assert_close(scores[0], expected, rtol=1e-4, atol=1e-4)
    assert scores[0, 0] == scores[0, 1]  # one ID, one score


@torch.no_grad()
def test_the_loss_is_the_mean_over_digits_of_what_is_scored() -> None:
    model = rpg()
    one = history_batch(np.array([0, 1]), np.array([4], dtype=np.int32), np.arange(1))
    loss = model.loss(torch.tensor([[4, 9, -1]]))
    torch.testing.assert_close(loss, -model.score(one)[0, 9] / 6, rtol=1e-5, atol=1e-5)


def test_bad_settings_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"temperature must be positive, got 0\.0"):
        rpg(temperature=0.0)
    with pytest.raises(DataError, match=r"codes must lie in 0 ... 6, got 0 ... 12"):
        RPGConfig(tokenizer=OPQConfig(codebook_size=7)).build(codes=CODES * 2)
