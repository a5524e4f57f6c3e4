"""Counter-based random numbers: what is drawn depends on what is sampled, not on who samples it or when.

Everything is unsigned 64-bit arithmetic that wraps, so the CPU and the GPU engine draw the same numbers::

    mix(x)      the SplitMix64 finaliser (Steele, Lea and Flood 2014)
    row_key     mix(hop_key ^ mix(node * G + tree * T))
    draw(j, n)  floor(n * mix(row_key + (j + 1) * G) / 2^64), a number in [0, n)

``tree`` is 0, or the number of the seed where every seed has a subtree of its own.
"""

import numpy as np

from g2rec.artifacts import derive_seed

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""G, 2^64 over the golden ratio."""
TREE = np.uint64(0xD6E8FEB86659FD93)
"""T."""
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)


def hop_key(seed: int, key: tuple[int, int], hop: int) -> int:
    """64 bits for one hop of one batch; ``key`` is (epoch, step)."""
    return derive_seed(seed, "hop", *key, hop) << 32 | derive_seed(seed, hop, *key)
