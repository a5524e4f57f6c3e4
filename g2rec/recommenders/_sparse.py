"""A sparse item-by-item matrix whose rows are added up for the items of a history, on the device."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import nn

from g2rec.shapes import Float, Int, Tensor


class SparseItemRows(nn.Module):
    """CSR rows as tensors: scores of a user = weighted sum of the rows of the items in the history.

    Args:
        matrix: [I, I].
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor

    def __init__(self, matrix: csr_matrix) -> None:
        super().__init__()
        self.num_items = int(matrix.shape[1])
        self.register_buffer("indptr", torch.from_numpy(matrix.indptr.astype(np.int64)))
        self.register_buffer("indices", torch.from_numpy(matrix.indices.astype(np.int64)))
        self.register_buffer("values", torch.from_numpy(matrix.data.astype(np.float32)))

    def weighted_sum(self, items: Int[Tensor, "B n"], weights: Float[Tensor, "B n"]) -> Float[Tensor, "B I"]:
        """Add up the rows of ``items`` with ``weights``; -1 pads."""
        B, n = items.shape
        row, item = torch.arange(B, device=items.device).repeat_interleave(n), items.flatten()
        row, weight, item = row[item >= 0], weights.flatten()[item >= 0], item[item >= 0]
        start = self.indptr[item]
        degree = self.indptr[item + 1] - start
        source = torch.repeat_interleave(degree)  # which (user, item) pair each gathered entry belongs to
        within = torch.arange(len(source), device=items.device) - (degree.cumsum(0) - degree)[source]
        entry = start[source] + within
        scores = torch.zeros(B * self.num_items, device=items.device)
        at = row[source] * self.num_items + self.indices[entry]
        scores.index_add_(0, at, self.values[entry] * weight[source])
        return scores.view(B, self.num_items)

    @staticmethod
    def empty(num_items: int, num_entries: int) -> csr_matrix:
        """A matrix of the right sizes, to be overwritten by loaded weights."""
        indptr: np.ndarray[Any, Any] = np.zeros(num_items + 1, dtype=np.int64)
        indptr[1:] = num_entries
        entries = np.zeros(num_entries, dtype=np.int64)
        return csr_matrix((entries.astype(np.float32), entries, indptr), shape=(num_items, num_items))
