"""Product codes: the rotation is found, the levels do not meet."""

import dataclasses
import itertools
from typing import get_args

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError
from g2rec.tokenizers import OPQConfig, RQKMeansConfig, TokenizerConfig
from g2rec.tokenizers._lloyd import lloyd
from g2rec.tokenizers._opq import principal_rotation


def blocks(num_items: int = 2000) -> np.ndarray:
    """Three pairs of dimensions, each on one of four points, all of them rotated."""
    rng = np.random.default_rng(0)
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * [3, 1]
    pairs = [corners[rng.integers(0, 4, num_items)] for _ in range(3)]
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    return (np.concatenate(pairs, axis=1) @ turn).astype(np.float32)


def test_eigenvalues_are_dealt_out_by_hand() -> None:
    # Variances 16, 9, 4, 1: 16 to the first, 9 and 4 to the second (9 < 16), 1 to the first, which has room.
    points = torch.zeros(8, 4)
    for column, spread in enumerate((2.0, 4.0, 1.0, 3.0)):
        points[2 * column : 2 * column + 2, column] = torch.tensor([-2.0, 2.0]) * spread
    rotation = principal_rotation(points, [2, 2]).abs()
    assert rotation.argmax(dim=0).tolist() == [1, 2, 3, 0]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(4))


def test_rotated_blocks_are_rebuilt_better_than_without_rotation() -> None:
    content = blocks()
    tokenizer = OPQConfig(num_levels=3, codebook_size=4, rounds=40).build(content=6)
    plain = OPQConfig(num_levels=3, codebook_size=4, rounds=0).build(content=6)
    found, first = tokenizer.fit(content, seed=0)._encode(content, None), plain.fit(content, seed=0)
    error = [
        float((made.reconstruct(made._vectors(made._greedy(latents))) - inputs).square().mean())
        for made, (inputs, latents) in ((tokenizer, found), (first, first._encode(content, None)))
    ]
    assert error[0] < 0.5 * error[1]
    rotation = tokenizer.rotation
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(6), atol=1e-5, rtol=0)


def test_each_level_codes_its_sub_space_alone() -> None:
    rng = np.random.default_rng(1)
    content = rng.normal(size=(300, 7)).astype(np.float32)
    tokenizer = OPQConfig(num_levels=3, codebook_size=8).build(content=7).fit(content, seed=0)
    books = tokenizer.level_codebooks()
    assert [int((book != 0).any(dim=0).sum()) for book in books] == [3, 2, 2]
    assert int((books != 0).any(dim=1).sum(dim=0).max()) == 1
    _, latents = tokenizer._encode(content, None)
    codes = torch.from_numpy(tokenizer._greedy(latents)).long()
    for level, part in enumerate(((0, 3), (3, 5), (5, 7))):
        gap = torch.cdist(latents[:, slice(*part)], books[level][:, slice(*part)])
        torch.testing.assert_close(gap.gather(1, codes[:, [level]])[:, 0], gap.min(dim=1).values)


def test_more_sub_spaces_than_dimensions_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 sub-spaces need as many input dimensions, got 3"):
        OPQConfig(num_levels=4).build(content=3)


def test_lloyd_keeps_the_index_of_its_centres_and_leaves_none_empty() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0], [11.0], [50.0]])
    centres = lloyd(points, torch.tensor([[9.0], [0.4], [900.0]]), iterations=10)
    assert centres.flatten().tolist() == [10.5, 0.5, 50.0]


@pytest.mark.parametrize("config", [OPQConfig(codebook_size=16), RQKMeansConfig(codebook_size=16)])
def test_every_code_is_used(config: OPQConfig | RQKMeansConfig) -> None:
    content = np.random.default_rng(0).normal(size=(500, 12)).astype(np.float32)
    ids = config.build(content=12).fit(content, seed=0).tokenize(content)
    assert [level["usage"] for level in ids.report["levels_before"]] == [1, 1, 1]


def test_settings_of_the_tokenizers_differ_in_their_fields() -> None:
    # The command line tells the members of a union apart by their fields.
    names = [
        frozenset(field.name for field in dataclasses.fields(kind)) for kind in get_args(TokenizerConfig)
    ]
    assert not any(one <= other for one, other in itertools.permutations(names, 2))
