"""Fit LETTER's tokenizer: an RQ-VAE of the content that is aligned with what users did."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError
from g2rec.interactions import Interactions
from g2rec.recommenders import SASRec
from g2rec.shapes import Float, Tensor
from g2rec.tokenizers import (
    RQVAE,
    ContrastiveHead,
    LETTERConfig,
    RQVAEConfig,
    RQVAEOutput,
    SemanticIds,
    TokenizerConfig,
    alignment_loss,
    balanced_clusters,
    diversity_loss,
)
from g2rec.training.batches import BatchKey, batches
from g2rec.training.fitting import FitConfig, fit
from g2rec.training.tokenizer import TokenizerBatch, TokenizerModule


class LETTERModule(TokenizerModule):
    """RQ-VAE with LETTER's regularisers (Wang et al., CIKM 2024, arXiv 2405.07314).

    loss = rqvae(x_i) + alpha InfoNCE(W q_i, h_i) + beta diversity(codes)

    The clusters of the codes are made anew before each epoch. W takes the quantized item to the width of the
    collaborative embedding h_i; in the paper both have one width.

    Args:
        tokenizer: The RQ-VAE.
        config: Rates.
        letter: Weights of the regularisers.
        content: [I, F].
        collaborative: [I, D], of any fitted model.
        known: [I], items that training events know: the others are not aligned.
        seed: Of the clusters.
    """

    collaborative: Tensor
    known: Tensor

    def __init__(
        self,
        tokenizer: RQVAE,
        config: FitConfig,
        letter: LETTERConfig,
        *,
        content: NDArray[np.float32],
        collaborative: NDArray[np.float32],
        known: NDArray[np.bool_],
        seed: int,
    ) -> None:
        super().__init__(tokenizer, config, content=content, joint="off")
        self.letter, self.seed = letter, seed
        self.align = ContrastiveHead(tokenizer.config.latent_dim, collaborative.shape[1])
        self._constant("collaborative", collaborative)
        self._constant("known", known)

    def on_train_epoch_start(self) -> None:
        """Cluster the codes as they are now."""
        self.clusters = balanced_clusters(
            self.tokenizer.level_codebooks(),
            min(self.letter.num_clusters, self.tokenizer.config.codebook_size),
            self.seed,
        )

    def loss(self, batch: TokenizerBatch) -> tuple[Float[Tensor, ""], RQVAEOutput]:
        """The loss, and the batch's items after the autoencoder."""
        loss, out = super().loss(batch)
        known = self.known[batch.items]
        if known.any():
            aligned = alignment_loss(
                self.align(out.quantized[known]),
                self.collaborative[batch.items[known]],
                self.letter.temperature,
            )
            loss = loss + self.letter.alignment_weight * aligned
        spread = diversity_loss(
            self.tokenizer.level_codebooks(), out.codes, self.clusters, self.letter.temperature
        )
        return loss + self.letter.diversity_weight * spread, out


def fit_letter_ids(
    interactions: Interactions,
    sasrec: SASRec,
    tokenizer_config: TokenizerConfig,
    config: LETTERConfig,
    fit_config: FitConfig,
    folder: Path,
    seed: int,
) -> SemanticIds:
    """Give every item its ID by LETTER's tokenizer.

    The collaborative embeddings are the item table of a fitted SASRec, as in the paper. What spells the IDs
    is the caller's choice; here it is TIGER, without the temperature of LETTER's ranking-guided loss.

    Args:
        interactions: The prepared log, with content.
        sasrec: Fitted on the same training events, without graph and content.
        tokenizer_config: Of the RQ-VAE.
        config: LETTER's regularisers.
        fit_config: Length and rates; a row is an item.
        folder: Gets checkpoints and logs; an earlier run that was cut off there is resumed.
        seed: Decides everything random.

    Raises:
        ConfigError: If the items have no content, the tokenizer is no RQ-VAE, or a setting is out of range.
    """
    config.check()
    content = interactions.content
    if content is None:
        raise ConfigError("letter tokenizes the items' content, got none; add content to the recipe")
    if not isinstance(tokenizer_config, RQVAEConfig):
        kind = type(tokenizer_config).__name__
        raise ConfigError(f"letter regularises an RQ-VAE, got {kind}; set the tokenizer to RQVAEConfig")
    counts = np.bincount(interactions.train_events().item_index, minlength=interactions.num_items)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "letter", "weights"))
        tokenizer = tokenizer_config.build(content=content.shape[1])
        module = LETTERModule(
            tokenizer,
            fit_config,
            config,
            content=content,
            collaborative=_table(sasrec),
            known=counts > 0,
            seed=derive_seed(seed, "letter", "clusters"),
        )
    tokenizer.start(content, seed=derive_seed(seed, "letter", "codebooks"))

    def make_batch(key: BatchKey) -> TokenizerBatch:
        none = torch.empty(0, dtype=torch.int64)
        return TokenizerBatch(torch.from_numpy(key.rows), none, none, None)

    order = derive_seed(seed, "letter", "order")
    train = batches(make_batch, interactions.num_items, fit_config.batch_size, seed=order, shuffle=True)
    fit(module, train, config=fit_config, folder=folder, name="letter", seed=seed)
    return module.cpu().tokenizer.tokenize(content)


def _table(sasrec: SASRec) -> NDArray[np.float32]:
    table: NDArray[Any] = sasrec.item_embedding.weight.detach().cpu().numpy()
    return table.astype(np.float32)
