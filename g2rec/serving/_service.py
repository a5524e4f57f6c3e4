"""A bundle that answers requests: the lanes they wait in, and the items that are added meanwhile."""

import contextlib
import math
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from g2rec.bundle import Bundle, Explanation
from g2rec.errors import ConfigError, DataError, G2RecError
from g2rec.prototypes import top_items
from g2rec.serving._bodies import ItemId, NewItemsRequest, RecommendRequest, SearchQuery, SimilarRequest
from g2rec.serving._config import ServeConfig
from g2rec.serving._lanes import BatchLane, SideLane
from g2rec.serving._metrics import Metrics

_SIDE_THREADS = 2
_TOP_ITEMS = 4

Answer = dict[str, Any]


class _Job(NamedTuple):
    body: RecommendRequest
    history: list[ItemId]
    k: int
    explain: bool


class BundleService:
    """Answers as plain values, ready to be written as JSON.

    One thread works with the model, on as many requests as wait. A request is checked before it waits, so
    that a mistake costs nobody else anything.

    Args:
        bundle: What recommends.
        config: Limits and batching.
    """

    def __init__(self, bundle: Bundle, config: ServeConfig) -> None:
        self._config = config
        if config.threads:
            torch.set_num_threads(config.threads)
        self.bundle = _warm(bundle)
        self.known_interests = _known_interests(bundle)
        self._added = 0
        self._adding = threading.Lock()
        self._model = BatchLane(
            self._work,
            max_batch=config.max_batch,
            max_waiting=config.max_waiting,
            gather_seconds=config.gather_ms / 1000,
            observe=lambda size, seconds: self.metrics.batch(size, seconds),
        )
        self._side = SideLane(num_threads=_SIDE_THREADS, max_waiting=config.max_waiting)
        self.metrics = Metrics(lambda: self._model.num_waiting, lambda: self.bundle.interactions.num_items)

    def close(self) -> None:
        """End the threads."""
        self._model.close()
        self._side.close()

    async def recommend(self, body: RecommendRequest) -> Answer:
        """Recommendations, through the model in a batch."""
        answer: Answer = await self._model.answer(self._checked(body, explain=False))
        return answer

    async def explain(self, body: RecommendRequest) -> Answer:
        """Recommendations and what they share with the history."""
        answer: Answer = await self._model.answer(self._checked(body, explain=True))
        return answer

    async def similar(self, body: SimilarRequest) -> Answer:
        """Items near to one."""
        k = self._k(body)
        return await self._side.call(lambda: {"items": self.bundle.similar(body.item_id, k).to_pylist()})

    async def search(self, query: SearchQuery) -> Answer:
        """Items by their titles."""
        k = self._k(query)
        return await self._side.call(lambda: {"items": self.bundle.search(query.q, k).to_pylist()})

    async def item(self, item_id: str) -> Answer:
        """What the catalogue knows of an item, and its semantic ID."""
        return await self._side.call(self._item, item_id)

    async def new_items(self, body: NewItemsRequest) -> Answer:
        """Semantic IDs of new items, which are added if the body says so."""
        return await self._side.call(self._new_items, body)

    def _checked(self, body: RecommendRequest, explain: bool) -> _Job:
        bundle, most = self.bundle, self._config.max_history
        if (body.user_id is None) == (body.history is None):
            got = "neither" if body.user_id is None else "both"
            raise ConfigError(f"expected a user_id or a history, got {got}; give one")
        k = self._k(body)
        if body.history is None:
            history: list[ItemId] = [*bundle.history(body.user_id or "")]
        else:
            history = body.history
            if len(history) > most:
                raise ConfigError(
                    f"expected a history of at most {most} items, got {len(history)}; send the latest"
                )
        seen = len(np.unique(bundle.item_index(history))) if body.exclude_seen else 0
        left = bundle.interactions.num_items - seen
        if k > left:
            noun = "items that are not in the history" if body.exclude_seen else "items"
            raise ConfigError(f"expected k between 1 and the {left} {noun}, got {k}; lower k")
        last = bundle.prototypes.num_prototypes - 1
        if body.without and max(body.without) > last:
            raise ConfigError(
                f"expected interests between 0 and {last} in without, got {max(body.without)}; see /interests"
            )
        return _Job(body, history, k, explain)

    def _k(self, body: RecommendRequest | SimilarRequest | SearchQuery) -> int:
        """The items that are asked for; where nothing is said, the default as far as this server goes."""
        most = self._config.max_k
        if body.k > most and "k" in body.model_fields_set:
            got = str(body.k) if body.k < 10**18 else "a far larger number"
            raise ConfigError(f"expected k between 1 and {most}, got {got}; lower k")
        return min(body.k, most)

    def _work(self, jobs: Sequence[_Job]) -> list[Answer | Exception]:
        bundle = self.bundle
        answers: list[Answer | Exception] = [DataError("not answered")] * len(jobs)
        plain = [at for at, job in enumerate(jobs) if not job.explain]
        bodies = [jobs[at].body for at in plain]
        if plain:
            tables = bundle.recommend_many(
                [jobs[at].history for at in plain],
                k=[jobs[at].k for at in plain],
                exclude_seen=[body.exclude_seen for body in bodies],
                allow=[body.allow for body in bodies],
                deny=[body.deny for body in bodies],
                without=[body.without for body in bodies],
            )
            for at, table in zip(plain, tables, strict=True):
                answers[at] = {"items": table.to_pylist()}
        for at, (body, history, k, explain) in enumerate(jobs):
            if explain:
                try:
                    answers[at] = _explained(bundle.explain(history, k=k, **_options(body)), _item_id(bundle))
                except G2RecError as error:
                    answers[at] = error
        return answers

    def _item(self, item_id: str) -> Answer:
        bundle = self.bundle
        index = int(bundle.item_index([item_id])[0])
        row = bundle.interactions.items.slice(index, 1).to_pylist()[0]
        known = {name: value for name, value in row.items() if _is_json(value)}
        return {**known, "semantic_id": list(bundle.semantic_id(index))}

    def _new_items(self, body: NewItemsRequest) -> Answer:
        with self._adding if body.add else contextlib.nullcontext():
            bundle, count = self.bundle, len(body.items)
            rows = [item.model_dump(exclude_unset=True) for item in body.items]
            room = self._config.max_new_items - self._added
            if body.add and count > room:
                raise ConfigError(
                    f"expected at most {room} more new items, got {count}; restart with more room"
                )
            try:
                codes = bundle.tokenize(rows).to_pylist()
                if body.add:
                    self.bundle = _warm(bundle.add_items(rows))
                    self._added += count
            except DataError as error:
                raise ConfigError(str(error)) from None
        return {"items": codes, "added": body.add, "num_items": self.bundle.interactions.num_items}


def _options(body: RecommendRequest) -> dict[str, Any]:
    return body.model_dump(include={"exclude_seen", "allow", "deny", "without"})


def _item_id(bundle: Bundle) -> type[int] | type[str]:
    """What the catalogue's IDs are."""
    return int if pa.types.is_integer(bundle.interactions.items["item_id"].type) else str


def _explained(explanation: Explanation, item_id: type[int] | type[str]) -> Answer:
    interests = [
        {
            "index": interest.index,
            "name": interest.name,
            "weight": float(weight),
            "past": [
                {"item_id": item_id(e.item_id), "title": e.title, "share": float(e.share)} for e in past
            ],
        }
        for (interest, weight), past in zip(explanation.interests, explanation.past, strict=True)
    ]
    items = [
        {
            "item_id": item_id(item.item_id),
            "title": item.title,
            "score": item.score,
            "overlap": item.overlap,
            "shared": list(item.shared),
            "semantic_id": list(item.semantic_id),
        }
        for item in explanation.items
    ]
    return {"interests": interests, "items": items}


def _warm(bundle: Bundle) -> Bundle:
    """Make what the bundle computes on first use, so that no request waits for it."""
    first = bundle.item_ids([0])
    bundle.interests()
    bundle.search("", 1)
    if bundle.interactions.num_items > 1:
        bundle.similar(first[0], 1)
        bundle.recommend(first, k=1)
    return bundle


def _known_interests(bundle: Bundle) -> list[Answer]:
    log = bundle.interactions
    counts = np.bincount(log.train_events().item_index, minlength=log.num_items)
    tops = top_items(bundle.prototypes, counts, _TOP_ITEMS)
    own = _item_id(bundle)
    return [
        {
            "index": interest.index,
            "name": interest.name,
            "mass": float(interest.mass),
            "items": [
                {"item_id": own(item_id), "title": log.titles[row]}
                for item_id, row in zip(bundle.item_ids(top), top, strict=True)
            ],
        }
        for interest, top in zip(bundle.interests(), tops, strict=True)
    ]


def _is_json(value: Any) -> bool:
    """Whether JSON can hold a value: it has no NaN and no infinity."""
    if isinstance(value, list):
        return all(map(_is_json, value))
    return not isinstance(value, float) or math.isfinite(value)
