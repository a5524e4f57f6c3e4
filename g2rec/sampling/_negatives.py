"""Negative items for a sampled softmax, with the log of their sampling probability."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError, DataError
from g2rec.shapes import Float, Int, Tensor


class Negatives(NamedTuple):
    """Items drawn, and log q of each."""

    items: Int[Tensor, " K"]
    """Item indices."""
    log_q: Float[Tensor, " K"]
    """Log of the probability, in nats, of drawing that item in one draw."""


@dataclass(frozen=True, kw_only=True)
class NegativeSamplerConfig:
    """Which items serve as negatives."""

    kind: Literal["uniform", "popularity", "in_batch"] = "popularity"
    """uniform over the catalogue, by popularity, or the other positives of the batch."""
    power: float = 0.75
    """Popularity is raised to this; 1 draws like the events, 0 uniformly. Of ``popularity`` only."""

    def build(self, counts: NDArray[Any], *, seed: int = 0) -> "NegativeSampler":
        """Make the sampler from the training events of every item, [I].

        Raises:
            ConfigError: If the kind is unknown or the power negative.
            DataError: If no item has an event.
        """
        if self.kind not in ("uniform", "popularity", "in_batch"):
            raise ConfigError(f"kind must be uniform, popularity or in_batch, got {self.kind}; choose one")
        if self.power < 0:
            raise ConfigError(f"power must not be negative, got {self.power}; a usual value is 0.75")
        return NegativeSampler(self, counts, seed)


class NegativeSampler:
    """Draws negatives; the same for the same (seed, key).

    ``in_batch`` draws nothing: the positives of the batch serve, and since they are events drawn uniformly,
    q is the share of an item in all events (Yi et al. 2019, sampling-bias-corrected neural modeling).
    """

    def __init__(self, config: NegativeSamplerConfig, counts: NDArray[Any], seed: int) -> None:
        self.config, self.seed = config, seed
        power = {"uniform": 0.0, "popularity": config.power, "in_batch": 1.0}[config.kind]
        mass = np.asarray(counts, dtype=np.float64)
        mass = np.ones_like(mass) if power == 0 else mass**power
        if not mass.sum() > 0:
            raise DataError("expected an item with a training event, found none; check the split")
        self._cumulative = np.cumsum(mass / mass.sum())
        log_q = np.log(np.maximum(mass / mass.sum(), 1e-30))
        self._log_q = torch.from_numpy(log_q.astype(np.float32))

    def log_q(self, items: Int[Tensor, " K"]) -> Float[Tensor, " K"]:
        """Log probability of items in one draw, nats."""
        return self._log_q.to(items.device)[items]

    def sample(
        self, num_negatives: int, *, key: tuple[int, int] = (0, 0), positives: Tensor | None = None
    ) -> Negatives:
        """Draw with replacement, or hand back the positives.

        Args:
            num_negatives: K; not used by ``in_batch``.
            key: (epoch, step).
            positives: The batch's positive items, for ``in_batch``.

        Raises:
            ConfigError: If ``in_batch`` gets no positives.
        """
        if self.config.kind == "in_batch":
            if positives is None:
                raise ConfigError("in_batch negatives are the batch's positives, got none; pass positives=")
            return Negatives(positives, self.log_q(positives))
        rng = np.random.default_rng(derive_seed(self.seed, "negatives", *key))
        drawn = np.searchsorted(self._cumulative, rng.random(num_negatives), side="right")
        items = torch.from_numpy(np.minimum(drawn, len(self._cumulative) - 1).astype(np.int64))
        return Negatives(items, self.log_q(items))
