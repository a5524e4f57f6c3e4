"""Training the tokenizer, alone or together with the prototypes and the encoder."""

import copy
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.encoders import GraphEncoder, NodeEmbeddings
from g2rec.errors import ConfigError
from g2rec.graph import CoEngagementGraph, InteractionGraph
from g2rec.prototypes import (
    FixedMemberships,
    InterestPrototypes,
    PrototypeHead,
    modularity_loss,
    place_by_content,
    usage_balance_loss,
)
from g2rec.sampling import NeighborSampler, SampledSubgraph
from g2rec.shapes import Float, Tensor
from g2rec.tokenizers import (
    RQVAE,
    ContrastiveHead,
    ItemTokenizer,
    PairSampler,
    RQVAEConfig,
    RQVAEOutput,
    SemanticIds,
    TokenizerConfig,
    batch_positives,
    load_tokenizer,
    pair_contrast,
    prototype_cross_entropy,
)
from g2rec.training.batches import BatchKey, batches
from g2rec.training.encoder import FittedEncoder
from g2rec.training.fitting import FitConfig, FitReport, fit, optimizer

logger = logging.getLogger(__name__)

JointMode = Literal["joint", "one_way", "frozen", "off"]
"""How far the contrastive gradient goes: joint reaches prototypes and encoder, one_way the prototypes only,
frozen neither (the tokenizer still learns from both); off leaves the contrast out."""
TokenizerInputs = Literal["both", "content", "graph"]
"""What is tokenized: content joined with graph embeddings, or one of them alone."""

_ENCODER_RATE = 0.1
"""The encoder's and the prototypes' learning rate over the tokenizer's: they come fitted."""
_FANOUTS = (10, 5)
"""Neighbours sampled in the first hop around the items whose embeddings the joint loss trains, and beyond."""
_RESET_UNTIL = 0.5
"""Share of the epochs in which dead codes are moved; the rest settles without. Codes die because the encoder
moves away from what k-means saw before training, most in the first steps: so the last of these epochs starts
the codebooks afresh, by k-means on its latents. (Beauty, 60 steps: usage of the three levels of 256 was .93,
.91, .98 without, .97, .99, .98 with it.)"""
_RESTART_ROWS = 20_480
"""Latents that this k-means sees, at most."""


@dataclass(frozen=True)
class FittedTokenizer:
    """What the stage hands over."""

    tokenizer: ItemTokenizer
    semantic_ids: SemanticIds
    prototypes: InterestPrototypes | None
    """As they are after joint training; None without a graph."""
    embeddings: NodeEmbeddings | None
    """As they are after joint training; None without a graph."""
    report: FitReport | None
    """None for the training-free tokenizers."""


class TokenizerBatch(NamedTuple):
    """One step: items to rebuild, and co-engaged pairs drawn proportional to weight."""

    items: Tensor
    """[B] item indices."""
    source: Tensor
    """[P] first ends; empty without a graph."""
    target: Tensor
    """[P] second ends."""
    subgraph: SampledSubgraph | None
    """Around items, sources and targets, in this order; None unless the encoder trains."""

    def to(self, device: torch.device | str) -> "TokenizerBatch":
        """The batch on another device."""
        subgraph = self.subgraph.to(device) if self.subgraph is not None else None
        return TokenizerBatch(self.items.to(device), self.source.to(device), self.target.to(device), subgraph)


class TokenizerModule(L.LightningModule):
    """RQ-VAE with the contrastive losses of the interest prototypes.

    loss = rqvae(x_i) + a CE(q_i; p_i over c) + b InfoNCE(q_i, q_j) [+ modularity(p_i, p_j) + balance]

    The last two keep the prototypes interests while the contrastive gradient moves them; they are left
    out where the prototypes are frozen. Targets p_i carry no gradient in the cross-entropy: else the
    cheapest way to agree would be to make all memberships alike.
    """

    content: Tensor | None
    embeddings: Tensor | None
    edge_keys: Tensor

    def __init__(
        self,
        tokenizer: RQVAE,
        config: FitConfig,
        *,
        content: NDArray[np.float32] | None,
        embeddings: NDArray[np.float32] | None = None,
        encoder: GraphEncoder | None = None,
        interests: PrototypeHead | FixedMemberships | None = None,
        edge_keys: NDArray[np.int64] | None = None,
        joint: JointMode = "frozen",
    ) -> None:
        super().__init__()
        self.tokenizer, self.config, self.joint = tokenizer, config, joint
        self._latents: list[Tensor] = []
        self.encoder = encoder if joint == "joint" else None
        self.interests = interests
        self.contrast: ContrastiveHead | None = None
        if interests is not None:
            interests.requires_grad_(joint in ("joint", "one_way"))
            self.contrast = ContrastiveHead(tokenizer.config.latent_dim, interests.vectors.shape[1])
        self._constant("content", content)
        self._constant("embeddings", embeddings)
        self._constant("edge_keys", edge_keys if edge_keys is not None else np.empty(0, dtype=np.int64))

    def _constant(self, name: str, value: NDArray[Any] | None) -> None:
        """Data that moves with the module but is no part of a checkpoint."""
        tensor = None if value is None else torch.from_numpy(np.array(value))
        self.register_buffer(name, tensor, persistent=False)

    def training_step(self, batch: TokenizerBatch, batch_index: int) -> Tensor:
        """The loss of one batch."""
        loss, out = self.loss(batch)
        self._seen = out.codes, out.residuals
        self.log("train_loss", loss, batch_size=len(batch.items), on_step=False, on_epoch=True)
        return loss

    def loss(self, batch: TokenizerBatch) -> tuple[Float[Tensor, ""], RQVAEOutput]:
        """The loss, and the batch's items after the autoencoder."""
        settings = self.tokenizer.config
        embedding = self._embeddings(batch)
        num_items = len(batch.items)
        out = self.tokenizer(self._inputs(batch.items, _rows(embedding, 0, num_items)))
        loss = out.loss
        if self.interests is None or self.contrast is None or embedding is None:
            return loss, out
        memberships = self._memberships(batch, embedding)
        loss = loss + settings.prototype_weight * prototype_cross_entropy(
            self.contrast(out.quantized),
            self.interests.vectors,
            memberships[:num_items].detach(),
            settings.temperature,
        )
        num_pairs = len(batch.source)
        if num_pairs < 2:
            return loss, out
        ends = torch.cat([batch.source, batch.target])
        pairs = self.contrast(
            self.tokenizer.quantize(self._inputs(ends, embedding[num_items:])).straight_through
        )
        positives = batch_positives(batch.source, batch.target, self.edge_keys, self.num_items)
        loss = loss + settings.pair_weight * pair_contrast(
            pairs[:num_pairs], pairs[num_pairs:], positives, settings.temperature
        )
        if self.joint in ("joint", "one_way") and isinstance(self.interests, PrototypeHead):
            p_source, p_target = memberships[num_items:].tensor_split(2)
            head = self.interests.config
            modularity = modularity_loss(p_source, p_target, self.interests.gamma)
            loss = loss + head.modularity_weight * modularity
            loss = loss + head.balance_weight * usage_balance_loss(memberships[:num_items])
        return loss, out

    def _memberships(self, batch: TokenizerBatch, embedding: Tensor) -> Tensor:
        """Dense memberships of items, sources and targets."""
        if isinstance(self.interests, FixedMemberships):
            return self.interests(torch.cat([batch.items, batch.source, batch.target]))  # type: ignore[no-any-return]
        assert self.interests is not None
        return self.interests(embedding)  # type: ignore[no-any-return]

    @property
    def num_items(self) -> int:
        """I."""
        known = self.embeddings if self.embeddings is not None else self.content
        return 0 if known is None else len(known)

    def _embeddings(self, batch: TokenizerBatch) -> Tensor | None:
        """Graph embeddings of items, sources and targets: computed if the encoder trains, else looked up."""
        if self.encoder is not None and batch.subgraph is not None:
            return self.encoder(batch.subgraph, self.content)  # type: ignore[no-any-return]
        if self.embeddings is None:
            return None
        return self.embeddings[torch.cat([batch.items, batch.source, batch.target])]

    def _inputs(self, items: Tensor, embedding: Tensor | None) -> Tensor:
        blocks: dict[str, Tensor] = {}
        if self.content is not None and "content" in self.tokenizer.blocks:
            blocks["content"] = self.content[items]
        if embedding is not None and "embedding" in self.tokenizer.blocks:
            blocks["embedding"] = embedding
        return self.tokenizer.scaler(blocks)  # type: ignore[no-any-return]

    def on_train_batch_end(self, outputs: Any, batch: TokenizerBatch, batch_idx: int) -> None:
        """Tell the codebooks what they coded; after an epoch's last step, move dead codes or start afresh.

        All before the checkpoint of the epoch, so that it holds them.
        """
        quantizer = self.tokenizer.quantizer
        codes, residuals = self._seen
        quantizer.observe(codes, residuals)
        if self.tokenizer.config.start is not None:
            return  # begun from an earlier tokenizer, whose codes are to keep their meaning
        last = batch_idx + 1 == self.trainer.num_training_batches
        restart = math.ceil(_RESET_UNTIL * (self.trainer.max_epochs or 0)) - 1
        if self.current_epoch == restart:
            self._latents = [*(self._latents if batch_idx else []), residuals[0]]
            if sum(map(len, self._latents[1:])) >= _RESTART_ROWS:
                self._latents.pop(0)
            if last:
                latents = torch.cat(self._latents)[-_RESTART_ROWS:]
                quantizer.start(latents, seed=int(torch.randint(2**31, ())))
                self._latents = []
        elif last and self.current_epoch < restart:
            quantizer.reset_dead(residuals)

    def transfer_batch_to_device(
        self, batch: TokenizerBatch, device: torch.device, dataloader_idx: int
    ) -> TokenizerBatch:
        """Move a batch."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """AdamW; encoder and prototypes at a tenth of the rate."""
        return optimizer(self, self.config, {"encoder": _ENCODER_RATE, "interests": _ENCODER_RATE})


class Items(Protocol):
    """What a tokenizer needs to know of a catalogue; `Interactions` does."""

    @property
    def num_items(self) -> int:
        """I."""

    @property
    def content(self) -> NDArray[np.float32] | None:
        """[I, F] features."""


def fit_tokenizer(
    interactions: Items,
    graph: InteractionGraph | None,
    coengagement: CoEngagementGraph | None,
    fitted_encoder: FittedEncoder | None,
    tokenizer_config: TokenizerConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
    joint: JointMode = "joint",
    inputs: TokenizerInputs = "both",
) -> FittedTokenizer:
    """Fit a tokenizer on the catalogue and give every item its ID.

    Args:
        interactions: For the items' content; may be without any if there is an encoder.
        graph: Sampled around items in joint mode.
        coengagement: Pairs for the contrast and the modularity.
        fitted_encoder: Encoder, prototype head and embeddings; None tokenizes content alone (TIGER).
        tokenizer_config: Which tokenizer.
        fit_config: Length and rates of the RQ-VAE; the others ignore it. Beauty takes 100 epochs of batch
            1,024.
        folder: Gets checkpoints and logs.
        seed: Decides everything random.
        joint: How far the contrastive gradient goes.
        inputs: What is tokenized; the contrast and the prototypes see the graph in any case.

    Raises:
        ConfigError: If there is neither content nor an encoder, or more items than IDs.
    """
    _check_room(tokenizer_config, interactions.num_items)
    content = interactions.content
    embeddings = None if fitted_encoder is None else fitted_encoder.embeddings
    items = None if embeddings is None else embeddings.items
    prototypes = None if fitted_encoder is None else fitted_encoder.prototypes
    has_content, has_graph = inputs != "graph", inputs != "content"
    dims = {
        "content": content.shape[1] if content is not None and has_content else 0,
        "embedding": items.shape[1] if items is not None and has_graph else 0,
    }

    def blocks() -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        return content if has_content else None, items if has_graph else None

    earlier = None if tokenizer_config.start is None else load_tokenizer(Path(tokenizer_config.start))
    if not isinstance(tokenizer_config, RQVAEConfig):
        control = tokenizer_config.build(**dims)
        control.fit(*blocks(), seed=derive_seed(seed, "tokenizer"), start=earlier)
        return FittedTokenizer(control, control.tokenize(*blocks()), prototypes, embeddings, None)
    contrast = fitted_encoder is not None and joint != "off"
    pairs = PairSampler(coengagement) if contrast and coengagement is not None else None
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "tokenizer", "weights"))
        tokenizer = tokenizer_config.build(**dims)
        module = TokenizerModule(
            tokenizer,
            fit_config,
            content=content,
            embeddings=items,
            encoder=None if fitted_encoder is None else copy.deepcopy(fitted_encoder.encoder),
            interests=_interests(fitted_encoder) if fitted_encoder is not None and contrast else None,
            edge_keys=None if pairs is None else pairs.keys,
            joint=joint if contrast else "off",
        )
    tokenizer.start(*blocks(), seed=derive_seed(seed, "tokenizer", "codebooks"), start=earlier)
    sampler = None
    if module.encoder is not None and graph is not None:
        first, beyond = _FANOUTS
        fanouts = (first,) + (beyond,) * (module.encoder.num_layers - 1)
        sampler = NeighborSampler(graph, fanouts, seed=derive_seed(seed, "tokenizer", "sampler"))

    def make_batch(key: BatchKey) -> TokenizerBatch:
        rows = torch.from_numpy(key.rows)
        source = target = torch.empty(0, dtype=torch.int64)
        if pairs is not None:
            draw = np.random.default_rng(derive_seed(seed, "pairs", key.epoch, key.step))
            source, target = pairs.draw(max(2, len(rows) // 2), draw)
        subgraph = None
        if sampler is not None and graph is not None:
            seeds = torch.cat([rows, source, target]) + graph.num_users
            subgraph = sampler.sample(seeds, key=(key.epoch, key.step))
        return TokenizerBatch(rows, source, target, subgraph)

    order = derive_seed(seed, "tokenizer", "order")
    train = batches(make_batch, interactions.num_items, fit_config.batch_size, seed=order, shuffle=True)
    report = fit(module, train, config=fit_config, folder=folder, name="tokenizer", seed=seed)
    module.to("cpu")
    if module.encoder is not None and graph is not None:
        embeddings = module.encoder.embed_all(graph, module.content)
        items = embeddings.items
    if module.interests is not None and module.joint in ("joint", "one_way") and items is not None:
        prototypes = module.interests.export(items)
        if graph is not None and isinstance(module.interests, PrototypeHead):
            prototypes = place_by_content(prototypes, content, graph.item_degrees() > 0)
    ids = tokenizer.tokenize(*blocks())
    return FittedTokenizer(tokenizer, ids, prototypes, embeddings, report)


def _interests(fitted: FittedEncoder) -> PrototypeHead | FixedMemberships | None:
    """Copies: joint training must not change what the encoder stage handed over."""
    if fitted.prototypes.method == "graph_head":
        return copy.deepcopy(fitted.head)
    return FixedMemberships(fitted.prototypes)


def _rows(value: Tensor | None, start: int, stop: int) -> Tensor | None:
    return None if value is None else value[start:stop]


def _check_room(config: TokenizerConfig, num_items: int) -> None:
    """Refuse before training what collision resolution would refuse after it."""
    room = config.codebook_size**config.num_levels
    if config.collisions == "reassign" and num_items > room:
        raise ConfigError(
            f"{config.num_levels} levels of {config.codebook_size} codes make {room} IDs, the catalogue has "
            f"{num_items} items; raise num_levels or codebook_size"
        )
