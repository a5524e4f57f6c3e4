"""Fit any baseline by name, on the same training events and with the same budget as G2Rec."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from g2rec.errors import ConfigError
from g2rec.recommenders import (
    EASE,
    G2RecConfig,
    ItemKNN,
    ItemTransitions,
    Newness,
    Popularity,
    RecentPopularity,
    Recommender,
    SASRec,
    SASRecConfig,
    TextNeighbors,
    WordNeighbors,
    tiger_decoder_config,
)
from g2rec.training.code_lm import fit_code_lm
from g2rec.training.fusion import fit_fusion
from g2rec.training.g2rec import fit_g2rec
from g2rec.training.language import fit_language_model
from g2rec.training.letter import fit_letter_ids
from g2rec.training.lightgcn import fit_lightgcn
from g2rec.training.rpg import fit_rpg
from g2rec.training.sequence import fit_sasrec
from g2rec.training.tiger import fit_tiger

if TYPE_CHECKING:
    from g2rec.interactions import Interactions
    from g2rec.tokenizers import SemanticIds
    from g2rec.training.run_config import BaselineName, RunConfig

SPELLING = ("tiger", "tiger_decoder", "code_lm", "language")
"""The baselines that spell semantic IDs of the content alone."""
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
        parts: The fitted baselines that `baseline_parts` names, for those made of others.

    Raises:
        ConfigError: If such a model gets no IDs or parts, or a setting is out of range.
        DataError: If the log lacks what the baseline is made of.
    """
    seed = config.seed
    if name == "popularity":
        return Popularity.fit(interactions)
    if name == "recent_popularity":
        return RecentPopularity.fit(interactions)
    if name == "newness":
        return Newness.fit(interactions)
    if name == "item_transitions":
        return ItemTransitions.fit(interactions)
    if name == "item_knn":
        return ItemKNN.fit(interactions)
    if name == "ease":
        return EASE.fit(interactions, config.ease)
    if name == "text_neighbors":
        return TextNeighbors.fit(interactions, config.text_neighbors)
    if name == "word_neighbors":
        return WordNeighbors.fit(interactions, config.text_neighbors)
    if name == "lightgcn":
        return fit_lightgcn(interactions, config.lightgcn, config.lightgcn_fit, folder, seed)[0]
    if name in SASREC:
        model_config = sasrec_config(name, config.sasrec, with_content=interactions.content is not None)
        return fit_sasrec(interactions, model_config, config.sasrec_fit, folder, seed)[0]
    needed = baseline_parts(name, interactions.content is not None)
    if needed and not parts:
        raise ConfigError(
            f"{name} needs fitted parts, got none; fit {', '.join(needed)} and pass them as parts"
        )
    if name == "fusion" and parts:
        return fit_fusion(interactions, parts)
    if name == "letter" and parts:
        sasrec = parts[needed[0]]
        assert isinstance(sasrec, SASRec)
        semantic_ids = fit_letter_ids(
            interactions, sasrec, config.tokenizer, config.letter, config.tokenizer_fit,
            folder / "checkpoints" / "tokenizer", seed,
        )  # fmt: skip
    if name == "rpg":
        return fit_rpg(interactions, config.rpg, config.rpg_fit, folder, seed)[0]
    if semantic_ids is None:
        raise ConfigError(
            f"{name} needs semantic IDs of the items' content, got none; fit a tokenizer without a graph"
        )
    if name == "code_lm":
        return fit_code_lm(interactions, semantic_ids, config.code_lm, config.code_lm_fit, folder, seed)[0]
    if name == "language":
        return fit_language_model(
            interactions, semantic_ids, config.language, config.language_fit, folder, seed
        )[0]
    if name in ("tiger", "letter"):
        return fit_tiger(interactions, semantic_ids, config.tiger, config.tiger_fit, folder, seed)[0]
    alone = decoder_alone(config.recommender)
    return fit_g2rec(interactions, semantic_ids, None, None, alone, config.recommender_fit, folder, seed)[0]


def decoder_alone(config: G2RecConfig) -> G2RecConfig:
    """What tiger_decoder takes of the recommender's settings."""
    return tiger_decoder_config(config.transformer, beam_width=config.beam_width)


def baseline_parts(name: "BaselineName", with_content: bool) -> tuple["BaselineName", ...]:
    """The baselines that one is made of: those that the fusion weighs, the one that LETTER aligns with."""
    if name == "fusion":
        return fusion_parts(with_content)
    return ("sasrec_cosine",) if name == "letter" else ()


def fusion_parts(with_content: bool) -> tuple["BaselineName", ...]:
    """The baselines that the fusion weighs, the one that weighs 1 first; content only where there is some."""
    texts: tuple[BaselineName, ...] = ("text_neighbors", "word_neighbors") if with_content else ()
    return ("sasrec_graph", *texts, "ease", "item_transitions", "recent_popularity", "newness")


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
