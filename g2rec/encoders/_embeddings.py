"""The hand-over of the encoders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import Folder, open_folder, save_folder

_KIND = "node_embeddings"


@dataclass(frozen=True)
class NodeEmbeddings:
    """Embeddings of all users and items."""

    users: NDArray[np.float32]
    """[U, D]."""
    items: NDArray[np.float32]
    """[I, D]."""

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the embeddings into a folder."""
        arrays = {"users": self.users, "items": self.items}
        return save_folder(path, _KIND, arrays=arrays, config=config, made_from=made_from)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a folder that `save` wrote; arrays stay on disk, memory-mapped."""
        folder = open_folder(path, _KIND)
        return cls(folder.array("users"), folder.array("items"))
