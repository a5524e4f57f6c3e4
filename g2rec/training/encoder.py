"""Fit an encoder and its interest prototypes together, on links and co-engagement."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from g2rec.artifacts import Folder, derive_seed, open_folder, save_folder
from g2rec.encoders import (
    DroppedItems,
    EncoderConfig,
    GraphEncoder,
    NodeEmbeddings,
    drop_items,
    link_loss,
    load_encoder,
)
from g2rec.errors import ConfigError
from g2rec.graph import CoEngagementGraph, InteractionGraph
from g2rec.interactions import Interactions
from g2rec.prototypes import (
    GraphHeadConfig,
    InterestPrototypes,
    ModularityConfig,
    PrototypeHead,
    community_partition,
    fit_modularity,
    membership_entropy,
    modularity_loss,
    partition_into,
    place_by_content,
    usage_balance_loss,
)
from g2rec.sampling import NegativeSamplerConfig, NeighborSampler, SampledSubgraph, Sampler
from g2rec.shapes import Float, Int, Tensor
from g2rec.training.batches import BatchKey, batches, batches_ahead
from g2rec.training.fitting import FitConfig, FitReport, fit, optimizer
from g2rec.training.links import EventLinks, Links


@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """What a training step of the encoder samples."""

    fanouts: tuple[int, ...] = (10, 5)
    """Neighbours drawn per node in each hop; one number a layer."""
    num_negatives: int = 256
    """Items drawn by popularity as negatives, beside those of the batch."""
    num_in_batch: int = 256
    """Positives of a batch that are negatives of its other users."""
    negative_power: float = 0.75
    """Popularity is raised to this for the drawn negatives."""
    temperature: float = 0.1
    """Of the link softmax over cosines; lower is sharper."""
    num_edges: int = 1024
    """Co-engagement edges drawn in each step for the modularity."""
    item_dropout: float = 0.3
    """Share of items seen without ID embedding in a step; half of them, given content, without edges too."""
    warmup_epochs: int = 3
    """Epochs on links alone, after which the prototypes start from k-means on the items."""
    num_threads: int = 0
    """Threads that make batches ahead while the model computes; 0 makes each when it is asked for."""

    def check(self, num_layers: int) -> None:
        """Raise `ConfigError` if a value is out of range."""
        if len(self.fanouts) != num_layers:
            raise ConfigError(
                f"links.fanouts needs one number per layer of the encoder, {num_layers}, got "
                f"{len(self.fanouts)}; change it or encoder.num_layers"
            )
        for name, least in (("num_edges", 2), ("num_negatives", 1), ("num_in_batch", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}; raise it")
        if not 0 <= self.item_dropout < 1:
            raise ConfigError(f"item_dropout must lie in [0, 1), got {self.item_dropout}; 0.3 is usual")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be positive, got {self.temperature}; a usual value is 0.1")
        for name, usual in (("warmup_epochs", 3), ("num_threads", 0)):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}; {usual} is usual")


@dataclass(frozen=True)
class EncoderBatch:
    """One subgraph for the links, the negatives and the co-engagement edges of a step."""

    subgraph: SampledSubgraph
    """Seeds: B users, B positives, K negatives, sources and targets of the edges."""
    positives: Int[Tensor, " B"]
    """Items."""
    negatives: Int[Tensor, " K"]
    """Items."""
    log_q: Float[Tensor, " B"]
    """Of the positives as in-batch negatives, nats."""
    negative_log_q: Float[Tensor, " K"]
    """Of the drawn negatives, nats."""
    dropped: DroppedItems | None
    """Items seen as new ones would be."""

    def to(self, device: torch.device) -> "EncoderBatch":
        """The same batch on a device; Lightning calls it."""
        return EncoderBatch(
            self.subgraph.to(device),
            self.positives.to(device),
            self.negatives.to(device),
            self.log_q.to(device),
            self.negative_log_q.to(device),
            None if self.dropped is None else self.dropped.to(device),
        )


@dataclass(frozen=True)
class FittedEncoder:
    """What the fit hands over."""

    encoder: GraphEncoder
    """On the CPU, in evaluation mode."""
    head: PrototypeHead | None
    """Gives new items their memberships; None where the memberships are free."""
    embeddings: NodeEmbeddings
    """Of all users and items, from all their training neighbours."""
    prototypes: InterestPrototypes
    """Vectors and memberships."""
    report: FitReport | None = None
    """Epochs and seconds; None where it was loaded."""

    def save(self, path: Path, *, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the parts as folders of one folder, and last the folder that makes it whole."""
        hashes = {
            "encoder": self.encoder.save(path / "encoder", made_from=made_from).content_hash,
            "embeddings": self.embeddings.save(path / "embeddings", made_from=made_from).content_hash,
            "prototypes": self.prototypes.save(path / "prototypes", made_from=made_from).content_hash,
        }
        head = self.head
        return save_folder(
            path / "fitted",
            "fitted_encoder",
            tensors={} if head is None else {"head": head.state_dict()},
            config=None if head is None else head.config,
            made_from=hashes,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ArtifactError: If a part is missing or damaged.
        """
        folder = open_folder(path / "fitted", "fitted_encoder")
        embeddings = NodeEmbeddings.load(path / "embeddings")
        head = None
        if folder.has("head.safetensors"):
            settings = {key: value for key, value in folder.manifest["config"].items() if key != "type"}
            head = GraphHeadConfig(**settings).build(embeddings.items.shape[1]).eval()
            head.load_state_dict(folder.tensors("head"))
        prototypes = InterestPrototypes.load(path / "prototypes")
        return cls(load_encoder(path / "encoder"), head, embeddings, prototypes)


class EncoderModule(L.LightningModule):
    """Trains an encoder on links and, after a warm-up, its prototype head on modularity.

    L = link + modularity_weight (-Q) + balance_weight (log C - H(mean p)) - entropy_weight mean H(p)

    When the warm-up ends, the prototypes start from clusters of the items' embeddings: of all items with
    events, or of those that ``start_items`` embeds. Clusters are those of spherical k-means or, where given,
    the ``communities``, which the memberships then also learn as labels. Where that ended half-way, so that
    modularity alone held against the link loss, a graph of weak structure lost part of what was learned: on
    Online Retail (Q .06, on Beauty .40) the head fell from .98 of Leiden's modularity to .92.
    """

    def __init__(
        self,
        encoder: GraphEncoder,
        head: PrototypeHead,
        graph: InteractionGraph,
        content: Float[Tensor, "I F"] | None,
        link_config: LinkConfig,
        fit_config: FitConfig,
        seed: int,
        start_items: Callable[[], Tensor] | None = None,
        communities: NDArray[np.int32] | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.graph, self.start_items = encoder, head, graph, start_items
        self.link_config, self.fit_config, self.seed = link_config, fit_config, seed
        epochs = fit_config.epochs or math.inf
        self.start_epoch = int(min(link_config.warmup_epochs, epochs - 1))
        self.content: Tensor | None
        self.register_buffer("content", content, persistent=False)
        labels = None if communities is None else torch.from_numpy(communities.astype(np.int64))
        self.communities: Tensor | None
        self.register_buffer("communities", labels, persistent=False)

    def on_train_epoch_start(self) -> None:
        """Start the prototypes where the warm-up ends."""
        if self.current_epoch == self.start_epoch:
            self._start_prototypes()

    def on_train_end(self) -> None:
        """Where time was over before the warm-up was, start the prototypes from what there is."""
        if self.current_epoch <= self.start_epoch:
            self._start_prototypes()

    def _start_prototypes(self) -> None:
        labels = None
        if self.start_items is not None:
            items = self.start_items()
        else:
            known = self.graph.item_degrees() > 0
            items = torch.from_numpy(self.encoder.embed_all(self.graph, self.content).items[known])
            if self.communities is not None:
                labels = self.communities.cpu()[torch.from_numpy(known)]
        self.head.start(items, derive_seed(self.seed, "k-means"), labels)

    def training_step(self, batch: EncoderBatch, batch_index: int) -> Tensor:
        """The joint loss of one batch."""
        sizes = [len(batch.positives), len(batch.positives), len(batch.negatives)]
        h = self.encoder(batch.subgraph, self.content, batch.dropped)
        rest = (len(h) - sum(sizes)) // 2
        users, items, negatives, source, target = h.split([*sizes, rest, rest])
        loss: Tensor = link_loss(
            users,
            items,
            batch.positives,
            batch.log_q,
            negatives,
            batch.negatives,
            batch.negative_log_q,
            temperature=self.link_config.temperature,
            num_in_batch=self.link_config.num_in_batch,
        )
        self.log("train_link", loss, on_step=False, on_epoch=True, batch_size=1)
        if self.current_epoch >= self.start_epoch and rest > 1:
            config = self.head.config
            p_source, p_target = self.head(source), self.head(target)
            modularity = modularity_loss(p_source, p_target, self.head.gamma)
            both = torch.cat((p_source, p_target))
            balance, entropy = usage_balance_loss(both), membership_entropy(both)
            self.log("train_modularity", -modularity, on_step=False, on_epoch=True, batch_size=1)
            loss = loss + config.modularity_weight * modularity + config.balance_weight * balance
            loss = loss - config.entropy_weight * entropy
            if self.communities is not None:
                label = self.communities[batch.positives]
                inside = label < config.num_prototypes
                if inside.any():  # the mean over no row would be nan
                    loss = loss + F.cross_entropy(self.head.logits(items[inside]), label[inside])
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW."""
        return optimizer(self, self.fit_config)


def encoder_loader(
    links: Links,
    sampler: Sampler,
    num_users: int,
    config: LinkConfig,
    batch_size: int,
    *,
    has_content: bool,
    seed: int,
    num_rows: int,
    shuffle: bool = True,
) -> Iterable[EncoderBatch]:
    """Batches of training events with their sampled subgraphs.

    Args:
        links: Gives events and co-engaged pairs.
        sampler: Of the events' graph; a batch's own edges are excluded from its subgraph.
        num_users: U, where the nodes of items begin.
        config: What to sample.
        batch_size: Events in a batch.
        has_content: Whether items may be seen through their content only.
        seed: Decides order and draws.
        num_rows: Events in an epoch.
        shuffle: Whether rows are permuted; where links draw their events, they need not be.
    """
    in_batch = NegativeSamplerConfig(kind="in_batch").build(links.counts)
    popular = NegativeSamplerConfig(power=config.negative_power).build(links.counts, seed=seed)

    def make(key: BatchKey) -> EncoderBatch:
        at = (key.epoch, key.step)
        users, positives = links.events(key)
        drawn = popular.sample(config.num_negatives, key=at)
        items = torch.cat((positives, drawn.items, *links.pairs(key, config.num_edges))) + num_users
        nodes = torch.cat((users, items))
        subgraph = sampler.sample(nodes, key=at, exclude=(users, positives + num_users))
        dropped = None
        if config.item_dropout > 0:
            dropped = drop_items(links.num_items, config.item_dropout, seed=seed, key=at, edges=has_content)
        return EncoderBatch(subgraph, positives, drawn.items, in_batch.log_q(positives), drawn.log_q, dropped)

    order = derive_seed(seed, "links")
    if config.num_threads == 0:
        return batches(make, num_rows, batch_size, seed=order, shuffle=shuffle)
    threads = config.num_threads
    return batches_ahead(make, num_rows, batch_size, seed=order, shuffle=shuffle, num_threads=threads)


class EncoderDataModule(L.LightningDataModule):
    """Training events with their sampled subgraphs, for `EncoderModule` in any Trainer.

    Args:
        interactions: The prepared log.
        graph: Built from it.
        coengagement: Built from it.
        links: What a step samples.
        batch_size: Events in a batch.
        seed: Decides order and draws, with epoch and step.
    """

    def __init__(
        self,
        interactions: Interactions,
        graph: InteractionGraph,
        coengagement: CoEngagementGraph,
        links: LinkConfig | None = None,
        *,
        batch_size: int = 2048,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.interactions, self.graph, self.coengagement = interactions, graph, coengagement
        self.links, self.batch_size, self.seed = links or LinkConfig(), batch_size, seed

    def train_dataloader(self) -> Iterable[EncoderBatch]:
        """All training events once.

        Raises:
            DataError: If there is none.
        """
        links = EventLinks(self.interactions, self.coengagement, seed=self.seed)
        return encoder_loader(
            links,
            NeighborSampler(self.graph, self.links.fanouts, seed=self.seed),
            self.graph.num_users,
            self.links,
            self.batch_size,
            has_content=self.interactions.content is not None,
            seed=self.seed,
            num_rows=len(links),
        )


def fit_encoder(
    interactions: Interactions,
    graph: InteractionGraph,
    coengagement: CoEngagementGraph,
    encoder_config: EncoderConfig,
    head_config: GraphHeadConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
    link_config: LinkConfig | None = None,
) -> FittedEncoder:
    """Train an encoder and its prototypes on the training events.

    Args:
        interactions: The prepared log.
        graph: Built from it.
        coengagement: Built from it.
        encoder_config: ``LightGCNConfig`` or ``GraphSAGEConfig``.
        head_config: The prototypes.
        fit_config: Length and rates; a row is a training event.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Of the initial weights, the order and all draws.
        link_config: What a step samples.

    Raises:
        ConfigError: If a setting is out of range.
        DataError: If there is no training event.
    """
    link_config = link_config or LinkConfig()
    link_config.check(encoder_config.num_layers)
    content = None
    if interactions.content is not None:
        content = torch.from_numpy(np.array(interactions.content, dtype=np.float32))
    torch.manual_seed(derive_seed(seed, "encoder", "init"))
    content_dim = 0 if content is None else content.shape[1]
    encoder = encoder_config.build(interactions.num_users, interactions.num_items, content_dim)
    head_config.check()
    communities = None
    if coengagement.num_edges:
        order = derive_seed(seed, "communities") % 2**31
        if head_config.gamma is None:
            communities, gamma = partition_into(coengagement, head_config.num_prototypes, seed=order)
            head_config = replace(head_config, gamma=gamma)
        elif head_config.start == "communities":
            communities = community_partition(coengagement, gamma=head_config.gamma, seed=order)
    if head_config.start != "communities":
        communities = None
    elif communities is not None:
        communities = _settled(coengagement, communities, head_config, seed)
    head = head_config.build(encoder.features.embedding_dim)
    data = EncoderDataModule(
        interactions, graph, coengagement, link_config, batch_size=fit_config.batch_size, seed=seed
    )
    train = data.train_dataloader()
    fit_config = fit_config.settled(len(train))  # type: ignore[arg-type]
    module = EncoderModule(
        encoder, head, graph, content, link_config, fit_config, seed, communities=communities
    )
    report = fit(module, train, config=fit_config, folder=folder, name="encoder", seed=seed)
    encoder.learn_new_items(graph, content)
    embeddings = encoder.embed_all(graph, content)
    encoder, head = encoder.cpu().eval(), head.cpu().eval()
    known = graph.item_degrees() > 0
    prototypes = place_by_content(head.export(embeddings.items), interactions.content, known)
    return FittedEncoder(encoder, head, embeddings, prototypes, report)


def _settled(
    graph: CoEngagementGraph, communities: NDArray[np.int32], config: GraphHeadConfig, seed: int
) -> NDArray[np.int32]:
    """Communities where free memberships end that start from them, [I]: at most C, of a larger modularity.

    It takes seconds, and items of communities beyond the C largest join a prototype by their neighbours. On
    Online Retail Leiden's modularity differs between seeds by 5%, what comes of it does not. An item without
    neighbours is in none: C.
    """
    settings = ModularityConfig(
        num_prototypes=config.num_prototypes, nonzeros=config.nonzeros, gamma=config.gamma
    )
    nothing = np.zeros((graph.num_items, 1), dtype=np.float32)  # vectors are not looked at
    label = fit_modularity(graph, nothing, settings, seed=seed, start=communities).dominant()
    return np.where(np.diff(graph.indptr) > 0, label, config.num_prototypes).astype(np.int32)
