"""GraphSAGE."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from g2rec.encoders._base import GraphEncoder
from g2rec.encoders._checks import check_sizes
from g2rec.encoders._features import NodeFeatures
from g2rec.shapes import Int, Tensor


@dataclass(frozen=True, kw_only=True)
class GraphSAGEConfig:
    """Learned combination of a node and the mean of its neighbours."""

    embedding_dim: int = 64
    """Dimensions of the embeddings, D."""
    num_layers: int = 2
    """Layers, and hops to sample."""
    user_table: bool = False
    """Give users an embedding of their own; a new user then has none."""

    def build(self, num_users: int, num_items: int, content_dim: int = 0) -> "GraphSAGE":
        """Make the encoder.

        Raises:
            ConfigError: If a size is not positive.
        """
        check_sizes(self.embedding_dim, self.num_layers)
        return GraphSAGE(
            self, NodeFeatures(num_users, num_items, content_dim, self.embedding_dim, self.user_table)
        )


class GraphSAGE(GraphEncoder):
    """GraphSAGE with the mean aggregator (Hamilton et al. 2017, https://arxiv.org/abs/1706.02216).

    x_v^(l+1) = W_1 x_v^(l) + W_2 mean_{w in N(v)} x_w^(l) + b, with a ReLU between layers;  h_v = x_v^(H)
    """

    def __init__(self, config: GraphSAGEConfig, features: NodeFeatures) -> None:
        super().__init__(config, features)
        D = config.embedding_dim
        self.own = nn.ModuleList(nn.Linear(D, D) for _ in range(config.num_layers))
        self.neighbours = nn.ModuleList(nn.Linear(D, D, bias=False) for _ in range(config.num_layers))

    def layer(
        self,
        depth: int,
        x: Tensor,
        x_target: Tensor,
        source: Int[Tensor, " e"],
        target: Int[Tensor, " e"],
        degree: Tensor,
        degree_target: Tensor,
    ) -> Tensor:
        """W_1 x_v + W_2 mean_w x_w + b."""
        total = torch.zeros_like(x_target).index_add(0, target, x[source])
        sampled = torch.bincount(target, minlength=len(x_target)).clamp_min(1)
        out: Tensor = self.own[depth](x_target) + self.neighbours[depth](total / sampled.unsqueeze(1))
        return out if depth == self.num_layers - 1 else F.relu(out)

    def readout(self, states: list[Tensor]) -> Tensor:
        """The last layer."""
        return states[-1]
