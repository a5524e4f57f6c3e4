"""What the scripts of a page need: the items with place, prototype, category and codes, as embedded JSON."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g2rec.report._diagnosis import Diagnosis
from g2rec.report._html import as_json
from g2rec.report._layout import lay_out, palettes

_MOST_ITEMS = 15_000
"""Items on the map and in the tree, the most used ones: a page should stay below 4 MB."""
_TITLE_LENGTH = 80
_GRID = 4095


@dataclass(frozen=True)
class Payload:
    """The embedded data, and what the page says about it."""

    json: str
    """For a script element: no ``<`` in it."""
    colours: tuple[Sequence[str], Sequence[str]]
    """[C] colours of the prototypes on light and on dark pages."""
    num_items: int
    """Items on the map and in the tree."""
    seconds: float
    """What the layout took."""


def make_payload(diagnosis: Diagnosis, seed: int = 0) -> Payload:
    """Lay the items out, colour the prototypes, and pack both with titles and codes.

    Args:
        diagnosis: Of the bundle.
        seed: Of the layout.
    """
    bundle, popularity = diagnosis.bundle, diagnosis.popularity
    kept = np.argsort(-popularity, kind="stable")[:_MOST_ITEMS]
    began = time.perf_counter()
    positions = lay_out(np.asarray(bundle.embeddings.items)[kept], popularity[kept], seed)
    seconds = time.perf_counter() - began
    owner = np.asarray(bundle.prototypes.dominant())[kept]
    num = bundle.prototypes.num_prototypes
    centres = _centres(positions, owner, num)
    masses = diagnosis.statistics.size
    light, dark = palettes(centres, masses)
    titles, codes = bundle.interactions.titles, np.asarray(bundle.semantic_ids.codes)[kept]
    named = sorted(diagnosis.interests, key=lambda interest: interest.index)
    data: dict[str, Any] = {
        "titles": [_short(titles[index]) for index in kept],
        "events": popularity[kept].tolist(),
        "x": np.rint(positions[:, 0] * _GRID).astype(int).tolist(),
        "y": np.rint(positions[:, 1] * _GRID).astype(int).tolist(),
        "grid": _GRID,
        "owner": owner.tolist(),
        "share": np.rint(100 * np.asarray(bundle.prototypes.weights)[kept, 0]).astype(int).tolist(),
        "levels": codes.shape[1],
        "codes": codes.ravel().tolist(),
        "names": [interest.name for interest in named],
        "labels": [interest.words for interest in named],
        "largest": [interest.index for interest in diagnosis.interests],
        "centres": np.rint(centres * _GRID).astype(int).tolist(),
        "light": light,
        "dark": dark,
        "words": [", ".join(words) for words in diagnosis.code_words],
    }
    if diagnosis.labels is not None:
        data["category"] = diagnosis.labels.index[kept].tolist()
        data["categories"] = diagnosis.labels.names
    return Payload(as_json(data), (light, dark), len(kept), seconds)


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_LENGTH else f"{title[: _TITLE_LENGTH - 1]}…"


def _centres(
    positions: NDArray[np.float64], owner: NDArray[np.integer], num_prototypes: int
) -> NDArray[np.float64]:
    """The median place of each prototype's items; the middle for one that has none."""
    centres = np.full((num_prototypes, 2), 0.5)
    for prototype in np.unique(owner):
        centres[prototype] = np.median(positions[owner == prototype], axis=0)
    return centres
