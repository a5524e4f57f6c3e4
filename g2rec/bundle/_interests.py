"""Prototypes in words: an interest is named by the terms that set its items apart, or by the items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from g2rec.bundle._words import ItemTerms, group_words
from g2rec.prototypes import InterestPrototypes, top_items

_NAME_LENGTH = 28


@dataclass(frozen=True)
class Interest:
    """A prototype in words."""

    index: int
    """Its row in the prototype vectors."""
    mass: float
    """Items that belong to it: the sum of its memberships."""
    titles: tuple[str, ...]
    """Its top items."""
    words: tuple[str, ...] = ()
    """Terms of its items' titles and categories that set it apart, most telling first."""

    @property
    def name(self) -> str:
        """Its first three words; where it has fewer than two, its first titles, shortened, fill up."""
        if len(self.words) > 1:
            return ", ".join(self.words[:3])
        others = [title for title in self.titles if not any(word in title for word in self.words)]
        titles = [
            title if len(title) <= _NAME_LENGTH else f"{title[: _NAME_LENGTH - 1]}…"
            for title in others[: 2 - len(self.words)]
        ]
        return " · ".join([*self.words, *titles]) or f"prototype {self.index}"


@dataclass(frozen=True)
class RecommendedItem:
    """One recommendation and why."""

    item_id: str
    title: str
    score: float
    """Higher is better; comparable within one list only."""
    overlap: float
    """Agreement with the user's interests in [0, 1]: sum over prototypes of user weight times membership."""
    shared: tuple[int, ...]
    """The user's prototypes that the item belongs to, the strongest agreement first."""


@dataclass(frozen=True)
class Explanation:
    """A user's interests, and how each recommended item relates to them."""

    interests: tuple[tuple[Interest, float], ...]
    """Interests with their weights, the strongest first."""
    items: tuple[RecommendedItem, ...]


def name_interests(
    prototypes: InterestPrototypes,
    titles: Sequence[str],
    counts: NDArray[np.int64],
    num_titles: int = 6,
    terms: ItemTerms | None = None,
) -> list[Interest]:
    """Put every prototype into words: its telling terms, top items (`g2rec.prototypes.top_items`) and size.

    Args:
        prototypes: The prototypes.
        titles: Title of each item.
        counts: Events of each item, shape [I].
        num_titles: Titles for each prototype; fewer where fewer items belong to it.
        terms: Terms of each item (`item_terms`); without them a prototype is named by its items.
    """
    mass = prototypes.usage() * prototypes.num_items
    named = top_items(prototypes, counts, num_titles)
    member = prototypes.memberships.matrix(prototypes.num_prototypes)
    words = [()] * prototypes.num_prototypes if terms is None else group_words(member, terms)
    return [
        Interest(index=a, mass=float(mass[a]), titles=tuple(titles[item] for item in items), words=words[a])
        for a, items in enumerate(named)
    ]
