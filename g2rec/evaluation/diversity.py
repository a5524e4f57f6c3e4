"""How widely the recommendations spread over the catalogue."""

import torch

from g2rec.shapes import Int, Tensor


def coverage(items: Int[Tensor, "B K"], num_items: int) -> float:
    """Share of the catalogue that is in at least one list; -1 pads short lists."""
    return float(torch.unique(items[items >= 0]).numel() / num_items)


def gini(items: Int[Tensor, "B K"], num_items: int) -> float:
    """Gini coefficient of how often each item is recommended: 0 is even, towards 1 a few items take all.

    G = sum_i (2 i - n - 1) x_(i) / (n sum_i x_i), the counts x in ascending order, i from 1
    (Gini, 1912). Items that are never recommended count as 0; without any recommendation G is 0.
    """
    counts = torch.bincount(items[items >= 0].flatten(), minlength=num_items).double().sort().values
    total = counts.sum()
    if float(total) == 0.0:
        return 0.0
    place = torch.arange(1, num_items + 1, dtype=torch.float64, device=counts.device)
    return float(((2 * place - num_items - 1) * counts).sum() / (num_items * total))


def novelty(items: Int[Tensor, "B K"], item_counts: Int[Tensor, " I"]) -> float:
    """Mean self-information of a recommended item, in bits (Zhou et al., PNAS 2010).

    -log2((n_i + 1) / (N + I)), where n_i counts the training events of item i and N those of all items;
    the added one keeps items without events finite. Without any recommendation it is 0.
    """
    smoothed = (item_counts.double() + 1.0) / (item_counts.sum() + item_counts.numel())
    shown = items[items >= 0].flatten()
    return float(-torch.log2(smoothed[shown.to(smoothed.device)]).mean()) if shown.numel() else 0.0
