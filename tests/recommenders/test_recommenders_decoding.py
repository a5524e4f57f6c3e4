"""Decoding with a cache is the model itself, masks hold, wider is no worse, and Llama computes the same."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from g2rec.errors import ConfigError
from g2rec.recommenders import (
    CapturedRanking,
    CodeLM,
    CodeLMConfig,
    DepthDecoder,
    HistoryBatch,
    PrefixTrie,
    TransformerConfig,
    beam_search,
    export_llama,
    history_batch,
    score_catalogue,
    score_items,
)

SMALL = TransformerConfig(
    embedding_dim=16, num_layers=2, num_heads=2, dropout=0.1, max_len=4, positions="rotary"
)
NUM_ITEMS, LEVELS, SIZE = 30, 3, 5


def some_codes(num_items: int = NUM_ITEMS) -> np.ndarray:
    every = np.array(list(itertools.product(range(SIZE), repeat=LEVELS)))
    return np.random.default_rng(0).permutation(every)[:num_items]


def code_lm(num_items: int = NUM_ITEMS, std: float = 0.3, beam_width: int = 10) -> CodeLM:
    torch.manual_seed(0)
    config = CodeLMConfig(transformer=SMALL, beam_width=beam_width)
    model = config.build(codes=some_codes(num_items), codebook_size=SIZE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model.eval()


def histories(*rows: list[int]) -> HistoryBatch:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    return history_batch(indptr, items, np.arange(len(rows)))


ROWS = ([], [1], [2, 3, 4], [5, 6, 7, 8, 9, 10])


@torch.no_grad()
def test_the_cache_of_the_language_model_changes_nothing() -> None:
    model = code_lm()
    scores = model.score(histories(*ROWS))
    for row, history in enumerate(ROWS):
        kept = torch.tensor(history[-SMALL.max_len :], dtype=torch.long)
        for item in (0, 7, 29):  # the sequence spelled out, and no cache
            whole = model.tokens(torch.cat([kept, torch.tensor([item])]).unsqueeze(0))[0]
            log_p = model.logits(whole[:-1].unsqueeze(0))[0].log_softmax(-1)
            at = torch.arange(len(kept) * LEVELS, (len(kept) + 1) * LEVELS)
            torch.testing.assert_close(
                scores[row, item], log_p[at, whole[at + 1]].sum(), rtol=1e-5, atol=1e-5
            )


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
def test_the_cache_of_the_token_head_changes_nothing(layers: int) -> None:
    torch.manual_seed(0)
    decoder = DepthDecoder(SMALL, layers, LEVELS, SIZE).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    hidden = torch.randn(3, 16)
    codes = torch.randint(0, SIZE, (3, 7, LEVELS))
    repeated = hidden.repeat_interleave(7, dim=0)
    log_p = decoder(repeated, codes.flatten(0, 1)).log_softmax(-1)
    expected = log_p.gather(2, codes.flatten(0, 1).unsqueeze(-1)).sum((1, 2)).view(3, 7)
    torch.testing.assert_close(score_items(decoder, hidden, codes), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_full_beam_of_the_language_model_is_exact_and_empty_histories_are_ranked() -> None:
    model = code_lm(beam_width=NUM_ITEMS)
    batch = histories(*ROWS)
    ranked = model.rank(batch, NUM_ITEMS)
    best = model.score(batch).sort(dim=1, descending=True)
    torch.testing.assert_close(ranked.scores, best.values)
    assert torch.equal(ranked.items, best.indices)
    alone = model.rank(histories([]), NUM_ITEMS)
    assert torch.equal(alone.items[0], ranked.items[0])


@torch.no_grad()
def test_what_is_found_has_its_exact_score_and_a_wider_beam_finds_no_less() -> None:
    model = code_lm(std=0.6)
    batch = histories([2, 3, 4], [9], [11, 12], [])
    exact = model.score(batch)
    lowest = torch.full((4,), -torch.inf)
    for width in (1, 2, 4, 8, 16, NUM_ITEMS):
        found = beam_search(model, model.trie, (batch.items, batch.lengths), width)
        assert found.items.shape == (4, width)
        torch.testing.assert_close(found.scores, exact.gather(1, found.items), rtol=1e-4, atol=1e-4)
        assert (found.scores[:, 0] >= lowest - 1e-5).all()
        lowest = found.scores[:, 0]


@torch.no_grad()
def test_allow_and_deny_lists() -> None:
    model = code_lm(beam_width=3)
    batch = histories([2, 3, 4], [9])
    allowed = torch.zeros(NUM_ITEMS, dtype=torch.bool)
    allowed[[1, 17, 23, 28]] = True
    best = model.score(batch).masked_fill(~allowed, -torch.inf).sort(dim=1, descending=True)
    one_row = model.rank(batch, 4, exclude=~allowed.unsqueeze(0))  # one list for all users
    for_each = model.rank(batch, 4, exclude=~allowed.expand(2, -1))
    assert torch.equal(one_row.items, best.indices[:, :4])
    assert torch.equal(one_row.items, for_each.items)
    fewer = model.rank(batch, 6, exclude=~allowed.unsqueeze(0))
    assert (fewer.items[:, 4:] == -1).all()
    assert (fewer.scores[:, 4:] == -torch.inf).all()
    denied = model.rank(batch, 5, exclude=allowed.unsqueeze(0))
    assert not allowed[denied.items].any()


@torch.no_grad()
def test_a_catalogue_smaller_than_the_beam() -> None:
    model = code_lm(num_items=3, beam_width=50)
    ranked = model.rank(histories([0, 1], []), 3)
    assert ranked.items.sort().values.tolist() == [[0, 1, 2]] * 2
    assert torch.isfinite(ranked.scores).all()


def test_the_trie_counts_allowed_items_at_every_level() -> None:
    codes = some_codes()
    trie = PrefixTrie(codes)
    exclude = torch.rand(2, NUM_ITEMS, generator=torch.Generator().manual_seed(0)) < 0.7
    running = trie.count_open(exclude)
    nodes, spelled = torch.zeros(2, 1, dtype=torch.long), [()]
    for level in range(LEVELS):
        code, child, real = trie.successors(nodes, level)
        open_ = trie.is_open(child, level, running)
        walked = []
        for w, m in itertools.product(range(nodes.shape[1]), range(code.shape[2])):
            if real[0, w, m]:
                prefix = (*spelled[w], int(code[0, w, m]))
                below = torch.from_numpy((codes[:, : level + 1] == prefix).all(1))
                assert open_[:, w, m].tolist() == (below & ~exclude).any(1).tolist()
                walked.append(prefix)
        nodes, spelled = child[real].view(2, -1), walked


def test_the_exported_llama_is_the_same_function(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = code_lm()
    export_llama(model, tmp_path)
    llama = transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval()
    tokens = model.tokens(torch.tensor([[1, 2, 3, 4], [9, 8, 7, 6]]))
    with torch.no_grad():
        ours, theirs = model.logits(tokens), llama(tokens).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert llama.lm_head.weight is llama.model.embed_tokens.weight
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    assert sorted(vocabulary.values()) == list(range(LEVELS * SIZE + 1))
    codes = np.load(tmp_path / "semantic_ids.npy")
    assert [vocabulary[f"<{level}_{code}>"] for level, code in enumerate(codes[4])] == tokens[0, -3:].tolist()


@torch.no_grad()
def test_generate_with_a_prefix_function_finds_the_same_items(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = code_lm(std=0.6)
    export_llama(model, tmp_path)
    llama = transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval()
    spelled = model.tokens(torch.arange(NUM_ITEMS).unsqueeze(1))[:, 1:].tolist()
    follows: dict[tuple[int, ...], set[int]] = {}
    for ids in spelled:
        for level in range(LEVELS):
            follows.setdefault(tuple(ids[:level]), set()).add(ids[level])
    prompt = model.tokens(torch.tensor([[1, 2], [9, 8]]))
    out = llama.generate(
        prompt, attention_mask=torch.ones_like(prompt), num_beams=10, num_return_sequences=5, do_sample=False,
        max_new_tokens=LEVELS, prefix_allowed_tokens_fn=lambda _, sent: sorted(
            follows.get(tuple(sent[prompt.shape[1] :].tolist()), {0})
        ),
    )  # fmt: skip
    items = [spelled.index(row) for row in out[:, prompt.shape[1] :].tolist()]
    assert items == model.rank(histories([1, 2], [9, 8]), 5).items.flatten().tolist()


def test_learned_positions_are_refused() -> None:
    with pytest.raises(ConfigError, match="has rotary positions, got learned; use positions=rotary"):
        CodeLMConfig(transformer=TransformerConfig()).build(codes=some_codes(), codebook_size=SIZE)


def test_a_graph_without_a_gpu_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="needs the model on a GPU, it is on cpu; call rank instead"):
        CapturedRanking(code_lm(), 5, batch_size=2, max_len=4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_a_recorded_ranking_is_the_ranking() -> None:
    model = code_lm().cuda()
    recorded = CapturedRanking(model, 5, batch_size=8, max_len=4, masked=True)
    for rows in (ROWS, ([3], [4, 5])):
        batch = histories(*rows).to("cuda")
        seen = batch.seen(NUM_ITEMS)
        expected, got = model.rank(batch, 5, exclude=seen), recorded.rank(batch, seen)
        assert torch.equal(got.items, expected.items)
        torch.testing.assert_close(got.scores, expected.scores, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_exact_scores_in_parts_are_exact_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    model = code_lm()
    batch = histories([1, 2], [3])
    context = (batch.items, batch.lengths)
    whole = score_catalogue(model, context, model.codes, SIZE)
    monkeypatch.setattr("g2rec.recommenders._decoding._CELLS", 7 * 2 * SIZE)
    torch.testing.assert_close(score_catalogue(model, context, model.codes, SIZE), whole)


@torch.no_grad()
def test_beams_that_nothing_is_left_for_do_no_harm() -> None:
    codes = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 2, 0], [2, 0, 0]])
    torch.manual_seed(0)
    model = CodeLMConfig(transformer=SMALL, beam_width=6).build(codes=codes, codebook_size=SIZE).eval()
    for only in range(6):
        exclude = torch.arange(6).unsqueeze(0) != only
        ranked = model.rank(histories([1], []), 6, exclude=exclude)
        assert ranked.items.tolist() == [[only, -1, -1, -1, -1, -1]] * 2
