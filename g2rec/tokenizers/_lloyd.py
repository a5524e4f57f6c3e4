"""K-means from given centres."""

import torch

from g2rec.shapes import Float, Tensor
from g2rec.tokenizers._quantizer import quantize

_ROWS = 65_536


def lloyd(
    points: Float[Tensor, "B D"], centres: Float[Tensor, "V D"], iterations: int = 1
) -> Float[Tensor, "V D"]:
    """Lloyd steps; a centre that nothing chose moves onto a point that fits worst.

    Unlike `g2rec.prototypes.kmeans` it starts where it is told to, so that a centre keeps its index.

    Args:
        points: What to cluster.
        centres: Where to start.
        iterations: Steps, at most; stops early when no point changes its centre.
    """
    previous: Tensor | None = None
    for _ in range(iterations):
        code = torch.cat([quantize(part, centres[None])[0][:, 0] for part in torch.split(points, _ROWS)])
        if previous is not None and torch.equal(code, previous):
            break
        previous = code
        count = torch.bincount(code, minlength=len(centres))
        total = torch.zeros_like(centres).index_add_(0, code, points)
        means = total / count.clamp_min(1).unsqueeze(1)
        empty = torch.nonzero(count == 0).flatten()
        if len(empty):
            gap = (points - centres[code]).square().sum(dim=1)
            worst = gap.argsort(descending=True, stable=True)[: len(empty)]
            means[empty] = centres[empty]
            means[empty[: len(worst)]] = points[worst]
        centres = means
    return centres
