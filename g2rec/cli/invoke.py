"""From words on the command line to a call of a typed function, and from an exception to an exit code."""

import dataclasses
import errno
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_type_hints

import jsonargparse

from g2rec.cli.settings import check_settings_files, resolve_preset, with_known_settings
from g2rec.errors import G2RecError

_INTERRUPTED = 130


def invoke(words: tuple[str, ...], function: str, arguments: list[str]) -> int:
    """Parse ``arguments`` for one command and call it; give the exit code."""
    logging.basicConfig(level=os.environ.get("G2REC_LOG", "WARNING"), format="%(message)s")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        module, name = function.split(":")
        call = getattr(import_module(f"g2rec.cli.{module}"), name)
        parser = _parser(words, call)
        settings = _settings_type(call)
        if settings is not None:
            arguments = with_known_settings(resolve_preset(arguments))
            others = [name for name in inspect.signature(call).parameters if name != "settings"]
            check_settings_files(arguments, settings, others)
        values = parser.parse_args(arguments)
        call(**_keywords(call, parser.instantiate(values)))
    except KeyboardInterrupt:
        print("\ng2rec: interrupted; the same command resumes where it stopped", file=sys.stderr)
        return _INTERRUPTED
    except G2RecError as error:
        return _refuse(str(error))
    except jsonargparse.ArgumentError as error:
        return _refuse(_one_line(error))
    except OSError as error:
        if error.errno not in (
            errno.ENOSPC,
            errno.EFBIG,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.EPERM,
        ):
            raise
        where = f" {error.filename}" if error.filename else ""
        return _refuse(f"writing{where} failed: {error.strerror}; mend that and run the same command again")
    return 0


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _refuse(message: str) -> int:
    print(f"g2rec: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parser(words: tuple[str, ...], call: Callable[..., None]) -> jsonargparse.ArgumentParser:
    """A parser of the function's arguments; a parameter ``settings`` spreads its fields at the top level."""
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=f"g2rec {' '.join(words)}",
        description=inspect.getdoc(call),
        exit_on_error=False,
        allow_abbrev=False,
    )
    settings = _settings_type(call)
    if settings is not None:
        parser.add_argument("--config", action="config", help="a YAML file of settings, or a preset's name")
        parser.add_class_arguments(settings, as_group=False)
    parser.add_function_arguments(call, as_group=False, as_positional=True, skip={"settings"})
    return parser


def _settings_type(call: Callable[..., None]) -> type | None:
    return get_type_hints(call).get("settings")


def _keywords(call: Callable[..., None], values: Any) -> dict[str, Any]:
    # jsonargparse marks a name that its namespace uses itself, such as items, with a zero-width space
    given = {key.lstrip("\u200b"): value for key, value in vars(values).items() if key != "config"}
    settings = _settings_type(call)
    if settings is None:
        return given
    names = {field.name for field in dataclasses.fields(settings)}
    own = {name: given.pop(name) for name in names}
    return {**given, "settings": settings(**own)}


def _one_line(error: jsonargparse.ArgumentError) -> str:
    """jsonargparse's message, without the types that only its authors need."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    telling = [
        line for line in lines[1:] if line.startswith(("Option", "Expected", "Not a valid", "No action"))
    ]
    head = lines[0] if lines else "the arguments could not be read"
    return f"{' '.join([head, *telling[:1]]) if telling else head}; see --help"
