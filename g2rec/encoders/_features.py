"""What a node knows of itself before it looks at its neighbours."""

import numpy as np
import torch
from torch import nn

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError
from g2rec.shapes import Bool, Float, Int, Tensor


class NodeFeatures(nn.Module):
    """Items: ID embedding + projected content. Users: zero, for a user is what the user did.

    x_i = e_i + W f_i;  x_u = 0, or a table's row if ``user_table`` is on (for comparison only)

    Args:
        num_users: U.
        num_items: I.
        content_dim: F; 0 leaves content out.
        embedding_dim: D.
        user_table: Give users an embedding of their own; a new user then has none.
    """

    def __init__(
        self, num_users: int, num_items: int, content_dim: int, embedding_dim: int, user_table: bool = False
    ) -> None:
        super().__init__()
        self.num_users, self.num_items, self.content_dim = num_users, num_items, content_dim
        self.embedding_dim = embedding_dim
        self.item = nn.Embedding(num_items, embedding_dim)
        nn.init.normal_(self.item.weight, std=0.1)
        self.content = nn.Linear(content_dim, embedding_dim, bias=False) if content_dim else None
        if self.content is not None:
            nn.init.normal_(self.content.weight, std=0.1 * content_dim**-0.5)
        self.user = nn.Embedding(num_users, embedding_dim) if user_table else None
        if self.user is not None:
            nn.init.normal_(self.user.weight, std=0.1)

    def forward(
        self,
        nodes: Int[Tensor, " n"],
        content: Float[Tensor, "I F"] | None,
        dropped: Bool[Tensor, " I"] | None = None,
    ) -> Float[Tensor, "n D"]:
        """Inputs of nodes; items in ``dropped`` keep their content only.

        Raises:
            ConfigError: If the content is missing or has another width.
        """
        width = 0 if content is None else content.shape[1]
        if self.content is not None and width != self.content_dim:
            raise ConfigError(
                f"the encoder was built for content of {self.content_dim} features, got {width}; "
                "pass the content it was fitted with"
            )
        rows = torch.nonzero(nodes >= self.num_users).squeeze(1)
        item = nodes[rows] - self.num_users
        known = self.item(item)
        if dropped is not None:
            known = known * ~dropped[item].unsqueeze(1)
        if self.content is not None and content is not None:
            known = known + self.content(content[item])
        users: Tensor
        if self.user is None:
            users = known.new_zeros(len(nodes), self.embedding_dim)
        else:
            users = self.user(nodes.clamp_max(self.num_users - 1)).to(known.dtype)
        return users.index_copy(0, rows, known)


def drop_items(num_items: int, rate: float, *, seed: int, key: tuple[int, int]) -> Bool[Tensor, " I"]:
    """Mark the items that lose their ID embedding and edges in a step, so that the encoder learns new items.

    Args:
        num_items: I.
        rate: Share of the items; 0.1 to 0.2 is usual.
        seed: With the key, decides which.
        key: (epoch, step).
    """
    rng = np.random.default_rng(derive_seed(seed, "item dropout", *key))
    return torch.from_numpy(rng.random(num_items) < rate)
