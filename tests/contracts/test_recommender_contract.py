"""What holds for every recommender."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.sparse import csr_matrix

from g2rec.errors import ArtifactError, ConfigError
from g2rec.graph import CoEngagementGraph
from g2rec.recommenders import (
    EASE,
    CodeLMConfig,
    EASEConfig,
    EncoderDecoderConfig,
    Fusion,
    G2RecConfig,
    HistoryBatch,
    ItemKNN,
    ItemKNNConfig,
    ItemTimeline,
    ItemTransitions,
    ItemTransitionsConfig,
    LanguageModelConfig,
    LightGCNRecommenderConfig,
    NearItems,
    Newness,
    Popularity,
    RecentPopularity,
    Recommender,
    RPGConfig,
    SASRecConfig,
    TextNeighborsConfig,
    TIGERConfig,
    TransformerConfig,
    WordNeighbors,
    history_batch,
    load_recommender,
    tiger_decoder_config,
)
from g2rec.recommenders._transformer import Packed
from g2rec.tokenizers import OPQConfig

NUM_USERS, NUM_ITEMS = 6, 20
SMALL = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, dropout=0.1, max_len=5)
RNG = np.random.default_rng(0)
CODES = np.stack([np.arange(NUM_ITEMS) % 4, np.arange(NUM_ITEMS) // 4], axis=1)
EDGES = np.stack([np.arange(60) % NUM_USERS, RNG.integers(0, NUM_ITEMS, 60)])
MATRIX = csr_matrix(RNG.random((NUM_ITEMS, NUM_ITEMS)).astype(np.float32))
PROTOTYPES = (
    RNG.normal(size=(4, 8)).astype(np.float32),
    RNG.integers(0, 4, (NUM_ITEMS, 2)),
    np.full((NUM_ITEMS, 2), 0.5, dtype=np.float32),
)


CONTENT = RNG.normal(size=(NUM_ITEMS, 8)).astype(np.float32)
RING = CoEngagementGraph(  # each item beside the next
    NUM_ITEMS,
    2 * np.arange(NUM_ITEMS + 1),
    (np.arange(NUM_ITEMS)[:, None] + np.array([-1, 1])).ravel().astype(np.int32) % NUM_ITEMS,
    np.ones(2 * NUM_ITEMS, dtype=np.float32),
)


def sasrec(**settings: Any) -> Recommender:
    config = SASRecConfig(transformer=SMALL, **settings)
    return config.build(num_items=NUM_ITEMS, coengagement=RING, content=CONTENT)


def fusion() -> Recommender:
    parts = {name: MODELS[name]() for name in ("sasrec-graph", "text", "ease", "transitions")}
    return Fusion(parts, torch.tensor([1.0, 0.5, 0.0, 0.1]), -2.0)


def g2rec(**settings: Any) -> Recommender:
    config = G2RecConfig(transformer=SMALL, num_prefix=2, beam_width=NUM_ITEMS, **settings)
    content = np.random.default_rng(1).normal(size=(NUM_ITEMS, 8)).astype(np.float32)
    return config.build(codes=CODES, codebook_size=5, prototypes=PROTOTYPES, content=content)


def words() -> Recommender:
    near = NearItems(NUM_ITEMS)
    near.keep(csr_matrix(MATRIX))
    return WordNeighbors(TextNeighborsConfig(), near)


def recent() -> Recommender:
    timeline = ItemTimeline(NUM_ITEMS, 1)
    timeline.counts[:, 1] = torch.arange(NUM_ITEMS)
    return RecentPopularity(timeline)


def newness() -> Recommender:
    timeline = ItemTimeline(NUM_ITEMS, NUM_ITEMS)
    timeline.counts.copy_(torch.ones(NUM_ITEMS, NUM_ITEMS + 1).triu(1))  # item i comes in span i
    return Newness(timeline)


def language() -> Recommender:
    with tempfile.TemporaryDirectory() as folder:
        tiny = transformers.LlamaConfig(
            vocab_size=7, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
        )  # fmt: skip
        transformers.LlamaForCausalLM(tiny).save_pretrained(folder)
        config = LanguageModelConfig(path=folder, max_len=5, beam_width=NUM_ITEMS)
        return config.build(codes=CODES, codebook_size=5)


MODELS: dict[str, Callable[[], Recommender]] = {
    "popularity": lambda: Popularity(torch.arange(NUM_ITEMS)),
    "recent": recent,
    "newness": newness,
    "transitions": lambda: ItemTransitions(ItemTransitionsConfig(), MATRIX),
    "knn": lambda: ItemKNN(ItemKNNConfig(), MATRIX),
    "ease": lambda: EASE(EASEConfig(), MATRIX),
    "text": lambda: TextNeighborsConfig().build(content=CONTENT),
    "words": words,
    "lightgcn": lambda: LightGCNRecommenderConfig(embedding_dim=8).build(
        num_users=NUM_USERS, num_items=NUM_ITEMS, user_index=EDGES[0], item_index=EDGES[1]
    ),
    "sasrec-bce": lambda: sasrec(loss="bce", logits="dot"),
    "sasrec-dot": lambda: sasrec(logits="dot"),
    "sasrec-cosine": lambda: sasrec(),
    "sasrec-graph": lambda: sasrec(hops=2, use_content=True),
    "fusion": fusion,
    "tiger-decoder": lambda: tiger_decoder_config(SMALL).build(codes=CODES, codebook_size=5),
    "tiger": lambda: TIGERConfig(
        transformer=EncoderDecoderConfig(
            embedding_dim=16, num_layers=2, num_heads=2, head_dim=6, feed_dim=24, dropout=0.1
        ),
        max_len=5,
        beam_width=NUM_ITEMS,
    ).build(codes=CODES, codebook_size=5),
    "rpg": lambda: RPGConfig(transformer=SMALL, tokenizer=OPQConfig(num_levels=2, codebook_size=5)).build(
        codes=CODES
    ),
    "language": language,
    "code-lm": lambda: CodeLMConfig(
        transformer=dataclasses.replace(SMALL, positions="rotary"), beam_width=NUM_ITEMS
    ).build(codes=CODES, codebook_size=5),
    "g2rec-prefix-hybrid": lambda: g2rec(),
    "g2rec-interleaved-dense": lambda: g2rec(feed="interleaved", ranking="dense"),
    "g2rec-prefix-generative": lambda: g2rec(ranking="generative", profile_weight=0.1),
}


def batch_of(*rows: list[int]) -> HistoryBatch:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return history_batch(
        indptr, np.array([item for row in rows for item in row], dtype=np.int32), np.arange(len(rows))
    )


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Recommender:
    torch.manual_seed(0)
    built = MODELS[request.param]()
    for parameter in built.parameters():  # far from the start, where most outputs are nearly alike
        torch.nn.init.normal_(parameter, std=0.3)
    return built.eval()


@torch.no_grad()
def test_scores_are_float32_over_the_catalogue(model: Recommender) -> None:
    scores = model.score(batch_of([1, 2, 3], [4, 5], [6]))
    assert scores.shape == (3, NUM_ITEMS)
    assert scores.dtype == torch.float32
    assert torch.isfinite(scores).all()


@torch.no_grad()
def test_rank_returns_the_best_items_once_and_none_that_is_excluded(model: Recommender) -> None:
    batch = batch_of([1, 2, 3], [4, 5], [6])
    ranked = model.rank(batch, 5)
    best = model.score(batch).topk(5).values
    torch.testing.assert_close(ranked.scores, best, rtol=1e-4, atol=1e-5)
    assert all(len(set(row)) == 5 for row in ranked.items.tolist())
    seen = batch.seen(NUM_ITEMS)
    fresh = model.rank(batch, 5, exclude=seen)
    assert not seen.gather(1, fresh.items).any()


@torch.no_grad()
def test_padding_changes_nothing(model: Recommender) -> None:
    alone = model.score(batch_of([1, 2, 3]))
    padded = model.score(batch_of([1, 2, 3], [4, 5, 6, 7, 8, 9, 10]))[:1]
    torch.testing.assert_close(alone, padded, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_history_decides(model: Recommender) -> None:
    one, other = batch_of([1, 2, 3], [4, 5, 6]), batch_of([4, 5, 6], [1, 2, 3])
    first, second = model.score(one), model.score(other)
    alike = ("popularity", "recent_popularity", "newness", "lightgcn")  # these know the user or nobody
    if model.name in alike:
        torch.testing.assert_close(first, second)
    else:
        assert not torch.allclose(first, second, atol=1e-3)
        torch.testing.assert_close(first, second.flip(0), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_empty_history_is_ranked_too(model: Recommender) -> None:
    assert torch.isfinite(model.score(batch_of([]))).all()
    mixed = model.rank(batch_of([], [1, 2]), 4)
    assert mixed.items.shape == (2, 4)
    assert (mixed.items >= 0).all()


@torch.no_grad()
def test_a_saved_model_comes_back_the_same(model: Recommender, tmp_path: Path) -> None:
    batch = batch_of([1, 2, 3], [4, 5])
    model.save(tmp_path / "model")
    back = load_recommender(tmp_path / "model")
    assert type(back) is type(model)
    assert back.config == model.config
    assert torch.equal(back.score(batch), model.score(batch))


def test_k_beyond_the_catalogue_is_one_sentence(model: Recommender) -> None:
    with pytest.raises(ConfigError, match=r"K=21 is larger than the catalogue of 20 items"):
        model.rank(batch_of([1]), 21)


def test_the_wrong_model_is_one_sentence(tmp_path: Path) -> None:
    MODELS["popularity"]().save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"expected the model item_knn at .*, found popularity"):
        ItemKNN.load(tmp_path / "model")


READ_WINDOWS = ("sasrec", "rpg", "code-lm", "tiger-decoder", "g2rec")
"""Models that are trained on padded windows."""


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith(READ_WINDOWS)])
def test_leaving_padding_out_changes_no_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model: Any = MODELS[name]().train()
    for module in model.modules():
        if isinstance(getattr(module, "p", None), float):  # dropout, of attention weights too
            module.p = 0.0
    windows = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 8, -1, -1, -1, -1], [9, 10, 11, -1, -1, -1]])
    found = []
    for padded in (False, True):
        if padded:
            monkeypatch.setattr(Packed, "dense", True)
        model.zero_grad()
        torch.manual_seed(1)
        loss = model.loss(windows)
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((loss.detach(), gradients))
    (packed_loss, packed), (padded_loss, expected) = found
    torch.testing.assert_close(packed_loss, padded_loss)
    assert packed.keys() == expected.keys()
    for parameter, gradient in packed.items():
        torch.testing.assert_close(gradient, expected[parameter])
