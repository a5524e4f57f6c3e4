"""``g2rec tokenizer subwords``: item features for ranking models, from a run's semantic IDs."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import StageRecord, hash_file
from g2rec.cli.settings import write_settings
from g2rec.cli.show import announce
from g2rec.errors import ArtifactError
from g2rec.graph import InteractionGraph
from g2rec.tokenizers import SemanticIds, fit_subwords
from g2rec.training.run_config import RunConfig


def subwords(run: Path, settings: RunConfig) -> None:
    """Make sub-word tokens of a run's semantic IDs, in RUN/subwords.

    A ranking model embeds an item as the sum of its tokens' embeddings instead of by an ID of its own; see
    g2rec.tokenizers.SubwordEmbedding. --subwords.kind sentencepiece needs the extra subwords.

    Args:
        run: A run's folder, with its tokenizer fitted.
        settings: The run's own; flags change them.
    """
    source = run / "tokenizer" / "semantic_ids"
    if not (source / "manifest.json").is_file():
        raise ArtifactError(f"expected semantic IDs in {source}, found none; run g2rec tokenizer fit first")
    start = time.monotonic()
    tokens = fit_subwords(SemanticIds.load(source), settings.subwords, popularity=_popularity(run))
    made_from = {"semantic_ids": hash_file(source / "manifest.json")}
    tokens.save(run / "subwords", config=settings.subwords, made_from=made_from)
    write_settings(run / "settings.yaml", settings)
    counts = (
        f"{tokens.vocabulary_size:,} {settings.subwords.kind} tokens, "
        f"{len(tokens.indices) / tokens.num_items:.1f} an item"
    )
    announce(StageRecord("subwords", made_from["semantic_ids"], counts, time.monotonic() - start))


def _popularity(run: Path) -> NDArray[np.int64]:
    """Training events of each item: its degree in the run's graph."""
    recipe = run / "graph" / "bipartite"
    graph = InteractionGraph.load(recipe if recipe.is_dir() else run / "graph")
    return graph.item_degrees()
