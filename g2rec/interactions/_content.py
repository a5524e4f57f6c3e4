"""Item features from text, or from given vectors; standardized on the training items only."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from g2rec.errors import ConfigError

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
_MAX_TERMS = 50_000


def fit_content(texts: list[str], seen: Array, dim: int, seed: int) -> Array | None:
    """TF-IDF reduced by a truncated SVD (latent semantic analysis, Deerwester et al. 1990).

    The vocabulary, the document frequencies, the SVD and the scale are fitted on the items that have a
    training event; the others are only transformed. Words never seen in training therefore count for nothing.

    Args:
        texts: One text per item.
        seen: bool [I], items with a training event.
        dim: Dimensions kept; fewer where the vocabulary is smaller.
        seed: Seed of the randomized SVD.

    Returns:
        float32 [I, dim], or None if the training texts hold no words.
    """
    vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=_MAX_TERMS, dtype=np.float32)
    try:
        train = vectorizer.fit_transform([text for text, known in zip(texts, seen, strict=True) if known])
    except ValueError:  # an empty vocabulary
        logger.warning("the items' texts hold no words; going on without content")
        return None
    kept = min(dim, min(train.shape) - 1)
    if kept < 1:
        return standardize(vectorizer.transform(texts).toarray(), seen)
    svd = TruncatedSVD(kept, random_state=seed).fit(train)
    matrix = vectorizer.transform(texts)
    silent = np.diff(matrix.indptr) == 0
    content = standardize(svd.transform(matrix), seen)
    content[silent] = 0  # a text without a known word says nothing: the mean
    return content


def standardize(content: Array, seen: Array) -> Array:
    """Centre each dimension and divide all by one scale, so that the mean square is 1 over training items.

    One scale for all dimensions keeps the directions and the cosines of the centred vectors.

    Args:
        content: float [I, F].
        seen: bool [I], items with a training event.

    Returns:
        float32 [I, F].

    Raises:
        ConfigError: If the content holds a NaN or an infinity.
    """
    wide = np.asarray(content, np.float64)
    bad = np.flatnonzero(~np.isfinite(wide).all(1))
    if len(bad):
        raise ConfigError(f"item content has a NaN or infinity in row {bad[0]}; mend or remove the vectors")
    wide = wide - wide[seen].mean(0)
    scale = np.sqrt(np.mean(wide[seen] ** 2))
    result: Array = (wide / (scale if scale > 0 else 1.0)).astype(np.float32)
    return result


def join_text(items: pa.Table, columns: tuple[str, ...]) -> list[str]:
    """One text per item from several columns; lists are joined, nulls are empty.

    Raises:
        ConfigError: If the item table has none of a wished column.
    """
    missing = [name for name in columns if name not in items.column_names]
    if missing:
        raise ConfigError(
            f"the item table has no text column {missing[0]}; it has {', '.join(items.column_names)}"
        )
    held = [[_as_text(value) for value in items[name].to_pylist()] for name in columns]
    return [" ".join(part for part in parts if part) for parts in zip(*held, strict=True)]


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
