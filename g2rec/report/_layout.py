"""Where each item lies on the map, and which colour its prototype has."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from g2rec.errors import DataError

ANCHORS = 3_000
"""Items that t-SNE lays out; the cost grows faster than their number (15 s for 3,000 on one core)."""
_COMPONENTS = 30
_NEIGHBOURS = 5
_NEAR = 0.03
"""Neighbours farther apart on the map than this share of its width are not averaged."""
_JITTER = 0.004
_HUES = 16
_TONES = ((0.58, 0.72, 0.17), (0.47, 0.62, 0.13), (0.66, 0.83, 0.13))
"""OKLCH lightness on paper, lightness at night, chroma."""
_REACH = 0.12
"""Prototypes that lie nearer than this share of the map's width should differ in colour most."""


def lay_out(
    vectors: NDArray[np.float32], popularity: NDArray[np.integer], seed: int = 0
) -> NDArray[np.float64]:
    """Place items in the unit square so that items of like embeddings lie together.

    The 3,000 most used items by Barnes-Hut t-SNE (van der Maaten, JMLR 2014,
    https://jmlr.org/papers/v15/vandermaaten14a.html) of their unit-norm embeddings, from 30 principal
    components, started at the first two; every other item at the mean of those of its five nearest placed
    items that lie together. Distances within a cluster mean more than those between clusters.

    Args:
        vectors: [I, D] item embeddings.
        popularity: [I] training events.
        seed: Of t-SNE and of the jitter that keeps items of one place apart.

    Returns:
        [I, 2] positions in [0, 1].

    Raises:
        DataError: If an embedding is not finite.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise DataError(
            f"expected finite item embeddings, {bad} of {len(vectors)} are not; fit the encoder again"
        )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    order = np.argsort(-popularity, kind="stable")
    anchors, rest = order[:ANCHORS], order[ANCHORS:]
    if len(anchors) < 5 or not np.ptp(unit[anchors], axis=0).any():  # nothing to tell items apart by
        return np.stack([np.linspace(0, 1, len(unit)), np.full(len(unit), 0.5)], axis=1)
    components = min(_COMPONENTS, unit.shape[1], len(anchors))
    low = PCA(components, random_state=seed).fit_transform(unit[anchors])
    perplexity = min(30.0, (len(anchors) - 1) / 3)
    placed = TSNE(
        2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1
    ).fit_transform(low)
    placed = placed.astype(np.float64) - placed.min(axis=0)
    placed /= np.maximum(placed.max(axis=0), 1e-12)
    positions = np.zeros((len(unit), 2))
    positions[anchors] = placed
    if len(rest):
        positions[rest] = _beside(unit[rest], unit[anchors], placed, seed)
    return positions


def _beside(
    unit: NDArray[np.float32], anchors: NDArray[np.float32], placed: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    count = min(_NEIGHBOURS, len(anchors))
    found = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(anchors).kneighbors(unit)
    distance, index = found[0], placed[found[1]]
    apart = np.linalg.norm(index - index[:, :1], axis=2)
    weight = np.where(apart < _NEAR, np.exp(-distance), 0.0)
    mean = (index * weight[:, :, None]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    jitter = np.random.default_rng(seed).normal(scale=_JITTER, size=mean.shape)
    return np.asarray(np.clip(mean + jitter, 0, 1))


def palettes(centres: NDArray[np.float64], masses: NDArray[np.float64]) -> tuple[list[str], list[str]]:
    """A colour for each prototype, for paper and for a dark page; neighbours on the map differ most.

    Forty-eight colours of even perceived difference (16 hues by 3 lightnesses in OKLCH, Ottosson 2020,
    https://bottosson.github.io/posts/oklab/) are dealt out from the largest prototype to the smallest, each
    taking the one that is farthest from those already dealt nearby. With more prototypes than colours, far
    apart ones share.

    Args:
        centres: [C, 2] place of each prototype on the map.
        masses: [C] items of each.

    Returns:
        Colours for light and for dark pages, as ``#rrggbb``.
    """
    light, dark, lab = [], [], []
    for tone, (on_paper, at_night, chroma) in enumerate(_TONES):
        for step in range(_HUES):
            hue = 2 * np.pi * (step + tone / 3) / _HUES
            light.append(_hex(on_paper, chroma, hue))
            dark.append(_hex(at_night, chroma, hue))
            lab.append((on_paper, chroma * np.cos(hue), chroma * np.sin(hue)))
    colours = np.array(lab)
    difference = ((colours[:, None] - colours[None]) ** 2).sum(axis=2)
    chosen = np.full(len(masses), -1)
    for prototype in np.argsort(-masses, kind="stable"):
        before = np.flatnonzero(chosen >= 0)
        away = ((centres[before] - centres[prototype]) ** 2).sum(axis=1)
        near = np.exp(-away / (2 * _REACH**2)) + 0.01
        cost = (near[:, None] / (difference[chosen[before]] + 1e-3)).sum(axis=0)
        chosen[prototype] = int(cost.argmin()) if len(before) else 0
    return [light[at] for at in chosen], [dark[at] for at in chosen]


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """OKLCH as sRGB; chroma is lowered until the colour exists."""
    while True:
        a, b = chroma * np.cos(hue), chroma * np.sin(hue)
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = np.array(
            [
                4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
                -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
                -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
            ]
        )
        if (linear >= -1e-4).all() and (linear <= 1 + 1e-4).all():
            break
        chroma *= 0.95
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * float(value)):02x}" for value in srgb)
