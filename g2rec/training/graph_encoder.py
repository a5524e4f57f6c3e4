"""Fit an encoder and its interest prototypes on a graph alone, however large."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.encoders import EncoderConfig, GraphEncoder
from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph
from g2rec.prototypes import GraphHeadConfig, PrototypeHead
from g2rec.sampling import DeviceSampler, NeighborSampler, Sampler
from g2rec.shapes import Tensor
from g2rec.training.encoder import EncoderModule, LinkConfig, encoder_loader
from g2rec.training.fitting import FitConfig, FitReport, fit
from g2rec.training.links import GraphLinks

EPOCH_STEPS = 500
"""Steps of an epoch, after which there is a checkpoint, where a pass over all events would take more."""
_START_ITEMS = 32_768
"""Items whose embeddings the prototypes start from."""
_SPARSE_ROWS = 100_000
"""Items from which only the rows of the embedding table that a batch touches are updated."""


@dataclass(frozen=True)
class FittedGraphEncoder:
    """What the fit hands over; embeddings of all items are for `GraphEncoder.embed_items` to make."""

    encoder: GraphEncoder
    head: PrototypeHead
    report: FitReport


def fit_graph_encoder(
    graph: InteractionGraph,
    encoder_config: EncoderConfig,
    head_config: GraphHeadConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
    link_config: LinkConfig | None = None,
    content: NDArray[np.float32] | None = None,
    window: int = 10,
) -> FittedGraphEncoder:
    """Train an encoder and its prototypes on a graph's events, as `fit_encoder` does on a prepared log.

    Nothing takes time or memory in proportion to the events: links and co-engaged pairs are drawn from the
    users' rows (`GraphLinks`), neighbours are sampled, and a large item table is updated by rows. On a GPU
    the graph is sampled there (`DeviceSampler`), on the CPU by threads that work ahead.

    Args:
        graph: Its events are all trained on.
        encoder_config: ``LightGCNConfig`` or ``GraphSAGEConfig``.
        head_config: The prototypes; without a co-engagement graph they start from k-means, at gamma 1 unless
            another is set.
        fit_config: Length and rates; a row is an event, and an epoch has at most `EPOCH_STEPS` batches.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial weights and all draws.
        link_config: What a step samples.
        content: [I, F] features of the items.
        window: Places in a user's row between two co-engaged events, at most.

    Raises:
        ConfigError: If a setting is out of range, or the content is not of the graph's items.
        DataError: If the graph has no event.
    """
    link_config = link_config or LinkConfig(num_threads=2)
    link_config.check(encoder_config.num_layers)
    fit_config.check()
    features = None
    if content is not None:
        if len(content) != graph.num_items:
            raise ConfigError(
                f"expected content of the graph's {graph.num_items} items, got {len(content)} rows; "
                "row i is the content of item i"
            )
        features = torch.from_numpy(np.array(content, dtype=np.float32))
    links = GraphLinks(graph, window=window, seed=seed)
    torch.manual_seed(derive_seed(seed, "encoder", "init"))
    encoder = encoder_config.build(
        graph.num_users, graph.num_items, 0 if features is None else features.shape[1]
    )
    encoder.features.item.sparse = graph.num_items >= _SPARSE_ROWS
    head = head_config.build(encoder.features.embedding_dim)
    on_gpu = fit_config.accelerator != "cpu" and torch.cuda.is_available()
    sampler: Sampler = (DeviceSampler if on_gpu else NeighborSampler)(graph, link_config.fanouts, seed=seed)

    def start_items() -> Tensor:
        return _some_items(module, graph, sampler, links.counts)

    steps = min(EPOCH_STEPS, math.ceil(len(links) / fit_config.batch_size))
    fit_config = fit_config.settled(steps)
    module = EncoderModule(encoder, head, graph, features, link_config, fit_config, seed, start_items)
    train = encoder_loader(
        links,
        sampler,
        graph.num_users,
        replace(link_config, num_threads=0) if on_gpu else link_config,  # a GPU makes its batches itself
        fit_config.batch_size,
        has_content=features is not None,
        seed=seed,
        num_rows=steps * fit_config.batch_size,
        shuffle=False,
    )
    report = fit(module, train, config=fit_config, folder=folder, name="encoder", seed=seed)
    return FittedGraphEncoder(encoder.cpu().eval(), head.cpu().eval(), report)


@torch.no_grad()
def _some_items(
    module: EncoderModule, graph: InteractionGraph, sampler: Sampler, counts: NDArray[np.int64]
) -> Tensor:
    """Embeddings of some items with events, from sampled neighbours."""
    rng = np.random.default_rng(derive_seed(module.seed, "start items"))
    known = np.flatnonzero(counts)
    chosen = torch.from_numpy(rng.choice(known, min(_START_ITEMS, len(known)), replace=False))
    parts = []
    for step, items in enumerate(torch.split(chosen, 1024)):
        subgraph = sampler.sample(items + graph.num_users, key=(2**31 - 1, step))
        parts.append(module.encoder(subgraph.to(module.device), module.content))
    return torch.cat(parts)
