"""Shared fixtures: a small planted-interest graph, made in the process."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from g2rec.interactions import Interactions, prepare
from g2rec.recipes import Recipe, SyntheticConfig, load_recipe, read_dataset

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOY = SyntheticConfig(num_users=150, num_items=90, num_interests=5, events_per_user=14, seed=3)


@pytest.fixture(scope="session")
def toy_recipe() -> Recipe:
    """The recipe of the toy graph: 150 users, 90 items, 5 interests."""
    return dataclasses.replace(load_recipe("synthetic"), synthetic=TOY)


@pytest.fixture(scope="session")
def toy(toy_recipe: Recipe) -> Interactions:
    """The toy graph, leave-one-out."""
    return prepare(read_dataset(toy_recipe), toy_recipe)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """A folder with real data in the mirror layout; skips where there is none."""
    folder = Path(os.environ.get("G2REC_TEST_MIRROR", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set G2REC_TEST_MIRROR to a folder in the mirror layout")
    return folder
