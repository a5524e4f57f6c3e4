"""LETTER: its IDs bring together what one model of the sequences holds to be alike."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError
from g2rec.interactions import Interactions
from g2rec.recommenders import SASRec, SASRecConfig, TransformerConfig
from g2rec.tokenizers import LETTERConfig, OPQConfig, RQVAEConfig, SemanticIds
from g2rec.training import FitConfig
from g2rec.training.letter import fit_letter_ids

RQ = RQVAEConfig(num_levels=2, codebook_size=12, latent_dim=16, hidden_dims=(32,))
FIT = FitConfig(epochs=30, batch_size=30, learning_rate=5e-3, accelerator="cpu")
GROUPS = 6


def fitted(toy: Interactions) -> SASRec:
    """A table in which items of one group lie together; groups are no matter of content."""
    transformer = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2)
    sasrec = SASRecConfig(transformer=transformer).build(num_items=toy.num_items)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        group = torch.arange(toy.num_items) % GROUPS
        centre = torch.randn(GROUPS, 16, generator=generator)
        sasrec.item_embedding.weight.copy_(
            centre[group] + 0.05 * torch.randn(toy.num_items, 16, generator=generator)
        )
    return sasrec


def agreement(ids: SemanticIds) -> float:
    """Of the pairs of items with one first code, the share that are of one group."""
    group = np.arange(len(ids.codes)) % GROUPS
    same = ids.codes[:, :1] == ids.codes[:, 0]
    np.fill_diagonal(same, False)
    return float((group[:, None] == group)[same].mean())


def test_alignment_brings_the_collaborative_groups_into_the_codes(toy: Interactions, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)  # content in which every item is as far from every other
    data = dataclasses.replace(toy, content=rng.normal(size=(toy.num_items, 24)).astype(np.float32))
    sasrec = fitted(data)
    with_it = fit_letter_ids(
        data, sasrec, RQ, LETTERConfig(alignment_weight=2.0, num_clusters=3), FIT, tmp_path / "a", 0
    )
    without = fit_letter_ids(
        data, sasrec, RQ, LETTERConfig(alignment_weight=0.0, diversity_weight=0.0), FIT, tmp_path / "b", 0
    )
    assert agreement(with_it) > agreement(without) + 0.2
    assert len(np.unique(with_it.codes, axis=0)) == data.num_items


def test_letter_needs_content_and_an_rqvae(toy: Interactions, tmp_path: Path) -> None:
    sasrec = fitted(toy)
    with pytest.raises(ConfigError, match="letter regularises an RQ-VAE, got OPQConfig"):
        fit_letter_ids(toy, sasrec, OPQConfig(), LETTERConfig(), FIT, tmp_path, 0)
    without = dataclasses.replace(toy, content=None)
    with pytest.raises(ConfigError, match="letter tokenizes the items' content, got none"):
        fit_letter_ids(without, sasrec, RQ, LETTERConfig(), FIT, tmp_path, 0)
