"""Semantic IDs: each item as a few codes, near items sharing the first ones."""

from g2rec.tokenizers._base import ItemTokenizer
from g2rec.tokenizers._collisions import CollisionMethod, resolve_collisions
from g2rec.tokenizers._diagnostics import category_agreement, prefix_groups, prefix_similarity
from g2rec.tokenizers._ids import SemanticIds, code_usage, collision_rate
from g2rec.tokenizers._inputs import InputScaler
from g2rec.tokenizers._kinds import TokenizerConfig, load_tokenizer
from g2rec.tokenizers._letter import LETTERConfig, alignment_loss, balanced_clusters, diversity_loss
from g2rec.tokenizers._losses import ContrastiveHead, pair_contrast, prototype_cross_entropy
from g2rec.tokenizers._opq import OPQ, OPQConfig
from g2rec.tokenizers._pairs import PairSampler, batch_positives
from g2rec.tokenizers._quantizer import CodebookUpdate, Quantized, ResidualQuantizer, quantize
from g2rec.tokenizers._rqkmeans import RQKMeans, RQKMeansConfig
from g2rec.tokenizers._rqvae import RQVAE, RQVAEConfig, RQVAEOutput
from g2rec.tokenizers._subwords import SubwordConfig, SubwordEmbedding, SubwordTokens, fit_subwords
from g2rec.tokenizers._vocabulary import NGramVocabulary, SentencePieceVocabulary

__all__ = [
    "OPQ",
    "RQVAE",
    "CodebookUpdate",
    "CollisionMethod",
    "ContrastiveHead",
    "InputScaler",
    "ItemTokenizer",
    "LETTERConfig",
    "NGramVocabulary",
    "OPQConfig",
    "PairSampler",
    "Quantized",
    "RQKMeans",
    "RQKMeansConfig",
    "RQVAEConfig",
    "RQVAEOutput",
    "ResidualQuantizer",
    "SemanticIds",
    "SentencePieceVocabulary",
    "SubwordConfig",
    "SubwordEmbedding",
    "SubwordTokens",
    "TokenizerConfig",
    "alignment_loss",
    "balanced_clusters",
    "batch_positives",
    "category_agreement",
    "code_usage",
    "collision_rate",
    "diversity_loss",
    "fit_subwords",
    "load_tokenizer",
    "pair_contrast",
    "prefix_groups",
    "prefix_similarity",
    "prototype_cross_entropy",
    "quantize",
    "resolve_collisions",
]
