"""Random graphs made in both directions without a sort.

The events of a range of users are numbered 0 .. M - 1 in the order of their rows. A keyed permutation of
these numbers gives each its place among the rows of the items: event e of the users' rows is place pi(e) of
the items' rows. Its inverse gives the event at a place. The permutation is a Feistel network over pairs
(left, right) with left < A, right < B and A * B just above M, iterated until the result is below M (Black and
Rogaway 2002, "Ciphers with arbitrary finite domains", https://doi.org/10.1007/3-540-45760-7_9).
"""

import math
from collections.abc import Callable

import torch

from g2rec.artifacts import derive_seed
from g2rec.sampling._device_random import mix, multiply_high, signed
from g2rec.sampling._random import GOLDEN
from g2rec.shapes import Int, Tensor

_ROUNDS = 6
_CHUNK = 1 << 25


class Permutation:
    """A keyed bijection of 0 .. size - 1; ``lane`` selects one of many of the same size."""

    def __init__(self, size: int, key: int) -> None:
        self.size = size
        self.left = max(1, math.isqrt(size))
        self.right = max(1, -(-size // self.left))
        self.keys = [signed(derive_seed(key, part) << 32 | derive_seed(part, key)) for part in range(_ROUNDS)]

    def forward(self, x: Int[Tensor, "..."], lane: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        """pi(x)."""
        return self._walk(x, lane, 1)

    def inverse(self, x: Int[Tensor, "..."], lane: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        """The number that `forward` sends to x."""
        return self._walk(x, lane, -1)

    def _walk(self, x: Tensor, lane: Tensor, sign: int) -> Tensor:
        x = self._round(x, lane, sign)
        outside = torch.nonzero(x >= self.size)[:, 0]
        while len(outside):  # a few of a hundred thousand
            x[outside] = self._round(x[outside], lane[outside], sign)
            outside = outside[x[outside] >= self.size]
        return x

    def _round(self, x: Tensor, lane: Tensor, sign: int) -> Tensor:
        left = torch.div(x, self.right, rounding_mode="floor")
        right = x - left * self.right
        lane = mix(lane * signed(int(GOLDEN)))
        parts = range(_ROUNDS) if sign > 0 else reversed(range(_ROUNDS))
        for part in parts:
            if part % 2 == 0:
                left = self._moved(left, right, lane, self.left, part, sign)
            else:
                right = self._moved(right, left, lane, self.right, part, sign)
        return left * self.right + right

    def _moved(self, value: Tensor, other: Tensor, lane: Tensor, size: int, part: int, sign: int) -> Tensor:
        shift = multiply_high(mix(mix(other + self.keys[part]) ^ lane), size)
        moved = value + sign * shift
        return torch.where(moved >= size, moved - size, torch.where(moved < 0, moved + size, moved))


def popularity(num_items: int, stubs: int, skew: float, device: torch.device) -> Int[Tensor, " I+1"]:
    """Where the rows of items begin that share ``stubs`` places in proportion to rank^-skew."""
    share = torch.arange(1, num_items + 1, dtype=torch.float64, device=device).pow(-skew).cumsum(0)
    begins = torch.zeros(num_items + 1, dtype=torch.int64, device=device)
    begins[1:] = (share / share[-1] * stubs).round().to(torch.int64)
    return begins


def generate(
    num_users: int,
    num_items: int,
    degree: int,
    num_interests: int,
    noise: float,
    skew: float,
    seed: int,
    device: torch.device,
    progress: Callable[[int, int], None] | None,
) -> tuple[Int[Tensor, " N+1"], Int[Tensor, " E"]]:
    """Offsets and neighbours of `DeviceGraph.generate`.

    A user's first events go to items of its own range, by one permutation a range; the others to items of any
    range, by one permutation. An item's row holds the first kind, then the second.
    """
    users, items = num_users // num_interests, num_items // num_interests  # of a range
    across = round(noise * degree)
    within = degree - across
    inside = popularity(items, users * within, skew, device)
    outside = popularity(items, users * across, skew, device)
    home = Permutation(users * within, derive_seed(seed, "within")) if within else None
    abroad = Permutation(num_users * across, derive_seed(seed, "across")) if across else None

    events = num_users * degree
    indptr = torch.empty(num_users + num_items + 1, dtype=torch.int64, device=device)
    torch.arange(0, events + 1, degree, out=indptr[: num_users + 1])
    both = inside + outside
    per_range = users * degree
    for number in range(num_interests):
        first = num_users + number * items
        indptr[first : first + items + 1] = both + (events + number * per_range)

    indices = torch.empty(2 * events, dtype=torch.int32, device=device)
    for start in range(0, events, _CHUNK):
        stop = min(start + _CHUNK, events)
        event = torch.arange(start, stop, device=device)
        user = torch.div(event, degree, rounding_mode="floor")
        slot = event - user * degree
        item = torch.empty_like(event)
        for part in (home, abroad):
            chosen = torch.nonzero((slot < within) == (part is home))[:, 0] if across and within else None
            if part is None:
                continue
            u, s = (user, slot) if chosen is None else (user[chosen], slot[chosen])
            if part is home:
                interest = torch.div(u, users, rounding_mode="floor")
                place = part.forward((u - interest * users) * within + s, interest)
                found = interest * items + torch.searchsorted(inside, place, right=True) - 1
            else:
                place = part.forward(u * across + s - within, torch.zeros_like(u))
                interest = torch.div(place, users * across, rounding_mode="floor")
                local = place - interest * (users * across)
                found = interest * items + torch.searchsorted(outside, local, right=True) - 1
            if chosen is None:
                item = found
            else:
                item[chosen] = found
        indices[start:stop] = (item + num_users).to(torch.int32)
        if progress is not None:
            progress(stop, 2 * events)
    for start in range(0, events, _CHUNK):
        stop = min(start + _CHUNK, events)
        position = torch.arange(start, stop, device=device)
        interest = torch.div(position, per_range, rounding_mode="floor")
        local = position - interest * per_range
        item = torch.searchsorted(both, local, right=True) - 1
        slot = local - both[item]
        size = inside[item + 1] - inside[item]
        user = torch.empty_like(position)
        for part in (home, abroad):
            if part is None:
                continue
            chosen = torch.nonzero((slot < size) == (part is home))[:, 0] if across and within else None
            i, s, c = (
                (item, slot, interest) if chosen is None else (item[chosen], slot[chosen], interest[chosen])
            )
            if part is home:
                event = part.inverse(inside[i] + s, c)
                found = c * users + torch.div(event, within, rounding_mode="floor")
            else:
                s = s - (inside[i + 1] - inside[i])
                event = part.inverse(c * (users * across) + outside[i] + s, torch.zeros_like(c))
                found = torch.div(event, across, rounding_mode="floor")
            if chosen is None:
                user = found
            else:
                user[chosen] = found
        indices[events + start : events + stop] = user.to(torch.int32)
        if progress is not None:
            progress(events + stop, 2 * events)
    return indptr, indices
