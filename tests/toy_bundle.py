"""A small bundle with an untrained recommender, for the rooms that come after the models."""

import numpy as np
import pyarrow as pa

from g2rec.bundle import Bundle
from g2rec.encoders import NodeEmbeddings
from g2rec.interactions import TEST, TRAIN, VALIDATION, Interactions
from g2rec.prototypes import random_prototypes
from g2rec.recommenders import G2RecConfig, TransformerConfig
from g2rec.tokenizers import SemanticIds

NUM_USERS, NUM_ITEMS, LENGTH = 12, 30, 8


def toy_interactions(seed: int = 0) -> Interactions:
    """Twelve users with eight events each on thirty items."""
    rng = np.random.default_rng(seed)
    items = np.stack([rng.permutation(NUM_ITEMS)[:LENGTH] for _ in range(NUM_USERS)]).astype(np.int32)
    part = np.tile(np.array([TRAIN] * (LENGTH - 2) + [VALIDATION, TEST], dtype=np.uint8), NUM_USERS)
    catalogue = {
        "item_id": [f"i{index}" for index in range(NUM_ITEMS)],
        "title": [f"Item <{index}>" for index in range(NUM_ITEMS)],
    }
    return Interactions(
        user_index=np.repeat(np.arange(NUM_USERS, dtype=np.int32), LENGTH),
        item_index=items.ravel(),
        time=None,
        part=part,
        user_ids=pa.array(range(100, 100 + NUM_USERS)),
        items=pa.table(catalogue),
        name="toy",
    )


def make_bundle(seed: int = 0) -> Bundle:
    """All parts at random; the recommender is untrained but whole, both heads included."""
    rng = np.random.default_rng(seed)
    codes = np.stack([np.arange(NUM_ITEMS) // 6, np.arange(NUM_ITEMS) % 6], axis=1).astype(np.int32)
    ids = SemanticIds(rng.permutation(codes), 8)
    prototypes = random_prototypes(NUM_ITEMS, 5, 8, nonzeros=2, seed=seed)
    embeddings = NodeEmbeddings(
        rng.standard_normal((NUM_USERS, 8)).astype(np.float32),
        rng.standard_normal((NUM_ITEMS, 8)).astype(np.float32),
    )
    transformer = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, max_len=10)
    recommender = G2RecConfig(transformer=transformer, num_prefix=2).build(
        codes=ids.codes,
        codebook_size=ids.codebook_size,
        prototypes=(prototypes.vectors, prototypes.indices, prototypes.weights),
        graph=embeddings.items,
    )
    return Bundle(toy_interactions(seed), embeddings, prototypes, ids, recommender.eval())
