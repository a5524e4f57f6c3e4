"""What all encoders share: layers over a sampled subgraph, or over the whole graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from g2rec.artifacts import Folder, save_folder, to_plain
from g2rec.encoders._embeddings import NodeEmbeddings
from g2rec.encoders._features import NodeFeatures
from g2rec.graph import InteractionGraph
from g2rec.sampling import SampledSubgraph
from g2rec.shapes import Bool, Float, Int, Tensor


class EncoderConfig(Protocol):
    """What a configuration of an encoder offers."""

    @property
    def num_layers(self) -> int:
        """Layers, and hops to sample."""

    def build(self, num_users: int, num_items: int, content_dim: int = 0) -> "GraphEncoder":
        """Make the encoder."""


class GraphEncoder(nn.Module):
    """An encoder is a ``layer`` and a ``readout``; both paths through the graph use them.

    ``forward`` runs over a sampled subgraph, ``embed_all`` layer by layer over all neighbours. With all
    neighbours sampled the two agree.
    """

    def __init__(self, config: EncoderConfig, features: NodeFeatures) -> None:
        super().__init__()
        self.config, self.features = config, features

    @property
    def num_layers(self) -> int:
        """Layers, hence hops."""
        return self.config.num_layers

    def layer(
        self,
        depth: int,
        x: Float[Tensor, "n D"],
        x_target: Float[Tensor, "m D"],
        source: Int[Tensor, " e"],
        target: Int[Tensor, " e"],
        degree: Int[Tensor, " n"],
        degree_target: Int[Tensor, " m"],
    ) -> Float[Tensor, "m D"]:
        """One layer's output for the targets.

        Args:
            depth: Counted from 0.
            x: States of the nodes that edges come from.
            x_target: States of the targets themselves.
            source: Rows of ``x``.
            target: Rows of ``x_target``.
            degree: Neighbours in the whole graph of the rows of ``x``.
            degree_target: The same of the targets.
        """
        raise NotImplementedError

    def readout(self, states: list[Float[Tensor, "m D"]]) -> Float[Tensor, "m D"]:
        """The embedding from the states after 0, 1, .., H layers."""
        raise NotImplementedError

    def forward(
        self,
        subgraph: SampledSubgraph,
        content: Float[Tensor, "I F"] | None = None,
        dropped: Bool[Tensor, " I"] | None = None,
    ) -> Float[Tensor, "S D"]:
        """Embeddings of the seeds, in the order they were asked for.

        Args:
            subgraph: Of ``num_layers`` hops, on the encoder's device.
            content: Features of all items.
            dropped: Items that have content only in this step: no ID embedding, no edges.
        """
        if subgraph.num_hops != self.num_layers:
            raise ValueError(
                f"expected a subgraph of {self.num_layers} hops, got {subgraph.num_hops}; "
                "give one fanout a layer"
            )
        x = self.features(subgraph.nodes, content, dropped)
        source, target = subgraph.edge_index
        keep = None
        if dropped is not None:
            item = subgraph.nodes - self.features.num_users
            gone = dropped[item.clamp_min(0)] & (item >= 0)
            keep = ~(gone[source] | gone[target])
        states = [x[: subgraph.num_seeds]]
        for depth in range(self.num_layers):
            hop = self.num_layers - 1 - depth
            num_targets, num_edges = subgraph.nodes_per_hop[hop], subgraph.edges_per_hop[hop]
            s, t = source[:num_edges], target[:num_edges]
            if keep is not None:
                s, t = s[keep[:num_edges]], t[keep[:num_edges]]
            degrees = subgraph.degrees
            x = self.layer(depth, x, x[:num_targets], s, t, degrees[: len(x)], degrees[:num_targets])
            states.append(x[: subgraph.num_seeds])
        return self.readout(states)[subgraph.seed_index]

    @torch.no_grad()
    def embed_all(
        self,
        graph: InteractionGraph,
        content: Float[Tensor, "I F"] | None = None,
        batch_size: int = 1 << 20,
    ) -> NodeEmbeddings:
        """Embed every node from all its neighbours, layer by layer.

        Args:
            graph: Read row by row, so it may be memory-mapped.
            content: Features of all items.
            batch_size: Edges handled at a time (whole rows; a longer row is handled alone).
        """
        device = self.features.item.weight.device
        x = self.features(torch.arange(graph.num_nodes, device=device), _to(content, device))
        degree = torch.from_numpy(graph.degrees()).to(device)
        cuts = np.searchsorted(graph.indptr, np.arange(0, graph.num_edges + 1, batch_size))
        bounds = np.unique(np.concatenate(([0], cuts, [graph.num_nodes])).clip(0, graph.num_nodes))
        states = [x]
        for depth in range(self.num_layers):
            parts = []
            for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
                begin, end = int(graph.indptr[first]), int(graph.indptr[last])
                source = torch.from_numpy(graph.indices[begin:end].astype(np.int64)).to(device)
                own = degree[first:last]
                target = torch.repeat_interleave(torch.arange(last - first, device=device), own)
                parts.append(self.layer(depth, x, x[first:last], source, target, degree, own))
            x = torch.cat(parts)
            states.append(x)
        every = self.readout(states).float().cpu().numpy()
        return NodeEmbeddings(every[: graph.num_users], every[graph.num_users :])

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the weights, and what `load_encoder` needs to rebuild the encoder."""
        features = self.features
        meta = {
            "encoder": to_plain(self.config),
            "num_users": features.num_users,
            "num_items": features.num_items,
            "content_dim": features.content_dim,
        }
        weights = {"weights": self.state_dict()}
        return save_folder(
            path, "graph_encoder", tensors=weights, config=config, made_from=made_from, meta=meta
        )


def _to(content: Tensor | None, device: torch.device) -> Tensor | None:
    return None if content is None else content.to(device)
