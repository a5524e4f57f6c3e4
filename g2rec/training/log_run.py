"""The stages of a run that was made from an event log alone: graph, encoder, tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import StageRecord, fingerprint, hash_file, read_json
from g2rec.encoders import NodeEmbeddings
from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.prototypes import GraphHeadConfig, place_by_content
from g2rec.tokenizers import SemanticIds
from g2rec.training.encoder import FittedEncoder
from g2rec.training.graph_encoder import fit_graph_encoder
from g2rec.training.run_config import RunConfig
from g2rec.training.stages import run_stage
from g2rec.training.tokenizer import fit_tokenizer

Progress = Callable[[str, int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items of a log."""

    num_items: int
    content: NDArray[np.float32] | None


class LogRun:
    """A run folder with the graph of a log, which may be larger than memory.

    The encoder is trained by sampling (`fit_graph_encoder`), then all items are embedded from all their
    neighbours, and get their memberships. Users have no rows in the embeddings: there may be too many of
    them, and a user is embedded from its items when asked for. The tokenizer learns from items and
    prototypes; they stay as they are.

    Args:
        folder: The run's folder, with ``graph`` built.
        config: All settings.
        announce: Told of each stage that is there.
        progress: Told of the inference: step, done, total.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        *,
        announce: Callable[[StageRecord], None] = lambda record: None,
        progress: Progress | None = None,
    ) -> None:
        self.folder, self.config, self.announce, self.progress = folder, config, announce, progress

    @cached_property
    def graph(self) -> InteractionGraph:
        """Mapped from the run's folder."""
        say = self.progress
        if say is None:
            return InteractionGraph.load(self.folder / "graph")
        return InteractionGraph.load(
            self.folder / "graph", progress=lambda done, total: say("opening the graph", done, total)
        )

    @cached_property
    def content(self) -> NDArray[np.float32] | None:
        """Item features, if the run was given any."""
        path = self._content_path()
        if path is None:
            return None
        try:
            content = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"expected item features as an .npy file, got {path}: {error}") from None
        if content.ndim != 2 or len(content) != self.graph.num_items:
            raise DataError(
                f"expected features [{self.graph.num_items}, F] of the graph's items, got "
                f"{list(content.shape)} in {path}; row i is of item i"
            )
        return np.asarray(content, dtype=np.float32)

    @cached_property
    def encoder(self) -> FittedEncoder:
        """Encoder and prototypes, with the embeddings and memberships of all items."""
        path, config = self.folder / "encoder", self.config
        if not isinstance(config.prototypes, GraphHeadConfig):
            raise ConfigError(
                "a run made from a log finds its prototypes with the graph head, got "
                f"{type(config.prototypes).__name__}; set prototypes to GraphHeadConfig"
            )
        head = config.prototypes

        def make() -> FittedEncoder:
            links = replace(config.links, num_threads=config.links.num_threads or 1)  # work ahead
            fitted = fit_graph_encoder(
                self.graph, config.encoder, head, config.encoder_fit, path, config.seed, links, self.content
            )
            items = fitted.encoder.embed_items(
                self.graph, self.content, folder=path / "states", progress=self.progress
            )
            embeddings = NodeEmbeddings(np.zeros((0, items.shape[1]), np.float32), items)
            known = self.graph.item_degrees() > 0
            prototypes = place_by_content(fitted.head.export(items), self.content, known)
            whole = FittedEncoder(fitted.encoder, fitted.head, embeddings, prototypes, fitted.report)
            whole.save(path, made_from={"graph": self._graph_hash()})
            return whole

        def line(fitted: FittedEncoder) -> str:
            prototypes = fitted.prototypes
            used = int((prototypes.usage() > 0.1 / prototypes.num_prototypes).sum())
            return (
                f"{prototypes.num_prototypes} prototypes, {used} in use, "
                f"softness {prototypes.softness():.2f}; {prototypes.num_items:,} items"
            )

        settings = [config.encoder, config.links, head, config.encoder_fit, config.seed]
        return self._stage("encoder", [*settings, self._content_hash()], make,
                           lambda: FittedEncoder.load(path), line)  # fmt: skip

    @cached_property
    def tokenizer(self) -> SemanticIds:
        """Semantic IDs of all items, learned from their features, embeddings and memberships."""
        path, config = self.folder / "tokenizer", self.config

        def make() -> SemanticIds:
            catalogue = Catalogue(self.graph.num_items, self.content)
            fitted = fit_tokenizer(
                catalogue, None, None, self.encoder, config.tokenizer, config.tokenizer_fit, path,
                config.seed, "frozen",
            )  # fmt: skip
            fitted.tokenizer.save(path / "tokenizer", config=config.tokenizer)
            fitted.semantic_ids.save(path / "semantic_ids")
            return fitted.semantic_ids

        def line(ids: SemanticIds) -> str:
            before, after = ids.report["collision_rate_before"], ids.report["collision_rate"]
            return (
                f"{len(ids.codes):,} items, {ids.codes.shape[1]} levels of {ids.codebook_size} codes; "
                f"collisions {before:.1%} before, {after:.1%} after"
            )

        encoder = read_json(self.folder / "encoder" / "stage.json")["key"] if self.encoder else None
        settings = [config.tokenizer, config.tokenizer_fit, config.seed, encoder]
        return self._stage("tokenizer", settings, make, lambda: SemanticIds.load(path / "semantic_ids"), line)

    def _stage(
        self, name: str, settings: list[Any], make: Callable[[], T], load: Callable[[], T],
        line: Callable[[T], str],
    ) -> T:  # fmt: skip
        key = fingerprint("log run", 1, settings, self._graph_hash())
        return run_stage(
            self.folder / name, name, key, make=make, load=load, line=line, announce=self.announce
        )

    def _graph_hash(self) -> str:
        return str(read_json(self.folder / "graph" / "manifest.json")["content_hash"])

    def _content_path(self) -> Path | None:
        known = read_json(self.folder / "run.json").get("content")
        return None if known is None else Path(known)

    def _content_hash(self) -> str | None:
        path = self._content_path()
        return None if path is None else hash_file(path)
