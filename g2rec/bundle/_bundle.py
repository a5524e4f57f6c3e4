"""The fitted rooms as one thing that recommends."""

import dataclasses
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from g2rec import __version__
from g2rec.artifacts import (
    Folder,
    check_replaceable,
    disk_error,
    hash_file,
    open_folder,
    read_json,
    replace_path,
    save_folder,
)
from g2rec.bundle._card import CardFacts, CardSizes, render_card
from g2rec.bundle._ids import (
    ExternalId,
    Ids,
    as_ids,
    column_values,
    find,
    known_rows,
    lists_a_row,
    one_a_row,
)
from g2rec.bundle._interests import (
    Explanation,
    Interest,
    PastItem,
    RecommendedItem,
    name_interests,
    read_interests,
    without_interests,
)
from g2rec.bundle._new_items import ContentEmbedding, NewItems, read_new_items, unit
from g2rec.bundle._ranking import Question, Ranked, rank_questions
from g2rec.bundle._search import TitleSearch
from g2rec.bundle._words import item_terms
from g2rec.encoders import NodeEmbeddings
from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.interactions import Interactions
from g2rec.prototypes import InterestPrototypes
from g2rec.recommenders import G2Rec, RankingMode
from g2rec.tokenizers import ItemTokenizer, SemanticIds, load_tokenizer

logger = logging.getLogger(__name__)

_PARTS: dict[str, Callable[[Path], Any]] = {
    "interactions": Interactions.load,
    "embeddings": NodeEmbeddings.load,
    "prototypes": InterestPrototypes.load,
    "semantic_ids": SemanticIds.load,
    "recommender": G2Rec.load,
    "tokenizer": load_tokenizer,
    "content_embedding": ContentEmbedding.load,
}
CARD = "README.md"
_EDITED = "README.edited"
_OPTIONAL = ("tokenizer", "content_embedding")
"""What new items need, and older bundles lack."""


def check_parts(folder: Folder, *, verify: bool = True) -> None:
    """Check that each part of a bundle's folder is there, whole, and the one that it was saved with.

    Args:
        folder: A bundle's, opened.
        verify: Hash every file; sizes are checked in any case.

    Raises:
        ArtifactError: If a part is missing, damaged or another.
    """
    for name, expected in folder.meta["parts"].items():
        path = folder.path / name
        kind = str(read_json(path / "manifest.json").get("kind"))
        found = open_folder(path, kind, verify=verify).content_hash
        if found != expected:
            raise ArtifactError(
                f"{folder.path} was saved with {name} {expected}, it holds {name} {found}; "
                "restore that folder or run `g2rec run` again"
            )


@dataclass(frozen=True, repr=False)
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
    tokenizer: ItemTokenizer | None = None
    """Gives new items their IDs; None in a bundle that cannot take any."""
    content_embedding: ContentEmbedding | None = None
    """Places them by their content; None likewise."""
    card: CardFacts = field(default_factory=CardFacts)
    """What the model card says of data and figures."""

    def __repr__(self) -> str:
        log, ids = self.interactions, self.semantic_ids
        return (
            f"Bundle({self.card.name}: {log.num_users:,} users × {log.num_items:,} items × "
            f"{log.num_events:,} events; {self.prototypes.num_prototypes} interests, IDs of "
            f"{ids.codes.shape[1]} levels of {ids.codebook_size} codes, ranking "
            f"{self.recommender.config.ranking})"
        )

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
        self._check_arrays()
        if not np.array_equal(self.recommender.codes.cpu().numpy(), self.semantic_ids.codes):
            raise ArtifactError(
                "the recommender was trained on other semantic IDs than the bundle's; take both from one run"
            )

    def save(
        self, path: str | Path, *, config: Any = None, made_from: Mapping[str, str] | None = None
    ) -> Folder:
        """Write the bundle whole or not at all, with a model card (README.md) that is for people to edit.

        Args:
            path: The bundle's folder; an older bundle there is replaced, and its card, if somebody edited it,
                kept beside the new one as README.edited.md.
            config: The settings of the run, kept in the manifest.
            made_from: Content hashes of the run's artefacts, kept in the manifest.

        Raises:
            ArtifactError: If the disk refuses the write, or something stands there that is no folder of
                g2rec's; it is untouched.
        """
        path = Path(path)
        check_replaceable(path)
        staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            hashes: dict[str, str] = {}
            for name in _PARTS:
                part = getattr(self, name)
                if part is not None:
                    saved = part.save(staging / "parts" / name, made_from=dict(hashes))
                    hashes[name] = saved.content_hash
            card = staging / CARD
            card.write_text(render_card(self.card, self._sizes(tuple(hashes))), encoding="utf-8")
            meta = {
                "parts": hashes,
                "card": dataclasses.asdict(self.card),
                "card_sha256": hash_file(card),
                "g2rec": __version__,
            }
            save_folder(staging / "bundle", "bundle", config=config, made_from=made_from, meta=meta)
            card.rename(staging / "bundle" / CARD)
            _keep_edited_card(path, staging / "bundle")
            for name in hashes:
                (staging / "parts" / name).rename(staging / "bundle" / name)
            replace_path(staging / "bundle", path)
        except OSError as error:
            raise disk_error(path, error) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return open_folder(path, "bundle", verify=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bundle back.

        Raises:
            ArtifactError: If it is missing, damaged, or has a part that it was not saved with.
        """
        path = Path(path)
        try:
            return cls._read(path)
        except ArtifactError:
            raise
        except Exception as error:  # whatever numpy, Arrow or a room says of a folder that was forged
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise ArtifactError(
                f"{path} does not hold what its manifest promises ({reason}); get the bundle again"
            ) from error

    @classmethod
    def _read(cls, path: Path) -> Self:
        folder = open_folder(path, "bundle")
        parts = folder.meta["parts"]
        missing = [name for name in _PARTS if name not in parts and name not in _OPTIONAL]
        unknown = [name for name in parts if name not in _PARTS]
        if missing or unknown:
            odd = f"lacks the part {missing[0]}" if missing else f"has the unknown part {unknown[0][:40]!r}"
            raise ArtifactError(f"{path} {odd}, another version wrote it; update g2rec or get it again")
        check_parts(folder, verify=False)  # each is, where it is loaded
        held = {name: load(path / name) for name, load in _PARTS.items() if name in parts}
        return cls(**held, card=CardFacts.from_plain(folder.meta.get("card", {})))

    def recommend(
        self,
        history: Ids | None = None,
        *,
        user: ExternalId | None = None,
        k: int = 10,
        mode: RankingMode | None = None,
        exclude_seen: bool = True,
        allow: Ids | None = None,
        deny: Ids | None = None,
        without: Sequence[int] = (),
    ) -> pa.Table:
        """Recommend items for anybody's history, or for a known user.

        Args:
            history: External item IDs, oldest first: a list, or a numpy, pandas, polars or Arrow column. Give
                this or ``user``.
            user: External ID of a user of the interactions; the history is then all that the user did.
            k: Items to return.
            mode: ``generative``, ``dense`` or ``hybrid``; as the recommender was configured if None.
            exclude_seen: Leave out the items of the history.
            allow: The only items that may be recommended; IDs that the bundle does not know are passed over.
            deny: Items that must not be recommended, likewise.
            without: Numbers of interest prototypes to switch off: the user's interest in them counts for
                nothing, and items of the history that mostly belong to them are not read.

        Returns:
            Columns item_id, title, score; the best first. Fewer than ``k`` rows where ``allow`` and ``deny``
            leave fewer, or a beam finds fewer.

        Raises:
            DataError: If the user or an item of the history is unknown, or the history is empty.
            ConfigError: If ``k`` is out of range, or both or neither of ``user`` and ``history`` are given.
        """
        question = self._question(history, user, k, exclude_seen, allow, deny, without)
        return self._tables(rank_questions(self._in_mode(mode), [question]))[0]

    def recommend_many(
        self,
        histories: Any,
        *,
        k: int | Sequence[int] = 10,
        mode: RankingMode | None = None,
        exclude_seen: bool | Sequence[bool] = True,
        allow: Ids | Sequence[Ids | None] | None = None,
        deny: Ids | Sequence[Ids | None] | None = None,
        without: Sequence[int] | Sequence[Sequence[int]] = (),
    ) -> list[pa.Table]:
        """Recommend for many histories at once; each gets what `recommend` would give it alone.

        Args:
            histories: A list of histories, or a column of lists.
            k: Items to return, for all or one number for each history.
            mode: As in `recommend`.
            exclude_seen: For all or for each.
            allow: One list of items for all, or for each history a list or None.
            deny: Likewise.
            without: One list of prototypes for all, or one for each history.

        Returns:
            The table of each history, in the order of the histories.

        Raises:
            DataError: If an item of a history is unknown, or a history is empty.
            ConfigError: If a number is out of range, or lists are not as many as the histories.
        """
        rows = column_values(histories, "histories")
        asked = zip(
            rows,
            one_a_row(k, len(rows), "k"),
            one_a_row(exclude_seen, len(rows), "exclude_seen"),
            lists_a_row(allow, len(rows), "allow list"),
            lists_a_row(deny, len(rows), "deny list"),
            lists_a_row(without, len(rows), "list of prototypes"),
            strict=True,
        )
        questions = [
            self._question(history, None, number, seen, allowed, denied, off)
            for history, number, seen, allowed, denied, off in asked
        ]
        return self._tables(rank_questions(self._in_mode(mode), questions))

    def explain(
        self,
        history: Ids | None = None,
        *,
        user: ExternalId | None = None,
        k: int = 10,
        mode: RankingMode | None = None,
        exclude_seen: bool = True,
        allow: Ids | None = None,
        deny: Ids | None = None,
        without: Sequence[int] = (),
    ) -> Explanation:
        """Say which interests a history shows and which of its items they were read from, and which of the
        interests each recommended item shares.

        The arguments and errors are those of `recommend`.
        """
        question = self._question(history, user, k, exclude_seen, allow, deny, without)
        items, scores = rank_questions(self._in_mode(mode), [question])[0]
        settings = self.recommender.config
        read = read_interests(
            self.prototypes,
            question.read[-settings.transformer.max_len :],
            decay=settings.interest_decay,
            top_m=settings.num_prefix,
            without=question.without,
        )
        weights = np.zeros(self.prototypes.num_prototypes)
        weights[read.prototypes] = read.weights
        named = self.interests()
        explained = []
        for item_id, index, score in zip(self.item_ids(items), items.tolist(), scores, strict=True):
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
                    semantic_id=self.semantic_id(index),
                )
            )
        past = tuple(
            tuple(
                PastItem(self.item_ids([row])[0], self.interactions.titles[row], share) for row, share in each
            )
            for each in read.carriers
        )
        active = zip(read.prototypes.tolist(), read.weights.tolist(), strict=True)
        return Explanation(tuple((named[a], weight) for a, weight in active), tuple(explained), past)

    def similar(self, item: ExternalId, k: int = 10) -> pa.Table:
        """The items nearest to one, by the cosine of their graph embeddings.

        Args:
            item: External ID.
            k: Items to return.

        Returns:
            Columns item_id, title, score (the cosine) and shared_levels: how many levels the semantic IDs
            have in common from the first on. The nearest first.

        Raises:
            DataError: If the item is unknown.
            ConfigError: If ``k`` is out of range.
        """
        row = find(self._items, as_ids([item], "items")[0], "item")
        check_count(k, self.interactions.num_items - 1, "other items")
        scores = self._unit_items @ self._unit_items[row]
        scores[row] = -np.inf
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.lexsort((best, -scores[best]))]
        codes = self.semantic_ids.codes
        shared = np.cumprod(codes[best] == codes[row], axis=1).sum(axis=1)
        table = self._titled(best).append_column("score", pa.array(scores[best], pa.float32()))
        return table.append_column("shared_levels", pa.array(shared, pa.int32()))

    def search(self, text: str, k: int = 20) -> pa.Table:
        """Items whose titles have words that begin as the words of a text do, without regard to case and
        accents.

        Args:
            text: Words, in any order; without any, all items match.
            k: Items to return, at most.

        Returns:
            Columns item_id, title and events (training events); the most popular first.

        Raises:
            ConfigError: If ``k`` is below 1, or the text is none.
        """
        check_count(k, None, "items")
        if not isinstance(text, str):
            raise ConfigError(f"expected a text to search for, got {text!r}; give words")
        rows = self._titles.rows(text, k)
        return self._titled(rows).append_column("events", pa.array(self._popularity[rows]))

    def tokenize(self, new_items: Any) -> pa.Table:
        """Semantic IDs for items that the bundle does not know, from the frozen tokenizer.

        Args:
            new_items: A table (Arrow, pandas, polars), a mapping of columns, or a list of rows, with the
                column item_id and what the catalogue's content was made of: its text columns, or a column
                content of vectors.

        Returns:
            Columns item_id and semantic_id, a list of codes; no ID is one of the catalogue's.

        Raises:
            ConfigError: If the bundle has no content or no tokenizer.
            DataError: If a column is missing, or an item is known already.
        """
        new = self._read_new(new_items)
        codes = self._codes(new)[0]
        return pa.table({"item_id": pa.array(new.keys), "semantic_id": pa.array(codes.tolist())})

    def add_items(self, new_items: Any) -> "Bundle":
        """A bundle that also knows new items, without training: they can be recommended, searched, explained,
        and be part of a history.

        They have the IDs of `tokenize`, an embedding and interests by their content, and no events. The
        catalogue's items keep all that they have.

        Args:
            new_items: As in `tokenize`; columns title and others of the catalogue are kept.

        Raises:
            ConfigError: If the bundle has no content or no tokenizer.
            DataError: If a column is missing or does not fit, or an item is known already.
        """
        new = self._read_new(new_items)
        codes, embeddings = self._codes(new)
        assert self.content_embedding is not None
        held = self.prototypes
        interactions = self.interactions.with_items(new.table, new.content)
        own = self.content_embedding.memberships(new.content)
        prototypes = replace(
            held,
            indices=np.concatenate([held.indices, own.indices]),
            weights=np.concatenate([held.weights, own.weights]),
        )
        nodes = replace(self.embeddings, items=np.concatenate([self.embeddings.items, embeddings]))
        ids = replace(self.semantic_ids, codes=np.concatenate([self.semantic_ids.codes, codes]))
        memberships = (prototypes.vectors, prototypes.indices, prototypes.weights)
        return replace(
            self,
            interactions=interactions,
            embeddings=nodes,
            prototypes=prototypes,
            semantic_ids=ids,
            card=replace(self.card, items_added=self.card.items_added + len(new.keys)),
            recommender=self.recommender.with_items(
                ids.codes, memberships, nodes.items, interactions.content
            ),
        )

    def interests(self) -> list[Interest]:
        """All prototypes in words: named by the terms of their items, with their top items."""
        return self._named

    def item_index(self, item_ids: Ids) -> NDArray[np.int32]:
        """Internal indices of external item IDs; ``5`` and ``"5"`` are the same ID.

        Raises:
            DataError: If an item is unknown.
        """
        return np.array([find(self._items, key, "item") for key in as_ids(item_ids, "items")], dtype=np.int32)

    def item_ids(self, item_index: NDArray[np.integer[Any]] | Sequence[int]) -> list[str]:
        """External IDs of internal indices, as text."""
        taken = self._labels["item_id"].take(pa.array(np.asarray(item_index, dtype=np.int64)))
        return [str(value) for value in taken.to_pylist()]

    def semantic_id(self, item_index: int) -> tuple[int, ...]:
        """The codes of an item, level by level."""
        return tuple(self.semantic_ids.codes[item_index].tolist())

    def history(self, user: ExternalId) -> list[str]:
        """External IDs of the items of a user of the interactions, oldest first.

        Raises:
            DataError: If the user is unknown.
        """
        return self.item_ids(self._history(user, None))

    def _check_arrays(self) -> None:
        """Refuse numbers of another kind and indices that lead nowhere, as in an array that was edited."""
        log = self.interactions
        kinds: list[tuple[str, Any, type]] = [
            ("user indices", log.user_index, np.integer),
            ("item indices", log.item_index, np.integer),
            ("parts", log.part, np.integer),
            ("embeddings", self.embeddings.items, np.floating),
            ("prototype vectors", self.prototypes.vectors, np.floating),
            ("memberships", self.prototypes.weights, np.floating),
            ("membership indices", self.prototypes.indices, np.integer),
            ("semantic IDs", self.semantic_ids.codes, np.integer),
        ]
        for name, array, kind in kinds:
            if not np.issubdtype(array.dtype, kind):
                raise ArtifactError(
                    f"expected {name} of type {kind.__name__}, got {array.dtype}; take all parts from one run"
                )
        for name, index, size in (
            ("user", log.user_index, log.num_users),
            ("item", log.item_index, log.num_items),
        ):
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
                raise ArtifactError(
                    f"the events name {name}s {index.min()} to {index.max()}, there are {size}; "
                    "take all parts from one run"
                )
        for name in ("item_id", "title"):
            if name not in log.items.column_names:
                raise ArtifactError(f"the items lack the column {name}; take all parts from one run")
        lengths = {len(log.user_index), len(log.item_index), len(log.part)}
        if len(lengths) > 1 or (log.content is not None and len(log.content) != log.num_items):
            raise ArtifactError(
                "the arrays of the interactions are of different lengths; take all parts from one run"
            )

    def _sizes(self, parts: tuple[str, ...]) -> CardSizes:
        log, model = self.interactions, self.recommender
        return CardSizes(
            users=log.num_users,
            items=log.num_items,
            events=log.num_events,
            split=log.split.replace("_", "-"),
            prototypes=self.prototypes.num_prototypes,
            levels=self.semantic_ids.num_levels,
            codebook_size=self.semantic_ids.codebook_size,
            parameters=sum(p.numel() for p in model.parameters()),
            ranking=model.config.ranking,
            feed=model.config.feed,
            takes_new_items=self.content_embedding is not None,
            version=__version__,
            parts=parts,
        )

    def _read_new(self, new_items: Any) -> NewItems:
        content_map = self.interactions.content_map
        if self.interactions.content is None:
            raise ConfigError(
                "this catalogue has no content, so nothing is known of an item without events; "
                "name text columns in the recipe and run again"
            )
        if content_map is None or self.tokenizer is None or self.content_embedding is None:
            raise ConfigError(
                "this bundle lacks what new items need, an older g2rec wrote it; "
                "run g2rec run again in a new folder"
            )
        return read_new_items(new_items, content_map, self._items)

    def _codes(self, new: NewItems) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """IDs and embeddings of new items."""
        assert self.tokenizer is not None and self.content_embedding is not None
        embeddings = self.content_embedding.embed(new.content)
        blocks = self.tokenizer.blocks
        codes = self.tokenizer.tokenize_new(
            new.content if "content" in blocks else None,
            embeddings if "embedding" in blocks else None,
            taken=self.semantic_ids,
        )
        return codes, embeddings

    def _question(
        self,
        history: Ids | None,
        user: ExternalId | None,
        k: int,
        exclude_seen: bool,
        allow: Ids | None,
        deny: Ids | None,
        without: Sequence[int] | None,
    ) -> Question:
        past = self._history(user, history)
        seen = len(np.unique(past)) if exclude_seen else 0
        noun = "items that the user has not seen" if exclude_seen else "items"
        check_count(k, self.interactions.num_items - seen, noun)
        off = self._switched_off(without)
        return Question(
            past=past,
            read=without_interests(self.prototypes, past, off),
            k=int(k),
            exclude_seen=bool(exclude_seen),
            allow=None if allow is None else known_rows(self._items, allow, "allowed items"),
            deny=None if deny is None else known_rows(self._items, deny, "denied items"),
            without=off,
        )

    def _history(self, user: ExternalId | None, history: Ids | None) -> NDArray[np.int32]:
        if (user is None) == (history is None):
            raise ConfigError(
                "expected a user or a history, got " + ("neither" if user is None else "both") + "; give one"
            )
        if history is not None:
            keys = as_ids(history, "items")
            if not keys:
                raise DataError("expected a history of at least one item, got none; give the IDs of items")
            return self.item_index(keys)
        row = find(self._users, as_ids([user], "users")[0], "user")
        start, end = self.interactions.user_indptr[row : row + 2]
        return np.asarray(self.interactions.item_index[start:end], dtype=np.int32)

    def _switched_off(self, without: Sequence[int] | None) -> tuple[int, ...]:
        numbers = [] if without is None else column_values(without, "numbers of prototypes")
        for number in numbers:
            whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
            if not whole or not 0 <= number < self.prototypes.num_prototypes:
                raise ConfigError(
                    f"expected prototypes between 0 and {self.prototypes.num_prototypes - 1} in without, "
                    f"got {number!r}; see interests()"
                )
        return tuple(int(number) for number in numbers)

    def _in_mode(self, mode: str | None) -> G2Rec:
        """The recommender as configured, or a view of it that ranks otherwise and shares its weights."""
        if mode is None:
            return self.recommender
        known = get_args(RankingMode)
        ranking: Any = mode  # the HTTP and command-line doors do not check types
        if ranking not in known:
            raise ConfigError(f"expected mode to be {', '.join(known)}, got {mode!r}; take one of them")
        return self.recommender.ranking_by(ranking)

    def _tables(self, answers: Sequence[Ranked]) -> list[pa.Table]:
        """A table for each answer; slices of one, which cost nothing."""
        ends = np.cumsum([len(items) for items, _ in answers]).tolist()
        if not ends:
            return []
        table = self._titled(np.concatenate([items for items, _ in answers]))
        scores = np.concatenate([scores for _, scores in answers])
        table = table.append_column("score", pa.array(scores, pa.float32()))
        return [
            table.slice(end - len(items), len(items)) for end, (items, _) in zip(ends, answers, strict=True)
        ]

    def _titled(self, rows: NDArray[np.integer[Any]]) -> pa.Table:
        taken = pa.array(np.asarray(rows, dtype=np.int64))
        return pa.table({name: self._labels[name].take(taken) for name in ("item_id", "title")})

    @cached_property
    def _labels(self) -> dict[str, pa.Array]:
        catalogue = self.interactions.items
        return {name: catalogue[name].combine_chunks() for name in ("item_id", "title")}

    @cached_property
    def _users(self) -> dict[str, int]:
        return {str(value): row for row, value in enumerate(self.interactions.user_ids.to_pylist())}

    @cached_property
    def _items(self) -> dict[str, int]:
        return {str(value): row for row, value in enumerate(self.interactions.items["item_id"].to_pylist())}

    @cached_property
    def _popularity(self) -> NDArray[np.int64]:
        events = self.interactions.train_events()
        return np.bincount(events.item_index, minlength=self.interactions.num_items)

    @cached_property
    def _unit_items(self) -> NDArray[np.float32]:
        return unit(self.embeddings.items)

    @cached_property
    def _titles(self) -> TitleSearch:
        return TitleSearch(self.interactions.titles, self._popularity)

    @cached_property
    def _named(self) -> list[Interest]:
        terms = item_terms(self.interactions.items, self._popularity)
        return name_interests(self.prototypes, self.interactions.titles, self._popularity, terms=terms)


def check_count(k: Any, most: int | None, noun: str) -> None:
    """Raise `ConfigError` unless ``k`` is a whole number from 1 to ``most``."""
    whole = isinstance(k, int | np.integer) and not isinstance(k, bool)
    if whole and k >= 1 and (most is None or k <= most):
        return
    if not whole:
        raise ConfigError(f"expected k as a whole number, got {k!r}; give one")
    if most is None:
        raise ConfigError(f"expected k of at least 1, got {k}; raise it")
    if not most:
        raise ConfigError(
            f"expected {noun}, there are none; with exclude_seen off, seen ones are recommended"
        )
    raise ConfigError(
        f"expected k between 1 and the {most} {noun}, got {k}; {'raise' if k < 1 else 'lower'} k"
    )


def _keep_edited_card(old: Path, new: Path) -> None:
    """Take the cards of an older bundle along that are not as g2rec wrote them."""
    for kept in sorted(old.glob(f"{_EDITED}*.md")):
        shutil.copyfile(kept, new / kept.name)
    card = old / CARD
    if not card.is_file():
        return
    try:
        written = read_json(old / "manifest.json").get("meta", {}).get("card_sha256")
    except (ArtifactError, AttributeError):
        written = None
    known = {hash_file(file) for file in new.glob("*.md")}  # of an older g2rec: written is None
    if hash_file(card) not in {written, *known}:
        number = sum(1 for _ in new.glob(f"{_EDITED}*.md"))
        name = f"{_EDITED}{f'-{number + 1}' if number else ''}.md"
        shutil.copyfile(card, new / name)
        logger.warning("%s: the earlier %s is kept as %s", old, CARD, name)
