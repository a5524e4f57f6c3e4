"""Change settings by dotted names, as the rows of a leaderboard give them."""

import contextlib
import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from g2rec.errors import ConfigError

T = TypeVar("T")


def override(settings: T, changes: Mapping[str, Any]) -> T:
    """The same settings with some of them changed.

    ``{"recommender.feed": "none", "prototypes": "RandomPrototypesConfig", "prototypes.nonzeros": 2}`` sets a
    value, takes another class with its defaults, and sets a value of that class, in this order.

    Args:
        settings: A dataclass of settings; nested ones are reached with dots.
        changes: New values by dotted name: plain ones, as YAML has them.

    Raises:
        ConfigError: If there is no such setting or the value is not of its type.
    """
    for name, value in changes.items():
        settings = _set(settings, str(name).split("."), value, str(name))
    return settings


def check_settings(settings: Any) -> None:
    """Check every part of the settings that can be checked by itself, before anything is run.

    Raises:
        ConfigError: If a value is out of range.
    """
    for field in dataclasses.fields(settings):
        check = getattr(getattr(settings, field.name), "check", None)
        if check is not None and not inspect.signature(check).parameters:
            check()
    if hasattr(settings, "links"):
        settings.links.check(settings.encoder.num_layers)


def _set(settings: Any, names: list[str], value: Any, where: str) -> Any:
    head, *rest = names
    hints = typing.get_type_hints(type(settings)) if dataclasses.is_dataclass(settings) else {}
    if head == "init_args" and rest:  # as settings files with a class_path have it
        return _set(settings, rest, value, where)
    if head not in hints:
        known = f"; known here are {', '.join(hints)}" if hints else ""
        raise ConfigError(f"there is no setting {where}{known}")
    held = getattr(settings, head)
    if not rest:
        return dataclasses.replace(settings, **{head: _convert(hints[head], value, where, held)})
    if held is None and _classes(hints[head]):
        held = _classes(hints[head])[0]()
    return dataclasses.replace(settings, **{head: _set(held, rest, value, where)})


def _convert(hint: Any, value: Any, where: str, held: Any) -> Any:
    arguments = typing.get_args(hint)
    classes = _classes(hint)
    if hint is Any:
        return value
    if classes and isinstance(value, str):
        named = [kind for kind in classes if kind.__name__ == value.rpartition(".")[2]]
        if not named:
            raise _refusal(where, " or ".join(kind.__name__ for kind in classes), value)
        return named[0]()
    if classes and isinstance(value, Mapping):
        start = held if isinstance(held, tuple(classes)) else classes[0]()
        if "class_path" in value:
            start = _convert(hint, value["class_path"], where, held)
            value = value.get("init_args", {})
        return override(start, value)
    if value is None and type(None) in arguments:
        return None
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        plain = [kind for kind in arguments if kind is not type(None) and kind not in classes]
        if not plain:
            raise _refusal(where, " or ".join(kind.__name__ for kind in classes), value)
        for kind in plain[:-1]:
            with contextlib.suppress(ConfigError):
                return _convert(kind, value, where, held)
        return _convert(plain[-1], value, where, held)
    if origin is Literal:
        if value not in arguments:
            raise _refusal(where, f"one of {', '.join(map(str, arguments))}", value)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _refusal(where, "a list", value)
        return tuple(_convert(arguments[0], item, where, None) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _refusal(where, "values by name", value)
        return {str(key): _convert(arguments[1], item, f"{where} {key}", None) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _refusal(where, _KINDS.get(hint, getattr(hint, "__name__", str(hint))), value)
    return value


_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _classes(hint: Any) -> list[Any]:
    """The dataclasses that a setting may be of."""
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return [kind for kind in (typing.get_args(hint) if union else (hint,)) if dataclasses.is_dataclass(kind)]


def _refusal(where: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"expected {expected} for {where}, got {shortened(value)}; change it")


def shortened(value: Any) -> str:
    """What came, in a message: not the whole of a file."""
    said = repr(value)
    return said if len(said) <= 80 else f"{said[:77]}..."
