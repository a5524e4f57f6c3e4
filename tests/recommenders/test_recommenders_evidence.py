"""What the hybrid ranking weighs beside its heads, and how the weights are learned."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix

from g2rec.graph import CoEngagementGraph
from g2rec.interactions import TEST, TRAIN, VALIDATION, Interactions
from g2rec.recommenders import EvidenceFusion, G2RecConfig, HistoryBatch, NearItems, TransformerConfig
from g2rec.recommenders._evidence import add_text_evidence, gather_evidence, standardize
from g2rec.recommenders._sparse import SparseItemRows, normalized_coengagement

ITEMS = 40
SMALL = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, max_len=8)


def graph(seed: int = 0) -> CoEngagementGraph:
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.random((ITEMS, ITEMS)) * (rng.random((ITEMS, ITEMS)) < 0.2), 1)
    weights = csr_matrix((dense + dense.T).astype(np.float32))
    return CoEngagementGraph(ITEMS, weights.indptr.astype(np.int64), weights.indices, weights.data)


def toy_log(histories: list[list[int]]) -> Interactions:
    """A log whose users' last event is the test and whose last but one is the validation."""
    user = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    part = np.concatenate([[TRAIN] * (len(history) - 2) + [VALIDATION, TEST] for history in histories])
    titles = pa.array([f"item {item}" for item in range(10)])
    return Interactions(
        user_index=user.astype(np.int32),
        item_index=np.concatenate(histories).astype(np.int32),
        time=None,
        part=part.astype(np.uint8),
        user_ids=pa.array(range(len(histories))),
        items=pa.table({"item_id": titles, "title": titles}),
    )


def batch(*histories: list[int]) -> HistoryBatch:
    width = max(map(len, histories))
    rows = [[*history, *[-1] * (width - len(history))] for history in histories]
    lengths = torch.tensor([len(history) for history in histories])
    return HistoryBatch(torch.arange(len(rows)), torch.tensor(rows), lengths)


def test_standardised_over_what_is_left() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 100.0]])
    told = standardize(scores, torch.tensor([[False, False, False, True]]))
    np.testing.assert_allclose(told.scores[0, :3].numpy(), [-1.2247, 0.0, 1.2247], atol=1e-4)
    assert told.spread.item() == pytest.approx(np.std([1, 2, 3]))
    assert standardize(torch.ones(2, 5), None).scores.abs().sum() == 0  # nothing told, nothing weighed


def test_smoothing_is_the_normalised_graph() -> None:
    made = graph()
    dense = np.zeros((ITEMS, ITEMS))
    row = np.repeat(np.arange(ITEMS), np.diff(made.indptr))
    dense[row, made.indices] = made.weights
    strength = np.maximum(dense.sum(1), 1e-12)
    A = dense / np.sqrt(strength)[:, None] / np.sqrt(strength)
    x = np.random.default_rng(1).normal(size=(ITEMS, 3)).astype(np.float32)
    smoothed = SparseItemRows(normalized_coengagement(made)).smooth(torch.from_numpy(x), 2).numpy()
    np.testing.assert_allclose(smoothed, x + A @ x + A @ A @ x, rtol=1e-4, atol=1e-5)


def test_items_vote_for_those_engaged_with_together() -> None:
    log = toy_log([[0, 1, 2, 9, 9], [0, 1, 3, 9, 9], [4, 5, 6, 7, 8, 0, 9, 9]])
    pairs = np.zeros((10, 10))
    for history in ([0, 1, 2], [0, 1, 3], [4, 5, 6, 7, 8, 0]):  # the last two events are held out
        for at, item in enumerate(history):
            for other in history[at + 1 : at + 6]:
                pairs[item, other] += 1
                pairs[other, item] += 1
    strength = np.maximum(pairs.sum(1), 1e-12)
    near = NearItems.by_engagement(log)
    votes = near.votes(torch.tensor([[0, 4, -1]]), torch.tensor([[1.0, 0.5, 0.0]]))[0].numpy()
    share = pairs / strength[:, None] ** 0.5 / strength**0.4
    np.testing.assert_allclose(votes, share[0] + 0.5 * share[4], rtol=1e-5, atol=1e-7)
    assert votes[9] == 0  # held-out events vote for nothing


def test_the_teacher_reads_texts_and_standardises_them() -> None:
    content = torch.nn.functional.normalize(torch.randn(ITEMS, 6), dim=1)
    asked = batch([1, 2, 3], [7])
    logits = torch.randn(2, ITEMS)
    told = add_text_evidence(logits, asked, content, None, 2.0)
    mean = (content[3] + 0.6 * content[2] + 0.36 * content[1]) / 1.96 @ content.T
    expected = (logits[0] + 0.8 * (mean - mean.mean()) / mean.std(correction=0)).softmax(0)
    torch.testing.assert_close(told[0].softmax(0), expected)
    both = add_text_evidence(logits, asked, content, words(), 2.0)
    votes = words().votes(asked.recent(5), torch.tensor([[1.0, 0.6, 0.36, 0, 0], [1, 0, 0, 0, 0]]))
    expected = (told + 0.6 * standardize(votes, None).scores.clamp(max=15)).softmax(1)
    torch.testing.assert_close(both.softmax(1), expected)
    assert add_text_evidence(logits, asked, None, None, 1.0) is logits


def test_evidence_of_the_last_items_and_of_the_last_fifty() -> None:
    content = torch.nn.functional.normalize(torch.randn(ITEMS, 6), dim=1)
    sources = {
        "words": None,
        "graph": None,
        "neighbors": None,
        "interests": None,
        "popularity": torch.zeros(ITEMS),
        "timeline": None,
    }
    long, short = batch([30, 31, 1, 2, 3, 4, 5]), batch([1, 2, 3, 4, 5])
    told = [gather_evidence(["content"], of, content=content, **sources) for of in (long, short)]
    for a, b in zip(*(kinds[:2] for kinds in told), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(told[0][2], told[1][2])
    mean, largest, far = gather_evidence(["content"], batch([5]), content=content, **sources)
    torch.testing.assert_close(mean, far)
    torch.testing.assert_close(mean, content[5:6] @ content.T)
    torch.testing.assert_close(largest, mean.clamp(min=0))


def words() -> NearItems:
    near = NearItems(ITEMS)
    near.keep(csr_matrix(np.random.default_rng(2).random((ITEMS, ITEMS)) * ~np.eye(ITEMS, dtype=bool)))
    return near


def test_the_largest_weights_of_a_row_are_kept() -> None:
    weights = np.random.default_rng(0).random((2, 200)).astype(np.float32)
    near = NearItems(200)
    near.keep(csr_matrix(weights), first=1)
    assert near.near_share[0].sum() == 0
    for row in range(2):
        best = np.argsort(-weights[row])[:64]
        assert near.near[row + 1].tolist() == best.tolist()
        np.testing.assert_array_equal(near.near_share[row + 1].numpy(), weights[row][best])


def hybrid(**changes: object) -> torch.nn.Module:
    rng = np.random.default_rng(0)
    codes = np.stack(np.unravel_index(rng.permutation(64)[:ITEMS], (4, 4, 4)), axis=1)
    indices = np.stack([rng.permutation(5)[:2] for _ in range(ITEMS)])
    prototypes = (rng.normal(size=(5, 6)), indices, np.full((ITEMS, 2), 0.5))
    config = G2RecConfig(transformer=SMALL, beam_width=ITEMS, **changes)  # type: ignore[arg-type]
    torch.manual_seed(0)
    model = config.build(
        codes=codes, codebook_size=4, prototypes=prototypes, graph=rng.normal(size=(ITEMS, 6)),
        content=rng.normal(size=(ITEMS, 8)), coengagement=graph(), words=words(), neighbors=words(),
        counts=np.arange(ITEMS),
    )  # fmt: skip
    for parameter in model.fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def test_a_full_beam_ranks_as_exact_scores_do() -> None:
    model = hybrid()
    assert model.kinds[0] == "dense" and model.kinds[-1] == "token" and len(model.kinds) == 13
    asked = batch([1, 2, 3], [4], [9, 8, 7, 6, 5, 4])
    with torch.no_grad():
        ranked, scores = model.rank(asked, ITEMS), model.score(asked)
    torch.testing.assert_close(ranked.scores, scores.gather(1, ranked.items), rtol=1e-4, atol=1e-4)
    assert (ranked.items.sort(1).values == torch.arange(ITEMS)).all()


def test_kinds_without_a_source_are_left_out() -> None:
    kinds = hybrid(evidence=("content",)).kinds
    assert kinds == ("dense", "content", "closest content", "content, long", "token")
    assert hybrid(evidence=()).kinds == ("dense", "token")
    assert G2RecConfig(transformer=SMALL, feed="none").build(
        codes=np.arange(8)[:, None], codebook_size=8
    ).kinds == ("dense", "popularity", "token")


def test_a_switched_off_interest_leaves_the_evidence() -> None:
    model, asked = hybrid(), batch([1, 2, 3])
    off = torch.zeros(1, 5, dtype=torch.bool)
    off[0, int(model.interests.indices[3, 0])] = True
    with torch.no_grad():
        changed = model.score(dataclasses.replace(asked, without=off))
        assert not torch.equal(model.score(asked), changed)
        off[:] = True
        told, _, _ = model._weigh(dataclasses.replace(asked, without=off), torch.zeros(1, ITEMS))
    spreads = dict(zip(model.kinds, [float(kind.spread) for kind in told], strict=False))
    assert (
        spreads["content"]
        == spreads["interests"]
        == spreads["neighbors"]
        == spreads["words"]
        == 0
        < spreads["popularity"]
    )


def test_networks_start_as_a_weighted_sum() -> None:
    fusion = EvidenceFusion(3)
    evidence, context = torch.randn(2, 7, 3), torch.randn(2, 3)
    seen = torch.zeros(2, 7, dtype=torch.bool)
    torch.testing.assert_close(fusion(evidence, context, seen), evidence @ torch.tensor([1.5, 0.1, 0.1]))
