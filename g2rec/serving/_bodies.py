"""What requests and answers look like."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 2.0 is the whole number 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


ItemId = Annotated[str | int, BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
_ONE_OF_TWO = [
    {"required": [given], "properties": {given: {"type": kinds}, other: {"type": "null"}}}
    for given, kinds, other in (
        ("history", ["array"], "user_id"),
        ("user_id", ["string", "integer"], "history"),
    )
]


def _finite(value: Any) -> Any:
    """Refuse NaN and infinity, which Python reads in JSON and JSON does not have."""
    held = [value]
    while held:
        part = held.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("Input should hold finite numbers only")
        if isinstance(part, dict | list):
            held.extend(part.values() if isinstance(part, dict) else part)
    return value


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class RecommendRequest(_Body):
    """For a history of items, oldest first, or for a user of the log: one of the two."""

    history: Annotated[list[ItemId] | None, Field(min_length=1)] = None
    user_id: ItemId | None = None
    k: Count = 10
    exclude_seen: bool = True
    """Leave out the items of the history."""
    allow: list[ItemId] | None = None
    """The only items that may be recommended; unknown ones are passed over."""
    deny: list[ItemId] | None = None
    """Items that must not be recommended, likewise."""
    without: list[Annotated[int, Field(ge=0), BeforeValidator(_whole)]] = []
    """Interests to switch off, by number."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _ONE_OF_TWO})  # type: ignore[dict-item]


class SimilarRequest(_Body):
    """For one item."""

    item_id: ItemId
    k: Count = 10


class SearchQuery(BaseModel):
    """Words of titles."""

    q: Annotated[str, Field(max_length=200)] = ""
    """Words, or the beginnings of words; without any, all items match."""
    k: Count = 20

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class NewItem(BaseModel):
    """A row of the catalogue: its other columns go beside these two."""

    item_id: ItemId
    title: str | None = None

    model_config = ConfigDict(extra="allow", strict=True)


class NewItemsRequest(_Body):
    """Items that the catalogue lacks, with the columns that content is made of."""

    items: Annotated[list[NewItem], Field(min_length=1), BeforeValidator(_finite)]
    add: bool = True
    """Add them, until the server stops; without, only say what their semantic IDs would be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"item_id": "n1", "title": "A film", "genres": "Drama"}], "add": False}]
        },
    )


class Problem(BaseModel):
    """Every error."""

    error: str
    """One sentence."""


class ScoredItem(BaseModel):
    """A recommended item; scores compare within one answer only."""

    item_id: ItemId
    title: str
    score: float


class Recommendations(BaseModel):
    """The best first."""

    items: list[ScoredItem]


class SimilarItem(ScoredItem):
    """A near item: the cosine as its score, and the levels that the semantic IDs share from the first on."""

    shared_levels: int


class SimilarItems(BaseModel):
    """The nearest first."""

    items: list[SimilarItem]


class PastItem(BaseModel):
    """An item of the history, with its share of an interest's weight."""

    item_id: ItemId
    title: str
    share: float


class ActiveInterest(BaseModel):
    """An interest of the history, its weight among the interests, and the items that it was read from."""

    index: int
    name: str
    weight: float
    past: list[PastItem]


class ExplainedItem(ScoredItem):
    """A recommended item, its agreement with the interests, those that it shares, and its semantic ID."""

    overlap: float
    shared: list[int]
    semantic_id: list[int]


class Explained(BaseModel):
    """Interests, the strongest first, and recommendations, the best first."""

    interests: list[ActiveInterest]
    items: list[ExplainedItem]


class FoundItem(BaseModel):
    """An item that a search found, and its training events."""

    item_id: ItemId
    title: str
    events: int


class FoundItems(BaseModel):
    """The most popular first."""

    items: list[FoundItem]


class Tokenized(BaseModel):
    """A new item and its semantic ID."""

    item_id: ItemId
    semantic_id: list[int]


class TokenizedItems(BaseModel):
    """In the order of the request; whether they were added; and the items of the catalogue now."""

    items: list[Tokenized]
    added: bool
    num_items: int


class TopItem(BaseModel):
    """An item that stands for an interest."""

    item_id: ItemId
    title: str


class KnownInterest(BaseModel):
    """An interest prototype: its words, its size in items, its top items."""

    index: int
    name: str
    mass: float
    items: list[TopItem]


class KnownInterests(BaseModel):
    """All of them, by number."""

    interests: list[KnownInterest]


class Health(BaseModel):
    """What is served."""

    status: str
    version: str
    users: int
    items: int
    interests: int
