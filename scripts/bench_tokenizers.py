"""How healthy, how stable and how useful semantic IDs are; tables, and one line of JSON.

    python scripts/bench_tokenizers.py [--parts [codes,stability,subwords]] [--recipes [amazon-beauty]]
        [--mirror DIR] [--levels [3,4]] [--epochs 30]

codes: each tokenizer on content alone and on content with graph embeddings. Per level the share of the codes
that the nearest-code rule uses, and the perplexity of that use; items that shared an ID before and after
resolution; reconstruction error over the variance of the input; and how often the target of validation has
the first code of the history's last item, beside the rate of chance, which draws the two apart from each
other with the frequencies of their codes. The graph embeddings stand in for an encoder's: the 64 strongest
singular vectors of the normalised co-engagement matrix.

stability: fitted on the content of items seen in the first 80% of the training events' time, then on all
items: with the same seed, with another, and begun from the earlier tokenizer. The share of the early items
that keep all their codes, and the first; and the first after the codes are renamed to agree best. A tokenizer
that is not fitted again keeps all of them. Recipes with times only.

subwords: next items ranked by a dot product, user = mean of the last ten items' embeddings, item = what is
compared: an embedding of its own, a random hash into as many rows as SentencePiece has tokens, the sum of
its n-grams, or of its SentencePiece tokens. IDs are RQ-KMeans codes of the content, fitted on warm items; a
tenth of the items is held out of all training (cold). Sampled softmax over the batch with logQ correction.
Recall and NDCG at 10 of validation targets, full catalogue, by the targets' training events: 0 (cold), 1 to
10 (torso), more (head); mean and standard deviation over seeds.
"""

import dataclasses
import datetime
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from _refusal import refusal
from jsonargparse import CLI
from scipy.optimize import linear_sum_assignment
from scipy.sparse.linalg import svds
from torch import nn

from g2rec.evaluation import expected_ndcg_at_k, expected_recall_at_k, target_rank
from g2rec.graph import CoEngagementConfig, build_coengagement
from g2rec.interactions import Interactions, prepare
from g2rec.recipes import Recipe, load_recipe, read_dataset
from g2rec.tokenizers import (
    ItemTokenizer,
    OPQConfig,
    RQKMeansConfig,
    RQVAEConfig,
    SemanticIds,
    SubwordConfig,
    SubwordEmbedding,
    SubwordTokens,
    TokenizerConfig,
    fit_subwords,
)
from g2rec.training import FitConfig, fit_tokenizer
from g2rec.training.log_run import Catalogue
from g2rec.training.pipeline import hardware

DIM = 64
"""Dimensions of the rankers' embeddings."""
STAND_IN = 64
"""Dimensions of the stand-in for graph embeddings."""
HELD_OUT = 0.1
"""Share of the items that the rankers never see in training."""
HISTORY = 10
"""Items that a user's embedding is the mean of."""
SLICES = {"cold": (0, 0), "torso": (1, 10), "head": (11, np.inf)}
"""Least and most training events of a target."""
Array = np.ndarray[Any, Any]


def tokenizers(levels: int, start: str | None = None) -> dict[str, TokenizerConfig]:
    """What is compared."""
    shared: dict[str, Any] = {"num_levels": levels, "codebook_size": 256, "start": start}
    return {
        "RQ-VAE gradient": RQVAEConfig(**shared),
        "RQ-VAE ema": RQVAEConfig(**shared, codebook_update="ema"),
        "RQ-KMeans": RQKMeansConfig(**shared),
        "OPQ": OPQConfig(**shared),
    }


def fitted(
    features: Array, config: TokenizerConfig, fit: FitConfig, seed: int
) -> tuple[ItemTokenizer, SemanticIds]:
    """A tokenizer, and its catalogue's IDs."""
    with tempfile.TemporaryDirectory() as folder:
        found = fit_tokenizer(
            Catalogue(len(features), features), None, None, None, config, fit, Path(folder), seed
        )
    return found.tokenizer, found.semantic_ids


def stand_in(log: Interactions, recipe: Recipe) -> Array:
    """Singular vectors of D^-1/2 A D^-1/2, scaled by the roots of the singular values."""
    config = CoEngagementConfig(**dataclasses.asdict(recipe.coengagement), seed=0)
    source, target, weight = build_coengagement(log, config).edge_list()
    shape = (log.num_items, log.num_items)
    matrix = sp.csr_matrix((weight.astype(np.float64), (source, target)), shape=shape)
    root = sp.diags_array(np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1) ** -0.5)
    left, value, _ = svds(root @ matrix @ root, k=STAND_IN, random_state=0)
    return (left * np.sqrt(value)).astype(np.float32)


def joined(content: Array, embedding: Array) -> Array:
    """Both blocks with the same total variance after the tokenizer has standardized the columns.

    It gives every column unit variance, so the smaller block is repeated until the two are about as wide.
    """
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    return np.concatenate([content, np.tile(unit, (1, content.shape[1] // unit.shape[1]))], axis=1)


def last_items(log: Interactions) -> tuple[Array, Array]:
    """The last item before each validation target, and the target; users with a history."""
    targets = log.targets("validation")
    some = np.diff(targets.indptr) > 0
    return targets.history[targets.indptr[1:][some] - 1], targets.target[some]


def measure_codes(
    log: Interactions, recipe: Recipe, levels: tuple[int, ...], fit: FitConfig
) -> list[dict[str, Any]]:
    """Health and next-item agreement of each tokenizer."""
    assert log.content is not None
    last, target = last_items(log)
    rows = []
    for name, features in (("content", log.content), ("both", joined(log.content, stand_in(log, recipe)))):
        for depth in levels:
            for tokenizer, config in tokenizers(depth).items():
                start = time.process_time()
                _, ids = fitted(features, config, fit, 0)
                report, first = ids.report, ids.codes[:, 0]
                seen = [np.bincount(first[items], minlength=256) / len(items) for items in (last, target)]
                rows.append(_told({
                    "recipe": recipe.name, "inputs": name, "levels": depth, "tokenizer": tokenizer,
                    "usage": [level["usage"] for level in report["levels_before"]],
                    "usage_after": [level["usage"] for level in report["levels"]],
                    "perplexity": [level["perplexity"] for level in report["levels_before"]],
                    "collisions_before": report["collision_rate_before"],
                    "collisions_after": report["collision_rate"],
                    "mse": report["reconstruction_mse"] / report["input_variance"],
                    "same_first": float((first[last] == first[target]).mean()),
                    "chance": float(seen[0] @ seen[1]),
                    "seconds": time.process_time() - start,
                }))  # fmt: skip
    return rows


def measure_stability(log: Interactions, recipe: Recipe, fit: FitConfig) -> list[dict[str, Any]]:
    """Codes that early items keep when the tokenizer is fitted again."""
    assert log.content is not None
    events = log.train_events()
    if events.time is None:
        return []
    early = np.unique(events.item_index[events.time <= np.quantile(events.time, 0.8)])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, config in tokenizers(3).items():
            tokenizer, before = fitted(log.content[early], config, fit, 0)
            tokenizer.save(Path(folder) / name)
            begun = tokenizers(3, str(Path(folder) / name))[name]
            for again, settings, seed in (
                ("same seed", config, 0),
                ("other seed", config, 1),
                ("begun", begun, 1),
            ):
                _, after = fitted(log.content, settings, fit, seed)
                rows.append(_told({
                    "recipe": recipe.name, "tokenizer": name, "again": again, "early_items": len(early),
                    "items": log.num_items, **kept(before.codes, after.codes[early]),
                    "mse": after.report["reconstruction_mse"] / after.report["input_variance"],
                }))  # fmt: skip
    return rows


def kept(before: Array, after: Array) -> dict[str, float]:
    """Shares of items with the same codes."""
    both = np.zeros((256, 256))
    np.add.at(both, (before[:, 0], after[:, 0]), 1)
    same = before == after
    return {
        "full": float(same.all(axis=1).mean()),
        "first": float(same[:, 0].mean()),
        "first_renamed": float(both[linear_sum_assignment(-both)].sum() / len(before)),
    }


def measure_subwords(
    log: Interactions, recipe: Recipe, epochs: int, seeds: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Rankings by features of the IDs."""
    assert log.content is not None
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        cold = np.zeros(log.num_items, bool)
        cold[rng.choice(log.num_items, int(HELD_OUT * log.num_items), replace=False)] = True
        events = log.train_events()
        kept_events = ~cold[events.item_index]
        count = np.bincount(events.item_index[kept_events], minlength=log.num_items)
        codes = np.empty((log.num_items, 3), np.int32)
        model = RQKMeansConfig().build(content=log.content.shape[1]).fit(log.content[~cold], seed=seed)
        warm = model.tokenize(log.content[~cold])
        codes[~cold] = warm.codes
        codes[cold] = model.tokenize_new(log.content[cold], taken=warm)
        pieces = fit_subwords(warm, SubwordConfig(kind="sentencepiece"), popularity=count[~cold])
        grams = fit_subwords(warm, SubwordConfig())
        for name in ("own embedding", "random hash", "n-grams", "SentencePiece"):
            start = time.process_time()
            torch.manual_seed(seed)
            embed: Rows | SubwordEmbedding
            if name == "own embedding":
                embed = Rows(np.arange(log.num_items))
            elif name == "random hash":
                embed = Rows(rng.integers(0, pieces.vocabulary_size, log.num_items))
            else:
                tokens = grams if name == "n-grams" else pieces
                full = SubwordTokens(*tokens.encode(codes), tokens.vocabulary, tokens.num_levels)
                embed = SubwordEmbedding(full, DIM)
            found = rank(log, cold, count, embed, epochs, seed)
            rows.append(_told({
                "recipe": recipe.name, "feature": name, "seed": seed, "rows": len(embed.weight), **found,
                "seconds": time.process_time() - start,
            }))  # fmt: skip
    return rows


class Rows(nn.Module):
    """One embedding an item, perhaps shared with others."""

    rows: torch.Tensor

    def __init__(self, rows: Array) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(rows.astype(np.int64)))
        self.weight = nn.Parameter(torch.randn(int(rows.max()) + 1, DIM) * DIM**-0.5)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Embeddings of items."""
        return self.weight[self.rows[items]]


def rank(
    log: Interactions, cold: Array, count: Array, embed: nn.Module, epochs: int, seed: int
) -> dict[str, Any]:
    """Train the dot-product model and rank the validation targets."""
    sequences, targets = log.train_sequences(), log.targets("validation")
    history, target = _windows(sequences.indptr, sequences.item_index, cold)
    log_q = torch.from_numpy(np.log(np.maximum(count, 1) / count.sum())).float()
    adam = torch.optim.Adam(embed.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(target), generator=generator).split(1024):
            wanted = target[batch]
            logits = _users(embed, history[batch]) @ embed(wanted).T - log_q[wanted]
            same = wanted[:, None] == wanted[None]
            same.fill_diagonal_(False)
            loss = F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(batch)))
            adam.zero_grad()
            loss.backward()
            adam.step()
    last = [
        _last(targets.history[start:stop], cold)
        for start, stop in itertools.pairwise(targets.indptr.tolist())
    ]
    known = np.array([bool((row >= 0).any()) for row in last])
    history, wanted = torch.stack(last)[known], torch.from_numpy(targets.target[known]).long()
    above, tied = [], []
    with torch.no_grad():
        items = embed(torch.arange(log.num_items))
        for at in torch.arange(len(wanted)).split(1024):
            ranks = target_rank(_users(embed, history[at]) @ items.T, wanted[at])
            above.append(ranks[0])
            tied.append(ranks[1])
    ranks = torch.cat(above), torch.cat(tied)
    recall, ndcg = expected_recall_at_k(*ranks, 10).numpy(), expected_ndcg_at_k(*ranks, 10).numpy()
    events = count[wanted.numpy()]
    found: dict[str, Any] = {"recall": float(recall.mean()), "ndcg": float(ndcg.mean()), "users": len(events)}
    for name, (least, most) in SLICES.items():
        inside = (events >= least) & (events <= most)
        found |= {f"{name}_recall": float(recall[inside].mean()), f"{name}_users": int(inside.sum())}
    return found


def _windows(indptr: Array, items: Array, cold: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """The items before each warm training event that has any, oldest first and padded by -1, and its item."""
    history, target = [], []
    for start, stop in itertools.pairwise(indptr.tolist()):
        warm = items[start:stop][~cold[items[start:stop]]]
        for place in range(1, len(warm)):
            history.append(_last(warm[:place], cold))
            target.append(int(warm[place]))
    return torch.stack(history), torch.tensor(target)


def _last(items: Array, cold: Array) -> torch.Tensor:
    warm = items[~cold[items]][-HISTORY:]
    return F.pad(torch.from_numpy(warm.astype(np.int64)), (HISTORY - len(warm), 0), value=-1)


def _users(embed: nn.Module, history: torch.Tensor) -> torch.Tensor:
    """Mean embedding of each history."""
    real = history >= 0
    owner = torch.nonzero(real)[:, 0]
    total = torch.zeros(len(history), DIM).index_add(0, owner, embed(history[real]))
    return total / real.sum(dim=1, keepdim=True)


def main(
    parts: tuple[Literal["codes", "stability", "subwords"], ...] = ("codes", "stability", "subwords"),
    recipes: tuple[str, ...] = ("amazon-beauty", "amazon-toys"),
    mirror: Path | None = None,
    levels: tuple[int, ...] = (3,),
    epochs: int = 30,
    batch_size: int = 1024,
    rank_epochs: int = 5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Measure and print.

    Args:
        parts: What to measure.
        recipes: On which graphs; their items need content.
        mirror: A local folder with the recipes' files, used instead of downloading.
        levels: Numbers of levels, of 256 codes each.
        epochs: Of the RQ-VAEs.
        batch_size: Items in a batch of theirs.
        rank_epochs: Of the rankers.
        seeds: Of the rankers.
    """
    fit = FitConfig(epochs=epochs, batch_size=batch_size, accelerator="cpu")
    about, date = hardware(), datetime.datetime.now(datetime.UTC).date().isoformat()
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in parts}
    for name in recipes:
        recipe = load_recipe(name)
        log = prepare(read_dataset(recipe, mirror=mirror), recipe)
        if "codes" in parts:
            rows["codes"] += measure_codes(log, recipe, levels, fit)
        if "stability" in parts:
            rows["stability"] += measure_stability(log, recipe, fit)
        if "subwords" in parts:
            rows["subwords"] += measure_subwords(log, recipe, rank_epochs, seeds)
    print(f"{about}; {date}; RQ-VAE: {epochs} epochs of batch {batch_size}; seconds are of CPU time")
    for part, found in rows.items():
        print(f"\n{part}")
        _print(_means(found) if part == "subwords" else found)
    print(json.dumps({"machine": about, "date": date, "fit": vars(fit), "rows": rows}))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Show a row as soon as it is there."""
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def _means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean (standard deviation) over seeds."""
    found = []
    for recipe, feature in dict.fromkeys((row["recipe"], row["feature"]) for row in rows):
        chosen = [row for row in rows if (row["recipe"], row["feature"]) == (recipe, feature)]
        cells: dict[str, Any] = {"recipe": recipe, "feature": feature, "rows": chosen[0]["rows"]}
        for name in ("recall", "ndcg", *(f"{slice_}_recall" for slice_ in SLICES)):
            values = [row[name] for row in chosen]
            cells[name] = f"{np.mean(values):.4f} ({np.std(values):.4f})"
        found.append(cells)
    return found


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("  nothing: the recipes have no times")
        return
    table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "/".join(f"{one:.0f}" if one > 1 else f"{one:.3f}".lstrip("0") for one in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
