"""The whole system as a story: each property of `Run` is a stage, and takes what the ones before it give."""

import dataclasses
import datetime
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from g2rec.artifacts import (
    StageRecord,
    derive_seed,
    fingerprint,
    hash_file,
    open_folder,
    read_json,
    read_record,
    write_json,
)
from g2rec.bundle import Bundle, CardFacts, ContentEmbedding, check_parts
from g2rec.encoders import NodeEmbeddings
from g2rec.errors import ArtifactError, ConfigError
from g2rec.evaluation import TargetRanks, paired_test, summarize
from g2rec.graph import (
    CoEngagementConfig,
    CoEngagementGraph,
    InteractionGraph,
    build_coengagement,
    build_graph,
)
from g2rec.interactions import Interactions, prepare
from g2rec.prototypes import (
    GraphHeadConfig,
    InterestPrototypes,
    ModularityConfig,
    RandomPrototypesConfig,
    fit_modularity,
    place_by_content,
    random_prototypes,
)
from g2rec.recipes import Recipe, fetch, read_dataset
from g2rec.recommenders import G2Rec, Recommender, load_recommender
from g2rec.tokenizers import SemanticIds, load_tokenizer
from g2rec.training.baselines import SASREC, SPELLING, baseline_parts, decoder_alone, fit_baseline
from g2rec.training.encoder import FittedEncoder, fit_encoder
from g2rec.training.g2rec import fit_g2rec
from g2rec.training.ranking import load_ranks, rank_all, save_ranks
from g2rec.training.run_config import BaselineName, RunConfig
from g2rec.training.sequence import training_windows
from g2rec.training.stages import run_stage
from g2rec.training.tokenizer import fit_tokenizer

logger = logging.getLogger(__name__)

T = TypeVar("T")
ROOM_VERSION = 8
"""Part of every stage's key; raised when a stage's result changes for the same settings."""


@dataclass(frozen=True)
class Tokenized:
    """What the tokenizer stage hands over: IDs, and prototypes and embeddings as joint training left them."""

    semantic_ids: SemanticIds
    prototypes: InterestPrototypes | None
    embeddings: NodeEmbeddings | None


class Run:
    """A run folder: stages are loaded from it where they are done, and done where they are not.

    Each stage is remembered under a key of its settings and of the content that it takes, so changing a
    setting redoes that stage and those after it, and nothing else.

    Args:
        folder: The run's folder; made if it is missing.
        recipe: What data.
        config: All settings.
        mirror: A local folder with the recipe's files; nothing is downloaded then.
        announce: Told of each stage that is there.
        progress: Told of downloads: bytes done, bytes in all or None.
        build: Stages that may be made; the others must be there. None makes whatever is missing.
        elsewhere: Run folders of stages that are not in this one, by stage: variants of a run share the rest.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        config: RunConfig,
        *,
        mirror: Path | None = None,
        announce: Callable[[StageRecord], None] = lambda record: None,
        progress: Callable[[int, int | None], None] | None = None,
        build: frozenset[str] | None = None,
        elsewhere: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder, self.recipe, self.config, self.mirror = folder, recipe, config, mirror
        self.announce, self.progress, self.build = announce, progress, build
        self.elsewhere = elsewhere or {}

    def home(self, stage: str) -> Path:
        """The folder of a stage, such as ``baselines/sasrec``."""
        return self.elsewhere.get(stage, self.folder) / stage

    def make(self, stage: str) -> Any:
        """Load or make one stage by name, and what it needs."""
        kind, _, name = stage.partition("/")
        if kind == "baselines":
            return self.baseline(cast(BaselineName, name))
        if kind == "evaluation":
            model = self.recommender if name == "g2rec" else self.baseline(cast(BaselineName, name))
            return self._ranks(name, model)
        return getattr(self, "graphs" if stage == "graph" else stage)

    def settings_of(self, stage: str) -> list[Any]:
        """The settings that a stage depends on, beside what it takes from the stages before it."""
        config = self.config
        kind, _, name = stage.partition("/")
        if kind == "baselines":
            return [name, self._baseline_settings(name), config.seed]
        shared = CoEngagementConfig(
            **dataclasses.asdict(self.recipe.coengagement), seed=config.interactions.seed
        )
        content_tokenizer = dataclasses.replace(
            config.tokenizer, start=None
        )  # an earlier one has other inputs
        known: dict[str, list[Any]] = {
            "interactions": [self.recipe, config.interactions],
            "graph": [config.coengagement or shared],
            "encoder": [config.encoder, config.links, config.prototypes, config.encoder_fit, config.seed],
            "tokenizer": [
                config.tokenizer, config.tokenizer_fit, [config.joint, config.tokenizer_inputs], config.seed
            ],
            "content_tokenizer": [content_tokenizer, config.tokenizer_fit, None, config.seed],
            "recommender": [config.recommender.as_trained(), config.recommender_fit, config.seed],
            "evaluation": [
                config.evaluation.cutoffs, config.recommender.ranking if name == "g2rec" else None
            ],
        }  # fmt: skip
        if kind == "tokenizer" and config.tokenizer.start is not None:
            # Not only where it is but what it holds: a refit of it refits what began from it.
            known[kind].append(open_folder(Path(config.tokenizer.start), "tokenizer").content_hash)
        return known[kind]

    def inputs_of(self, stage: str) -> tuple[str, ...]:
        """The stages that a stage takes from; the content is there if the recipe says so."""
        kind, _, name = stage.partition("/")
        if kind == "evaluation":
            return ("recommender",) if name == "g2rec" else (f"baselines/{name}",)
        if kind == "baselines":
            parts = baseline_parts(cast(BaselineName, name), self.recipe.content.kind != "none")
            spelt = ("content_tokenizer",) if name in SPELLING else ()
            return ("interactions", *spelt, *(f"baselines/{part}" for part in parts))
        known = {
            "interactions": (),
            "graph": ("interactions",),
            "encoder": ("graph",),
            "tokenizer": ("encoder",),
            "content_tokenizer": ("interactions",),
            "recommender": ("tokenizer",),
        }
        return known[stage]

    @cached_property
    def interactions(self) -> Interactions:
        """Events: downloaded, filtered, mapped, split; item features."""
        path = self.home("interactions") / "interactions"

        def make() -> Interactions:
            raw = read_dataset(self.recipe, mirror=self.mirror, progress=self.progress)
            prepare(raw, self.recipe, self.config.interactions).save(path, config=self.config.interactions)
            return Interactions.load(path)

        return self._stage(
            "interactions",
            [*self.settings_of("interactions"), self.files()],
            make=make,
            load=lambda: Interactions.load(path),
            line=lambda log: (
                f"{log.num_users:,} users × {log.num_items:,} items × {log.num_events:,} events, "
                f"{len(log.train_events().item_index):,} to train on; content {_dim(log.content)}"
            ),
        )

    @cached_property
    def graphs(self) -> tuple[InteractionGraph, CoEngagementGraph]:
        """User-item neighbours in time, and the sampled item-item graph, of the training events."""
        path = self.home("graph")
        config = self.settings_of("graph")[0]

        def load() -> tuple[InteractionGraph, CoEngagementGraph]:
            return InteractionGraph.load(path / "bipartite"), CoEngagementGraph.load(path / "coengagement")

        def make() -> tuple[InteractionGraph, CoEngagementGraph]:
            made_from = self._hashes("interactions/interactions")
            build_graph(self.interactions).save(path / "bipartite", made_from=made_from)
            coengagement = build_coengagement(self.interactions, config)
            coengagement.save(path / "coengagement", config=config, made_from=made_from)
            return load()

        return self._stage(
            "graph",
            [config, self._hashes("interactions/interactions")],
            make=make,
            load=load,
            line=lambda pair: (
                f"{pair[0].num_nodes:,} nodes, {pair[0].num_edges:,} edges (both directions); "
                f"co-engagement {len(pair[1].indices):,} edges"
            ),
        )

    @cached_property
    def encoder(self) -> FittedEncoder:
        """Neighbour-sampled graph encoder and the interest prototypes on it."""
        path = self.home("encoder")
        config = self.config
        head = config.prototypes if isinstance(config.prototypes, GraphHeadConfig) else GraphHeadConfig(
            modularity_weight=0.0, balance_weight=0.0, gamma=1.0
        )  # fmt: skip

        config.prototypes.check()  # before the encoder is trained

        def make() -> FittedEncoder:
            graph, coengagement = self.graphs
            fitted = fit_encoder(
                self.interactions,
                graph,
                coengagement,
                config.encoder,
                head,
                config.encoder_fit,
                path,
                config.seed,
                config.links,
            )
            if isinstance(config.prototypes, ModularityConfig):
                on_gpu = config.encoder_fit.accelerator != "cpu" and torch.cuda.is_available()
                free = fit_modularity(
                    coengagement, np.asarray(fitted.embeddings.items), config.prototypes, seed=config.seed,
                    device="cuda" if on_gpu else "cpu",
                )  # fmt: skip
                known = graph.item_degrees() > 0
                free = place_by_content(free, self.interactions.content, known)
                fitted = dataclasses.replace(fitted, head=None, prototypes=free)
            elif isinstance(config.prototypes, RandomPrototypesConfig):
                items = fitted.embeddings.items
                control = random_prototypes(
                    len(items), config.prototypes.num_prototypes, items.shape[1],
                    nonzeros=config.prototypes.nonzeros, seed=derive_seed(config.seed, "random prototypes"),
                )  # fmt: skip
                fitted = dataclasses.replace(fitted, head=None, prototypes=control)
            made_from = self._hashes("interactions/interactions", "graph/bipartite", "graph/coengagement")
            fitted.save(path, made_from=made_from)
            return fitted

        def line(fitted: FittedEncoder) -> str:
            prototypes = fitted.prototypes
            used = int((prototypes.usage() > 0.1 / prototypes.num_prototypes).sum())
            return (
                f"{prototypes.num_prototypes} prototypes, {used} in use, "
                f"softness {prototypes.softness():.2f}; "
                f"embeddings {_dim(fitted.embeddings.items)}"
            )

        return self._stage(
            "encoder",
            [*self.settings_of("encoder"), self._hashes("graph/bipartite", "graph/coengagement")],
            make=make,
            load=lambda: FittedEncoder.load(path),
            line=line,
        )  # fmt: skip

    @cached_property
    def tokenizer(self) -> Tokenized:
        """Semantic IDs, trained jointly with prototypes and encoder."""
        return self._tokenize("tokenizer", ["encoder/fitted", "graph/bipartite"])

    @cached_property
    def content_tokenizer(self) -> Tokenized:
        """Semantic IDs from content alone, for TIGER: no graph, no prototypes."""
        return self._tokenize("content_tokenizer", ["interactions/interactions"])

    @cached_property
    def recommender(self) -> G2Rec:
        """The generative recommender over semantic IDs, fed with interest prototypes."""
        path = self.home("recommender")
        config = self.config
        config.recommender.check()  # before anything is trained

        def make() -> G2Rec:
            tokens = self.tokenizer
            model, _ = fit_g2rec(
                self.interactions, tokens.semantic_ids, tokens.prototypes, tokens.embeddings,
                config.recommender.as_trained(), config.recommender_fit, path, config.seed, self.graphs[1],
            )  # fmt: skip
            model.cpu().save(path / "model", made_from=self._hashes(*_TOKEN_PARTS, "graph/coengagement"))
            return G2Rec.load(path / "model")

        model = self._stage(
            "recommender",
            [*self.settings_of("recommender"), self._hashes(*_TOKEN_PARTS, "graph/coengagement")],
            make=make,
            load=lambda: G2Rec.load(path / "model"),
            line=lambda model: f"{_parameters(model):,} parameters, feed {model.config.feed}",
        )
        return model.ranking_by(config.recommender.ranking)

    def baseline(self, name: BaselineName) -> Recommender:
        """One baseline, fitted on the same training events."""
        path = self.home(f"baselines/{name}")
        inputs = ["interactions/interactions"]
        if name in SPELLING:
            inputs.append("content_tokenizer/semantic_ids")
            semantic_ids: SemanticIds | None = self.content_tokenizer.semantic_ids
        else:
            semantic_ids = None
        parts: dict[str, Recommender] = {
            part: self.baseline(part) for part in baseline_parts(name, self.interactions.content is not None)
        }
        inputs += [f"baselines/{part}/model" for part in parts]

        def make() -> Recommender:
            model = fit_baseline(name, self.interactions, self.config, path, semantic_ids, parts)
            model.cpu().save(path / "model", made_from=self._hashes(*inputs))
            return load_recommender(path / "model")

        return self._stage(
            f"baselines/{name}",
            [*self.settings_of(f"baselines/{name}"), self._hashes(*inputs)],
            make=make,
            load=lambda: load_recommender(path / "model"),
            line=lambda model: f"{_parameters(model):,} parameters",
        )

    def evaluate(self) -> dict[str, Any]:
        """Rank the whole catalogue for every test user with every model; write ``metrics.json``.

        The bundle is written before the first baseline is fitted, so that a run that is cut off can be used,
        and again with the figures in its card.
        """
        settings = self.config.evaluation
        log = self.interactions
        cutoffs = tuple(k for k in settings.measured if k <= log.num_items)
        if log.num_items < 10:
            raise ConfigError(
                f"expected at least 10 items, among which rankings are measured, {self.recipe.name} has "
                f"{log.num_items}; give more data, or stop at g2rec recommender fit, which makes a bundle"
            )
        if cutoffs != settings.measured:
            logger.warning("measured at %s, as there are %s items", cutoffs, log.num_items)
        training_windows(
            log, self.config.recommender.transformer.max_len
        )  # refuses a log without sequences before anything is trained
        counts = torch.from_numpy(np.bincount(log.train_events().item_index, minlength=log.num_items))
        models: dict[str, Any] = {}
        ranks: dict[str, TargetRanks] = {}
        ours = self.recommender
        self.write_bundle()
        fitted: dict[str, Recommender] = {name: self.baseline(name) for name in self.config.baselines}
        for name, model in {**fitted, "g2rec": ours}.items():
            title = TITLES[name]
            ranks[title] = self._ranks(name, model)
            report = summarize(ranks[title], counts, cutoffs=cutoffs, num_samples=settings.bootstrap_samples)
            record = read_record(self.home("recommender" if name == "g2rec" else f"baselines/{name}"))
            report["seconds"] = record.seconds if record else None
            report["parameters"] = _parameters(model)
            models[title] = report
        first = next(iter(models.values()))
        metrics = {
            "recipe": self.recipe.name,
            "split": log.split,
            "ties": self.config.interactions.ties or self.recipe.ties,
            "seed": self.config.seed,
            "recommender": self._hashes("recommender/model")["recommender/model"],
            "ranking": self.config.recommender.ranking,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "hardware": hardware(),
            "num_users": first["num_users"],
            "left_out_when_masked": first["left_out_when_masked"],
            "models": models,
            "paired": _against_best_baseline(models, ranks),
        }
        write_json(self.folder / "metrics.json", metrics)
        self.write_bundle()
        return metrics

    def write_bundle(self) -> Bundle:
        """Everything that recommending needs, in one folder; its card has the figures, if there are any."""
        bundle = dataclasses.replace(self._bundle, card=self._card())
        hashes = self._hashes("recommender/model", "tokenizer/tokenizer", *_TOKEN_PARTS)
        path = self.folder / "bundle"
        if not self._bundle_is_current(path, hashes, bundle.card):
            bundle.save(path, config=self.config, made_from=hashes)
        return bundle

    @cached_property
    def _bundle(self) -> Bundle:
        tokens = self.tokenizer
        if tokens.embeddings is None or tokens.prototypes is None:
            raise ArtifactError(
                "a bundle needs embeddings and prototypes, the tokenizer stage holds none; fit it again"
            )
        return Bundle(
            self.interactions,
            tokens.embeddings,
            tokens.prototypes,
            tokens.semantic_ids,
            self.recommender,
            load_tokenizer(self.home("tokenizer") / "tokenizer"),
            ContentEmbedding.fit(self.interactions, tokens.embeddings.items, tokens.prototypes),
        )

    def _bundle_is_current(self, path: Path, hashes: dict[str, str], card: CardFacts) -> bool:
        if not path.is_dir():
            return False
        try:
            folder = open_folder(path, "bundle")
            held = folder.meta.get("card", {}).get("metrics")
            ranking = ((folder.manifest["config"] or {}).get("recommender") or {}).get("ranking")
            current = (
                dict(folder.manifest["made_from"]) == hashes
                and ranking == self.config.recommender.ranking
                and fingerprint(held) == fingerprint(card.metrics)
            )
            if current:
                check_parts(folder)
        except ArtifactError:  # lost or damaged: written anew
            return False
        return current

    def _card(self) -> CardFacts:
        """What the bundle's card says; figures only if they are of this recommender."""
        file, metrics = self.folder / "metrics.json", None
        if file.is_file():
            known = read_json(file)
            made = self._hashes("recommender/model")["recommender/model"], self.config.recommender.ranking
            if (known.get("recommender"), known.get("ranking")) == made:
                metrics = known
        return CardFacts(
            name=self.recipe.name,
            data=self.recipe.title,
            licence=self.recipe.licence,
            citation=self.recipe.citation,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            hardware=hardware(),
            metrics=metrics,
        )

    def _tokenize(self, name: str, inputs: list[str]) -> Tokenized:
        path = self.home(name)
        config = self.config
        settings = self.settings_of(name)[0]
        with_graph = name == "tokenizer"
        made_from = self._hashes(*inputs)

        def load() -> Tokenized:
            return Tokenized(
                SemanticIds.load(path / "semantic_ids"),
                InterestPrototypes.load(path / "prototypes") if with_graph else None,
                NodeEmbeddings.load(path / "embeddings") if with_graph else None,
            )

        def make() -> Tokenized:
            graph, coengagement = self.graphs if with_graph else (None, None)
            fitted = fit_tokenizer(
                self.interactions, graph, coengagement, self.encoder if with_graph else None,
                settings, config.tokenizer_fit, path, config.seed, config.joint,
                config.tokenizer_inputs if with_graph else "both",
            )  # fmt: skip
            fitted.tokenizer.save(path / "tokenizer", config=settings, made_from=made_from)
            if fitted.prototypes is not None and fitted.embeddings is not None:
                fitted.prototypes.save(path / "prototypes", made_from=made_from)
                fitted.embeddings.save(path / "embeddings", made_from=made_from)
            fitted.semantic_ids.save(path / "semantic_ids", made_from=made_from)
            return load()

        def line(tokens: Tokenized) -> str:
            ids = tokens.semantic_ids
            before, after = ids.report["collision_rate_before"], ids.report["collision_rate"]
            return (
                f"{len(ids.codes):,} items, {ids.codes.shape[1]} levels of {ids.codebook_size} codes; "
                f"collisions {before:.1%} before, {after:.1%} after"
            )

        return self._stage(name, [*self.settings_of(name), made_from], make=make, load=load, line=line)

    def _ranks(self, name: str, model: Recommender) -> TargetRanks:
        """Where each test user's target stands; remembered, for comparing models user by user."""
        path = self.home(f"evaluation/{name}")
        source = "recommender/model" if name == "g2rec" else f"baselines/{name}/model"
        settings = self.config.evaluation

        def make() -> TargetRanks:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model.to(device)
            clock = time.monotonic()
            ranks = rank_all(
                model, self.interactions.targets("test"),
                top_k=min(settings.measured[-1], self.interactions.num_items), batch_size=settings.batch_size,
            )  # fmt: skip
            save_ranks(path / "ranks", ranks, seconds=time.monotonic() - clock)
            model.cpu()
            return ranks

        return self._stage(
            f"evaluation/{name}",
            [*self.settings_of(f"evaluation/{name}"), self._hashes(source)],
            make=make,
            load=lambda: load_ranks(path / "ranks")[0],
            line=lambda ranks: (
                f"R@10 {float(ranks.recall().mean()):.4f}, N@10 {float(ranks.ndcg().mean()):.4f} "
                f"over {len(ranks.target):,} users"
            ),
        )

    def _stage(
        self,
        name: str,
        key: list[Any],
        *,
        make: Callable[[], T],
        load: Callable[[], T],
        line: Callable[[T], str],
    ) -> T:
        digest = fingerprint(ROOM_VERSION, name, *key)
        folder = self.home(name)
        if self.build is not None and name.split("/")[0] not in self.build:
            record = read_record(folder)
            if record is None or record.key != digest:
                state = "is missing" if record is None else "was made with other settings or data"
                command = STAGE_COMMANDS[name.split("/")[0]]
                raise ArtifactError(f"the stage {name} of {self.folder} {state}; run g2rec {command} first")
        return run_stage(folder, name, digest, make=make, load=load, line=line, announce=self.announce)

    def _hashes(self, *paths: str) -> dict[str, str]:
        """Content hashes of artefacts of this run, making sure that their stage is done."""
        for path in paths:
            stage = path.split("/")[0]
            if stage in ("interactions", "graph", "encoder", "tokenizer", "content_tokenizer", "recommender"):
                getattr(self, "graphs" if stage == "graph" else stage)
        hashes = {}
        for path in paths:
            stage, _, part = path.rpartition("/")
            hashes[path] = str(read_json(self.home(stage) / part / "manifest.json")["content_hash"])
        return hashes

    def files(self) -> Any:
        """Hashes of local files; what is downloaded is held to its hash anyway."""
        local = [source.folder for source in self.recipe.sources if source.folder]
        if self.mirror is None and not local:
            return None
        fetched = fetch(self.recipe, mirror=self.mirror)
        return {role: hash_file(path) for role, path in fetched.files.items()}

    def _baseline_settings(self, name: str) -> Any:
        config = self.config
        return {
            "ease": [config.ease],
            "text_neighbors": [config.text_neighbors],
            "word_neighbors": [config.text_neighbors],
            "lightgcn": [config.lightgcn, config.lightgcn_fit],
            **{sasrec: [config.sasrec, config.sasrec_fit] for sasrec in SASREC},
            "tiger": [config.tiger, config.tiger_fit],
            "tiger_decoder": [decoder_alone(config.recommender), config.recommender_fit],
            "letter": [config.letter, config.tokenizer, config.tokenizer_fit, config.tiger, config.tiger_fit],
            "rpg": [config.rpg, config.rpg_fit],
            "language": [config.language, config.language_fit],
            "code_lm": [config.code_lm, config.code_lm_fit],
        }.get(name)


TITLES = {
    "popularity": "Popularity",
    "recent_popularity": "RecentPopularity",
    "newness": "Newness",
    "item_transitions": "ItemTransitions",
    "item_knn": "ItemKNN",
    "ease": "EASE",
    "text_neighbors": "TextNeighbors",
    "word_neighbors": "WordNeighbors",
    "lightgcn": "LightGCN",
    "sasrec_bce": "SASRec-BCE",
    "sasrec": "SASRec",
    "sasrec_cosine": "SASRec-cosine",
    "sasrec_graph": "SASRec-graph",
    "fusion": "Fusion",
    "tiger": "TIGER",
    "tiger_decoder": "TIGER-decoder",
    "letter": "LETTER",
    "rpg": "RPG",
    "language": "LanguageModel",
    "code_lm": "CodeLM",
    "g2rec": "G2Rec",
}
"""Names of the models in tables."""

STAGE_COMMANDS = {
    "interactions": "graph build",
    "graph": "graph build",
    "encoder": "encoder fit",
    "tokenizer": "tokenizer fit",
    "content_tokenizer": "evaluate",
    "recommender": "recommender fit",
    "baselines": "evaluate",
    "evaluation": "evaluate",
}
"""The command that makes each stage."""

_TOKEN_PARTS = ("tokenizer/semantic_ids", "tokenizer/prototypes", "tokenizer/embeddings")


def hardware() -> str:
    """This machine in a few words: processor, cores, GPU."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            row.split(":", 1)[1].strip()
            for row in info.read_text().splitlines()
            if row.startswith("model name")
        ]
        model = names[0] if names else model
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{model}, {os.cpu_count()} cores{gpu}"


def _against_best_baseline(models: dict[str, Any], ranks: dict[str, TargetRanks]) -> dict[str, Any] | None:
    others = [name for name in models if name != TITLES["g2rec"]]
    if not others:
        return None
    best = max(others, key=lambda name: models[name]["masked"]["ndcg@10"]["mean"])
    test = paired_test(ranks[TITLES["g2rec"]].ndcg(masked=True), ranks[best].ndcg(masked=True))
    return {
        "metric": "masked ndcg@10",
        "baseline": best,
        "difference": test.difference._asdict(),
        "p_value": test.p_value,
    }


def _parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _dim(array: Any) -> str:
    return "none" if array is None else f"{array.shape[1]}-d"
