"""Fit TIGER on the training events."""

from pathlib import Path

import torch

from g2rec.artifacts import derive_seed
from g2rec.interactions import Interactions
from g2rec.recommenders import TIGER, TIGERConfig
from g2rec.tokenizers import SemanticIds
from g2rec.training.fitting import FitConfig, FitReport
from g2rec.training.next_item import target_loader, target_rows
from g2rec.training.sequence import fit_recommender


def fit_tiger(
    interactions: Interactions,
    semantic_ids: SemanticIds,
    config: TIGERConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
) -> tuple[TIGER, FitReport]:
    """Train TIGER; each epoch is validated with the full beam.

    Args:
        interactions: The prepared log.
        semantic_ids: Collision-free IDs.
        config: The model.
        fit_config: Length and rates; a row is a training event.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial weights, the order and the dropout.

    Raises:
        ConfigError: If a setting is out of range.
        DataError: If there is nothing to train or validate on.
    """
    torch.manual_seed(derive_seed(seed, "tiger", "init"))
    model = config.build(codes=semantic_ids.codes, codebook_size=semantic_ids.codebook_size)
    train = target_loader(target_rows(interactions, config.max_len), fit_config.batch_size, seed)
    report = fit_recommender(model, train, interactions, fit_config=fit_config, folder=folder, seed=seed)
    return model, report
