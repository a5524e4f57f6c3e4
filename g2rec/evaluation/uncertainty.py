"""How sure a mean over users is: bootstrap intervals and a paired test."""

from typing import Any, NamedTuple

import numpy as np

from g2rec.errors import ConfigError
from g2rec.shapes import Float, Tensor

_CELLS = 4_000_000  # resampled values held at once


class Interval(NamedTuple):
    """A mean over users and the interval that holds 95% of the bootstrap means."""

    mean: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """Whether one model is better than another on the same users."""

    difference: Interval
    """Mean of (first - second), with its 95% bootstrap interval."""
    p_value: float
    """Two-sided, from random sign flips of the differences."""


def bootstrap_interval(values: Float[Tensor, " B"], *, seed: int = 0, num_samples: int = 1000) -> Interval:
    """Percentile bootstrap over users (Efron, 1979): resample them with replacement, take the means.

    Args:
        values: One value a user; with none, the mean and the interval are 0.
        seed: Decides the resamples.
        num_samples: Resamples; at least 1.

    Raises:
        ConfigError: If ``num_samples`` is below 1.
    """
    _check(num_samples)
    x = values.detach().cpu().double().numpy()
    if x.size == 0:
        return Interval(0.0, 0.0, 0.0)
    generator = np.random.default_rng(seed)
    # Many users share a value (most are 0), so resampled counts per distinct value are drawn instead of
    # users: the same distribution of means, at the cost of the distinct values only.
    distinct, counts = np.unique(x, return_counts=True)
    means = np.empty(num_samples)
    step = max(1, _CELLS // distinct.size)
    for start in range(0, num_samples, step):
        rows = min(step, num_samples - start)
        drawn = generator.multinomial(x.size, counts / x.size, size=rows)
        means[start : start + rows] = drawn @ distinct / x.size
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(x.mean()), float(low), float(high))


def paired_test(
    first: Float[Tensor, " B"], second: Float[Tensor, " B"], *, seed: int = 0, num_samples: int = 1000
) -> PairedTest:
    """Paired randomisation test of equal means (Smucker et al., CIKM 2007), with the interval of the gap.

    Under the null hypothesis the two models' values of a user could be swapped; p is the share of random
    swaps whose mean gap is at least as large, counting the observed one.

    Args:
        first: One value a user.
        second: The other model's value for the same users, in the same order.
        seed: Decides resamples and swaps.
        num_samples: Resamples and swaps; at least 1.

    Raises:
        ConfigError: If the lengths differ or ``num_samples`` is below 1.
    """
    _check(num_samples)
    if first.shape != second.shape:
        raise ConfigError(
            f"a paired test needs the same users, got {first.numel()} and {second.numel()}; rank both alike"
        )
    gap = (first.double() - second.double()).detach().cpu()
    interval = bootstrap_interval(gap, seed=seed, num_samples=num_samples)
    x: np.ndarray[Any, Any] = gap[gap != 0].numpy()
    if x.size == 0:
        return PairedTest(interval, 1.0)
    generator = np.random.default_rng(seed + 1)
    extreme, step = 1, max(1, _CELLS // x.size)
    for start in range(0, num_samples, step):
        rows = min(step, num_samples - start)
        signs = generator.integers(0, 2, size=(rows, x.size), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ x) >= abs(x.sum()) - 1e-12).sum())
    return PairedTest(interval, extreme / (num_samples + 1))


def _check(num_samples: int) -> None:
    if num_samples < 1:
        raise ConfigError(f"expected num_samples of at least 1, got {num_samples}; 1000 is usual")
