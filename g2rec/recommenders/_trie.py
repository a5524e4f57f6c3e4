"""The catalogue's semantic IDs as a trie in tensors, walked for all beams at once."""

from typing import Any

import numpy as np
import torch
from torch import nn

from g2rec.errors import DataError
from g2rec.shapes import Bool, Int, Tensor


class PrefixTrie(nn.Module):
    """Which codes may follow which prefix, as CSR transitions (the idea of STATIC, arXiv 2602.22647).

    Node 0 is the root; nodes are numbered level by level and, within a level, in the order of their
    prefixes. Every other node has one edge into it, so edge e leads to node e + 1 and the children of a
    node are one range of edges. Each node also covers one range of the items sorted by ID, so "may this
    prefix be walked, given the items that are allowed" is a difference of two running counts.

    Args:
        codes: [I, L] semantic IDs, all different.

    Raises:
        DataError: If two items share an ID, or there is none.
    """

    edge_indptr: Tensor
    edge_code: Tensor
    first_item: Tensor
    last_item: Tensor
    item_order: Tensor

    def __init__(self, codes: np.ndarray[Any, Any]) -> None:
        super().__init__()
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 2 or not codes.size:
            raise DataError(
                f"expected semantic IDs of shape [items, levels], got {codes.shape}; fit a tokenizer"
            )
        num_items, self.num_levels = codes.shape
        order = np.lexsort(codes.T[::-1])
        ordered = codes[order]
        differs = ordered[1:] != ordered[:-1]
        if not differs.any(1).all():
            at = int(np.flatnonzero(~differs.any(1))[0])
            raise DataError(
                f"items {order[at]} and {order[at + 1]} share the ID {tuple(ordered[at].tolist())}; "
                "resolve collisions before fitting a recommender"
            )
        firsts, lasts, edges, degrees = [np.array([0])], [np.array([num_items])], [], []
        parent_of = np.zeros(num_items, dtype=np.int64)  # node, within its level, that covers each item
        num_parents = 1
        for level in range(self.num_levels):
            opens = np.concatenate([[True], differs[:, : level + 1].any(1)])
            first = np.flatnonzero(opens)
            firsts.append(first)
            lasts.append(np.append(first[1:], num_items))
            edges.append(ordered[first, level])
            degrees.append(np.bincount(parent_of[first], minlength=num_parents))
            parent_of, num_parents = np.cumsum(opens) - 1, len(first)
        self.level_sizes = tuple(len(first) for first in firsts)
        self.branching = tuple(int(degree.max()) for degree in degrees)
        counts = np.concatenate([*degrees, np.zeros(num_items, dtype=np.int64)])
        self._tensor("edge_indptr", np.concatenate([[0], np.cumsum(counts)]))
        self._tensor("edge_code", np.concatenate(edges))
        self._tensor("first_item", np.concatenate(firsts))
        self._tensor("last_item", np.concatenate(lasts))
        self._tensor("item_order", order)

    def _tensor(self, name: str, values: np.ndarray[Any, Any]) -> None:
        # Rebuilt from the codes on load, so it is not part of the saved weights.
        self.register_buffer(name, torch.from_numpy(values.astype(np.int64)), persistent=False)

    def successors(
        self, nodes: Int[Tensor, "B W"], level: int
    ) -> tuple[Int[Tensor, "B W M"], Int[Tensor, "B W M"], Bool[Tensor, "B W M"]]:
        """Codes that may follow, the nodes they lead to, and which of the M slots are real."""
        start, end = self.edge_indptr[nodes], self.edge_indptr[nodes + 1]
        slots = torch.arange(self.branching[level], device=nodes.device)
        edge = start.unsqueeze(-1) + slots
        real = edge < end.unsqueeze(-1)
        edge = edge.clamp(max=len(self.edge_code) - 1)
        return self.edge_code[edge], edge + 1, real

    def items(self, leaves: Int[Tensor, "B W"]) -> Int[Tensor, "B W"]:
        """The items that leaf nodes stand for."""
        return self.item_order[self.first_item[leaves]]

    def count_open(self, exclude: Bool[Tensor, "B I"]) -> Int[Tensor, "B J"]:
        """Running count of allowed items in ID order, from 0: J = I + 1."""
        running = (~exclude[:, self.item_order]).cumsum(1)
        return torch.cat([running.new_zeros(len(running), 1), running], dim=1)

    def is_open(self, nodes: Int[Tensor, "B W M"], running: Int[Tensor, "B J"]) -> Bool[Tensor, "B W M"]:
        """Whether an allowed item lies below each node."""
        shape = nodes.shape
        last = running.gather(1, self.last_item[nodes].flatten(1))
        first = running.gather(1, self.first_item[nodes].flatten(1))
        return (last > first).view(shape)
