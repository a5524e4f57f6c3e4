"""What every recommender can do: score or rank the catalogue, save itself, and come back."""

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import nn

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import ArtifactError, ConfigError
from g2rec.recommenders._history import HistoryBatch
from g2rec.shapes import Bool, Float, Int, Tensor

Config = TypeVar("Config")
_KIND = "recommender"


@dataclass(frozen=True)
class RankedItems:
    """The best items of each user, best first."""

    items: Int[Tensor, "B K"]
    """-1 pads what a beam did not return."""
    scores: Float[Tensor, "B K"]
    """float32, descending; -inf where ``items`` is -1. Comparable within a user only."""


class Recommender(nn.Module):
    """A fitted model that ranks items for histories.

    A subclass names itself in ``name``, and gives `score`, `meta` and `from_folder`. Models whose ranking
    comes from a search (a beam) set ``scores_all_items`` to False and override `rank`.
    """

    name: ClassVar[str]
    """What the saved folder calls this kind of model."""
    capturable: ClassVar[bool] = False
    """Whether CUDA graphs can record its ``loss`` of a batch of tensors: nothing in it waits for the GPU, and
    which kernels run depends on their shapes alone."""
    num_items: int
    config: Any = None

    @property
    def scores_all_items(self) -> bool:
        """Whether `score` is this model's ranking of the whole catalogue."""
        return True

    @property
    def device(self) -> torch.device:
        """Where the model lives; batches must be there too."""
        return next((t.device for t in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    @abstractmethod
    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Score the full catalogue, in float32."""

    def rank(self, batch: HistoryBatch, k: int, *, exclude: Bool[Tensor, "B I"] | None = None) -> RankedItems:
        """The ``k`` best items of each user.

        Args:
            batch: Histories, on the model's device.
            k: Items a user.
            exclude: Items that must not be recommended.

        Raises:
            ConfigError: If ``k`` is larger than the catalogue.
        """
        check_k(k, self.num_items)
        return top_items(self.score(batch), k, exclude)

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the model into a folder: weights as safetensors, settings in the manifest."""
        meta = {"model": self.name, "num_items": self.num_items, **self.meta()}
        kept = self.config if config is None else config
        return save_folder(
            path, _KIND, tensors={"state": self.state_dict()}, config=kept, made_from=made_from, meta=meta
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model that `save` wrote.

        Raises:
            ArtifactError: If the folder is missing, damaged, or holds another model.
        """
        folder = open_folder(path, _KIND)
        if folder.meta["model"] != cls.name:
            raise ArtifactError(f"expected the model {cls.name} at {path}, found {folder.meta['model']}")
        model = cls.from_folder(folder)
        try:
            model.load_state_dict(folder.tensors("state"))
        except RuntimeError as error:
            raise ArtifactError(f"the weights at {path} do not fit {cls.name}; fit it again") from error
        return model.eval()

    @abstractmethod
    def meta(self) -> Mapping[str, Any]:
        """What `from_folder` needs beside the configuration: sizes."""

    @classmethod
    @abstractmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the right shapes; its weights are loaded afterwards."""


def saved_model_name(path: Path) -> str:
    """Which model a folder holds."""
    return str(open_folder(path, _KIND, verify=False).meta["model"])


def read_config(kind: type[Config], plain: Mapping[str, Any]) -> Config:
    """Rebuild a configuration dataclass, nested ones included, from a manifest's plain values.

    Raises:
        ArtifactError: If it has a setting that this version does not know, and so would not follow.
    """
    values: dict[str, Any] = {}
    unknown = sorted(set(plain) - {field.name for field in dataclasses.fields(kind)} - {"type"})  # type: ignore[arg-type]
    if unknown:
        raise ArtifactError(
            f"a model was saved with the unknown setting {unknown[0]} of {kind.__name__}, another version "
            "wrote it; update g2rec or fit it again"
        )
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in plain:
            continue
        value = plain[field.name]
        if dataclasses.is_dataclass(field.type) and isinstance(value, Mapping):
            value = read_config(field.type, value)  # type: ignore[arg-type]
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def check_k(k: int, num_items: int) -> None:
    """Refuse a list longer than the catalogue, or empty."""
    if k < 1:
        raise ConfigError(f"expected K of at least 1, got {k}; use K=10")
    if k > num_items:
        raise ConfigError(
            f"K={k} is larger than the catalogue of {num_items} items; use K of at most {num_items}"
        )


def top_items(
    scores: Float[Tensor, "B I"], k: int, exclude: Bool[Tensor, "B I"] | None = None
) -> RankedItems:
    """The ``k`` highest scores of each row; excluded items are never returned."""
    scores = scores.float()
    if exclude is not None:
        scores = scores.masked_fill(exclude, -torch.inf)
    best, items = scores.topk(k, dim=1)
    return RankedItems(items.masked_fill(best == -torch.inf, -1), best)
