"""Fit RPG: product codes of the content, then the model on the training events."""

from pathlib import Path

import torch

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError
from g2rec.interactions import Interactions
from g2rec.recommenders import RPG, RPGConfig
from g2rec.training.fitting import FitConfig, FitReport
from g2rec.training.sequence import fit_recommender, training_windows, window_loader


def fit_rpg(
    interactions: Interactions, config: RPGConfig, fit_config: FitConfig, folder: Path, seed: int
) -> tuple[RPG, FitReport]:
    """Give every item its product codes, and train RPG on them.

    Args:
        interactions: The prepared log, with content.
        config: Tokenizer and model.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the codes, the initial weights, the order and the dropout.

    Raises:
        ConfigError: If the items have no content, or a setting is out of range.
        DataError: If there is nothing to train or validate on.
    """
    content = interactions.content
    if content is None:
        raise ConfigError("rpg makes its codes of the items' content, got none; add content to the recipe")
    tokenizer = config.tokenizer.build(content=content.shape[1])
    tokenizer.fit(content, seed=derive_seed(seed, "rpg", "tokenizer"))
    torch.manual_seed(derive_seed(seed, "rpg", "init"))
    model = config.build(codes=tokenizer.tokenize(content).codes)
    windows = training_windows(interactions, config.transformer.max_len)
    train = window_loader(windows, fit_config.batch_size, seed)
    report = fit_recommender(model, train, interactions, fit_config=fit_config, folder=folder, seed=seed)
    return model, report
