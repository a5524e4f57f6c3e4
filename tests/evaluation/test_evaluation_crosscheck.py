"""Our metrics beside independent implementations: torchmetrics on strict rankings, scikit-learn on ties."""

import pytest
import torch
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import (
    retrieval_hit_rate,
    retrieval_normalized_dcg,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from g2rec.evaluation import TargetRanks, expected_ndcg_at_k, summarize, target_rank

NUM_USERS, NUM_ITEMS = 400, 150
PEERS = {
    "recall": retrieval_recall,
    "ndcg": retrieval_normalized_dcg,
    "mrr": retrieval_reciprocal_rank,
    "hit": retrieval_hit_rate,
}


def rankings() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores without ties, targets that often rank high, and histories without the target."""
    generator = torch.Generator().manual_seed(7)
    order = torch.rand(NUM_USERS, NUM_ITEMS, generator=generator).argsort(1)
    scores = order.float() / NUM_ITEMS - 0.5  # distinct within a user
    target = torch.randint(NUM_ITEMS, (NUM_USERS,), generator=generator)
    near = order.topk(12, dim=1).indices.gather(1, torch.randint(12, (NUM_USERS, 1), generator=generator))
    target = torch.where(torch.rand(NUM_USERS, generator=generator) < 0.7, near.squeeze(1), target)
    seen = torch.rand(NUM_USERS, NUM_ITEMS, generator=generator) < 0.1
    return scores, target, seen.scatter(1, target.unsqueeze(1), False)


@pytest.mark.parametrize("masked", [False, True])
def test_metrics_are_those_of_torchmetrics(masked: bool) -> None:
    scores, target, seen = rankings()
    plain, without = target_rank(scores, target), target_rank(scores, target, seen)
    inside, top = torch.zeros(NUM_USERS, dtype=torch.bool), scores.topk(20).indices
    ranks = TargetRanks(*plain, *without, inside, target, top, NUM_ITEMS)
    report = summarize(ranks, torch.ones(NUM_ITEMS), cutoffs=(5, 10, 20), num_samples=2)
    relevant = torch.zeros(NUM_USERS, NUM_ITEMS, dtype=torch.bool).scatter(1, target.unsqueeze(1), True)
    for name, peer in PEERS.items():
        for k in (5, 10, 20):
            values = []
            for user in range(NUM_USERS):
                kept = ~seen[user] if masked else torch.ones(NUM_ITEMS, dtype=torch.bool)
                values.append(float(peer(scores[user, kept], relevant[user, kept], top_k=k)))
            ours = report["masked" if masked else "unmasked"][f"{name}@{k}"]["mean"]
            assert 0.05 < ours < 0.9
            assert ours == pytest.approx(sum(values) / NUM_USERS, abs=1e-6), (name, k)


def test_ndcg_of_ties_is_that_of_scikit_learn() -> None:
    """Both average over the orders of tied items (McSherry and Najork, ECIR 2008)."""
    generator = torch.Generator().manual_seed(8)
    scores = torch.randint(0, 12, (NUM_USERS, NUM_ITEMS), generator=generator).float()
    target = torch.randint(NUM_ITEMS, (NUM_USERS,), generator=generator)
    above, tied = target_rank(scores, target)
    relevant = torch.zeros(NUM_USERS, NUM_ITEMS).scatter(1, target.unsqueeze(1), 1.0)
    for k in (5, 10, 20):
        ours = float(expected_ndcg_at_k(above, tied, k).mean())
        assert ours == pytest.approx(float(ndcg_score(relevant.numpy(), scores.numpy(), k=k)), abs=1e-6)
