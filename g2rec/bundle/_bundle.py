"""The fitted rooms as one thing that recommends."""

import copy
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from g2rec.artifacts import Folder, open_folder, read_json, replace_path, save_folder
from g2rec.bundle._interests import Explanation, Interest, RecommendedItem, name_interests
from g2rec.bundle._words import item_terms
from g2rec.encoders import NodeEmbeddings
from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.interactions import Interactions
from g2rec.prototypes import InterestPrototypes
from g2rec.recommenders import G2Rec, history_batch
from g2rec.tokenizers import SemanticIds

_PARTS: dict[str, Any] = {
    "interactions": Interactions,
    "embeddings": NodeEmbeddings,
    "prototypes": InterestPrototypes,
    "semantic_ids": SemanticIds,
    "recommender": G2Rec,
}

_NOBODY = -1  # the recommender knows a user by what the user did, not by an index

ExternalId = str | int
RankingMode = Literal["generative", "dense", "hybrid"]


@dataclass(frozen=True)
class Bundle:
    """What a run fitted, checked to belong together.

    On disk, one folder holds a folder for each part, and a manifest with the content hash of each: a part
    that was swapped for another run's is refused when the bundle is loaded.
    """

    interactions: Interactions
    embeddings: NodeEmbeddings
    prototypes: InterestPrototypes
    semantic_ids: SemanticIds
    recommender: G2Rec

    def __post_init__(self) -> None:
        items = self.interactions.num_items
        held = {
            "embeddings": len(self.embeddings.items),
            "prototypes": len(self.prototypes.indices),
            "semantic IDs": len(self.semantic_ids.codes),
        }
        for name, count in held.items():
            if count != items:
                raise ArtifactError(
                    f"the catalogue has {items} items, the {name} have {count}; take both from one run"
                )
        if not np.array_equal(self.recommender.codes.cpu().numpy(), self.semantic_ids.codes):
            raise ArtifactError(
                "the recommender was trained on other semantic IDs than the bundle's; take both from one run"
            )

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the bundle whole or not at all.

        Args:
            path: The bundle's folder; an older bundle there is replaced.
            config: The settings of the run, kept in the manifest.
            made_from: Content hashes of the run's artefacts, kept in the manifest.

        Raises:
            ArtifactError: If the disk refuses the write; an older bundle is untouched.
        """
        staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            hashes: dict[str, str] = {}
            for name in _PARTS:
                hashes[name] = (
                    getattr(self, name).save(staging / "parts" / name, made_from=dict(hashes)).content_hash
                )
            save_folder(
                staging / "bundle", "bundle", config=config, made_from=made_from, meta={"parts": hashes}
            )
            for name in _PARTS:
                (staging / "parts" / name).rename(staging / "bundle" / name)
            replace_path(staging / "bundle", path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return open_folder(path, "bundle", verify=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bundle back.

        Raises:
            ArtifactError: If it is missing, damaged, or has a part that it was not saved with.
        """
        folder = open_folder(path, "bundle")
        for name, expected in folder.meta["parts"].items():
            found = read_json(path / name / "manifest.json").get("content_hash")
            if found != expected:
                raise ArtifactError(
                    f"{path} was saved with {name} {expected}, it holds {name} {found}; "
                    "restore that folder or run `g2rec run` again"
                )
        return cls(**{name: kind.load(path / name) for name, kind in _PARTS.items()})

    def recommend(
        self,
        *,
        user: ExternalId | None = None,
        history: Sequence[ExternalId] | None = None,
        k: int = 10,
        mode: RankingMode | None = None,
        exclude_seen: bool = True,
    ) -> pa.Table:
        """Recommend items for a known user, or for anybody's history.

        Args:
            user: External ID of a user of the interactions; the history is then all that the user did.
            history: External item IDs, oldest first. Give this or ``user``.
            k: Items to return.
            mode: ``generative``, ``dense`` or ``hybrid``; as the recommender was configured if None.
            exclude_seen: Leave out the items of the history.

        Returns:
            Columns item_id, title, score; the best first. Fewer than ``k`` rows where a beam finds fewer.

        Raises:
            DataError: If the user or an item is unknown, or the history is empty.
            ConfigError: If ``k`` is out of range, or both or neither of ``user`` and ``history`` are given.
        """
        past = self._history(user, history)
        items, scores = self._rank(past, k, mode, exclude_seen)
        catalogue = self.interactions.items
        rows = pa.array(items)
        return pa.table(
            {
                "item_id": catalogue["item_id"].take(rows),
                "title": catalogue["title"].take(rows),
                "score": pa.array(scores, pa.float32()),
            }
        )

    def explain(
        self,
        *,
        user: ExternalId | None = None,
        history: Sequence[ExternalId] | None = None,
        k: int = 10,
        mode: RankingMode | None = None,
        exclude_seen: bool = True,
    ) -> Explanation:
        """Say which interests a history shows, and which of them each recommended item shares.

        The arguments and errors are those of `recommend`.
        """
        past = self._history(user, history)
        items, scores = self._rank(past, k, mode, exclude_seen)
        strongest, shares = self._user_interests(past)
        weights = np.zeros(self.prototypes.num_prototypes)
        weights[strongest] = shares
        named = self.interests()
        explained = []
        item_ids = self.item_ids(items)
        for item_id, index, score in zip(item_ids, items, scores, strict=True):
            own = np.asarray(self.prototypes.indices[index])
            agreement = np.asarray(self.prototypes.weights[index], dtype=np.float64) * weights[own]
            order = [at for at in np.argsort(-agreement, kind="stable") if agreement[at] > 0]
            explained.append(
                RecommendedItem(
                    item_id=item_id,
                    title=self.interactions.titles[index],
                    score=float(score),
                    overlap=float(agreement.sum()),
                    shared=tuple(int(own[at]) for at in order),
                )
            )
        return Explanation(tuple((named[a], float(weights[a])) for a in strongest), tuple(explained))

    def interests(self) -> list[Interest]:
        """All prototypes in words: named by the terms of their items, with their top items."""
        return self._named

    def item_index(self, item_ids: Sequence[ExternalId]) -> NDArray[np.int32]:
        """Internal indices of external item IDs; ``5`` and ``"5"`` are the same ID.

        Raises:
            DataError: If an item is unknown.
        """
        return np.array([self._find(self._items, item, "item") for item in item_ids], dtype=np.int32)

    def item_ids(self, item_index: NDArray[np.integer[Any]]) -> list[str]:
        """External IDs of internal indices, as text."""
        taken = self.interactions.items["item_id"].take(pa.array(np.asarray(item_index)))
        return [str(value) for value in taken.to_pylist()]

    def _history(self, user: ExternalId | None, history: Sequence[ExternalId] | None) -> NDArray[np.int32]:
        if (user is None) == (history is None):
            raise ConfigError(
                "expected a user or a history, got " + ("neither" if user is None else "both") + "; give one"
            )
        if history is not None:
            if not len(history):
                raise DataError("expected a history of at least one item, got none; give the IDs of items")
            return self.item_index(history)
        row = self._find(self._users, user, "user")
        start, end = self.interactions.user_indptr[row : row + 2]
        return np.asarray(self.interactions.item_index[start:end], dtype=np.int32)

    def _rank(
        self, past: NDArray[np.int32], k: int, mode: RankingMode | None, exclude_seen: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        available = self.interactions.num_items - (len(np.unique(past)) if exclude_seen else 0)
        if not 1 <= k <= available:
            seen = " that the user has not seen" if exclude_seen else ""
            raise ConfigError(f"expected k between 1 and the {available} items{seen}, got {k}; lower k")
        device = self.recommender.device
        batch = history_batch(np.array([0, len(past)]), past, np.array([_NOBODY])).to(device)
        exclude = batch.seen(self.interactions.num_items) if exclude_seen else None
        with torch.inference_mode():
            ranked = self._in_mode(mode).rank(batch, k, exclude=exclude)
        items, scores = ranked.items[0].cpu().numpy(), ranked.scores[0].float().cpu().numpy()
        return items[items >= 0], scores[items >= 0]

    def _in_mode(self, mode: str | None) -> G2Rec:
        """The recommender as configured, or a view of it that ranks otherwise and shares its weights."""
        if mode is None:
            return self.recommender
        known = get_args(RankingMode)
        ranking: Any = mode  # the HTTP and command-line doors do not check types
        if ranking not in known:
            raise ConfigError(f"expected mode to be {', '.join(known)}, got {mode!r}; take one of them")
        view = copy.copy(self.recommender)
        view.config = replace(view.config, ranking=ranking)
        view.config.check()
        return view

    def _user_interests(self, past: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        indices, weights = self.prototypes.user_interests(np.array([0, len(past)], dtype=np.int64), past)
        held = indices[0] >= 0
        return indices[0][held], weights[0][held]

    @staticmethod
    def _find(known: Mapping[str, int], key: ExternalId | None, noun: str) -> int:
        try:
            return known[str(key)]
        except KeyError:
            example = next(iter(known), "")
            raise DataError(
                f"expected one of the {len(known)} known {noun}s (such as {example!r}), got {str(key)!r}; "
                "check the ID"
            ) from None

    @cached_property
    def _users(self) -> dict[str, int]:
        return {str(value): row for row, value in enumerate(self.interactions.user_ids.to_pylist())}

    @cached_property
    def _items(self) -> dict[str, int]:
        return {str(value): row for row, value in enumerate(self.interactions.items["item_id"].to_pylist())}

    @cached_property
    def _named(self) -> list[Interest]:
        events = self.interactions.train_events()
        counts = np.bincount(events.item_index, minlength=self.interactions.num_items)
        terms = item_terms(self.interactions.items, counts)
        return name_interests(self.prototypes, self.interactions.titles, counts, terms=terms)
