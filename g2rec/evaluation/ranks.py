"""Where the target stands in a ranking: how many items are above it and how many share its score."""

import torch

from g2rec.errors import ConfigError, DataError
from g2rec.shapes import Bool, Float, Int, Tensor


def target_rank(
    scores: Float[Tensor, "B I"], target: Int[Tensor, " B"], exclude: Bool[Tensor, "B I"] | None = None
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Count the items scored above the target and those tied with it, over the whole catalogue.

    The counts, not a rank, are kept: a strict comparison would put the target first among its ties, and a
    model that scores all items alike would look perfect.

    Args:
        scores: One score an item, compared in float32 (bfloat16 scores tie, which inflates N@10 by .001).
        target: The item each user went on to choose.
        exclude: Items that cannot be recommended; the target itself is never excluded.

    Returns:
        ``num_above`` (from 0) and ``num_tied`` (from 1: the target is tied with itself).

    Raises:
        DataError: If a score is not a number.
    """
    scores = scores.float()
    if bool(torch.isnan(scores).any()):
        raise DataError(
            "expected scores that are numbers, got NaN; the model diverged, lower its learning rate"
        )
    mine = scores.gather(1, target.long().unsqueeze(1))
    above, tied = scores > mine, scores == mine
    if exclude is not None:
        allowed = ~exclude.scatter(1, target.long().unsqueeze(1), False)
        above, tied = above & allowed, tied & allowed
    return above.sum(1), tied.sum(1)


def ranked_target_rank(
    items: Int[Tensor, "B K"], scores: Float[Tensor, "B K"], target: Int[Tensor, " B"], num_items: int
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """The same counts for a list of best items, such as a beam returns.

    Args:
        items: Ranked items; -1 pads what was not returned.
        scores: Their scores; those of padding are ignored.
        target: The item each user went on to choose.
        num_items: Size of the catalogue; a target that is not in its list has this many items above it.

    Raises:
        DataError: If a score of a returned item is not a number.
    """
    returned = items >= 0
    scores = scores.float()
    if bool((torch.isnan(scores) & returned).any()):
        raise DataError(
            "expected scores that are numbers, got NaN; the model diverged, lower its learning rate"
        )
    hit = (items == target.unsqueeze(1)) & returned
    found = hit.any(1)
    mine = scores.masked_fill(~hit, -torch.inf).amax(1, keepdim=True)
    above = ((scores > mine) & returned).sum(1)
    tied = ((scores == mine) & returned).sum(1)
    return torch.where(found, above, num_items), torch.where(found, tied, 1)


def check_cutoffs(cutoffs: tuple[int, ...], num_items: int) -> None:
    """Refuse a cut-off that no ranking of the catalogue can fill.

    Raises:
        ConfigError: If a cut-off is below 1 or above ``num_items``.
    """
    for k in cutoffs:
        if k < 1:
            raise ConfigError(f"expected a cut-off K of at least 1, got {k}; use K=10")
        if k > num_items:
            raise ConfigError(
                f"K={k} is larger than the catalogue of {num_items} items; use K of at most {num_items}"
            )
