"""Settings of a run from Python values, read as ``--config`` is; the commands that train need Lightning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonargparse

from g2rec.cli.invoke import keywords, make_parser, of_another_class, one_line
from g2rec.cli.settings import check_keys, check_settings_files, resolve_preset
from g2rec.errors import ConfigError
from g2rec.training.run_config import RunConfig

Settings = RunConfig | Mapping[str, Any] | str | Path
"""Settings of a run: themselves, a mapping of them, a preset's name, or a YAML file."""


def read_settings(config: Settings | None = None) -> RunConfig:
    """Settings of a run, from what ``--config`` takes or from Python values.

    Args:
        config: A preset's name, a YAML file, a mapping as such a file holds, or the settings themselves.

    Raises:
        ConfigError: If there is no such file or preset, or a setting is unknown or out of range.
    """
    if isinstance(config, RunConfig):
        return config
    parser = make_parser((), _settings_only)
    try:
        if config is None or isinstance(config, Mapping):
            check_keys(dict(config or {}), RunConfig, "config")
            values = parser.parse_object(dict(config or {}))
        else:
            arguments = resolve_preset(["--config", str(config)])
            check_settings_files(arguments, RunConfig)
            values = parser.parse_args(arguments)
    except jsonargparse.ArgumentError as error:
        raise ConfigError(
            of_another_class(error, RunConfig, flags=False) or one_line(error, flags=False)
        ) from None
    return keywords(_settings_only, parser.instantiate(values))["settings"]  # type: ignore[no-any-return]


def _settings_only(settings: RunConfig) -> None:
    """What `read_settings` parses for."""
