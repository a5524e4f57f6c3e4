"""A graph with planted interests, for tests and for machines without a network.

Generative story (arrays only, no Python loop over events):

1. Item i belongs to one to three of C interests, w_i its weights, one of them dominant; its popularity
   pop_i is a power law over a random rank.
2. User u mixes two to four interests. The mix drifts: at time t in [0, 1] of the user's life it is
   (1 - t) a_u + t b_u over the same interests. Interests come in runs (``stickiness``).
3. An event draws an interest c from the mix and an item with probability proportional to pop_i * w_ic.
   With probability ``noise`` the event lies outside: an item that shares no interest with the user.
4. Content is sum_c w_ic mu_c + ``content_noise`` * N(0, 1), so noisy that content alone does not tell the
   interests apart. Titles name the dominant interest and so never feed a text encoder.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from g2rec.errors import ConfigError

_START_SECONDS = 1_600_000_000
_SPAN_SECONDS = 2 * 365 * 86_400
_MAX_ITEM_INTERESTS = 3
_MAX_USER_INTERESTS = 4
_REDRAWS = 12

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """Size and difficulty of the planted-interest graph."""

    num_users: int = 2_000
    num_items: int = 1_000
    num_interests: int = 16
    events_per_user: float = 40.0
    """Mean number of events of a user before repeats are dropped; lengths are log-normal, at least 5."""
    noise: float = 0.3
    """Share of a user's events outside their interests."""
    popularity_exponent: float = 0.8
    """Items of popularity rank r are drawn in proportion to (r + 10) ** -exponent."""
    stickiness: float = 0.6
    """Probability that an event stays with the interest of the one before."""
    content_dim: int = 64
    content_noise: float = 0.325
    """Standard deviation of the noise per content dimension (interest centres have unit norm).

    At the default size a logistic regression on content alone then reaches an AMI of .5 to .6.
    """
    seed: int = 0

    def check(self) -> None:
        """Refuse sizes and shares that make no graph.

        Raises:
            ConfigError: With the first value that is out of range.
        """
        limits = {"num_users": 1, "num_items": self.num_interests, "num_interests": 5, "content_dim": 1}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ConfigError(f"synthetic.{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("noise", "stickiness"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"synthetic.{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.events_per_user < 5 or self.content_noise < 0:
            raise ConfigError(
                "synthetic.events_per_user must be at least 5 and synthetic.content_noise not negative, got "
                f"{self.events_per_user} and {self.content_noise}"
            )


@dataclass(frozen=True)
class SyntheticData:
    """What the generator gives: tables in the form of ``RawDataset``."""

    events: pa.Table
    items: pa.Table
    users: pa.Table
    content: Array
    centres: Array
    """[C, F] the interests' vectors mu_c, which the content mixes."""


def generate(config: SyntheticConfig) -> SyntheticData:
    """Draw a planted-interest graph; the same configuration gives the same arrays.

    Returns:
        Events sorted by time, items with the columns ``dominant_interest``, ``dominant_weight`` and
        ``interests``, users with ``interests`` and ``num_outside`` (events outside their interests).

    Raises:
        ConfigError: If a size or a share is out of range.
    """
    config.check()
    rng = np.random.default_rng(config.seed)
    item_interests, item_weights = _draw_items(config, rng)
    belongs = np.where(item_weights > 0, item_interests, -2)
    popularity = (rng.permutation(config.num_items) + 10.0) ** -config.popularity_exponent
    draw_item = _ItemDraw(item_interests, item_weights, popularity, config.num_interests)
    user_interests, mix_start, mix_end = _draw_users(config, rng)

    mean_extra = config.events_per_user - 5
    extra = rng.lognormal(math.log(max(mean_extra, 1e-9)) - 0.18, 0.6, config.num_users).astype(np.int64)
    lengths = np.minimum(5 + extra, max(5, config.num_items // 3))
    user = np.repeat(np.arange(config.num_users), lengths)
    life = rng.random(len(user))
    life = life[np.lexsort((life, user))]

    slot = _draw_slots(config, rng, user, life, mix_start, mix_end)
    outside = rng.random(len(user)) < config.noise
    item = np.zeros(len(user), np.int64)
    fresh = np.ones(len(user), bool)
    for _ in range(_REDRAWS):
        rows = np.flatnonzero(fresh)
        if not len(rows):
            break
        interest = user_interests[user[rows], slot[rows]]
        anywhere = rng.integers(0, config.num_interests, len(rows))
        item[rows] = draw_item(np.where(outside[rows], anywhere, interest), rng)
        fresh = _repeats(user, item, config.num_items)
        fresh |= outside & _overlap(belongs[item], user_interests[user])
    keep = ~fresh
    user, item, life, outside = user[keep], item[keep], life[keep], outside[keep]

    begin = rng.random(config.num_users) * 0.5
    width = 0.1 + rng.random(config.num_users) * 0.4
    time = _START_SECONDS + ((begin[user] + width[user] * life) * _SPAN_SECONDS).astype(np.int64)
    order = np.argsort(time, kind="stable")
    events = pa.table({"user": user[order], "item": item[order], "time": time[order]})
    events = events.append_column("position", pa.array(np.arange(len(order), dtype=np.int64)))
    centres = rng.normal(size=(config.num_interests, config.content_dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    content = np.zeros((config.num_items, config.content_dim))
    for place in range(_MAX_ITEM_INTERESTS):
        content += item_weights[:, place, None] * centres[item_interests[:, place]]
    content += config.content_noise * rng.normal(size=content.shape)
    return SyntheticData(
        events,
        _item_table(config, item_interests, item_weights),
        _user_table(user_interests, np.bincount(user, outside, config.num_users)),
        content.astype(np.float32),
        centres.astype(np.float32),
    )


class _ItemDraw:
    """Inverse-CDF draws from P(i | c) proportional to pop_i * w_ic, for many c at once."""

    def __init__(self, interests: Array, weights: Array, popularity: Array, num_interests: int) -> None:
        flat_item = np.repeat(np.arange(len(interests)), interests.shape[1])
        flat_mass = (weights * popularity[:, None]).ravel()
        flat_interest = interests.ravel()
        used = flat_mass > 0
        order = np.argsort(flat_interest[used], kind="stable")
        self._item = flat_item[used][order]
        mass = flat_mass[used][order]
        interest = flat_interest[used][order]
        total = np.bincount(interest, mass, num_interests)
        self._cumulative = np.cumsum(mass / total[interest])
        self._end = np.searchsorted(interest, np.arange(num_interests), side="right")

    def __call__(self, interest: Array, rng: np.random.Generator) -> Array:
        # interest c owns the stretch (c, c + 1] of the concatenated cumulative masses
        place = np.searchsorted(self._cumulative, interest + rng.random(len(interest)), side="right")
        begin = np.concatenate([[0], self._end[:-1]])
        return self._item[np.clip(place, begin[interest], self._end[interest] - 1)]


def _draw_items(config: SyntheticConfig, rng: np.random.Generator) -> tuple[Array, Array]:
    """Interests [I, 3] (distinct, dominant first) and weights [I, 3] (0 where unused)."""
    interests = _distinct(config.num_items, _MAX_ITEM_INTERESTS, config.num_interests, rng)
    # every interest gets its share of items: deal the dominant ones out like cards, then fix clashes
    dominant = rng.permutation(np.arange(config.num_items) % config.num_interests)
    shift = (dominant - interests[:, 0]) % config.num_interests
    interests = (interests + shift[:, None]) % config.num_interests
    count = rng.choice(_MAX_ITEM_INTERESTS, config.num_items, p=[0.5, 0.3, 0.2]) + 1
    side = 0.1 + 0.1 * rng.random((config.num_items, 2))
    side *= np.arange(2)[None, :] < (count - 1)[:, None]
    return interests, np.concatenate([1 - side.sum(1, keepdims=True), side], axis=1)


def _draw_users(config: SyntheticConfig, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Interests [U, 4] (-1 where unused) and the mixes at the start and the end of a user's life [U, 4]."""
    interests = _distinct(config.num_users, _MAX_USER_INTERESTS, config.num_interests, rng)
    count = rng.integers(2, _MAX_USER_INTERESTS + 1, config.num_users)
    used = np.arange(_MAX_USER_INTERESTS)[None, :] < count[:, None]
    mixes = []
    for _ in range(2):
        mass = rng.gamma(1.0, size=used.shape) * used + 1e-9 * used
        mixes.append(mass / mass.sum(1, keepdims=True))
    return np.where(used, interests, -1), mixes[0], mixes[1]


def _draw_slots(
    config: SyntheticConfig, rng: np.random.Generator, user: Array, life: Array, start: Array, end: Array
) -> Array:
    """Which of the user's interests each event follows; runs, and a mix that drifts with ``life``."""
    mix = (1 - life)[:, None] * start[user] + life[:, None] * end[user]
    cumulative = np.cumsum(mix, axis=1)
    # scaled by the last sum, so that rounding never picks an unused slot
    slot = (rng.random(len(user)) * cumulative[:, -1])[:, None] >= cumulative
    drawn = slot.sum(1)
    begins = rng.random(len(user)) >= config.stickiness
    begins[np.flatnonzero(np.diff(user, prepend=-1))] = True
    held: Array = drawn[np.maximum.accumulate(np.where(begins, np.arange(len(user)), 0))]
    return held


def _distinct(rows: int, columns: int, num_values: int, rng: np.random.Generator) -> Array:
    """``columns`` distinct values below ``num_values`` in each row (Floyd's sampling, then shuffled)."""
    out = np.empty((rows, columns), np.int64)
    for place in range(columns):
        top = num_values - columns + place
        draw = rng.integers(0, top + 1, rows)
        taken = (out[:, :place] == draw[:, None]).any(1)
        out[:, place] = np.where(taken, top, draw)
    shuffled: Array = rng.permuted(out, axis=1)
    return shuffled


def _repeats(user: Array, item: Array, num_items: int) -> Array:
    """Marks every event but the first with the same user and item."""
    key = user * num_items + item
    first = np.zeros(len(key), bool)
    first[np.unique(key, return_index=True)[1]] = True
    return ~first


def _overlap(left: Array, right: Array) -> Array:
    """Whether the rows share a value (item interests against user interests; -1 matches none)."""
    shared: Array = (left[:, :, None] == right[:, None, :]).any((1, 2))
    return shared


def _item_table(config: SyntheticConfig, interests: Array, weights: Array) -> pa.Table:
    number = np.arange(config.num_items)
    wide_c, wide_i = len(str(config.num_interests - 1)), len(str(config.num_items - 1))
    titles = [
        f"Interest {c:0{wide_c}d} · item {i:0{wide_i}d}"
        for i, c in zip(number.tolist(), interests[:, 0].tolist(), strict=True)
    ]
    used = weights > 0
    offsets = np.concatenate([[0], np.cumsum(used.sum(1))]).astype(np.int32)
    return pa.table(
        {
            "item": number.astype(np.int64),
            "item_id": number.astype(np.int64),
            "title": titles,
            "dominant_interest": interests[:, 0].astype(np.int32),
            "dominant_weight": weights[:, 0].astype(np.float32),
            "interests": pa.ListArray.from_arrays(offsets, pa.array(interests[used].astype(np.int32))),
        }
    )


def _user_table(interests: Array, num_outside: Array) -> pa.Table:
    used = interests >= 0
    offsets = np.concatenate([[0], np.cumsum(used.sum(1))]).astype(np.int32)
    return pa.table(
        {
            "user": np.arange(len(interests), dtype=np.int64),
            "interests": pa.ListArray.from_arrays(offsets, pa.array(interests[used].astype(np.int32))),
            "num_outside": num_outside.astype(np.int64),
        }
    )
