"""Fit the LightGCN baseline on the training events."""

from pathlib import Path

import numpy as np
import torch

from g2rec.artifacts import derive_seed
from g2rec.interactions import Interactions
from g2rec.recommenders import EdgeBatch, LightGCNRecommender, LightGCNRecommenderConfig
from g2rec.training.batches import BatchKey, batches
from g2rec.training.fitting import FitConfig, FitReport
from g2rec.training.sequence import fit_recommender


def fit_lightgcn(
    interactions: Interactions,
    config: LightGCNRecommenderConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
) -> tuple[LightGCNRecommender, FitReport]:
    """Train LightGCN; each step propagates over the whole graph, so take large batches (4096 events).

    Args:
        interactions: The prepared log.
        config: The model.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial tables, the order and the negatives.

    Raises:
        ConfigError: If a setting is out of range.
        DataError: If there is nothing to train or validate on.
    """
    events = interactions.train_events()
    user = np.asarray(events.user_index, dtype=np.int64)
    item = np.asarray(events.item_index, dtype=np.int64)
    torch.manual_seed(derive_seed(seed, "lightgcn", "init"))
    model = config.build(
        num_users=interactions.num_users, num_items=interactions.num_items, user_index=user, item_index=item
    )

    def make(key: BatchKey) -> EdgeBatch:
        return EdgeBatch(torch.from_numpy(user[key.rows]), torch.from_numpy(item[key.rows]))

    order = derive_seed(seed, "edges")
    train = batches(make, len(user), fit_config.batch_size, seed=order, shuffle=True)
    report = fit_recommender(
        model, train, interactions, fit_config=fit_config, folder=folder, seed=seed, masked=True
    )
    return model, report
