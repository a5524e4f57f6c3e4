"""LightGCN."""

from dataclasses import dataclass

import torch

from g2rec.encoders._base import GraphEncoder
from g2rec.encoders._checks import check_sizes
from g2rec.encoders._features import NodeFeatures
from g2rec.shapes import Int, Tensor


@dataclass(frozen=True, kw_only=True)
class LightGCNConfig:
    """Neighbourhood averages without weights or nonlinearities."""

    embedding_dim: int = 64
    """Dimensions of the embeddings, D."""
    num_layers: int = 2
    """Layers, and hops to sample."""
    user_table: bool = False
    """Give users an embedding of their own; a new user then has none."""

    def build(self, num_users: int, num_items: int, content_dim: int = 0) -> "LightGCN":
        """Make the encoder.

        Raises:
            ConfigError: If a size is not positive.
        """
        check_sizes(self.embedding_dim, self.num_layers)
        return LightGCN(
            self, NodeFeatures(num_users, num_items, content_dim, self.embedding_dim, self.user_table)
        )


class LightGCN(GraphEncoder):
    """LightGCN (He et al. 2020, https://arxiv.org/abs/2002.02126), sampled.

    x_v^(l+1) = sum_{w in N(v)} x_w^(l) / sqrt(d_v d_w);   h_v = mean_l x_v^(l)

    With k of the d_v neighbours sampled, each counts d_v / k, which keeps the sum unbiased. Deviation from
    the paper: users start from zero unless they have a table, and items may have content.
    """

    def neighbour_scale(self, degree: Int[Tensor, " n"]) -> Tensor:
        """1 / sqrt(d_w)."""
        return degree.clamp_min(1).float().rsqrt()

    def update(
        self, depth: int, total: Tensor, count: Tensor, x_target: Tensor, degree_target: Tensor
    ) -> Tensor:
        """sqrt(d_v) / k sum_w x_w / sqrt(d_w)."""
        return total * (degree_target.to(total.dtype).sqrt() / count.clamp_min(1)).unsqueeze(1)

    def readout(self, states: list[Tensor]) -> Tensor:
        """Mean over the layers, the input included."""
        return torch.stack(states).mean(dim=0)
