"""From words on the command line to a call of a typed function, and from an exception to an exit code."""

import argparse
import dataclasses
import difflib
import errno
import functools
import inspect
import logging
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_args, get_type_hints

import jsonargparse

from g2rec.cli.settings import check_settings_files, resolve_preset, with_known_settings
from g2rec.errors import G2RecError

_INTERRUPTED = 130
_WIDTH = 79


def invoke(words: tuple[str, ...], function: str, arguments: list[str], example: str = "") -> int:
    """Parse ``arguments`` for one command and call it; give the exit code."""
    level = os.environ.get("G2REC_LOG", "WARNING").upper()
    if level not in logging.getLevelNamesMapping():
        known = "DEBUG, INFO, WARNING or ERROR"
        return _refuse(
            f"expected {known} in the environment variable G2REC_LOG, got {level}; set one of them"
        )
    logging.basicConfig(level=level, format="%(message)s")
    signal.signal(signal.SIGTERM, _terminate)
    settings: type | None = None
    try:
        call = find_function(function)
        parser = make_parser(words, call, example)
        settings = _settings_type(call)
        if settings is not None:
            arguments = resolve_preset(arguments)
            if settings.__name__ == "RunConfig":  # by name: its room imports Lightning
                arguments = with_known_settings(arguments)
            others = [name for name in inspect.signature(call).parameters if name != "settings"]
            check_settings_files(arguments, settings, others)
        values = parser.parse_args(arguments)
        code: int | None = call(**keywords(call, parser.instantiate(values)))
    except KeyboardInterrupt:
        print("\ng2rec: interrupted; the same command resumes where it stopped", file=sys.stderr)
        return _INTERRUPTED
    except G2RecError as error:
        return _refuse(str(error))
    except jsonargparse.ArgumentError as error:
        return _refuse(of_another_class(error, settings) or unknown_name(error, call) or one_line(error))
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
    return code or 0


def _terminate(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _refuse(message: str) -> int:
    print(f"g2rec: {' '.join(line.strip() for line in message.splitlines())}", file=sys.stderr)
    return 2


def find_function(function: str) -> Callable[..., Any]:
    """The function of a command, from ``module:function``."""
    module, name = function.split(":")
    call: Callable[..., Any] = getattr(import_module(f"g2rec.cli.{module}"), name)
    return call


class _Help(jsonargparse.DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the paragraphs of a description and the line of an example, and says types in words."""

    def _get_type_str(self, action: argparse.Action) -> str | None:
        said = super()._get_type_str(action)
        return None if said is None else _type_in_words(said)


def _type_in_words(said: str) -> str:
    """``<class 'Path'>`` as path, ``Optional[Literal['a', 'b']]`` as a | b | null, a tuple as a list."""
    said = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", said)
    said = re.sub(r"\bOptional\[(.*)\]$", r"\1 | null", said)
    said = re.sub(
        r"\bLiteral\[([^\]]*)\]", lambda found: found[1].replace("'", "").replace(", ", " | "), said
    )
    said = re.sub(r"\btuple\[([^\[\]]*), \.\.\.\]", r"list of \1", said)
    return re.sub(r"\bPath\b", "path", said)


def flags_of(call: Callable[..., Any]) -> list[str]:
    """All flags of a command, those of its settings included."""
    given = inspect.signature(call).parameters.items()
    own = [f"--{name}" for name, value in given if name != "settings" and value.default is not value.empty]
    settings = _settings_type(call)
    return [*own, *(_settings_flags(settings) if settings is not None else ())]


@functools.cache
def _settings_flags(settings: type) -> tuple[str, ...]:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    _add_settings(parser, settings)
    known = parser._actions
    return tuple(flag for action in known for flag in action.option_strings if flag not in ("-h", "--help"))


def make_parser(
    words: tuple[str, ...], call: Callable[..., Any], example: str = ""
) -> jsonargparse.ArgumentParser:
    """A parser of the function's arguments; a parameter ``settings`` spreads its fields at the top level."""
    settings = _settings_type(call)
    parser = jsonargparse.ArgumentParser(
        prog=f"g2rec {' '.join(words)}",
        usage=None if settings is None else _usage(words, call),
        description=_description(call),
        epilog=f"example:\n  g2rec {example}" if example else None,
        formatter_class=_Help,
        exit_on_error=False,
        allow_abbrev=False,
    )
    if settings is not None:
        _add_settings(parser, settings)
    several = [name for name, kind in get_type_hints(call).items() if _takes_all_words(call, name, kind)]
    for name in several:
        parser.add_argument(name, nargs="*", default=[], help=f"any number of {name}")
    parser.add_function_arguments(call, as_group=False, as_positional=True, skip={"settings", *several})
    return parser


def _add_settings(parser: jsonargparse.ArgumentParser, settings: type) -> None:
    # Otherwise jsonargparse gives --tokenizer.num_levels to the first class of the union that has it,
    # whatever class a settings file or an earlier flag names.
    kinds: list[type | str] = [kind for members in _unions(settings).values() for kind in members]
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True, subclasses_enabled=kinds)
    parser.add_argument("--config", action="config", help="a YAML file of settings, or a preset's name")
    parser.add_class_arguments(settings, as_group=False)


def _usage(words: tuple[str, ...], call: Callable[..., Any]) -> str:
    """In one line: the two hundred flags of the settings come below."""
    needed = [
        name for name, given in inspect.signature(call).parameters.items() if given.default is given.empty
    ]
    places = "".join(f" {name.upper()}" for name in needed if name != "settings")
    return f"g2rec {' '.join(words)}{places} [--config FILE] [--print_config] [--FLAG VALUE ...]"


def _description(call: Callable[..., Any]) -> str:
    """The docstring up to the arguments, which have their own place in a help."""
    said = (inspect.getdoc(call) or "").partition("\nArgs:")[0].strip()
    return "\n\n".join(
        part if part.startswith("    ") else textwrap.fill(" ".join(part.split()), _WIDTH)  # code as it is
        for part in said.split("\n\n")
    )


def _takes_all_words(call: Callable[..., Any], name: str, kind: Any) -> bool:
    """Whether a parameter is all the words that are no flags: a tuple of text without a default."""
    parameters = inspect.signature(call).parameters
    return kind == tuple[str, ...] and parameters[name].default is inspect.Parameter.empty


def _settings_type(call: Callable[..., Any]) -> type | None:
    return get_type_hints(call).get("settings")


def _unions(settings: type) -> dict[str, list[type]]:
    """Fields of settings that may be of several classes, with these."""
    found = {}
    for name, hint in get_type_hints(settings).items():
        kinds = [kind for kind in get_args(hint) if dataclasses.is_dataclass(kind) and isinstance(kind, type)]
        if len(kinds) > 1:
            found[name] = kinds
    return found


def keywords(call: Callable[..., Any], values: Any) -> dict[str, Any]:
    """Arguments of a function from what was parsed for it."""
    # jsonargparse marks a name that its namespace uses itself, such as items, with a zero-width space
    given = {key.lstrip("\u200b"): value for key, value in vars(values).items() if key != "config"}
    settings = _settings_type(call)
    if settings is None:
        return given
    names = _names(settings)
    own = {name: given.pop(name) for name in names}
    return {**given, "settings": settings(**own)}


def of_another_class(
    error: jsonargparse.ArgumentError, settings: type | None, *, flags: bool = True
) -> str | None:
    """A sentence on a setting that the class in force has not, such as --tokenizer.rounds for an RQ-VAE."""
    where = re.search(r'key "(\w+)"', str(error))
    what = re.search(r"class_path '(?:\w+\.)*(\w+)':\s+Option '(\w+)' is not accepted", str(error))
    if settings is None or where is None or what is None:
        return None
    field, (kind, option) = where[1], what.groups()
    if option == "class_path":
        return f"expected only init_args beside class_path in {field}, got more; move them into init_args"
    fields = {other.__name__: _names(other) for other in _unions(settings).get(field, [])}
    if kind not in fields:
        return None
    having = [other for other, names in fields.items() if option in names]
    head = f"expected a setting of {kind} for {field}, got {option}"
    if having:
        how = f"--{field} {having[0]}" if flags else f"as the class_path of {field}"
        return f"{head}, one of {having[0]}; name that class first, {how}"
    return f"{head}; its settings are {', '.join(fields[kind])}"


def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def unknown_name(error: jsonargparse.ArgumentError, call: Callable[..., Any]) -> str | None:
    """A sentence on a flag or a setting that there is not, with the nearest one, or those that there are."""
    flag = re.match(r"[Uu]nrecognized arguments: (--[\w.]+)", str(error))
    if flag:
        near = difflib.get_close_matches(flag[1], flags_of(call), 1)
        meant = f", {near[0]} is the nearest" if near else ""
        return f"there is no flag {flag[1]}{meant}; see --help"
    option = re.search(r"Group '([\w.]+)' does not accept option '(\w+)'", str(error))
    if option:
        head = f"--{option[1]}."
        known = [name.removeprefix(head) for name in flags_of(call) if name.startswith(head)]
        return f"{option[1]} has no setting {option[2]}; it has {', '.join(known)}"
    return None


_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "tuple": "a list such as [a,b]",
    "list": "a list such as [a,b]",
    "dict": "values by name",
    "Path": "a path",
}


def one_line(error: jsonargparse.ArgumentError, *, flags: bool = True) -> str:
    """jsonargparse's message, without the types that only its authors need."""
    text = str(error)
    told = re.match(r'Parser key "([^"]+)":', text)
    wanted = re.search(r"Expected (?:a )?(?:<class '(?:\w+\.)*(\w+)'>|typing\.Literal\[([^\]]*)\])", text)
    came = re.search(r"(?:Given|Got) value: (.*)", text)
    if told and wanted and came and (wanted[2] or wanted[1] in _WANTED):
        what = f"one of {wanted[2].replace(chr(39), '')}" if wanted[2] else _WANTED[wanted[1]]
        key = ".".join(re.findall(r'Parser key "([^"]+)":', text[: wanted.start()]))
        where = f"--{key}" if flags else key
        return f"expected {what} for {where}, got {came[1]}; " + ("see --help" if flags else "change it")
    words = re.search(r"Unable to load config '([^']*)'", text)
    classes = re.search(r"Subtypes: \[(.*)\]", text) if "Expected a dot import path" in text else None
    if told and flags and words:
        return f"expected settings for --{told[1]}, got {words[1]}; write --{told[1]}.NAME VALUE, see --help"
    if told and flags and classes and came:
        kinds = ", ".join(re.findall(r"(\w+)'>", classes[1]))
        return f"expected one of {kinds} for --{told[1]}, got {came[1]}; see --help"
    lines = [line.strip(" -") for line in text.splitlines() if line.strip()]
    telling = [
        line for line in lines[1:] if line.startswith(("Option", "Expected", "Not a valid", "No action"))
    ]
    head = lines[0] if lines else "the arguments could not be read"
    said = " ".join([head, *telling[:1]])
    return f"{said}; see --help" if flags else said
