"""The random numbers of `_random`, in torch operations on int64, which wraps like uint64."""

from g2rec.sampling._random import GOLDEN, MIX_1, MIX_2, TREE
from g2rec.shapes import Int, Tensor

_LOW = 0xFFFFFFFF


def signed(number: int) -> int:
    """The int64 with the bits of a uint64."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


_GOLDEN, _TREE, _MIX_1, _MIX_2 = (signed(int(number)) for number in (GOLDEN, TREE, MIX_1, MIX_2))


def mix(x: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """The SplitMix64 finaliser."""
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def row_key(hop_key: int, nodes: Int[Tensor, "..."], trees: Int[Tensor, "..."] | None) -> Int[Tensor, "..."]:
    """Keys of the rows' draws."""
    place = nodes * _GOLDEN if trees is None else nodes * _GOLDEN + trees * _TREE
    return mix(mix(place) ^ signed(hop_key))


def bits(key: Int[Tensor, "..."], counter: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """64 random bits for a key and a counter."""
    return mix(key + (counter + 1) * _GOLDEN)


def draw(
    key: Int[Tensor, "..."], counter: Int[Tensor, "..."], size: Int[Tensor, "..."]
) -> Int[Tensor, "..."]:
    """Numbers in [0, size)."""
    return multiply_high(bits(key, counter), size)


def multiply_high(x: Int[Tensor, "..."], size: Int[Tensor, "..."] | int) -> Int[Tensor, "..."]:
    """The upper 64 bits of the product of a uint64 and a size below 2^63."""
    x_high, x_low = _shift(x, 32), x & _LOW
    size_high, size_low = size >> 32, size & _LOW
    high_low, low_high = x_high * size_low, x_low * size_high
    carry = _shift(x_low * size_low, 32) + (high_low & _LOW) + (low_high & _LOW)
    return x_high * size_high + _shift(high_low, 32) + _shift(low_high, 32) + _shift(carry, 32)


def _shift(x: Int[Tensor, "..."], count: int) -> Int[Tensor, "..."]:
    """Right shift that brings in zeros."""
    return (x >> count) & ((1 << (64 - count)) - 1)
