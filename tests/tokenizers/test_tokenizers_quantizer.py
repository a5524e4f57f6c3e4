"""Residual quantization by hand, and the losses."""

import numpy as np
import pytest
import torch

from g2rec.tokenizers import (
    ResidualQuantizer,
    batch_positives,
    pair_contrast,
    prototype_cross_entropy,
    quantize,
)

BOOKS = torch.tensor([[[0.0, 0.0], [4.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]]])


def test_residual_quantization_by_hand() -> None:
    # (5, 0) takes (4, 0), leaves (1, 0), takes (1, 0). (0, -2) takes (0, 0), then (0, -1).
    codes, residuals = quantize(torch.tensor([[5.0, 0.0], [0.0, -2.0]]), BOOKS)
    assert codes.tolist() == [[1, 0], [0, 1]]
    assert residuals[1].tolist() == [[1.0, 0.0], [0.0, -2.0]]


def test_quantizer_losses_and_gradients_by_hand() -> None:
    quantizer = ResidualQuantizer(2, 2, 2)
    quantizer.codebooks.data.copy_(BOOKS)
    latents = torch.tensor([[5.0, 0.0], [0.0, -2.0]], requires_grad=True)
    found = quantizer(latents)
    assert found.codes.tolist() == [[1, 0], [0, 1]]
    assert found.straight_through.tolist() == [[5.0, 0.0], [0.0, -1.0]]
    # Level 1 misses by (1, 0) and (0, -2): mean square 5/4; level 2 by 0 and (0, -1): 1/4.
    assert float(found.codebook_loss.detach()) == pytest.approx(1.5)
    assert float(found.commitment_loss.detach()) == pytest.approx(1.5)
    found.straight_through.sum().backward()
    assert latents.grad is not None
    assert latents.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_distinct_codewords_encode_to_themselves() -> None:
    torch.manual_seed(0)
    coarse, fine = torch.randn(8, 6) * 100, torch.randn(8, 6)
    books = torch.stack([coarse, fine])
    every = (coarse[:, None] + fine[None]).reshape(-1, 6)
    codes, _ = quantize(every, books)
    assert codes.tolist() == [[a, b] for a in range(8) for b in range(8)]


def test_dead_codes_move_onto_residuals() -> None:
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(2, 4, 3)
    quantizer.codebooks.data[0, 1:] = 1e6
    latents = torch.randn(50, 3)
    found = quantizer(latents)
    quantizer.observe(found.codes, found.residuals)
    unused = [4 - len(np.unique(found.codes[:, level])) for level in range(2)]
    assert quantizer.reset_dead(found.residuals) == sum(unused)
    assert unused[0] == 3
    assert (quantizer.codebooks.data[0, 1:].unsqueeze(1) == latents).all(dim=2).any(dim=1).all()
    assert not quantizer.uses.any()


def test_moving_averages_by_hand() -> None:
    quantizer = ResidualQuantizer(2, 2, 2, update="ema", decay=0.5)
    quantizer.codebooks.copy_(BOOKS)
    quantizer.sums.copy_(BOOKS)
    found = quantizer(torch.tensor([[5.0, 0.0], [7.0, 0.0], [0.0, -2.0]]))
    assert found.codes.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert float(found.codebook_loss) == 0
    quantizer.observe(found.codes, found.residuals)
    # Code (4, 0) coded 5 and 7: N = (1 + 2) / 2, m = (4 + 12) / 2.
    # Code (0, 0) coded (0, -2): N = 1, m = (0, -1).
    wanted = torch.tensor([[0.0, -1.0], [8 / 1.5, 0.0]])
    torch.testing.assert_close(quantizer.codebooks[0], wanted, atol=1e-3, rtol=0)
    assert quantizer.counts.tolist() == [[1.0, 1.5], [1.5, 1.0]]


def test_moving_averages_settle_on_the_means() -> None:
    torch.manual_seed(0)
    latents = torch.randn(4, 3).repeat_interleave(50, dim=0) * 10 + torch.randn(200, 3)
    quantizer = ResidualQuantizer(1, 4, 3, update="ema", decay=0.9)
    quantizer.start(latents, seed=0)
    with torch.no_grad():
        quantizer.codebooks += 0.5
    for _ in range(100):
        found = quantizer(latents)
        quantizer.observe(found.codes, found.residuals)
    means = torch.stack([latents[found.codes[:, 0] == code].mean(dim=0) for code in range(4)])
    torch.testing.assert_close(quantizer.codebooks[0], means, atol=1e-2, rtol=0)


def test_start_uses_every_code() -> None:
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(3, 16, 4)
    latents = torch.randn(400, 4)
    quantizer.start(latents, seed=0)
    codes = quantizer(latents).codes
    assert [len(codes[:, level].unique()) for level in range(3)] == [16, 16, 16]


def test_cross_entropy_over_prototypes_by_hand() -> None:
    prototypes, items = torch.eye(2), torch.tensor([[2.0, 0.0]])
    log = np.log(np.exp(1) + 1)
    even = prototype_cross_entropy(items, prototypes, torch.tensor([[0.5, 0.5]]), temperature=1.0)
    assert float(even) == pytest.approx(log - 0.5)
    own = prototype_cross_entropy(items, prototypes, torch.tensor([[1.0, 0.0]]), temperature=1.0)
    assert float(own) == pytest.approx(log - 1)


def test_pair_contrast_masks_other_positives() -> None:
    source, target = torch.eye(2), torch.eye(2)
    free = pair_contrast(source, target, torch.zeros(2, 2, dtype=torch.bool), temperature=1.0)
    assert float(free) == pytest.approx(np.log(np.exp(1) + 1) - 1)
    masked = pair_contrast(source, target, torch.ones(2, 2, dtype=torch.bool), temperature=1.0)
    assert float(masked) == pytest.approx(0.0)


def test_batch_positives() -> None:
    keys = torch.tensor([0 * 5 + 1, 1 * 5 + 0, 2 * 5 + 3, 3 * 5 + 2])
    found = batch_positives(torch.tensor([0, 2]), torch.tensor([1, 2]), keys, 5)
    assert found.tolist() == [[True, False], [False, True]]
