"""The control that every gain from prototypes is measured against."""

from dataclasses import dataclass

import numpy as np

from g2rec.errors import ConfigError
from g2rec.prototypes._interests import InterestPrototypes


@dataclass(frozen=True, kw_only=True)
class RandomPrototypesConfig:
    """Prototypes without meaning: what gains as much from these gains from extra tokens, not interests."""

    num_prototypes: int = 64
    """Interest prototypes, C."""
    nonzeros: int = 4
    """Prototypes that an item belongs to, rho."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        if not 1 <= self.nonzeros <= self.num_prototypes:
            raise ConfigError(
                f"nonzeros must lie between 1 and num_prototypes={self.num_prototypes}, "
                f"got {self.nonzeros}; lower it"
            )


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
