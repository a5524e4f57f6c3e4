"""Fit any baseline by name, on the same training events and with the same budget as G2Rec."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from g2rec.errors import ConfigError
from g2rec.recommenders import (
    EASE,
    ItemKNN,
    ItemTransitions,
    Popularity,
    Recommender,
    SASRecConfig,
    TextNeighbors,
    tiger_config,
)
from g2rec.training.code_lm import fit_code_lm
from g2rec.training.fusion import fit_fusion
from g2rec.training.g2rec import fit_g2rec
from g2rec.training.lightgcn import fit_lightgcn
from g2rec.training.sequence import fit_sasrec

if TYPE_CHECKING:
    from g2rec.interactions import Interactions
    from g2rec.tokenizers import SemanticIds
    from g2rec.training.run_config import BaselineName, RunConfig

SASREC = ("sasrec_bce", "sasrec", "sasrec_cosine", "sasrec_graph")
"""The baselines that are a SASRec."""


def fit_baseline(
    name: "BaselineName",
    interactions: "Interactions",
    config: "RunConfig",
    folder: Path,
    semantic_ids: "SemanticIds | None" = None,
    parts: Mapping[str, Recommender] | None = None,
) -> Recommender:
    """Fit one baseline.

    Args:
        name: Which.
        interactions: The prepared log.
        config: Its settings are taken from here.
        folder: Gets checkpoints and logs.
        semantic_ids: IDs of the content alone, for models that spell them.
        parts: The fitted baselines that `fusion_parts` names, for the fusion.

    Raises:
        ConfigError: If such a model gets no IDs, the fusion no parts, or a setting is out of range.
        DataError: If the log lacks what the baseline is made of.
    """
    seed = config.seed
    if name == "popularity":
        return Popularity.fit(interactions)
    if name == "item_transitions":
        return ItemTransitions.fit(interactions)
    if name == "item_knn":
        return ItemKNN.fit(interactions)
    if name == "ease":
        return EASE.fit(interactions, config.ease)
    if name == "text_neighbors":
        return TextNeighbors.fit(interactions, config.text_neighbors)
    if name == "lightgcn":
        return fit_lightgcn(interactions, config.lightgcn, config.lightgcn_fit, folder, seed)[0]
    if name in SASREC:
        model_config = sasrec_config(name, config.sasrec, with_content=interactions.content is not None)
        return fit_sasrec(interactions, model_config, config.sasrec_fit, folder, seed)[0]
    if name == "fusion":
        if not parts:
            needed = ", ".join(fusion_parts(interactions))
            raise ConfigError(f"the fusion needs fitted parts, got none; fit {needed} and pass them as parts")
        return fit_fusion(interactions, parts)
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


def fusion_parts(interactions: "Interactions") -> tuple["BaselineName", ...]:
    """The baselines that the fusion weighs, the one that weighs 1 first; content only where there is some."""
    if interactions.content is None:
        return ("sasrec_graph", "ease", "item_transitions")
    return ("sasrec_graph", "text_neighbors", "ease", "item_transitions")


def sasrec_config(name: "BaselineName", config: SASRecConfig, *, with_content: bool) -> SASRecConfig:
    """What sets one SASRec baseline apart from the others; the backbone is shared.

    ``sasrec_bce`` is the paper's loss, ``sasrec`` cross-entropy over the catalogue, ``sasrec_cosine`` the
    same on cosines with label smoothing, and ``sasrec_graph`` adds two hops of the co-engagement graph and
    the content, where there is some.
    """
    if name in ("sasrec_bce", "sasrec"):
        config = dataclasses.replace(config, logits="dot", label_smoothing=0.0, hops=0, use_content=False)
        return dataclasses.replace(config, loss="bce" if name == "sasrec_bce" else "softmax")
    if name == "sasrec_cosine":
        return dataclasses.replace(config, loss="softmax", logits="cosine", hops=0, use_content=False)
    return dataclasses.replace(config, loss="softmax", logits="cosine", hops=2, use_content=with_content)
