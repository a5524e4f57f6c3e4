"""LightningModules, loaders and the fitting loop: the only room that imports lightning."""

from g2rec.training.batches import BatchKey, batches
from g2rec.training.code_lm import fit_code_lm
from g2rec.training.datamodule import GraphBatch, GraphDataModule
from g2rec.training.encoder import EncoderDataModule, EncoderModule, FittedEncoder, LinkConfig, fit_encoder
from g2rec.training.fitting import EpochSeed, FitConfig, FitReport, fit, optimizer, start_or_resume
from g2rec.training.g2rec import fit_g2rec
from g2rec.training.graph_encoder import FittedGraphEncoder, fit_graph_encoder
from g2rec.training.lightgcn import fit_lightgcn
from g2rec.training.ranking import load_ranks, rank_all
from g2rec.training.sequence import RecommenderModule, SequenceDataModule, fit_sasrec
from g2rec.training.tokenizer import FittedTokenizer, fit_tokenizer

__all__ = [
    "BatchKey",
    "EncoderDataModule",
    "EncoderModule",
    "EpochSeed",
    "FitConfig",
    "FitReport",
    "FittedEncoder",
    "FittedGraphEncoder",
    "FittedTokenizer",
    "GraphBatch",
    "GraphDataModule",
    "LinkConfig",
    "RecommenderModule",
    "SequenceDataModule",
    "batches",
    "fit",
    "fit_code_lm",
    "fit_encoder",
    "fit_g2rec",
    "fit_graph_encoder",
    "fit_lightgcn",
    "fit_sasrec",
    "fit_tokenizer",
    "load_ranks",
    "optimizer",
    "rank_all",
    "start_or_resume",
]
