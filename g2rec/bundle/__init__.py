"""Everything that is needed to recommend, in one folder: save, load, recommend, explain."""

from g2rec.bundle._bundle import Bundle, check_parts
from g2rec.bundle._card import CardFacts
from g2rec.bundle._interests import Explanation, Interest, PastItem, RecommendedItem, name_interests
from g2rec.bundle._labels import ItemLabels, item_labels
from g2rec.bundle._new_items import ContentEmbedding
from g2rec.bundle._words import ItemTerms, group_words, item_terms

__all__ = [
    "Bundle",
    "CardFacts",
    "ContentEmbedding",
    "Explanation",
    "Interest",
    "ItemLabels",
    "ItemTerms",
    "PastItem",
    "RecommendedItem",
    "check_parts",
    "group_words",
    "item_labels",
    "item_terms",
    "name_interests",
]
