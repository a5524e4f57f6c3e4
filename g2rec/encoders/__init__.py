"""Graph encoders: from sampled subgraphs to node embeddings, and exactly for all nodes."""

from g2rec.encoders._base import EncoderConfig, GraphEncoder
from g2rec.encoders._embeddings import NodeEmbeddings
from g2rec.encoders._features import DroppedItems, NodeFeatures, content_ridge, drop_items
from g2rec.encoders._lightgcn import LightGCN, LightGCNConfig
from g2rec.encoders._loading import load_encoder
from g2rec.encoders._loss import link_loss
from g2rec.encoders._sage import GraphSAGE, GraphSAGEConfig

__all__ = [
    "DroppedItems",
    "EncoderConfig",
    "GraphEncoder",
    "GraphSAGE",
    "GraphSAGEConfig",
    "LightGCN",
    "LightGCNConfig",
    "NodeEmbeddings",
    "NodeFeatures",
    "content_ridge",
    "drop_items",
    "link_loss",
    "load_encoder",
]
