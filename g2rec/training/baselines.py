"""Fit any baseline by name, on the same training events and with the same budget as G2Rec."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from g2rec.errors import ConfigError
from g2rec.recommenders import ItemKNN, ItemTransitions, Popularity, Recommender, tiger_config
from g2rec.training.code_lm import fit_code_lm
from g2rec.training.g2rec import fit_g2rec
from g2rec.training.lightgcn import fit_lightgcn
from g2rec.training.sequence import fit_sasrec

if TYPE_CHECKING:
    from g2rec.interactions import Interactions
    from g2rec.tokenizers import SemanticIds
    from g2rec.training.run_config import BaselineName, RunConfig


def fit_baseline(
    name: "BaselineName",
    interactions: "Interactions",
    config: "RunConfig",
    folder: Path,
    semantic_ids: "SemanticIds | None" = None,
) -> Recommender:
    """Fit one baseline.

    Args:
        name: Which.
        interactions: The prepared log.
        config: Its settings are taken from here.
        folder: Gets checkpoints and logs.
        semantic_ids: IDs of the content alone, for models that spell them.

    Raises:
        ConfigError: If such a model is asked for without IDs, or a setting is out of range.
    """
    seed = config.seed
    if name == "popularity":
        return Popularity.fit(interactions)
    if name == "item_transitions":
        return ItemTransitions.fit(interactions)
    if name == "item_knn":
        return ItemKNN.fit(interactions)
    if name == "lightgcn":
        return fit_lightgcn(interactions, config.lightgcn, config.lightgcn_fit, folder, seed)[0]
    if name == "sasrec":
        plain = dataclasses.replace(config.sasrec, logits="dot", label_smoothing=0.0)
        return fit_sasrec(interactions, plain, config.sasrec_fit, folder, seed)[0]
    if name == "sasrec_cosine":
        cosine = dataclasses.replace(config.sasrec, logits="cosine")
        return fit_sasrec(interactions, cosine, config.sasrec_fit, folder, seed)[0]
    if semantic_ids is None:
        raise ConfigError(
            f"{name} needs semantic IDs of the items' content, got none; fit a tokenizer without a graph"
        )
    if name == "code_lm":
        return fit_code_lm(interactions, semantic_ids, config.code_lm, config.code_lm_fit, folder, seed)[0]
    model = config.recommender
    tiger = tiger_config(model.transformer, beam_width=model.beam_width)
    fitted, _ = fit_g2rec(interactions, semantic_ids, None, None, tiger, config.recommender_fit, folder, seed)
    return fitted
