"""Head, torso and tail: users grouped by how popular their target is."""

import torch

from g2rec.shapes import Bool, Int, Tensor


def popularity_slices(
    target: Int[Tensor, " B"], item_counts: Int[Tensor, " I"]
) -> dict[str, Bool[Tensor, " B"]]:
    """Group users by the popularity of their target among the training events.

    Items in descending order of events: ``head`` holds those that gather the first third of all events,
    ``torso`` the second, ``tail`` the rest. ``cold`` targets have no training event and are in no other
    slice.

    Args:
        target: The item each user went on to choose.
        item_counts: Training events of each item.
    """
    counts = item_counts.cpu().double()
    order = torch.argsort(counts, descending=True, stable=True)
    before = torch.empty_like(counts)
    before[order] = counts[order].cumsum(0) - counts[order]
    share = before / counts.sum().clamp(min=1.0)
    mine, cold = share[target.cpu()], counts[target.cpu()] == 0
    return {
        "head": (mine < 1 / 3) & ~cold,
        "torso": (mine >= 1 / 3) & (mine < 2 / 3) & ~cold,
        "tail": (mine >= 2 / 3) & ~cold,
        "cold": cold,
    }
