"""What the room hands over: one row of codes an item, and how healthy the codes are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import DataError


@dataclass(frozen=True)
class SemanticIds:
    """Semantic IDs of the whole catalogue; no two items share one."""

    codes: NDArray[np.int32]
    """[I, L], each in [0, codebook_size)."""
    codebook_size: int
    """Codes a level, V."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """Health: usage and perplexity a level, collision rate before and after, reconstruction error."""

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or not self.codes.size:
            raise DataError(
                f"semantic IDs need codes of shape [items, levels], got {self.codes.shape}; tokenize again"
            )
        low, high = int(self.codes.min()), int(self.codes.max())
        if low < 0 or high >= self.codebook_size:
            raise DataError(
                f"codes must lie in [0, {self.codebook_size}), got {low} to {high}; tokenize again"
            )

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.codes)

    @property
    def num_levels(self) -> int:
        """L, a deduplication level included."""
        return int(self.codes.shape[1])

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the IDs into a folder."""
        meta = {"codebook_size": self.codebook_size, "report": dict(self.report)}
        arrays = {"codes": self.codes}
        return save_folder(path, "semantic_ids", arrays=arrays, config=config, made_from=made_from, meta=meta)

    @classmethod
    def load(cls, path: Path) -> "SemanticIds":
        """Read a folder that `save` wrote."""
        folder = open_folder(path, "semantic_ids")
        codes = folder.array("codes", mmap=False)
        return cls(codes, int(folder.meta["codebook_size"]), folder.meta["report"])


def collision_rate(codes: NDArray[np.int32]) -> float:
    """Share of items beyond the first of each ID: 1 - distinct IDs / items."""
    return 1.0 - len(np.unique(codes, axis=0)) / max(1, len(codes))


def code_usage(codes: NDArray[np.int32], codebook_size: int) -> list[dict[str, float]]:
    """Per level: the share of codes in use, and the perplexity exp(entropy) of their use, in codes."""
    levels = []
    for column in codes.T:
        share = np.bincount(column, minlength=codebook_size) / len(column)
        entropy = float(-(share * np.log(np.maximum(share, 1e-30))).sum())
        levels.append({"usage": float((share > 0).mean()), "perplexity": float(np.exp(entropy))})
    return levels
