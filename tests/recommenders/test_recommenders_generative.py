"""The trie admits the catalogue and nothing else, a wide beam is exact, no prefix sees a target."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from g2rec.errors import ConfigError, DataError
from g2rec.recommenders import (
    DepthDecoder,
    G2Rec,
    G2RecConfig,
    HistoryBatch,
    PrefixTrie,
    TransformerConfig,
    beam_search,
    history_batch,
    score_catalogue,
    tiger_decoder_config,
)

SMALL = TransformerConfig(
    embedding_dim=16, num_layers=1, num_heads=2, dropout=0.0, max_len=8, positions="rotary"
)
NUM_ITEMS = 30


def some_codes(num_items: int = NUM_ITEMS, levels: int = 3, size: int = 4, seed: int = 0) -> np.ndarray:
    every = np.array(list(itertools.product(range(size), repeat=levels)))
    return np.random.default_rng(seed).permutation(every)[:num_items]


def build(**settings: object) -> G2Rec:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    weights = rng.random((NUM_ITEMS, 2)).astype(np.float32)
    config = G2RecConfig(transformer=SMALL, num_prefix=2, beam_width=10, **settings)  # type: ignore[arg-type]
    model = config.build(
        codes=some_codes(),
        codebook_size=4,
        prototypes=(
            rng.normal(size=(5, 6)).astype(np.float32),
            np.stack([rng.permutation(5)[:2] for _ in range(NUM_ITEMS)]),
            weights / weights.sum(1, keepdims=True),
        ),
        graph=rng.normal(size=(NUM_ITEMS, 7)).astype(np.float32),
        content=rng.normal(size=(NUM_ITEMS, 9)).astype(np.float32),
    )
    for parameter in model.parameters():  # far from zero, so that every path changes the output
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def histories(*rows: list[int]) -> HistoryBatch:
    lengths = [len(row) for row in rows]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return history_batch(
        indptr, np.array([item for row in rows for item in row], dtype=np.int32), np.arange(len(rows))
    )


def test_the_trie_by_hand() -> None:
    trie = PrefixTrie(np.array([[1, 0], [0, 2], [1, 3]]))
    assert trie.node_code[:6].tolist() == [0, 0, 1, 2, 0, 3]
    assert trie.child_indptr.tolist() == [1, 3, 4, 6]
    assert trie.level_sizes == (1, 2, 3)
    assert trie.items(torch.tensor([[3, 4, 5]])).tolist() == [[1, 0, 2]]


def test_the_trie_admits_exactly_the_catalogue() -> None:
    codes = some_codes()
    trie = PrefixTrie(codes)
    nodes, spelled = torch.zeros(1, 1, dtype=torch.long), [()]
    for level in range(3):
        code, child, real = trie.successors(nodes, level)
        spelled = [
            (*spelled[w], int(code[0, w, m]))
            for w in range(nodes.shape[1])
            for m in range(code.shape[2])
            if real[0, w, m]
        ]
        nodes = child[real].view(1, -1)
    walked = dict(zip(spelled, trie.items(nodes)[0].tolist(), strict=True))
    assert walked == {tuple(row): item for item, row in enumerate(codes.tolist())}


def test_colliding_ids_are_refused() -> None:
    with pytest.raises(DataError, match=r"items 0 and 2 share the ID \(1, 1\); resolve collisions"):
        PrefixTrie(np.array([[1, 1], [0, 1], [1, 1]]))


@pytest.mark.parametrize("admitted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_beam_as_wide_as_the_catalogue_is_exact(masked: bool, admitted: bool) -> None:
    torch.manual_seed(1)
    codes = some_codes()
    trie, decoder = PrefixTrie(codes), DepthDecoder(SMALL, 1, 3, 4).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    hidden = torch.randn(6, 16)
    exclude = torch.rand(6, NUM_ITEMS) < 0.6 if masked else None
    with torch.no_grad():
        exact = score_catalogue(decoder, hidden, torch.from_numpy(codes), 4, trie if admitted else None)
        found = beam_search(decoder, trie, hidden, NUM_ITEMS, exclude, admitted=admitted)
        narrow = beam_search(decoder, trie, hidden, 5, exclude, admitted=admitted)
    if admitted:  # a distribution over the items
        torch.testing.assert_close(exact.exp().sum(1), torch.ones(6))
    if exclude is not None:
        exact = exact.masked_fill(exclude, -torch.inf)
        assert not exclude.gather(1, narrow.items).any()  # no beam is spent on items that are not allowed
    best = exact.sort(dim=1, descending=True)
    finite = best.values > -torch.inf
    assert torch.equal(found.items[finite], best.indices[finite])
    assert (found.items[~finite] == -1).all()
    torch.testing.assert_close(found.scores, best.values)


def test_the_token_head_learns_from_the_next_item_and_from_a_teacher() -> None:
    torch.manual_seed(2)
    codes = torch.from_numpy(some_codes())
    trie, decoder = PrefixTrie(some_codes()), DepthDecoder(SMALL, 1, 3, 4).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    hidden, target = torch.randn(6, 16), torch.tensor([0, 3, 7, 7, 1, 2])
    log_p = score_catalogue(decoder, hidden, codes, 4, trie)
    alone = decoder.losses(hidden, codes[target], trie).mean()
    torch.testing.assert_close(alone, -log_p[torch.arange(6), target].mean() / 3)

    guess = torch.rand(6, NUM_ITEMS).softmax(1)
    taught = decoder.losses(hidden, codes[target], trie, trie.accumulate(guess), 1.0).mean()
    expected = 0.0
    for row, item in enumerate(target.tolist()):  # item by item, at each prefix of the target
        for level in range(3):
            below = (codes[:, :level] == codes[item, :level]).all(1)
            shares = [(below & (codes[:, level] == code)).float() for code in range(4)]
            q = torch.stack([share @ guess[row] for share in shares])
            p = torch.stack([share @ log_p[row].exp() for share in shares])
            seen = q > 0
            expected -= (q[seen] / q.sum() * (p[seen] / p.sum()).log()).sum()
    torch.testing.assert_close(taught, expected / 18)
    certain = trie.accumulate(F.one_hot(target, NUM_ITEMS).float())
    torch.testing.assert_close(decoder.losses(hidden, codes[target], trie, certain, 0.7).mean(), alone)


def test_hybrid_with_a_full_beam_ranks_by_both_heads() -> None:
    model = build(ranking="hybrid")
    batch = histories([1, 2, 3], [4])
    with torch.no_grad():
        ranked = model.rank(batch, NUM_ITEMS)
        scores = model.score(batch)
    torch.testing.assert_close(ranked.scores, scores.sort(dim=1, descending=True).values)


@pytest.mark.parametrize("feed", ["prefix", "interleaved", "none"])
def test_positions_do_not_see_what_comes_later(feed: str) -> None:
    model = build(feed=feed)
    items = torch.tensor([[1, 2, 3, 4, 5, 6]])
    changed = torch.tensor([[1, 2, 3, 9, 8, 7]])
    known = torch.tensor([3])
    with torch.no_grad():
        catalogue = model.represent_items()
        first = model.hidden(items, known, catalogue)[:, :3]
        second = model.hidden(changed, known, catalogue)[:, :3]
    assert torch.equal(first, second)


def test_the_prefix_is_bit_identical_whatever_comes_after_it() -> None:
    model = build(feed="prefix")
    for known in range(7):
        lengths = torch.tensor([known])
        before = model.prefix(torch.tensor([[1, 2, 3, 4, 5, 6]]), lengths)
        changed = torch.tensor([[*range(1, known + 1), *([17] * (6 - known))]])
        after = model.prefix(changed, lengths)
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_prefix_in_training_has_seen_no_target_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(feed="prefix")
    items = torch.randint(0, NUM_ITEMS, (64, 9), generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []
    taken: list[int] = []
    prefix, dense = model.prefix, model._dense_logits

    def spy_prefix(
        items: torch.Tensor, lengths: torch.Tensor, without: None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(lengths)
        return prefix(items, lengths, without)

    def spy_dense(hidden: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        taken.append(len(hidden))
        return dense(hidden, *rest)

    monkeypatch.setattr(model, "prefix", spy_prefix)
    monkeypatch.setattr(model, "_dense_logits", spy_dense)
    model.loss(items)
    # s items in the prefix leave the targets s ... 8 (from 0), and target 0 has no position before it
    assert taken == [int((9 - seen[0].clamp(min=1)).sum())]
    assert len(seen[0].unique()) > 5


def test_planned_sequences_have_the_loss_of_those_that_are_not() -> None:
    model = build(feed="prefix").train()
    items = torch.randint(0, NUM_ITEMS, (32, 9), generator=torch.Generator().manual_seed(0))
    items[torch.arange(9) >= torch.randint(1, 10, (32, 1), generator=torch.Generator().manual_seed(1))] = -1
    torch.manual_seed(2)
    expected = model.loss(items)
    torch.manual_seed(2)
    planned = model.plan(items, torch.rand(32))
    assert len(planned.prompt) < 32 * (8 + model.num_prefix) and (planned.split > 0).any()
    torch.testing.assert_close(model.loss(planned), expected, rtol=0, atol=0)
    filled = model.plan(items, torch.full((32,), 0.75), multiple=16)
    exact = model.plan(items, torch.full((32,), 0.75))
    assert (
        filled.items.shape[1] == SMALL.max_len + 1
        and not len(filled.row) % 16
        and not len(filled.prompt) % 16
    )
    assert len(filled.row) > len(exact.row) and len(filled.prompt) > len(exact.prompt)
    gradients = []
    for batch in (filled, exact):
        model.zero_grad()
        model.loss(batch).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)
    no_prefix = model.plan(items, torch.full((32,), 0.49))
    assert not no_prefix.split.any() and len(no_prefix.row) == int((items[:, 1:] >= 0).sum())


def test_the_prefix_by_hand() -> None:
    model = build(feed="prefix", interest_decay=0.5)
    interests = model.interests
    assert interests is not None
    interests.indices[:2] = torch.tensor([[0, 1], [1, 2]])
    interests.weights[:2] = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    indices, weights = model.prefix(torch.tensor([[0, 1, -1]]), torch.tensor([2]))
    # .5 x (.75, .25, 0) + 1 x (0, .5, .5) = (.375, .625, .5); the two heaviest, rescaled
    assert indices.tolist() == [[1, 2]]
    assert weights[0].tolist() == pytest.approx([0.625 / 1.125, 0.5 / 1.125])
    assert model.prefix(torch.tensor([[0]]), torch.tensor([0]))[0].tolist() == [[-1, -1]]


def test_tiger_is_the_same_code_without_graph_and_prototypes() -> None:
    model = tiger_decoder_config(SMALL).build(codes=some_codes(), codebook_size=4)
    names = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert names == {"code_embedding", "empty", "transformer", "decoder"}
    assert model.eval().rank(histories([1, 2]), 30).items.sort().values.tolist() == [list(range(30))]


def test_items_that_training_does_not_know_are_no_negatives() -> None:
    model = build(feed="none", token_weight=0.0, ranking="dense").train()
    known = torch.arange(NUM_ITEMS) != 3
    known[29] = False
    model.train_on(known)
    assert model.item_embedding is not None and not model.item_embedding.weight[3].any()
    model.loss(torch.tensor([[0, 1, 2, 4, 28], [5, 6, 7, -1, -1]])).backward()
    gradient = model.item_embedding.weight.grad
    assert gradient is not None
    assert not gradient[3].any() and not gradient[29].any()
    assert gradient[28].any() and gradient[9].any()  # a target, and a negative
    ranked = model.eval().rank(histories([0, 1]), NUM_ITEMS)
    assert 3 in ranked.items[0].tolist()  # it can be recommended all the same


def test_bad_settings_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match="needs interest prototypes, got none"):
        G2RecConfig(transformer=SMALL).build(codes=some_codes(), codebook_size=4)
    with pytest.raises(ConfigError, match="ranking=hybrid needs the dense head; set dense_weight above 0"):
        G2RecConfig(transformer=SMALL, dense_weight=0.0).check()
    with pytest.raises(DataError, match="semantic IDs are for 30 items, content for 29"):
        G2RecConfig(transformer=SMALL, feed="none").build(
            codes=some_codes(), codebook_size=4, content=np.ones((29, 2), dtype=np.float32)
        )
