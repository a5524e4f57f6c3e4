"""The doors of the room, which say what is missing where the extra is not installed."""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from g2rec.bundle import Bundle
from g2rec.errors import ConfigError
from g2rec.serving._config import ServeConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)


def create_app(bundle: Bundle, config: ServeConfig | None = None) -> "FastAPI":
    """Make the application; serve it with `run_server` or uvicorn, or mount it in another.

    Args:
        bundle: What recommends.
        config: Limits, batching and key; the address counts for `run_server` only.

    Raises:
        ConfigError: If the extra serve is not installed, or a setting is out of range.
    """
    app: FastAPI = _load("_app", "build_app")(bundle, config or ServeConfig())
    return app


def run_server(
    bundle: Bundle, config: ServeConfig | None = None, announce: Callable[[str], None] | None = None
) -> None:
    """Serve a bundle until SIGINT or SIGTERM; requests under way are then still answered.

    Args:
        bundle: What recommends.
        config: Address, limits, batching and key.
        announce: Told the address, such as http://127.0.0.1:8000, once it is listened on.

    Raises:
        ConfigError: As `create_app`, or if the address cannot be listened on.
    """
    _load("_server", "serve")(bundle, config or ServeConfig(), announce or logger.info)


def _load(module: str, name: str) -> Callable[..., Any]:
    try:
        return getattr(import_module(f"g2rec.serving.{module}"), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serving needs the extra serve, {error.name} is missing; pip install 'g2rec[serve]'"
        ) from None
