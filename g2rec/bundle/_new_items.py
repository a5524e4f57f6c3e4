"""Items that come after the fit: from what they contain to IDs, embeddings and memberships, all frozen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.bundle._ids import as_ids
from g2rec.encoders import content_ridge
from g2rec.errors import DataError
from g2rec.interactions import ContentMap, Interactions, as_table
from g2rec.prototypes import ContentMemberships, InterestPrototypes, Memberships

_KIND = "content_embedding"
_RIDGE_ITEMS = 200_000
"""Items that the map from content to embeddings is fitted on, at most."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ContentEmbedding:
    """Where an item without events lies among the others, by its content.

    h = M^T f + b, ridge regression of the final embeddings of the items that have events on their content
    (Gantner et al. 2010). Memberships do not go by way of h, but from content by `ContentMemberships`.
    """

    weight: Array
    """[F, D]."""
    bias: Array
    """[D]."""
    interests: ContentMemberships
    """From content to memberships."""

    @classmethod
    def fit(cls, interactions: Interactions, items: Array, prototypes: InterestPrototypes) -> Self | None:
        """Fit on the items with training events.

        Args:
            interactions: Gives content and training events.
            items: [I, D] final embeddings.
            prototypes: The final ones.

        Returns:
            None if there is no content, or no way from one to the other.
        """
        if interactions.content is None or interactions.content_map is None:
            return None
        known = np.zeros(interactions.num_items, dtype=np.bool_)
        known[interactions.train_events().item_index] = True
        rows = np.random.default_rng(0).permutation(np.flatnonzero(known))[:_RIDGE_ITEMS]
        content = np.asarray(interactions.content[rows], dtype=np.float64)
        weight, bias = content_ridge(content, unit(items[rows]))
        found = ContentMemberships.fit(interactions.content, prototypes, known)
        return cls(weight.astype(np.float32), bias.astype(np.float32), found)

    def embed(self, content: Array) -> Array:
        """Embeddings of content, [n, D]."""
        return np.asarray(content @ self.weight + self.bias, dtype=np.float32)

    def memberships(self, content: Array) -> Memberships:
        """Memberships by content [n, F], in as many prototypes as the catalogue's items have."""
        return self.interests.of(content)

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the map into a folder."""
        arrays = {"weight": self.weight, "bias": self.bias}
        arrays |= {"interest_weight": self.interests.weight, "interest_bias": self.interests.bias}
        meta = {"nonzeros": self.interests.nonzeros}
        return save_folder(path, _KIND, arrays=arrays, config=config, made_from=made_from, meta=meta)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a folder that `save` wrote."""
        folder = open_folder(path, _KIND)
        weight, bias, interest_weight, interest_bias = (
            folder.array(name, mmap=False) for name in ("weight", "bias", "interest_weight", "interest_bias")
        )
        return cls(weight, bias, ContentMemberships(interest_weight, interest_bias, folder.meta["nonzeros"]))


class NewItems(NamedTuple):
    """New items, read and checked."""

    keys: list[str]
    """External IDs."""
    table: pa.Table
    """With the columns item_id and title."""
    content: Array
    """[n, F]."""


def read_new_items(frame: Any, content_map: ContentMap, known: Mapping[str, int]) -> NewItems:
    """Read a table of new items.

    Args:
        frame: A table of any library, a mapping of columns, or a list of rows.
        content_map: How the catalogue's content was made.
        known: IDs of the catalogue.

    Raises:
        DataError: If a column is missing or an ID is known, named twice, or no ID.
    """
    table = as_table(frame)
    if "item_id" not in table.column_names:
        held = ", ".join(table.column_names) or "none"
        raise DataError(f"expected new items with a column item_id, got the columns {held}; add it")
    if not table.num_rows:
        raise DataError("expected at least one new item, got none; give a row for each")
    keys = as_ids(table["item_id"], "item IDs")
    seen = set()
    for key in keys:
        if key in known or key in seen:
            what = "the bundle knows it already" if key in known else "it is there twice"
            raise DataError(f"expected new items, got {key!r}: {what}; leave it out")
        seen.add(key)
    titled = next((name for name in ("title", *content_map.columns[:1]) if name in table.column_names), None)
    given = [None] * len(keys) if titled is None else table[titled].to_pylist()
    titles = [f"item {key}" if value is None else str(value) for key, value in zip(keys, given, strict=True)]
    named = {"item_id": pa.array(keys), "title": pa.array(titles, pa.string())}
    others = {name: table[name] for name in table.column_names if name not in named}
    return NewItems(keys, pa.table({**named, **others}), content_map.table(table))


def unit(vectors: NDArray[np.floating[Any]]) -> Array:
    """Rows at length 1."""
    wide = np.asarray(vectors, dtype=np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
