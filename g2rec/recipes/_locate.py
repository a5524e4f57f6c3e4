"""Where recipes and downloads live."""

import os
from importlib.resources import files
from pathlib import Path

from g2rec.errors import ConfigError
from g2rec.recipes._recipe import Recipe, parse_recipe

_USER_FOLDER = Path("graphs")


def cache_dir() -> Path:
    """The folder of downloads: ``G2REC_CACHE``, else ``~/.cache/g2rec``."""
    stated = os.environ.get("G2REC_CACHE")
    return Path(stated).expanduser() if stated else Path.home() / ".cache" / "g2rec"


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe: a YAML file, one of the user's own ``./graphs``, or one that g2rec ships.

    Raises:
        ConfigError: If there is no such recipe or it is not well formed.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"there is no recipe file {path}; check the path, or give a recipe's name")
        return _read(path)
    known = _find_all()
    if name_or_path not in known:
        raise ConfigError(f"there is no recipe {name_or_path}; known recipes are {', '.join(sorted(known))}")
    return _read(known[name_or_path])


def shipped_recipe(name: str) -> Path | None:
    """The file of a recipe that g2rec ships."""
    path = _shipped() / f"{name}.yaml"
    return path if path.is_file() else None


def recipe_names() -> list[str]:
    """The names of all recipes, without reading them."""
    return sorted(_find_all())


def list_recipes() -> list[Recipe]:
    """All recipes by name, the user's own ``./graphs`` first where both have one."""
    return [_read(path) for _, path in sorted(_find_all().items())]


def _read(path: Path) -> Recipe:
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the recipe {path}: {error}; check the file") from None


def _find_all() -> dict[str, Path]:
    folders = [_shipped(), _USER_FOLDER]
    return {
        path.stem: path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yaml"))
    }


def _shipped() -> Path:
    try:
        return Path(str(files("g2rec.shipped_graphs")))
    except ModuleNotFoundError:  # an install that maps only g2rec itself: the checkout's folder
        return Path(__file__).resolve().parents[2] / "graphs"
