"""What every tokenizer does: features in, unique codes out."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from g2rec.artifacts import Folder, save_folder
from g2rec.errors import ConfigError
from g2rec.shapes import Float, Tensor
from g2rec.tokenizers._collisions import resolve_collisions
from g2rec.tokenizers._ids import SemanticIds, code_usage, collision_rate
from g2rec.tokenizers._inputs import InputScaler
from g2rec.tokenizers._quantizer import quantize

logger = logging.getLogger(__name__)
_ROWS = 16_384
"""Items encoded at a time."""


class ItemTokenizer(nn.Module, ABC):
    """A quantizer of content joined with graph embeddings, one codebook a level.

    A latent is coded as the sum of one vector of each level, chosen level by level; product codes are the
    case where the levels lie in sub-spaces of their own.
    """

    config: Any
    scaler: InputScaler

    @abstractmethod
    def level_codebooks(self) -> Float[Tensor, "L V Z"]:
        """The codebooks."""

    @abstractmethod
    def latents(self, inputs: Float[Tensor, "B F"]) -> Float[Tensor, "B Z"]:
        """What is quantized, for scaled inputs."""

    @abstractmethod
    def reconstruct(self, quantized: Float[Tensor, "B Z"]) -> Float[Tensor, "B F"]:
        """Scaled inputs from quantized latents."""

    def tokenize(
        self, content: NDArray[np.float32] | None, embedding: NDArray[np.float32] | None = None
    ) -> SemanticIds:
        """IDs of the whole catalogue, collisions resolved, with their report.

        Args:
            content: [I, F] item features, if the tokenizer was fitted on them.
            embedding: [I, D] graph embeddings, likewise.
        """
        inputs, latents = self._encode(content, embedding)
        greedy, codes = self._unique(latents, None)
        with torch.no_grad():
            chosen = self._vectors(greedy)
            rebuilt = torch.cat([self.reconstruct(part) for part in torch.split(chosen, _ROWS)])
            error = float((rebuilt - inputs).square().mean())
        size = self.config.codebook_size
        report = {
            "levels": code_usage(codes, size),
            "levels_before": code_usage(greedy, size),
            "collision_rate_before": collision_rate(greedy),
            "collision_rate": collision_rate(codes),
            "items_moved": int((greedy != codes[:, : greedy.shape[1]]).any(axis=1).sum()),
            "reconstruction_mse": error,
            "input_variance": float(inputs.var()),
        }
        logger.info(
            "semantic IDs: %d items, %.2f%% collisions before resolution", len(codes),
            100 * float(report["collision_rate_before"]),  # type: ignore[arg-type]
        )  # fmt: skip
        return SemanticIds(codes, size, report)

    def tokenize_new(
        self,
        content: NDArray[np.float32] | None,
        embedding: NDArray[np.float32] | None = None,
        *,
        taken: SemanticIds | None = None,
    ) -> NDArray[np.int32]:
        """IDs of new items from the frozen tokenizer, [n, L].

        Args:
            content: [n, F] features of the new items, if the tokenizer was fitted on them.
            embedding: [n, D] graph embeddings, likewise.
            taken: IDs that the catalogue holds; new items take none of them, and it keeps all of them.
        """
        _, latents = self._encode(content, embedding)
        return self._unique(latents, None if taken is None else taken.codes)[1]

    def take_over(self, earlier: "ItemTokenizer") -> None:
        """Begin where an earlier tokenizer of the same settings ended, its scales included.

        Raises:
            ConfigError: If the two differ in kind, inputs or sizes.
        """
        mine, theirs = self.state_dict(), earlier.state_dict()
        shapes = [{name: value.shape for name, value in held.items()} for held in (mine, theirs)]
        if type(self) is not type(earlier) or self.blocks != earlier.blocks or shapes[0] != shapes[1]:
            raise ConfigError(
                f"expected to start from a {type(self).__name__} of the same inputs, levels and sizes, got a "
                f"{type(earlier).__name__} over {earlier.blocks}; leave out start, or use its settings"
            )
        self.load_state_dict(theirs)

    @property
    def blocks(self) -> dict[str, int]:
        """Input blocks and their dimensions."""
        return self.scaler.blocks

    @torch.no_grad()
    def _encode(
        self, content: NDArray[np.float32] | None, embedding: NDArray[np.float32] | None
    ) -> tuple[Tensor, Tensor]:
        was_training = self.training
        self.eval()
        inputs = self.scaler.join(content=content, embedding=embedding)
        latents = torch.cat([self.latents(part) for part in torch.split(inputs, _ROWS)])
        self.train(was_training)
        return inputs, latents

    @torch.no_grad()
    def _unique(
        self, latents: Tensor, taken: NDArray[np.int32] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Greedy codes, and codes without collisions."""
        greedy = self._greedy(latents)
        z, e = latents.cpu().double().numpy(), self.level_codebooks().cpu().double().numpy()

        def cost(items: NDArray[np.int64], prefixes: NDArray[np.int32]) -> NDArray[np.float64]:
            level = prefixes.shape[1]
            residual = z[items] - sum(e[at, prefixes[:, at]] for at in range(level))
            square = (residual**2).sum(axis=1)[:, None] + (e[level] ** 2).sum(axis=1)
            return np.asarray(square - 2 * residual @ e[level].T)

        size, method = self.config.codebook_size, self.config.collisions
        return greedy, resolve_collisions(greedy, cost, size, method=method, taken=taken)

    @torch.no_grad()
    def _greedy(self, latents: Tensor) -> NDArray[np.int32]:
        """The nearest code of each level; items may share their codes."""
        books = self.level_codebooks()
        parts = [quantize(part, books)[0] for part in torch.split(latents, _ROWS)]
        return torch.cat(parts).cpu().numpy().astype(np.int32)

    def _vectors(self, codes: NDArray[np.int32]) -> Tensor:
        books = self.level_codebooks()
        index = torch.from_numpy(codes).long().to(books.device)
        return torch.stack([books[level, index[:, level]] for level in range(len(books))]).sum(dim=0)

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the tokenizer into a folder."""
        meta = {"config": self.config, "blocks": self.blocks}
        tensors = {"weights": self.state_dict()}
        config = self.config if config is None else config
        return save_folder(path, "tokenizer", tensors=tensors, config=config, made_from=made_from, meta=meta)


def check_codes(num_levels: int, codebook_size: int) -> None:
    """Raise `ConfigError` unless there are levels, and codes to choose from."""
    if num_levels < 1 or codebook_size < 2:
        raise ConfigError(
            f"expected num_levels >= 1 and codebook_size >= 2, got {num_levels} and {codebook_size}; "
            "raise them"
        )


def make_scaler(content: int, embedding: int) -> InputScaler:
    """The scaler of the blocks that have dimensions; raises `ConfigError` if none has."""
    blocks = {name: dim for name, dim in (("content", content), ("embedding", embedding)) if dim}
    if not blocks:
        raise ConfigError(
            "a tokenizer needs item content, graph embeddings or both, got neither; "
            "add content to the recipe or fit an encoder"
        )
    return InputScaler(blocks)
