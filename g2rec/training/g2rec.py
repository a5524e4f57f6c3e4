"""Fit G2Rec (and TIGER, the same code without graph and prototypes) on the training events."""

import logging
from pathlib import Path

import numpy as np
import torch

from g2rec.artifacts import derive_seed
from g2rec.encoders import NodeEmbeddings
from g2rec.evaluation import expected_ndcg_at_k, ranked_target_rank
from g2rec.interactions import Interactions
from g2rec.prototypes import InterestPrototypes
from g2rec.recommenders import G2Rec, G2RecConfig
from g2rec.tokenizers import SemanticIds
from g2rec.training.fitting import FitConfig, FitReport
from g2rec.training.sequence import fit_recommender, training_windows, validation_loader, window_loader

logger = logging.getLogger(__name__)
FUSION_GRID = tuple(step / 10 for step in range(11))


def fit_g2rec(
    interactions: Interactions,
    semantic_ids: SemanticIds,
    prototypes: InterestPrototypes | None,
    embeddings: NodeEmbeddings | None,
    config: G2RecConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
) -> tuple[G2Rec, FitReport]:
    """Train G2Rec; for hybrid ranking, choose the weight of the two heads on the validation set.

    Each epoch is validated with the model's own ranking (the full beam where it searches).

    Args:
        interactions: The prepared log; its content is used if it has any.
        semantic_ids: Collision-free IDs.
        prototypes: Needed unless ``config.feed`` is none.
        embeddings: Frozen item embeddings of the graph encoder, if they are to be used.
        config: The model.
        fit_config: Length and rates.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial weights, the order, the splits and the dropout.

    Raises:
        ConfigError: If a setting is out of range or an input that it needs is missing.
        DataError: If the inputs do not fit together.
    """
    torch.manual_seed(derive_seed(seed, "g2rec", "init"))
    model = config.build(
        codes=semantic_ids.codes,
        codebook_size=semantic_ids.codebook_size,
        prototypes=None
        if prototypes is None
        else (prototypes.vectors, prototypes.indices, prototypes.weights),
        graph=None if embeddings is None else embeddings.items,
        content=interactions.content,
    )
    counts = np.bincount(interactions.train_events().item_index, minlength=interactions.num_items)
    model.train_on(torch.from_numpy(counts > 0))
    windows = training_windows(interactions, config.transformer.max_len)
    train = window_loader(windows, fit_config.batch_size, seed)
    report = fit_recommender(model, train, interactions, fit_config=fit_config, folder=folder, seed=seed)
    if config.ranking == "hybrid":
        choose_fusion_weight(model, interactions, accelerator=fit_config.accelerator)
    return model, report


@torch.no_grad()
def choose_fusion_weight(model: G2Rec, interactions: Interactions, *, accelerator: str = "auto") -> float:
    """Set the weight of the token head to the one with the best N@10 on the whole validation set.

    Returns:
        The weight, of 0, .1 ... 1; 0 ranks by the dense head alone. The smallest wins a tie.
    """
    home = model.device
    model.eval().to("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    k = min(10, model.num_items)
    sums = torch.zeros(len(FUSION_GRID), dtype=torch.float64)
    for batch, target in validation_loader(interactions, 512):
        candidates = model.candidates(batch.to(model.device), k)
        for at, weight in enumerate(FUSION_GRID):
            ranked = model.fuse(candidates, k, weight)
            above, tied = ranked_target_rank(
                ranked.items, ranked.scores, target.to(model.device), model.num_items
            )
            sums[at] += expected_ndcg_at_k(above, tied, k).sum().cpu()
    best = FUSION_GRID[int(sums.argmax())]
    model.fusion_weight.fill_(best)
    model.to(home)
    logger.info("g2rec: the token head weighs %.1f in the hybrid ranking", best)
    return best
