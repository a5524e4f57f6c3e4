"""Events with mapped ids, filtered and split, and the item table and features that go with them."""

from g2rec.interactions._content import ContentMap
from g2rec.interactions._filter import k_core, keep_first
from g2rec.interactions._import import as_table, import_events
from g2rec.interactions._interactions import (
    TEST,
    TRAIN,
    UNUSED,
    VALIDATION,
    Events,
    Interactions,
    Sequences,
    Targets,
)
from g2rec.interactions._prepare import InteractionsConfig, prepare

__all__ = [
    "TEST",
    "TRAIN",
    "UNUSED",
    "VALIDATION",
    "ContentMap",
    "Events",
    "Interactions",
    "InteractionsConfig",
    "Sequences",
    "Targets",
    "as_table",
    "import_events",
    "k_core",
    "keep_first",
    "prepare",
]
