"""A fusion of fitted recommenders: the baseline that says what their evidence is worth together."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from g2rec.artifacts import Folder
from g2rec.errors import ArtifactError, ConfigError
from g2rec.recommenders._base import Recommender
from g2rec.recommenders._ease import EASE
from g2rec.recommenders._evidence import standardize
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._popularity import Newness, RecentPopularity
from g2rec.recommenders._sasrec import SASRec
from g2rec.recommenders._text import TextNeighbors, WordNeighbors
from g2rec.recommenders._transitions import ItemTransitions
from g2rec.shapes import Bool, Float, Tensor

_PARTS: tuple[type[Recommender], ...] = (
    SASRec, TextNeighbors, WordNeighbors, EASE, ItemTransitions, RecentPopularity, Newness,
)  # fmt: skip


class Fusion(Recommender):
    """A weighted sum of standardised scores.

    score_i = sum_p w_p z_pi + b [i in history];  z_pi = (s_pi - mean_j s_pj) / sd_j s_pj

    Mean and standard deviation are a user's own, over the items outside the history, which stand out in most
    parts. The weights decide the ranking without the history; b alone decides where the history's items go
    when they may be recommended again.

    Args:
        parts: Fitted recommenders that score all items of one catalogue.
        weights: w, one a part.
        repeat: b.

    Raises:
        ConfigError: If the parts do not fit together.
    """

    name = "fusion"
    weights: Tensor
    repeat: Tensor

    def __init__(self, parts: Mapping[str, Recommender], weights: Float[Tensor, " P"], repeat: float) -> None:
        super().__init__()
        sizes = {part.num_items for part in parts.values()}
        if len(sizes) != 1 or len(weights) != len(parts):
            raise ConfigError(
                f"a fusion needs parts of one catalogue and a weight for each, got {len(parts)} parts, "
                f"catalogues of {sorted(sizes)} items and {len(weights)} weights; fit all parts on one log"
            )
        for name, part in parts.items():
            if not isinstance(part, _PARTS):
                known = ", ".join(kind.name for kind in _PARTS)
                raise ConfigError(f"a fusion holds {known}, got {part.name} as {name}; leave it out")
        self.num_items = sizes.pop()
        self.parts = nn.ModuleDict(parts)
        self.register_buffer("weights", weights.float())
        self.register_buffer("repeat", torch.tensor(float(repeat)))

    def evidence(self, batch: HistoryBatch, seen: Bool[Tensor, "B I"]) -> Float[Tensor, "P B I"]:
        """Standardised scores of every part.

        Args:
            batch: Histories.
            seen: The items in them.
        """
        return torch.stack([standardize(part.score(batch), seen).scores for _, part in self._members()])

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """The weighted sum; a user whom no part tells anything gets equal scores."""
        seen = batch.seen(self.num_items)
        total = self.repeat * seen
        for weight, (_, part) in zip(self.weights, self._members(), strict=True):
            if weight != 0:
                total = total + weight * standardize(part.score(batch), seen).scores
        return total

    def _members(self) -> list[tuple[str, Recommender]]:
        return [(name, part) for name, part in self.parts.items() if isinstance(part, Recommender)]

    def meta(self) -> Mapping[str, Any]:
        """Kind, settings and sizes of every part."""
        return {
            "parts": {
                name: {"model": part.name, "num_items": part.num_items, **part.meta(), "config": part.config}
                for name, part in self._members()
            }
        }

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance with parts of the saved shapes."""
        kinds = {kind.name: kind for kind in _PARTS}
        parts = {}
        for name, meta in folder.meta["parts"].items():
            if meta["model"] not in kinds:
                raise ArtifactError(f"the fusion at {folder.path} holds {meta['model']}; update g2rec")
            inside = Folder(folder.path, {"config": meta["config"], "meta": meta})
            parts[name] = kinds[meta["model"]].from_folder(inside)
        return cls(parts, torch.zeros(len(parts)), 0.0)
