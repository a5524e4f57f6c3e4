"""The catalogue's semantic IDs as a trie in tensors, walked for all beams at once."""

from typing import Any

import numpy as np
import torch
from torch import nn

from g2rec.errors import DataError
from g2rec.shapes import Bool, Float, Int, Tensor


class PrefixTrie(nn.Module):
    """Which codes may follow which prefix, as CSR transitions (the idea of STATIC, arXiv 2602.22647).

    Node 0 is the root; nodes are numbered level by level and, within a level, in the order of their
    prefixes, so that the children of a node are one range of nodes and each child knows the code that leads
    to it. Each node also covers one range of the items sorted by ID, so "may this prefix be walked, given
    the items that are allowed" is a difference of two running counts. Leaves are numbered as the sorted
    items are, so nothing but their code is stored.

    Args:
        codes: [I, L] semantic IDs, all different.

    Raises:
        DataError: If two items share an ID, or there is none.
    """

    child_indptr: Tensor
    """int32, one more than there are inner nodes: where the children of each begin."""
    node_code: Tensor
    """int16, or int32 where a code needs it: the last code of each node's prefix; 0 for the root."""
    first_item: Tensor
    """int32 for inner nodes and the first leaf; 0 opens a level."""
    item_order: Tensor
    """int32 [I]: items sorted by ID."""
    slots: Tensor
    """0, 1, 2 ... as far as any node has children; node_code and first_item are padded by as much."""

    def __init__(self, codes: np.ndarray[Any, Any]) -> None:
        super().__init__()
        codes = np.asarray(codes)
        if codes.ndim != 2 or not codes.size:
            raise DataError(
                f"expected semantic IDs of shape [items, levels], got {codes.shape}; fit a tokenizer"
            )
        codes = codes.astype(np.int16 if int(codes.max()) < 2**15 else np.int32)
        self.num_items, self.num_levels = codes.shape
        order = np.lexsort(codes.T[::-1])
        ordered = codes[order]
        opens = np.zeros(self.num_items, dtype=bool)  # which sorted items open a node of the level
        opens[0] = True
        parent_of = np.zeros(self.num_items, dtype=np.int32)  # node, within its level, that covers each item
        num_parents = 1
        firsts, reached_by, degrees = [np.zeros(1, dtype=np.int32)], [codes[:1, 0] * 0], []
        for level in range(self.num_levels):
            opens[1:] |= ordered[1:, level] != ordered[:-1, level]
            first = np.flatnonzero(opens).astype(np.int32)
            firsts.append(first)
            reached_by.append(ordered[first, level])
            degrees.append(np.bincount(parent_of[first], minlength=num_parents))
            parent_of, num_parents = np.cumsum(opens, dtype=np.int32) - 1, len(first)
        if num_parents < self.num_items:
            at = int(np.flatnonzero(~opens)[0]) - 1
            raise DataError(
                f"items {order[at]} and {order[at + 1]} share the ID {tuple(ordered[at].tolist())}; "
                "resolve collisions before fitting a recommender"
            )
        self.level_sizes = tuple(len(first) for first in firsts)
        self.first_leaf = sum(self.level_sizes[:-1])
        self.last_node = tuple(int(end) - 1 for end in np.cumsum(self.level_sizes))
        self.branching = tuple(int(degree.max()) for degree in degrees)
        widest = max(self.branching)
        starts = 1 + np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *degrees]))
        self._tensor("child_indptr", starts.astype(np.int32))
        self._tensor("node_code", np.pad(np.concatenate(reached_by), (0, widest)))
        self._tensor("first_item", np.pad(np.concatenate(firsts[:-1]), (0, widest)))
        self._tensor("item_order", order.astype(np.int32))
        self._tensor("slots", np.arange(widest))

    def _tensor(self, name: str, values: np.ndarray[Any, Any]) -> None:
        # Rebuilt from the codes on load, so it is not part of the saved weights.
        self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def successors(
        self, nodes: Int[Tensor, "B W"], level: int
    ) -> tuple[Int[Tensor, "B W M"], Int[Tensor, "B W M"], Bool[Tensor, "B W M"]]:
        """Codes that may follow, the nodes they lead to, and which of the M slots are real.

        M is the largest number of children on the level: at most the codebook's size, and few where IDs
        are nearly spelled out.
        A node that is not real may be walked on from: where it leads does not matter, and nothing fails.
        """
        nodes = nodes.clamp(max=self.last_node[level])
        span = self.child_indptr.unfold(0, 2, 1)[nodes]
        child = span[..., :1] + self.slots[: self.branching[level]]
        code = self.node_code.index_select(0, child.flatten()).view(child.shape)  # three times faster than []
        return code.long(), child, child < span[..., 1:]

    def items(self, leaves: Int[Tensor, "B W"]) -> Int[Tensor, "B W"]:
        """The items that leaf nodes stand for."""
        return self.item_order[(leaves - self.first_leaf).clamp(max=self.num_items - 1)].long()

    def count_open(self, exclude: Bool[Tensor, "B I"]) -> Int[Tensor, "B J"]:
        """Running count of allowed items in ID order, from 0: J = I + 1."""
        running = (~exclude[:, self.item_order]).cumsum(1, dtype=torch.int32)
        return torch.cat([running.new_zeros(len(running), 1), running], dim=1)

    def is_open(
        self, nodes: Int[Tensor, "B W M"], level: int, running: Int[Tensor, "#B J"]
    ) -> Bool[Tensor, "B W M"]:
        """Whether an allowed item lies below each node that `successors` gave at a level."""
        first, last = self._span(nodes, level)
        rows = running.expand(len(nodes), -1)
        below = rows.gather(1, last.flatten(1)) > rows.gather(1, first.flatten(1))
        return below.view(nodes.shape)

    def accumulate(self, probability: Float[Tensor, "B I"]) -> Float[Tensor, "B J"]:
        """Running sums over the items in ID order, from 0: J = I + 1; in float64, for differences of them."""
        rows, items = probability.shape
        running = probability.new_zeros(rows, items + 1, dtype=torch.float64)
        torch.cumsum(probability[:, self.item_order], 1, dtype=torch.float64, out=running[:, 1:])
        return running

    def mass(
        self, nodes: Int[Tensor, "B W M"], level: int, running: Float[Tensor, "B J"]
    ) -> Float[Tensor, "B W M"]:
        """The probability of the items below each node that `successors` gave at a level."""
        first, last = self._span(nodes, level)
        below = running.gather(1, last.flatten(1)) - running.gather(1, first.flatten(1))
        return below.view(nodes.shape)

    def _span(
        self, nodes: Int[Tensor, "B W M"], level: int
    ) -> tuple[Int[Tensor, "B W M"], Int[Tensor, "B W M"]]:
        """Where the items below each node begin and end, in ID order."""
        if level == self.num_levels - 1:
            first = (nodes - self.first_leaf).clamp(0, self.num_items - 1)
            return first, first + 1
        first, last = self.first_item[nodes].long(), self.first_item[nodes + 1].long()
        return first, last.masked_fill(last == 0, self.num_items)
