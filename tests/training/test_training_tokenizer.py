"""Training the tokenizer: where the contrastive gradient goes, and what is handed over."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from g2rec.encoders import LightGCNConfig
from g2rec.errors import ConfigError
from g2rec.graph import (
    CoEngagementConfig,
    CoEngagementGraph,
    InteractionGraph,
    build_coengagement,
    build_graph,
)
from g2rec.interactions import TRAIN, Interactions
from g2rec.prototypes import FixedMemberships, GraphHeadConfig, PrototypeHead, random_prototypes
from g2rec.sampling import NeighborSampler
from g2rec.tokenizers import RQVAE, OPQConfig, PairSampler, RQKMeansConfig, RQVAEConfig, collision_rate
from g2rec.training import FitConfig
from g2rec.training.encoder import FittedEncoder
from g2rec.training.fitting import FitReport
from g2rec.training.log_run import Catalogue
from g2rec.training.tokenizer import TokenizerBatch, TokenizerModule, fit_tokenizer

USERS, ITEMS, DIM = 30, 60, 8
TOKENS = RQVAEConfig(num_levels=2, codebook_size=16, latent_dim=8, hidden_dims=(16,))
SHORT = FitConfig(epochs=4, batch_size=32, accelerator="cpu")


def interactions(content: bool = True) -> Interactions:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS, dtype=np.int32), 8)
    item = ((user % 3) * 20 + rng.integers(0, 20, len(user))).astype(np.int32)
    features = rng.normal(size=(ITEMS, 5)) + np.repeat(np.eye(3, 5) * 4, 20, axis=0)
    names = [f"i{index}" for index in range(ITEMS)]
    return Interactions(
        user_index=user,
        item_index=item,
        time=None,
        part=np.full(len(user), TRAIN, dtype=np.uint8),
        user_ids=pa.array(range(USERS)),
        items=pa.table({"item_id": names, "title": names}),
        content=features.astype(np.float32) if content else None,
        name="toy",
    )


def graphs(log: Interactions) -> tuple[InteractionGraph, CoEngagementGraph]:
    return build_graph(log), build_coengagement(log, CoEngagementConfig())


def fitted_encoder(log: Interactions, graph: InteractionGraph) -> FittedEncoder:
    torch.manual_seed(0)
    encoder = LightGCNConfig(embedding_dim=DIM).build(USERS, ITEMS, 0 if log.content is None else 5)
    content = None if log.content is None else torch.from_numpy(log.content)
    embeddings = encoder.embed_all(graph, content)
    head = GraphHeadConfig(num_prototypes=4, nonzeros=2).build(DIM)
    head.start(torch.from_numpy(embeddings.items), seed=0)
    report = FitReport(epochs=0, seconds=0.0, best_epoch=None, best_score=None, parameters=0)
    return FittedEncoder(encoder, head, embeddings, head.export(embeddings.items), report)


def contrast_only(joint: Any) -> TokenizerModule:
    """A module after one backward pass of the contrastive losses alone."""
    log = interactions()
    graph, coengagement = graphs(log)
    fitted = fitted_encoder(log, graph)
    quiet = GraphHeadConfig(num_prototypes=4, nonzeros=2, modularity_weight=0.0, balance_weight=0.0)
    head = PrototypeHead(quiet, DIM)
    pairs = PairSampler(coengagement)
    tokenizer = TOKENS.build(content=5, embedding=DIM).start(log.content, fitted.embeddings.items, seed=0)
    module = TokenizerModule(
        tokenizer, SHORT, content=log.content, embeddings=fitted.embeddings.items, encoder=fitted.encoder,
        interests=head, edge_keys=pairs.keys, joint=joint,
    )  # fmt: skip
    rows = torch.arange(10)
    source, target = pairs.draw(6, np.random.default_rng(0))
    seeds = torch.cat([rows, source, target]) + USERS
    subgraph = NeighborSampler(graph, (5, 5)).sample(seeds) if joint == "joint" else None
    batch = TokenizerBatch(rows, source, target, subgraph)
    total, _ = module.loss(batch)
    total.backward()
    return module


def test_contrastive_gradient_reaches_what_the_mode_says() -> None:
    for joint, reaches_prototypes, reaches_encoder in (
        ("frozen", False, False), ("one_way", True, False), ("joint", True, True),
    ):  # fmt: skip
        module = contrast_only(joint)
        assert isinstance(module.interests, PrototypeHead)
        gradient = module.interests.vectors.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) == reaches_prototypes
        found = module.encoder is not None and any(
            p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.encoder.parameters()
        )
        assert found == reaches_encoder
        assert isinstance(module.tokenizer, RQVAE)
        first: Any = module.tokenizer.encoder[0]
        assert bool(first.weight.grad.abs().sum() > 0)


@pytest.mark.parametrize("joint", ["joint", "one_way", "frozen"])
def test_fit_hands_over_what_the_mode_trained(tmp_path: Path, joint: Any) -> None:
    log = interactions()
    graph, coengagement = graphs(log)
    before = fitted_encoder(log, graph)
    kept = copy.deepcopy(before.head.state_dict())
    fitted = fit_tokenizer(log, graph, coengagement, before, TOKENS, SHORT, tmp_path, 0, joint)
    assert collision_rate(fitted.semantic_ids.codes) == 0
    assert fitted.prototypes is not None
    assert fitted.embeddings is not None
    moved = not np.allclose(fitted.prototypes.vectors, before.prototypes.vectors, atol=1e-7)
    assert moved == (joint != "frozen")
    assert np.array_equal(fitted.embeddings.items, before.embeddings.items) == (joint != "joint")
    assert all(torch.equal(kept[name], value) for name, value in before.head.state_dict().items())
    again = fit_tokenizer(log, graph, coengagement, before, TOKENS, SHORT, tmp_path / "again", 0, joint)
    assert np.array_equal(again.semantic_ids.codes, fitted.semantic_ids.codes)
    assert np.array_equal(again.prototypes.vectors, fitted.prototypes.vectors)  # type: ignore[union-attr]


def test_content_alone_and_graph_alone(tmp_path: Path) -> None:
    log = interactions()
    plain = fit_tokenizer(log, None, None, None, TOKENS, SHORT, tmp_path / "content", 0)
    assert plain.prototypes is None
    assert plain.embeddings is None
    assert plain.tokenizer.blocks == {"content": 5}
    log = interactions(content=False)
    graph, coengagement = graphs(log)
    encoder = fitted_encoder(log, graph)
    alone = fit_tokenizer(log, graph, coengagement, encoder, TOKENS, SHORT, tmp_path / "graph", 0)
    assert alone.tokenizer.blocks == {"embedding": DIM}
    with pytest.raises(ConfigError, match="got neither"):
        fit_tokenizer(log, None, None, None, TOKENS, SHORT, tmp_path / "nothing", 0)


def test_fixed_memberships_stay_while_vectors_learn(tmp_path: Path) -> None:
    log = interactions()
    graph, coengagement = graphs(log)
    found = fitted_encoder(log, graph)
    control = random_prototypes(ITEMS, 4, DIM, nonzeros=2, seed=0)
    swapped = FittedEncoder(found.encoder, found.head, found.embeddings, control, found.report)
    fitted = fit_tokenizer(log, graph, coengagement, swapped, TOKENS, SHORT, tmp_path, 0, "one_way")
    assert fitted.prototypes is not None
    assert fitted.prototypes.method == "random"
    assert np.array_equal(fitted.prototypes.indices, control.indices)
    assert not np.allclose(fitted.prototypes.vectors, control.vectors, atol=1e-7)
    dense = FixedMemberships(control)(torch.arange(ITEMS))
    assert np.allclose(dense.numpy(), control.memberships.matrix(4).toarray())


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_codes_outlive_an_encoder_that_moves_away(tmp_path: Path, update: Any) -> None:
    content = np.random.default_rng(0).normal(size=(600, 20)).astype(np.float32)
    tokens = RQVAEConfig(codebook_size=32, latent_dim=16, hidden_dims=(64,), codebook_update=update)
    fast = FitConfig(epochs=4, batch_size=300, learning_rate=1e-2, accelerator="cpu")
    catalogue = Catalogue(len(content), content)
    report = fit_tokenizer(catalogue, None, None, None, tokens, fast, tmp_path, 0).semantic_ids.report
    assert min(level["usage"] for level in report["levels_before"]) >= 0.95
    # 19 (ema) and 23 (gradient) of 32 on the first level without the restart halfway.
    assert min(level["perplexity"] for level in report["levels_before"]) >= 24


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_resumed_fit_is_the_undisturbed_one(tmp_path: Path, update: Any) -> None:
    log, tokens = interactions(), dataclasses.replace(TOKENS, codebook_update=update)
    whole = fit_tokenizer(log, None, None, None, tokens, SHORT, tmp_path / "whole", 0)
    # Cut off after one epoch, of four; the rest must follow the same path, through resets and restart.
    cut = dataclasses.replace(SHORT, minutes=1e-9)
    stopped = fit_tokenizer(log, None, None, None, tokens, cut, tmp_path / "cut", 0)
    assert stopped.report is not None
    assert stopped.report.epochs == 1
    resumed = fit_tokenizer(log, None, None, None, tokens, SHORT, tmp_path / "cut", 0)
    assert np.array_equal(resumed.semantic_ids.codes, whole.semantic_ids.codes)
    for name, value in whole.tokenizer.state_dict().items():
        assert torch.allclose(resumed.tokenizer.state_dict()[name], value, atol=1e-6), name


@pytest.mark.parametrize(
    "tokens", [TOKENS, *(kind(num_levels=2, codebook_size=16) for kind in (RQKMeansConfig, OPQConfig))]
)
def test_begun_from_an_earlier_tokenizer_items_keep_their_codes(tmp_path: Path, tokens: Any) -> None:
    log = interactions()
    first = fit_tokenizer(log, None, None, None, tokens, SHORT, tmp_path / "first", 0)
    first.tokenizer.save(tmp_path / "earlier")
    again = dataclasses.replace(tokens, start=str(tmp_path / "earlier"))
    second = fit_tokenizer(log, None, None, None, again, SHORT, tmp_path / "second", 1)
    kept = (first.semantic_ids.codes == second.semantic_ids.codes).mean(axis=0)
    assert kept[0] > 0.9


def test_rq_kmeans_needs_no_training(tmp_path: Path) -> None:
    fitted = fit_tokenizer(
        interactions(), None, None, None, RQKMeansConfig(num_levels=2, codebook_size=16), SHORT, tmp_path, 0
    )
    assert fitted.report is None
    assert collision_rate(fitted.semantic_ids.codes) == 0


def test_more_items_than_ids_is_refused_before_training(tmp_path: Path) -> None:
    small = RQVAEConfig(num_levels=1, codebook_size=16)
    with pytest.raises(ConfigError, match="1 levels of 16 codes make 16 IDs, the catalogue has 60 items"):
        fit_tokenizer(interactions(), None, None, None, small, SHORT, tmp_path, 0)
    assert not any(tmp_path.iterdir())


def changed(found: FittedEncoder, **parts: Any) -> FittedEncoder:
    return dataclasses.replace(found, **parts)


KINDS = [TOKENS, RQKMeansConfig(num_levels=2, codebook_size=16)]


def test_off_leaves_the_contrast_out(tmp_path: Path) -> None:
    log = interactions()
    graph, coengagement = graphs(log)
    found = fitted_encoder(log, graph)
    control = random_prototypes(ITEMS, 6, DIM, nonzeros=3, seed=5)
    plain, other = (
        fit_tokenizer(log, graph, coengagement, start, TOKENS, SHORT, tmp_path / name, 0, "off")
        for name, start in (("found", found), ("control", changed(found, prototypes=control)))
    )
    assert np.array_equal(plain.semantic_ids.codes, other.semantic_ids.codes)
    for name, value in plain.tokenizer.state_dict().items():
        assert torch.equal(other.tokenizer.state_dict()[name], value), name
    # What was fitted before is handed over as it is, for the recommender's prefix.
    assert plain.prototypes is found.prototypes
    assert other.prototypes is control
    assert plain.embeddings is found.embeddings
    seen = fit_tokenizer(log, graph, coengagement, found, TOKENS, SHORT, tmp_path / "seen", 0, "frozen")
    assert not torch.equal(seen.tokenizer.level_codebooks(), plain.tokenizer.level_codebooks())


def test_off_builds_no_interests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = interactions()
    graph, coengagement = graphs(log)
    made: list[TokenizerModule] = []
    begin = TokenizerModule.__init__

    def watch(self: TokenizerModule, *values: Any, **options: Any) -> None:
        begin(self, *values, **options)
        made.append(self)

    monkeypatch.setattr(TokenizerModule, "__init__", watch)
    fit_tokenizer(log, graph, coengagement, fitted_encoder(log, graph), TOKENS, SHORT, tmp_path, 0, "off")
    assert made[0].interests is None
    assert made[0].contrast is None
    assert made[0].encoder is None


@pytest.mark.parametrize("tokens", KINDS)
@pytest.mark.parametrize(("inputs", "block"), [("content", {"content": 5}), ("graph", {"embedding": DIM})])
def test_only_the_named_inputs_are_tokenized(tmp_path: Path, tokens: Any, inputs: Any, block: dict) -> None:
    log = interactions()
    graph, coengagement = graphs(log)
    found = fitted_encoder(log, graph)
    rng = np.random.default_rng(1)
    embeddings = dataclasses.replace(
        found.embeddings, items=rng.normal(size=found.embeddings.items.shape).astype(np.float32)
    )
    other_graph = log, changed(found, embeddings=embeddings)
    other_content = dataclasses.replace(log, content=rng.normal(size=(ITEMS, 5)).astype(np.float32)), found

    def codes(name: str, log: Interactions, start: FittedEncoder) -> np.ndarray[Any, Any]:
        fitted = fit_tokenizer(
            log, graph, coengagement, start, tokens, SHORT, tmp_path / name, 0, "off", inputs
        )
        assert fitted.tokenizer.blocks == block
        assert fitted.embeddings is start.embeddings
        codes: np.ndarray[Any, Any] = fitted.semantic_ids.codes
        return codes

    first = codes("first", log, found)
    ignored, seen = (other_graph, other_content) if inputs == "content" else (other_content, other_graph)
    assert np.array_equal(codes("ignored", *ignored), first)
    assert not np.array_equal(codes("seen", *seen), first)


def test_content_tokens_still_learn_from_the_graph(tmp_path: Path) -> None:
    """Other inputs are one thing, the contrast another: joint training goes on, prototypes move."""
    log = interactions()
    graph, coengagement = graphs(log)
    found = fitted_encoder(log, graph)
    fitted = fit_tokenizer(
        log, graph, coengagement, found, TOKENS, SHORT, tmp_path / "joint", 0, "joint", "content"
    )
    assert fitted.tokenizer.blocks == {"content": 5}
    assert fitted.prototypes is not None
    assert not np.allclose(fitted.prototypes.vectors, found.prototypes.vectors, atol=1e-7)


@pytest.mark.parametrize("tokens", KINDS)
def test_inputs_that_there_are_not(tmp_path: Path, tokens: Any) -> None:
    log = interactions(content=False)
    graph, coengagement = graphs(log)
    found = fitted_encoder(log, graph)
    with pytest.raises(ConfigError, match="got neither"):
        fit_tokenizer(log, graph, coengagement, found, tokens, SHORT, tmp_path, 0, "off", "content")
    with pytest.raises(ConfigError, match="got neither"):
        fit_tokenizer(interactions(), None, None, None, tokens, SHORT, tmp_path, 0, "off", "graph")
