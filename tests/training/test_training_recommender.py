"""Small fits from start to end: every trained recommender learns a rule that popularity cannot know."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from g2rec.encoders import NodeEmbeddings
from g2rec.errors import ConfigError, DataError
from g2rec.evaluation import summarize
from g2rec.interactions import TEST, TRAIN, VALIDATION, Interactions
from g2rec.prototypes import InterestPrototypes
from g2rec.recommenders import (
    CodeLMConfig,
    EncoderDecoderConfig,
    G2Rec,
    G2RecConfig,
    ItemKNN,
    ItemTransitions,
    LanguageModelConfig,
    LightGCNRecommenderConfig,
    Popularity,
    Recommender,
    RPGConfig,
    SASRecConfig,
    TIGERConfig,
    TrainingBatch,
    TransformerConfig,
    tiger_decoder_config,
)
from g2rec.report._curves import read_series
from g2rec.tokenizers import OPQConfig, SemanticIds
from g2rec.training import FitConfig
from g2rec.training.batches import BatchKey
from g2rec.training.g2rec import training_batches
from g2rec.training.recommender import (
    fit_code_lm,
    fit_fusion_weights,
    fit_g2rec,
    fit_language_model,
    fit_lightgcn,
    fit_rpg,
    fit_sasrec,
    fit_tiger,
    rank_all,
)
from g2rec.training.sequence import training_windows, window_loader

NUM_USERS, NUM_ITEMS, LENGTH = 120, 40, 9
SMALL = TransformerConfig(embedding_dim=32, num_layers=1, num_heads=2, dropout=0.0, max_len=6)
FIT = FitConfig(epochs=12, batch_size=16, learning_rate=5e-3, validate_every=4, accelerator="cpu")


def log() -> Interactions:
    """Each user walks through one of four rings of ten items."""
    rng = np.random.default_rng(0)
    ring, start = rng.integers(0, 4, NUM_USERS), rng.integers(0, 10, NUM_USERS)
    items = ring[:, None] * 10 + (start[:, None] + np.arange(LENGTH)) % 10
    part = np.full((NUM_USERS, LENGTH), TRAIN, dtype=np.uint8)
    part[:, -2], part[:, -1] = VALIDATION, TEST
    names = [f"item {item}" for item in range(NUM_ITEMS)]
    return Interactions(
        user_index=np.repeat(np.arange(NUM_USERS, dtype=np.int32), LENGTH),
        item_index=items.astype(np.int32).ravel(),
        time=None,
        part=part.ravel(),
        user_ids=pa.array([f"user {user}" for user in range(NUM_USERS)]),
        items=pa.table({"item_id": names, "title": names}),
        content=np.eye(4, dtype=np.float32)[np.arange(NUM_ITEMS) // 10],
    )


def semantic_ids() -> SemanticIds:
    item = np.arange(NUM_ITEMS)
    return SemanticIds(np.stack([item // 10, item % 10], axis=1).astype(np.int32), 10)


def prototypes() -> InterestPrototypes:
    indices = np.stack([np.arange(NUM_ITEMS) // 10, (np.arange(NUM_ITEMS) // 10 + 1) % 4], axis=1)
    weights = np.tile(np.array([0.9, 0.1], dtype=np.float32), (NUM_ITEMS, 1))
    return InterestPrototypes(np.eye(4, dtype=np.float32), indices.astype(np.int32), weights, "graph_head")


def embeddings() -> NodeEmbeddings:
    rng = np.random.default_rng(1)
    return NodeEmbeddings(
        rng.normal(size=(NUM_USERS, 5)).astype(np.float32), rng.normal(size=(NUM_ITEMS, 5)).astype(np.float32)
    )


def recall(model: Recommender, data: Interactions) -> float:
    counts = torch.bincount(torch.from_numpy(data.train_events().item_index.astype(np.int64)))
    ranks = rank_all(model, data.targets("test"), top_k=10, batch_size=50)
    report: dict[str, Any] = summarize(ranks, counts, cutoffs=(1, 10), num_samples=10)
    assert report["num_users"] == NUM_USERS
    value: float = report["masked"]["recall@1"]["mean"]
    return value


def swapped_recall(model: Recommender, data: Interactions) -> float:
    """Recall@1 where each user is ranked from the next user's history, which has the same length."""
    targets = data.targets("test")
    histories = np.roll(targets.history.reshape(NUM_USERS, -1), 1, axis=0)
    swapped = dataclasses.replace(targets, history=histories.flatten(), history_time=None)
    counts = torch.bincount(torch.from_numpy(data.train_events().item_index.astype(np.int64)))
    ranks = rank_all(model, swapped, top_k=10, batch_size=50)
    report: dict[str, Any] = summarize(ranks, counts, cutoffs=(1, 10), num_samples=10)
    value: float = report["masked"]["recall@1"]["mean"]
    return value


def fit_one(feed: str, ranking: str, folder: Path) -> Recommender:
    config = G2RecConfig(transformer=SMALL, feed=feed, ranking=ranking, num_prefix=2, beam_width=10)  # type: ignore[arg-type]
    ids = semantic_ids()
    return fit_g2rec(log(), ids, prototypes(), embeddings(), config, FIT, folder, 0)[0]


def test_baselines_and_chance() -> None:
    data = log()
    assert recall(Popularity.fit(data), data) < 0.2
    assert recall(ItemTransitions.fit(data), data) > 0.8
    assert recall(ItemKNN.fit(data), data) > 0.2


def test_transitions_by_hand() -> None:
    data = log()
    model = ItemTransitions.fit(data)
    row = model.rows
    start, end = int(row.indptr[0]), int(row.indptr[1])
    by_item = dict(zip(row.indices[start:end].tolist(), row.values[start:end].tolist(), strict=True))
    assert set(by_item) == {1, 2, 3}  # the three that follow item 0 within the window, never those before
    assert by_item[1] > by_item[2] > by_item[3]


@pytest.mark.parametrize(
    ("settings", "ndcg"),
    [
        ({}, 0.8),
        ({"loss": "bce", "logits": "dot"}, 0.6),  # one negative tells less a step
        ({"loss": "bce"}, 0.5),
        ({"hops": 2, "use_content": True}, 0.8),
    ],
    ids=["cosine", "bce", "bce-cosine", "graph"],
)
def test_sasrec_learns_the_rings(settings: dict[str, Any], ndcg: float, tmp_path: Path) -> None:
    config = SASRecConfig(transformer=SMALL, **settings)
    model, report = fit_sasrec(log(), config, FIT, tmp_path, 0)
    assert recall(model, log()) > ndcg
    assert report.best_score is not None and report.best_score > ndcg


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_lightgcn_learns_who_likes_what(loss: str, tmp_path: Path) -> None:
    config = LightGCNRecommenderConfig(embedding_dim=16, loss=loss, num_negatives=20)  # type: ignore[arg-type]
    fit_config = FitConfig(epochs=15, batch_size=256, learning_rate=2e-2, accelerator="cpu")
    model, _ = fit_lightgcn(log(), config, fit_config, tmp_path, 0)
    assert recall(model, log()) > 0.2  # of the three items of the ring that are left; one of 40 by chance


@pytest.mark.parametrize(
    ("feed", "ranking"), [("prefix", "hybrid"), ("interleaved", "dense"), ("none", "generative")]
)
def test_g2rec_learns_the_rings(feed: str, ranking: str, tmp_path: Path) -> None:
    model = fit_one(feed, ranking, tmp_path)
    assert recall(model, log()) > 0.8
    assert swapped_recall(model, log()) < 0.2  # what it knows, it knows from the history


def test_tiger_decoder_learns_the_rings(tmp_path: Path) -> None:
    ids = semantic_ids()
    config = tiger_decoder_config(SMALL, beam_width=10)
    model, _ = fit_g2rec(log(), ids, None, None, config, FIT, tmp_path, 0)
    assert recall(model, log()) > 0.8


def test_tiger_learns_the_rings(tmp_path: Path) -> None:
    transformer = EncoderDecoderConfig(
        embedding_dim=32, num_layers=1, num_heads=2, head_dim=16, feed_dim=64, dropout=0.0
    )
    config = TIGERConfig(transformer=transformer, max_len=6, beam_width=10)
    fit_config = dataclasses.replace(FIT, batch_size=32, warmup_steps=20, decay="inverse_sqrt")
    model, report = fit_tiger(log(), semantic_ids(), config, fit_config, tmp_path, 0)
    assert recall(model, log()) > 0.8
    assert report.best_score is not None and report.best_score > 0.8


def test_rpg_learns_the_rings_from_codes_of_the_content(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = dataclasses.replace(log(), content=rng.normal(size=(NUM_ITEMS, 12)).astype(np.float32))
    config = RPGConfig(transformer=SMALL, tokenizer=OPQConfig(num_levels=4, codebook_size=8))
    model, report = fit_rpg(data, config, FIT, tmp_path, 0)
    assert recall(model, data) > 0.8
    assert report.best_score is not None and report.best_score > 0.8
    with pytest.raises(ConfigError, match="rpg makes its codes of the items' content, got none"):
        fit_rpg(dataclasses.replace(data, content=None), config, FIT, tmp_path, 0)


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_hugging_face_model_learns_the_rings(lora_rank: int, tmp_path: Path) -> None:
    tiny = transformers.LlamaConfig(
        vocab_size=7, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(tiny).save_pretrained(tmp_path / "tiny")
    config = LanguageModelConfig(path=str(tmp_path / "tiny"), lora_rank=lora_rank, max_len=6, beam_width=10)
    fit_config = dataclasses.replace(FIT, learning_rate=1e-2)
    model, _ = fit_language_model(log(), semantic_ids(), config, fit_config, tmp_path / "fit", 0)
    assert recall(model, log()) > 0.8


def test_the_language_model_of_codes_learns_the_rings(tmp_path: Path) -> None:
    rotary = dataclasses.replace(SMALL, positions="rotary")
    config = CodeLMConfig(transformer=rotary, beam_width=10)
    model, report = fit_code_lm(log(), semantic_ids(), config, FIT, tmp_path, 0)
    assert recall(model, log()) > 0.8
    assert report.best_score is not None and report.best_score > 0.8


def test_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    short = FitConfig(epochs=2, batch_size=32, accelerator="cpu")
    config = G2RecConfig(transformer=SMALL, num_prefix=2, beam_width=10)
    states = [
        fit_g2rec(log(), semantic_ids(), prototypes(), None, config, short, tmp_path / name, seed)[
            0
        ].state_dict()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_one_fit_serves_all_rankings_and_is_judged_by_both_heads(tmp_path: Path) -> None:
    short = FitConfig(epochs=2, batch_size=32, accelerator="cpu")
    fits = {}
    for ranking in ("hybrid", "generative", "dense"):
        config = G2RecConfig(transformer=SMALL, num_prefix=2, beam_width=10, ranking=ranking)  # type: ignore[arg-type]
        folder = tmp_path / ranking
        fits[ranking] = fit_g2rec(log(), semantic_ids(), prototypes(), None, config, short, folder, 3)[0]
        assert fits[ranking].config == config
    kept = fits["hybrid"].state_dict()
    for model in fits.values():
        assert all(torch.equal(kept[key], held) for key, held in model.state_dict().items())
    series = read_series(sorted((tmp_path / "hybrid" / "logs").rglob("metrics.csv")))
    heads = [series[f"val_{ranking}_ndcg@10"][1] for ranking in ("dense", "generative")]
    np.testing.assert_allclose(series["val_ndcg@10"][1], np.mean(heads, axis=0), rtol=1e-5)
    targets = log().targets("test")
    ranked = rank_all(fits["hybrid"].ranking_by("dense"), targets, top_k=10)
    assert torch.equal(ranked.masked_above, rank_all(fits["dense"], targets, top_k=10).masked_above)


def test_every_event_but_the_first_is_a_target_once() -> None:
    data = log()
    windows = training_windows(data, 3)
    targets = np.concatenate([np.arange(a + 1, b) for a, b in zip(windows.start, windows.end, strict=True)])
    first = data.train_sequences().indptr[:-1]
    expected = np.setdiff1d(np.arange(len(windows.item_index)), first)
    assert np.array_equal(np.sort(targets), expected)
    assert (windows.end - windows.start).max() == 4


def test_each_epoch_draws_the_splits_again() -> None:
    config = G2RecConfig(transformer=SMALL, num_prefix=3)
    model = config.build(
        codes=semantic_ids().codes,
        codebook_size=semantic_ids().codebook_size,
        prototypes=(prototypes().vectors, prototypes().indices, prototypes().weights),
    )
    make = training_batches(model, training_windows(log(), LENGTH), 64, seed=0).dataset
    rows = np.arange(64)
    first, again, later = (make[BatchKey(epoch, 0, rows)] for epoch in (0, 0, 1))
    assert torch.equal(first.split, again.split) and not torch.equal(first.split, later.split)
    assert torch.equal(first.items, later.items)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_no_loss_of_g2rec_waits_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, calls = G2Rec.loss, []

    def strict(model: G2Rec, batch: TrainingBatch) -> torch.Tensor:
        calls.append(batch)
        torch.cuda.set_sync_debug_mode(
            "error" if len(calls) > 1 else "default"
        )  # the first sets up libraries
        try:
            return loss(model, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(G2Rec, "loss", strict)
    config = G2RecConfig(transformer=SMALL, num_prefix=3)
    short = dataclasses.replace(FIT, epochs=2, accelerator="gpu")
    fit_g2rec(log(), semantic_ids(), prototypes(), embeddings(), config, short, tmp_path, 0)
    assert len(calls) > 10


def test_each_epoch_draws_the_order_of_ties_again() -> None:
    tied = np.zeros((NUM_USERS, LENGTH), dtype=bool)
    tied[:, 2:5] = True  # events 1 to 4 of each user are of one time
    data = dataclasses.replace(log(), tied=tied.ravel())
    given = training_windows(log(), LENGTH)
    make = window_loader(training_windows(data, LENGTH), 16, seed=0).dataset
    rows = np.arange(16)
    plain = window_loader(given, 16, seed=0).dataset[BatchKey(0, 0, rows)].numpy()
    first, again, later = (make[BatchKey(epoch, 0, rows)].numpy() for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, later)
    for drawn in (first, later):
        assert not np.array_equal(drawn[:, 1:5], plain[:, 1:5])
        np.testing.assert_array_equal(np.sort(drawn[:, 1:5]), np.sort(plain[:, 1:5]))
        np.testing.assert_array_equal(np.delete(drawn, range(1, 5), 1), np.delete(plain, range(1, 5), 1))


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    data = log()
    with pytest.raises(ConfigError, match="K=50 is larger than the catalogue of 40 items"):
        rank_all(Popularity.fit(data), data.targets("test"))
    with pytest.raises(ConfigError, match="needs interest prototypes, got none"):
        fit_g2rec(data, semantic_ids(), None, None, G2RecConfig(transformer=SMALL), FIT, tmp_path, 0)
    short = Interactions(
        data.user_index[:1], data.item_index[:1], None, data.part[:1], data.user_ids[:1], data.items
    )
    with pytest.raises(DataError, match="expected a user with two training events or more, found none"):
        fit_sasrec(short, SASRecConfig(transformer=SMALL), FIT, tmp_path, 0)


@pytest.mark.parametrize("networks", [False, True])
def test_the_fusion_learns_which_evidence_to_trust(networks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights alone, and its networks too, which are learned where they win a cross-validation."""
    asked: list[int] = []
    if networks:
        monkeypatch.setattr("g2rec.training.g2rec._NETWORK_USERS", 1)
        judged = iter([0.1, 0.2] * 2)  # weights, networks, on either half

        def judge(members: list[torch.nn.Module], _: object, users: torch.Tensor) -> torch.Tensor:
            asked.append(len(members))
            return torch.full((len(users),), next(judged))

        monkeypatch.setattr("g2rec.training.g2rec._fusion_ndcg", judge)
    place = np.arange(NUM_ITEMS) % 10 * (2 * np.pi / 10)
    ring = np.eye(4)[np.arange(NUM_ITEMS) // 10]
    content = np.concatenate([np.cos(place)[:, None], np.sin(place)[:, None], 3 * ring], axis=1)
    data = dataclasses.replace(log(), content=content.astype(np.float32))
    ids = semantic_ids()
    torch.manual_seed(0)
    model = G2RecConfig(transformer=SMALL, feed="none", beam_width=10).build(
        codes=ids.codes, codebook_size=ids.codebook_size, content=content
    )  # untrained heads: only the content says what is near
    model.eval()
    before = recall(model, data)
    weights = fit_fusion_weights(model, data, seed=0)
    assert set(weights) == set(model.kinds)
    assert recall(model, data) > before + 0.1
    assert weights["content"] > weights["token"]
    assert model.fusion is not None
    last = [member.get_parameter("gate.2.weight") for member in model.fusion.members]
    assert torch.equal(last[0], last[1]) != networks
    first = [member.get_parameter("gate.0.weight") for member in model.fusion.members]
    assert not torch.equal(first[0], first[1])  # hidden layers stay apart, should networks be learned later
    assert asked == [1, 4] * (2 if networks else 0)  # networks are judged as they rank: all members' mean
    assert all(parameter.grad is None for parameter in model.fusion.parameters())
    if not networks:  # networks go on from hidden layers that have learned
        assert fit_fusion_weights(copy.deepcopy(model), data, seed=0) == pytest.approx(weights, abs=1e-5)


def test_a_fusion_without_a_proposed_target_stays_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("g2rec.training.g2rec._taught", lambda data, users: users[:0])
    data, ids = log(), semantic_ids()
    model = G2RecConfig(transformer=SMALL, feed="none").build(
        codes=ids.codes, codebook_size=ids.codebook_size
    )
    assert np.isfinite(list(fit_fusion_weights(model.eval(), data, seed=0).values())).all()
