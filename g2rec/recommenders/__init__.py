"""Recommenders: each ranks the items of the catalogue for users' histories."""

from g2rec.recommenders._base import RankedItems, Recommender
from g2rec.recommenders._captured import CapturedRanking
from g2rec.recommenders._code_lm import CodeLM, CodeLMConfig
from g2rec.recommenders._decoding import CodeDecoder, beam_search, score_catalogue, score_items
from g2rec.recommenders._depth import DepthDecoder
from g2rec.recommenders._ease import EASE, EASEConfig
from g2rec.recommenders._encoder_decoder import EncoderDecoderConfig
from g2rec.recommenders._evidence import EvidenceFusion, FusionMember
from g2rec.recommenders._fusion import Fusion
from g2rec.recommenders._g2rec import (
    G2Rec,
    G2RecConfig,
    RankingMode,
    TrainingBatch,
    tiger_decoder_config,
)
from g2rec.recommenders._history import HistoryBatch, TargetBatch, history_batch, moved, pad_windows
from g2rec.recommenders._knn import ItemKNN, ItemKNNConfig
from g2rec.recommenders._language import LanguageModel, LanguageModelConfig
from g2rec.recommenders._lightgcn import EdgeBatch, LightGCNRecommender, LightGCNRecommenderConfig
from g2rec.recommenders._llama import export_llama
from g2rec.recommenders._load import load_recommender
from g2rec.recommenders._near import NearItems
from g2rec.recommenders._popularity import Newness, Popularity, RecentPopularity
from g2rec.recommenders._rpg import RPG, RPGConfig
from g2rec.recommenders._sasrec import SASRec, SASRecConfig
from g2rec.recommenders._text import TextNeighbors, TextNeighborsConfig, WordNeighbors
from g2rec.recommenders._tiger import TIGER, TIGERConfig
from g2rec.recommenders._timeline import ItemTimeline
from g2rec.recommenders._transformer import CausalTransformer, TransformerConfig
from g2rec.recommenders._transitions import ItemTransitions, ItemTransitionsConfig
from g2rec.recommenders._trie import PrefixTrie

__all__ = [
    "EASE",
    "RPG",
    "TIGER",
    "CapturedRanking",
    "CausalTransformer",
    "CodeDecoder",
    "CodeLM",
    "CodeLMConfig",
    "DepthDecoder",
    "EASEConfig",
    "EdgeBatch",
    "EncoderDecoderConfig",
    "EvidenceFusion",
    "Fusion",
    "FusionMember",
    "G2Rec",
    "G2RecConfig",
    "HistoryBatch",
    "ItemKNN",
    "ItemKNNConfig",
    "ItemTimeline",
    "ItemTransitions",
    "ItemTransitionsConfig",
    "LanguageModel",
    "LanguageModelConfig",
    "LightGCNRecommender",
    "LightGCNRecommenderConfig",
    "NearItems",
    "Newness",
    "Popularity",
    "PrefixTrie",
    "RPGConfig",
    "RankedItems",
    "RankingMode",
    "RecentPopularity",
    "Recommender",
    "SASRec",
    "SASRecConfig",
    "TIGERConfig",
    "TargetBatch",
    "TextNeighbors",
    "TextNeighborsConfig",
    "TrainingBatch",
    "TransformerConfig",
    "WordNeighbors",
    "beam_search",
    "export_llama",
    "history_batch",
    "load_recommender",
    "moved",
    "pad_windows",
    "score_catalogue",
    "score_items",
    "tiger_decoder_config",
]
