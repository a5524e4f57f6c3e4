"""Finding items by their titles."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")


class TitleSearch:
    """Titles whose words begin with the words that are sought, without regard to case and accents.

    Args:
        titles: Of all items.
        popularity: [I] events of each item; what comes first, where titles match alike.
    """

    def __init__(self, titles: Sequence[str], popularity: NDArray[np.int64]) -> None:
        self._order = np.lexsort((np.arange(len(titles)), -popularity))
        self._texts = pa.array([_plain(titles[row]) for row in self._order.tolist()], pa.large_string())

    def rows(self, text: str, k: int) -> NDArray[np.int64]:
        """The rows of the ``k`` most popular matches; no words match every title."""
        hit = None
        for word in _plain(text).split():
            found = pc.match_substring(self._texts, f" {word}")
            hit = found if hit is None else pc.and_(hit, found)
        if hit is None:
            return self._order[:k]
        return self._order[np.flatnonzero(hit.to_numpy(zero_copy_only=False))[:k]]


def _plain(text: str) -> str:
    """The words in lower case, without accents, each after a space."""
    parted = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in parted if not unicodedata.combining(letter))
    return "".join(f" {word}" for word in _WORD.findall(bare.casefold()))
