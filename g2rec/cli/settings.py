"""Settings files: the presets that the package ships, and the one that each run keeps."""

import contextlib
import dataclasses
import typing
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from g2rec.artifacts import write_text
from g2rec.errors import ConfigError

SETTINGS = "settings.yaml"


def resolve_preset(arguments: list[str]) -> list[str]:
    """Let ``--config quickstart`` mean the preset that the package ships under that name."""
    resolved = list(arguments)
    for index, word in enumerate(arguments):
        flag, joined, value = word.partition("=")
        if flag != "--config":
            continue
        at = index if joined else index + 1
        value = value if joined else (arguments[at] if at < len(arguments) else "")
        if value and not Path(value).exists():
            path = str(preset_path(value))
            resolved[at] = f"--config={path}" if joined else path
    return resolved


def with_known_settings(arguments: list[str]) -> list[str]:
    """Where an argument is a run's folder, start from the settings that the run keeps."""
    for word in arguments:
        file = Path(word) / SETTINGS
        if not word.startswith("-") and file.is_file():
            return [f"--config={file}", *arguments]
    return arguments


def check_settings_files(arguments: list[str], settings: type, others: Collection[str] = ()) -> None:
    """Refuse a settings file with a key that there is not; an empty section would pass unseen otherwise.

    Args:
        arguments: The command line.
        settings: The dataclass of the settings.
        others: Further arguments of the command, which a file may also set.

    Raises:
        ConfigError: If a file is no YAML mapping or has an unknown key at its top.
    """
    words = [*arguments, ""]
    named = [word.partition("=")[2] or words[at + 1] for at, word in enumerate(arguments) if _is_config(word)]
    for path in map(Path, named):
        if not path.is_file():
            continue  # the parser says so
        try:
            held = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML ({error}); mend it") from None
        if held is None:
            raise ConfigError(f"expected settings in {path}, got none; leave out --config {path}")
        if not isinstance(held, dict):
            raise ConfigError(
                f"expected settings by name in {path}, got a {type(held).__name__}; see --print_config"
            )
        check_keys(held, settings, str(path), others)


def check_keys(held: Mapping[str, Any], settings: type, where: str, others: Collection[str] = ()) -> None:
    """Refuse a key that settings do not have.

    Raises:
        ConfigError: If there is one.
    """
    known = [*(field.name for field in dataclasses.fields(settings)), *others]
    unknown = [str(key) for key in held if key not in known]
    if unknown:
        raise ConfigError(f"{where} has the unknown key {unknown[0]}; known keys are {', '.join(known)}")


def _is_config(word: str) -> bool:
    return word.partition("=")[0] == "--config"


def preset_path(name: str) -> Path:
    """The file of a shipped preset, such as ``quickstart`` or ``amazon-beauty``.

    Raises:
        ConfigError: If neither a file nor a preset has that name.
    """
    for folder in _preset_folders():
        path = folder / f"{name.removesuffix('.yaml')}.yaml"
        if path.is_file():
            return path
    raise ConfigError(
        f"expected a settings file or a preset ({', '.join(preset_names())}), got '{name}'; check the path"
    )


def preset_names() -> list[str]:
    """The presets that the package ships."""
    return sorted({path.stem for folder in _preset_folders() for path in folder.glob("*.yaml")})


def _preset_folders() -> list[Path]:
    folders = [Path(__file__).parents[2] / "scripts" / "configs"]
    with contextlib.suppress(ModuleNotFoundError):  # a checkout that is not installed
        folders.insert(0, Path(str(resources.files("g2rec.shipped_presets"))))
    return [folder for folder in folders if folder.is_dir()]


def write_settings(path: Path, settings: Any) -> None:
    """Write a settings dataclass as YAML that ``--config`` reads back."""
    write_text(path, yaml.safe_dump(_plain(settings), sort_keys=False))


def _plain(settings: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(type(settings))
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if not dataclasses.is_dataclass(value):
            plain[field.name] = list(value) if isinstance(value, tuple) else value
        elif sum(map(dataclasses.is_dataclass, typing.get_args(hints[field.name]))) > 1:
            kind = type(value)
            plain[field.name] = {
                "class_path": f"{kind.__module__}.{kind.__name__}",
                "init_args": _plain(value),
            }
        else:
            plain[field.name] = _plain(value)
    return plain
