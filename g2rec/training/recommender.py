"""Fit the recommenders: one entry for each, all with the same loop and the same model selection."""

from g2rec.training.code_lm import fit_code_lm
from g2rec.training.g2rec import fit_fusion_weights, fit_g2rec
from g2rec.training.language import fit_language_model
from g2rec.training.lightgcn import fit_lightgcn
from g2rec.training.ranking import rank_all
from g2rec.training.rpg import fit_rpg
from g2rec.training.sequence import fit_sasrec
from g2rec.training.tiger import fit_tiger

__all__ = [
    "fit_code_lm",
    "fit_fusion_weights",
    "fit_g2rec",
    "fit_language_model",
    "fit_lightgcn",
    "fit_rpg",
    "fit_sasrec",
    "fit_tiger",
    "rank_all",
]
