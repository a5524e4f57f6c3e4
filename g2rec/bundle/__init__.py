"""Everything that is needed to recommend, in one folder: save, load, recommend, explain."""

from g2rec.bundle._bundle import Bundle
from g2rec.bundle._interests import Explanation, Interest, RecommendedItem, name_interests

__all__ = ["Bundle", "Explanation", "Interest", "RecommendedItem", "name_interests"]
