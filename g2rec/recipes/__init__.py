"""Graph recipes: where a dataset comes from, how it is read, and the verified files."""

from g2rec.recipes._check import RecipeReport, check_recipe
from g2rec.recipes._dataset import RawDataset
from g2rec.recipes._download import NetworkError, Progress, download
from g2rec.recipes._fetch import FetchedFiles, fetch
from g2rec.recipes._locate import cache_dir, list_recipes, load_recipe, recipe_names, shipped_recipe
from g2rec.recipes._read import read_dataset
from g2rec.recipes._recipe import (
    CoEngagementSpec,
    Columns,
    ContentSpec,
    Expected,
    Filters,
    Recipe,
    RemoteFile,
    Source,
    dump_recipe,
    parse_recipe,
)
from g2rec.recipes._synthetic import SyntheticConfig, SyntheticData, generate
from g2rec.recipes._tables import as_ids, as_seconds, read_parquet, take_column

__all__ = [
    "CoEngagementSpec",
    "Columns",
    "ContentSpec",
    "Expected",
    "FetchedFiles",
    "Filters",
    "NetworkError",
    "Progress",
    "RawDataset",
    "Recipe",
    "RecipeReport",
    "RemoteFile",
    "Source",
    "SyntheticConfig",
    "SyntheticData",
    "as_ids",
    "as_seconds",
    "cache_dir",
    "check_recipe",
    "download",
    "dump_recipe",
    "fetch",
    "generate",
    "list_recipes",
    "load_recipe",
    "parse_recipe",
    "read_dataset",
    "read_parquet",
    "recipe_names",
    "shipped_recipe",
    "take_column",
]
