"""Settings and a recipe with which a whole run takes seconds; shared by the tests of the commands."""

TINY = """
encoder: {class_path: LightGCNConfig, init_args: {embedding_dim: 16, num_layers: 2}}
prototypes: {class_path: GraphHeadConfig, init_args: {num_prototypes: 5, nonzeros: 2}}
encoder_fit: {epochs: 6, batch_size: 512}
tokenizer:
  class_path: RQVAEConfig
  init_args: {num_levels: 2, codebook_size: 16, latent_dim: 8, hidden_dims: [32]}
tokenizer_fit: {epochs: 6, batch_size: 32}
recommender:
  transformer: {embedding_dim: 16, num_layers: 1, num_heads: 2, max_len: 12}
recommender_fit: {epochs: 6, batch_size: 64}
baselines: [popularity, sasrec]
sasrec: {transformer: {embedding_dim: 16, num_layers: 1, num_heads: 2, max_len: 12}}
sasrec_fit: {epochs: 6, batch_size: 64}
"""

TOY = """
name: toy
title: Planted interests, small
licence: none
sources: [{reader: synthetic}]
content: {kind: embeddings, columns: []}
synthetic: {num_users: 150, num_items: 90, num_interests: 5, events_per_user: 14, seed: 3}
"""
