"""K-means, vectorised, on the device of its points: starts prototypes and codebooks."""

import torch
import torch.nn.functional as F

from g2rec.shapes import Float, Int, Tensor

_CHUNK = 1 << 24
"""Distances held at a time."""


def kmeans(
    points: Float[Tensor, "B D"],
    num_clusters: int,
    *,
    seed: int,
    iterations: int = 20,
    spherical: bool = False,
) -> Float[Tensor, "V D"]:
    """Lloyd's k-means from a k-means++ start; an empty cluster is moved to the point that fits worst.

    Args:
        points: What to cluster; fewer distinct points than clusters leave noisy copies.
        num_clusters: Centres to return.
        seed: Decides the start.
        iterations: Lloyd steps, at most; stops early when no point changes its cluster.
        spherical: Cluster directions: points and centres are scaled to unit norm.

    Returns:
        The centres.
    """
    generator = torch.Generator().manual_seed(seed)
    points = points.detach().float()
    if spherical:
        points = F.normalize(points, dim=1)
    centres = _plus_plus(points, num_clusters, generator)
    previous: Tensor | None = None
    for _ in range(iterations):
        label, distance = nearest(points, centres)
        if previous is not None and torch.equal(label, previous):
            break
        previous = label
        centres = _means(points, label, distance, centres)
        if spherical:
            centres = F.normalize(centres, dim=1)
    return centres


def nearest(
    points: Float[Tensor, "B D"], centres: Float[Tensor, "V D"]
) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """The nearest centre of each point and the squared distance to it, in chunks of rows."""
    labels, distances = [], []
    squares = centres.square().sum(dim=1)
    for chunk in torch.split(points, max(1, _CHUNK // len(centres))):
        gap = squares - 2 * chunk @ centres.T
        best = gap.min(dim=1)
        labels.append(best.indices)
        distances.append((best.values + chunk.square().sum(dim=1)).clamp_min(0))
    return torch.cat(labels), torch.cat(distances)


def _plus_plus(points: Tensor, num_clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii 2007): the next centre is drawn proportional to its distance."""
    draws = torch.rand(num_clusters, generator=generator).to(points.device)
    squares = points.square().sum(dim=1)
    first = min(int(draws[0] * len(points)), len(points) - 1)
    chosen = points.new_empty(num_clusters, points.shape[1])
    chosen[0] = points[first]
    distance = (squares - 2 * points @ chosen[0] + chosen[0].square().sum()).clamp_min(0)
    for index in range(1, num_clusters):
        cumulative = distance.double().cumsum(0)
        place = torch.searchsorted(cumulative, draws[index].double() * cumulative[-1])
        chosen[index] = points[place.clamp_max(len(points) - 1)]
        gap = squares - 2 * points @ chosen[index] + chosen[index].square().sum()
        distance = torch.minimum(distance, gap.clamp_min(0))
    return chosen


def _means(points: Tensor, label: Tensor, distance: Tensor, centres: Tensor) -> Tensor:
    counts = torch.bincount(label, minlength=len(centres))
    sums = torch.zeros_like(centres).index_add_(0, label, points)
    means = sums / counts.clamp_min(1).unsqueeze(1)
    empty = torch.nonzero(counts == 0).flatten()
    if len(empty):
        worst = torch.argsort(distance, descending=True, stable=True)[: len(empty)]
        means[empty[: len(worst)]] = points[worst]
        means[empty[len(worst) :]] = centres[empty[len(worst) :]]
    return means
