"""The control that every gain from prototypes is measured against."""

import numpy as np

from g2rec.prototypes._interests import InterestPrototypes


def random_prototypes(
    num_items: int, num_prototypes: int, embedding_dim: int, *, nonzeros: int = 4, seed: int
) -> InterestPrototypes:
    """Prototypes without meaning: random unit vectors, random supports, random weights.

    A model that gains as much from these as from fitted ones gains from the extra tokens, not from
    interests.
    """
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((num_prototypes, embedding_dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # Floyd's sampling would be leaner; ranking random keys in blocks keeps it vectorised and exact.
    blocks = [
        rng.random((min(8192, num_items - start), num_prototypes)).argpartition(nonzeros - 1, axis=1)
        for start in range(0, num_items, 8192)
    ]
    indices = np.concatenate([block[:, :nonzeros] for block in blocks]).astype(np.int32)
    weights = -np.sort(-rng.dirichlet(np.ones(nonzeros), size=num_items), axis=1)
    return InterestPrototypes(vectors, indices, weights.astype(np.float32), "random")
