"""GraphSAGE."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from g2rec.encoders._base import GraphEncoder
from g2rec.encoders._checks import check_sizes
from g2rec.encoders._features import NodeFeatures
from g2rec.shapes import Tensor


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

    Over the subgraphs of `PinSageSampler` the mean is weighted by importance (Ying et al. 2018).
    """

    def __init__(self, config: GraphSAGEConfig, features: NodeFeatures) -> None:
        super().__init__(config, features)
        D = config.embedding_dim
        self.own = nn.ModuleList(nn.Linear(D, D) for _ in range(config.num_layers))
        self.neighbours = nn.ModuleList(nn.Linear(D, D, bias=False) for _ in range(config.num_layers))

    def neighbour_scale(self, degree: Tensor) -> None:
        """One."""
        return

    def update(
        self, depth: int, total: Tensor, count: Tensor, x_target: Tensor, degree_target: Tensor
    ) -> Tensor:
        """W_1 x_v + W_2 mean_w x_w + b."""
        mean = total / count.clamp_min(1).unsqueeze(1)
        out: Tensor = self.own[depth](x_target) + self.neighbours[depth](mean)
        return out if depth == self.num_layers - 1 else F.relu(out)

    def readout(self, states: list[Tensor]) -> Tensor:
        """The last layer."""
        return states[-1]
