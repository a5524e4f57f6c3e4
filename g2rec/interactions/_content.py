"""Item features from text, or from given vectors; standardized on the training items only."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
_MAX_TERMS = 50_000
VECTORS = "content"
"""Column of a table of new items that holds their vectors, where vectors were given."""


@dataclass(frozen=True)
class ContentMap:
    """How an item's text, or the vector that it comes with, becomes its content.

    Text: TF-IDF reduced by a truncated SVD (latent semantic analysis, Deerwester et al. 1990). Both are
    centred and divided by one scale, so that the mean square is 1 over the items that it was fitted on: one
    scale for all dimensions keeps the directions and the cosines of the centred vectors.
    """

    columns: tuple[str, ...]
    """The text columns, joined; empty where vectors are given."""
    mean: Array
    """float64 [F]."""
    scale: float
    terms: tuple[str, ...] = ()
    """[V] words with a weight."""
    idf: Array | None = None
    """[V] inverse document frequencies; None for vectors."""
    components: Array | None = None
    """float32 [F, V] of the SVD; None where there are as few terms as dimensions, and for vectors."""

    @classmethod
    def of_text(
        cls, texts: list[str], seen: Array, columns: tuple[str, ...], dim: int, seed: int
    ) -> Self | None:
        """Fit on text.

        The vocabulary, the document frequencies, the SVD and the scale are fitted on the items that have a
        training event; the others are only transformed. Words never seen in training count for nothing.

        Args:
            texts: One text per item.
            seen: bool [I], items with a training event.
            columns: Where the texts are from.
            dim: Dimensions kept; fewer where the vocabulary is smaller.
            seed: Seed of the randomized SVD.

        Returns:
            None if the training texts hold no words.
        """
        vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=_MAX_TERMS, dtype=np.float32)
        try:
            train = vectorizer.fit_transform([text for text, known in zip(texts, seen, strict=True) if known])
        except ValueError:  # an empty vocabulary
            logger.warning("the items' texts hold no words; going on without content")
            return None
        kept = min(dim, min(train.shape) - 1)
        components = None
        if kept >= 1:
            components = TruncatedSVD(kept, random_state=seed).fit(train).components_
        terms = tuple(vectorizer.get_feature_names_out().tolist())
        mean, scale = _statistics(_reduce(vectorizer.transform(texts), components), seen)
        return cls(columns, mean, scale, terms, vectorizer.idf_, components)

    @classmethod
    def of_vectors(cls, vectors: Array, seen: Array) -> Self:
        """Fit on given vectors [I, F].

        Raises:
            ConfigError: If one holds a NaN or an infinity.
        """
        return cls((), *_statistics(vectors, seen))

    def texts(self, texts: list[str]) -> Array:
        """Content of texts, float32 [n, F]; a text without a known word says nothing: the mean."""
        vectorizer = TfidfVectorizer(
            sublinear_tf=True, dtype=np.float32, vocabulary={term: at for at, term in enumerate(self.terms)}
        )
        vectorizer.idf_ = self.idf
        matrix = vectorizer.transform(texts)
        content = self.vectors(_reduce(matrix, self.components))
        if self.components is not None:
            content[np.diff(matrix.indptr) == 0] = 0
        return content

    def vectors(self, vectors: Array) -> Array:
        """Content of given vectors, float32 [n, F]."""
        result: Array = ((np.asarray(vectors, np.float64) - self.mean) / self.scale).astype(np.float32)
        return result

    def table(self, items: pa.Table) -> Array:
        """Content of a table of new items, float32 [n, F]: of its text columns, or of its column ``content``.

        Raises:
            DataError: If a column is missing, or a vector has another length or holds no number.
        """
        wanted = self.columns or (VECTORS,)
        missing = [name for name in wanted if name not in items.column_names]
        if missing:
            raise DataError(
                f"expected new items with the column {missing[0]}, which their content is made of, got "
                f"{', '.join(items.column_names) or 'no column'}; add it"
            )
        if self.columns:
            return self.texts(join_text(items, self.columns))
        rows = items[VECTORS].to_pylist()
        for place, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(self.mean):
                held = len(row) if isinstance(row, list) else type(row).__name__
                raise DataError(
                    f"expected a vector of {len(self.mean)} numbers in content of row {place}, got {held}; "
                    "use the model that made the catalogue's vectors"
                )
        try:
            vectors = np.asarray(rows, np.float64).reshape(len(rows), len(self.mean))
        except (TypeError, ValueError):
            raise DataError("expected numbers in the column content, got other values; mend them") from None
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
            raise DataError(f"the vector in content of row {row} has a NaN or an infinity; mend it")
        return self.vectors(vectors)

    def parts(self) -> tuple[dict[str, Array], dict[str, pa.Table], dict[str, Any]]:
        """Arrays, tables and plain values to save."""
        arrays = {"content_mean": self.mean}
        if self.idf is not None:
            arrays["content_idf"] = self.idf
        if self.components is not None:
            arrays["content_components"] = self.components
        terms = pa.table({"term": pa.array(self.terms, pa.string())})
        return arrays, {"content_terms": terms}, {"columns": list(self.columns), "scale": self.scale}

    @classmethod
    def from_folder(cls, folder: Folder, meta: Mapping[str, Any]) -> Self:
        """What `parts` gave, read back."""
        idf, components = (
            folder.array(name, mmap=False) if folder.has(f"{name}.npy") else None
            for name in ("content_idf", "content_components")
        )
        terms = tuple(folder.table("content_terms")["term"].to_pylist())
        mean = folder.array("content_mean", mmap=False)
        return cls(tuple(meta["columns"]), mean, float(meta["scale"]), terms, idf, components)


def _reduce(matrix: csr_matrix, components: Array | None) -> Array:
    dense: Array = matrix.toarray() if components is None else matrix @ components.T
    return dense


def _statistics(content: Array, seen: Array) -> tuple[Array, float]:
    """Mean of each dimension and one scale, over the items with a training event."""
    wide = np.asarray(content, np.float64)
    bad = np.flatnonzero(~np.isfinite(wide).all(1))
    if len(bad):
        raise ConfigError(f"item content has a NaN or infinity in row {bad[0]}; mend or remove the vectors")
    mean = wide[seen].mean(0)
    scale = float(np.sqrt(np.mean((wide - mean)[seen] ** 2)))
    return mean, scale if scale > 0 else 1.0


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
