"""Text neighbours: items whose content, or the words of whose titles, are like those of the last few."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.interactions import Interactions
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._near import NearItems
from g2rec.shapes import Float, Tensor


@dataclass(frozen=True, kw_only=True)
class TextNeighborsConfig:
    """Nearest neighbours of the last items by content."""

    last_items: int = 5
    """Items of the history that vote."""
    decay: float = 0.6
    """Vote of an item over that of the next one."""

    def build(self, *, content: np.ndarray[Any, Any]) -> "TextNeighbors":
        """A recommender over item content.

        Args:
            content: [I, F] features.

        Raises:
            ConfigError: If a value is out of range.
        """
        if self.last_items < 1:
            raise ConfigError(f"last_items must be at least 1, got {self.last_items}; 5 is usual")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay must be in (0, 1], got {self.decay}; 0.6 is usual")
        return TextNeighbors(self, torch.from_numpy(np.array(content, dtype=np.float32)))


class TextNeighbors(Recommender):
    """Content-based nearest neighbours: nothing is learned.

    score_j = <sum_r decay^r c_{x_r}, c_j>,  c the unit-norm content, x_0 the last item

    It carries what a learned projection of the same content into a recommender loses, so it adds to one.

    Args:
        config: Votes.
        content: [I, F] features, of any length.
    """

    name = "text_neighbors"
    content: Tensor
    config: TextNeighborsConfig

    def __init__(self, config: TextNeighborsConfig, content: Float[Tensor, "I F"]) -> None:
        super().__init__()
        self.config, self.num_items = config, len(content)
        self.register_buffer("content", F.normalize(content, dim=-1))

    @classmethod
    def fit(cls, interactions: Interactions, config: TextNeighborsConfig | None = None) -> Self:
        """Take the items' content.

        Raises:
            ConfigError: If a value is out of range.
            DataError: If the log has no content.
        """
        if interactions.content is None:
            raise DataError(
                f"text_neighbors needs item content, {interactions.name or 'this log'} has none; "
                "give the recipe a content section or leave text_neighbors out of the baselines"
            )
        config = config or TextNeighborsConfig()
        return cls(config, config.build(content=interactions.content).content)

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Similarity to the last items."""
        recent = batch.recent(self.config.last_items)
        weight = self.config.decay ** torch.arange(recent.shape[1], device=recent.device).float()
        voters = self.content[recent.clamp(min=0)] * (weight * (recent >= 0)).unsqueeze(-1)
        return voters.sum(1) @ self.content.T

    def meta(self) -> Mapping[str, Any]:
        """Width of the content."""
        return {"content_dim": self.content.shape[1]}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved sizes."""
        config = read_config(TextNeighborsConfig, folder.manifest["config"])
        return cls(config, torch.zeros(int(folder.meta["num_items"]), int(folder.meta["content_dim"])))


class WordNeighbors(Recommender):
    """The items with the likest titles, word by word: nothing is learned.

    score_j = sum_r decay^r cos(w_{x_r}, w_j),  w the TF-IDF of a title, x_0 the last item

    The sum is over the 64 nearest items of each x_r. Titles without a common word score all items alike.

    Args:
        config: Votes.
        near: The items nearest by words.
    """

    name = "word_neighbors"
    config: TextNeighborsConfig

    def __init__(self, config: TextNeighborsConfig, near: NearItems) -> None:
        super().__init__()
        self.config, self.num_items, self.near = config, len(near.near), near

    @classmethod
    def fit(cls, interactions: Interactions, config: TextNeighborsConfig | None = None) -> Self:
        """Compare the items' titles."""
        near = NearItems.by_words(interactions) or NearItems(interactions.num_items)
        return cls(config or TextNeighborsConfig(), near)

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Similarity to the last items."""
        recent = batch.recent(self.config.last_items)
        weight = self.config.decay ** torch.arange(recent.shape[1], device=recent.device).float()
        return self.near.votes(recent, weight * (recent >= 0))

    def meta(self) -> Mapping[str, Any]:
        """Nothing beyond the size."""
        return {}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved sizes."""
        config = read_config(TextNeighborsConfig, folder.manifest["config"])
        return cls(config, NearItems(int(folder.meta["num_items"])))
