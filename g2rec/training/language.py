"""Fit a language model that spells semantic IDs on the training events."""

from pathlib import Path

import torch

from g2rec.artifacts import derive_seed
from g2rec.interactions import Interactions
from g2rec.recommenders import LanguageModel, LanguageModelConfig
from g2rec.tokenizers import SemanticIds
from g2rec.training.fitting import FitConfig, FitReport
from g2rec.training.sequence import fit_recommender, training_windows, window_loader


def fit_language_model(
    interactions: Interactions,
    semantic_ids: SemanticIds,
    config: LanguageModelConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
) -> tuple[LanguageModel, FitReport]:
    """Train a language model on histories of codes; each epoch is validated with the full beam.

    Args:
        interactions: The prepared log.
        semantic_ids: Collision-free IDs.
        config: The backbone, and what of it is trained.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the new tokens' embeddings, the order and the dropout.

    Raises:
        ConfigError: If a setting is out of range, or there is no language model at the path.
        DataError: If there is nothing to train or validate on.
    """
    torch.manual_seed(derive_seed(seed, "language", "init"))
    model = config.build(codes=semantic_ids.codes, codebook_size=semantic_ids.codebook_size)
    windows = training_windows(interactions, config.max_len)
    train = window_loader(windows, fit_config.batch_size, seed)
    report = fit_recommender(model, train, interactions, fit_config=fit_config, folder=folder, seed=seed)
    return model, report
