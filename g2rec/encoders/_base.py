"""What all encoders share: layers over a sampled subgraph, or over the whole graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from g2rec.artifacts import Folder, save_folder, to_plain
from g2rec.encoders._embeddings import NodeEmbeddings
from g2rec.encoders._features import DroppedItems, NodeFeatures
from g2rec.encoders._inference import Progress, infer
from g2rec.graph import InteractionGraph
from g2rec.sampling import SampledSubgraph
from g2rec.shapes import Float, Int, Tensor

_RIDGE_ITEMS = 200_000
"""Items that the map from content to embeddings is fitted on, at most."""


class EncoderConfig(Protocol):
    """What a configuration of an encoder offers."""

    @property
    def num_layers(self) -> int:
        """Layers, and hops to sample."""

    def build(self, num_users: int, num_items: int, content_dim: int = 0) -> "GraphEncoder":
        """Make the encoder."""


class GraphEncoder(nn.Module):
    """An encoder is a ``neighbour_scale``, an ``update`` and a ``readout``; both paths use them.

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

    def neighbour_scale(self, degree: Int[Tensor, " n"]) -> Float[Tensor, " n"] | None:
        """What a node's state is multiplied by when its neighbours add it up; None for one."""
        raise NotImplementedError

    def update(
        self,
        depth: int,
        total: Float[Tensor, "m D"],
        count: Int[Tensor, " m"],
        x_target: Float[Tensor, "m D"],
        degree_target: Int[Tensor, " m"],
    ) -> Float[Tensor, "m D"]:
        """One layer's output from the sums over neighbours.

        Args:
            depth: Counted from 0.
            total: Sums of the scaled states of the neighbours.
            count: How many were summed.
            x_target: States of the targets themselves.
            degree_target: Their neighbours in the whole graph.
        """
        raise NotImplementedError

    def readout(self, states: list[Float[Tensor, "m D"]]) -> Float[Tensor, "m D"]:
        """The embedding from the states after 0, 1, .., H layers."""
        raise NotImplementedError

    def forward(
        self,
        subgraph: SampledSubgraph,
        content: Float[Tensor, "I F"] | None = None,
        dropped: DroppedItems | None = None,
    ) -> Float[Tensor, "S D"]:
        """Embeddings of the seeds, in the order they were asked for.

        Args:
            subgraph: Of ``num_layers`` hops, on the encoder's device.
            content: Features of all items.
            dropped: Items that have no ID embedding, or no edges either, in this step.
        """
        if subgraph.num_hops != self.num_layers:
            raise ValueError(
                f"expected a subgraph of {self.num_layers} hops, got {subgraph.num_hops}; "
                "give one fanout a layer"
            )
        source, target = subgraph.edge_index
        degrees, keep = subgraph.degrees, None
        if dropped is not None:
            item = subgraph.nodes - self.features.num_users
            gone = dropped.edges[item.clamp_min(0)] & (item >= 0)
            degrees = degrees.masked_fill(gone, 0)
            keep = ~(gone[source] | gone[target])
        x = self.features(subgraph.nodes, degrees, content, None if dropped is None else dropped.ids)
        states = [x[: subgraph.num_seeds]]
        for depth in range(self.num_layers):
            hop = self.num_layers - 1 - depth
            num_targets, num_edges = subgraph.nodes_per_hop[hop], subgraph.edges_per_hop[hop]
            s, t = source[:num_edges], target[:num_edges]
            if keep is not None:
                s, t = s[keep[:num_edges]], t[keep[:num_edges]]
            weight = None if subgraph.edge_weight is None else subgraph.edge_weight[:num_edges]
            if keep is not None:
                weight = None if weight is None else weight[keep[:num_edges]]
            x = self._layer(depth, x, s, t, weight, subgraph.degrees, num_targets)
            states.append(x[: subgraph.num_seeds])
        return self.readout(states)[subgraph.seed_index]

    def embed_new(self, content: Float[Tensor, "B F"]) -> Float[Tensor, "B D"]:
        """Embeddings of items without events from their content: what `learn_new_items` found.

        Raises:
            ConfigError: If the encoder was built without content.
        """
        return self.features.of_new(content)

    def learn_new_items(
        self, graph: InteractionGraph, content: Float[Tensor, "I F"] | NDArray[np.float32] | None
    ) -> None:
        """After training: make items without events what their content says, and nothing else.

        Their ID embeddings were never trained and become zero. Content is mapped to embeddings by ridge
        regression on the items that have events (Gantner et al. 2010, Learning Attribute-to-Feature Mappings
        for Cold-Start Recommendations), its penalty chosen by leave-one-out error. In closed form, because a
        map learned by gradient learns noisy content by heart: on `synthetic` with 64 interests items known by
        content alone reached an AMI of .27 so, where a supervised probe reaches .40. Memberships of such
        items do not go by way of the embedding (`g2rec.prototypes.ContentMemberships`).
        """
        known = graph.item_degrees() > 0
        features = self.features
        with torch.no_grad():
            unseen = torch.from_numpy(~known).to(features.item.weight.device)
            features.item.weight[unseen] = 0
        if features.content is None or content is None or not known.any():
            return
        items = self.embed_items(graph, content)[known]
        rows = np.random.default_rng(0).permutation(len(items))[:_RIDGE_ITEMS]
        given = np.asarray(content, dtype=np.float64)[np.flatnonzero(known)[rows]]
        target = items[rows] / np.maximum(np.linalg.norm(items[rows], axis=1, keepdims=True), 1e-12)
        features.set_new(given, target)

    def _layer(
        self,
        depth: int,
        x: Float[Tensor, "n D"],
        source: Int[Tensor, " e"],
        target: Int[Tensor, " e"],
        weight: Float[Tensor, " e"] | None,
        degrees: Int[Tensor, " n"],
        num_targets: int,
    ) -> Float[Tensor, "m D"]:
        """One layer over sampled edges; with weights, which add up to 1, the sum is a weighted mean."""
        scale = self.neighbour_scale(degrees[: len(x)])
        message = x if scale is None else x * scale.to(x.dtype).unsqueeze(1)
        drawn = message.index_select(0, source)
        if weight is not None:
            drawn = drawn * weight.unsqueeze(1)
        x_target = x[:num_targets]
        total = torch.zeros_like(x_target).index_add(0, target, drawn)
        count = torch.bincount(target, minlength=num_targets)
        if weight is not None:
            count = count.clamp_max(1)
        return self.update(depth, total, count, x_target, degrees[:num_targets])

    def embed_all(
        self,
        graph: InteractionGraph,
        content: Float[Tensor, "I F"] | NDArray[np.float32] | None = None,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> NodeEmbeddings:
        """Embed every node from all its neighbours, layer by layer (`infer`).

        Args:
            graph: Read row by row, so it may be memory-mapped.
            content: Features of all items.
            folder: Where to keep each layer's states, mapped, and go on after a kill; in memory if not given.
            progress: Told of a layer's name, nodes done, nodes in all.
        """
        users, items = infer(self, graph, content, folder=folder, progress=progress)
        assert users is not None
        return NodeEmbeddings(users, items)

    def embed_items(
        self,
        graph: InteractionGraph,
        content: Float[Tensor, "I F"] | NDArray[np.float32] | None = None,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Embed the items only, [I, D], as `embed_all` does: the users' last layer is left out."""
        return infer(self, graph, content, folder=folder, progress=progress, items_only=True)[1]

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
