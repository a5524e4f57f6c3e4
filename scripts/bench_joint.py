"""What prototypes and joint training are worth downstream: one factor at a time, paired over users.

    python scripts/bench_joint.py amazon-beauty --config scripts/configs/amazon-beauty-full.yaml --out DIR

Every arm trains the same recommender on semantic IDs of the same size; they differ in these only:

- *content*: IDs of an RQ-VAE on the content; no graph and no prototypes anywhere;
- *none*: IDs of content and graph embeddings, without contrast; no prototypes;
- *random*: as *frozen*, with random prototypes in place of the fitted ones: the control;
- *frozen*: the contrast teaches the tokenizer, prototypes and encoder stay; prototypes are the prefix;
- *one_way*: the contrast also moves the prototypes;
- *joint*: and the encoder;
- *content_ids*, *graph_ids*: *joint*, with IDs of the content or of the graph embeddings alone;
- *modularity*: *frozen*, with the paper's free memberships;
- *neighbours*: no model at all, items by the cosine of their content to the last items (decay .6).

Where the split has cold items (``--interactions.split temporal``), targets that no training event knew are
shown apart.

With ``--ids_only true`` the recommender is a plain generator that sees items through their IDs alone: no
item embeddings, no features, no dense head, so that what differs is what the IDs and the prefix carry.

An arm and a seed is one process's work and is kept in the output folder, so several processes may share the
work (``--arms``, ``--seeds``; ``--tokens_only true`` first makes what needs no GPU), and what is cut off goes
on. The last run prints a table of what is there and one line of JSON. Differences are paired: a user's
metric is averaged over the seeds, and the mean difference is bootstrapped over users.
"""

import dataclasses
import datetime
import json
import shutil
import time
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from _refusal import refusal
from jsonargparse import ArgumentParser

from g2rec.artifacts import read_json, write_json
from g2rec.bundle import item_labels
from g2rec.encoders import NodeEmbeddings
from g2rec.evaluation import TargetRanks, paired_test, target_rank
from g2rec.graph import CoEngagementGraph
from g2rec.interactions import Interactions
from g2rec.prototypes import InterestPrototypes, ModularityConfig, fit_modularity, random_prototypes
from g2rec.recipes import load_recipe
from g2rec.recommenders import history_batch
from g2rec.tokenizers import SemanticIds, category_agreement
from g2rec.training.encoder import FittedEncoder
from g2rec.training.g2rec import fit_g2rec
from g2rec.training.pipeline import Run, hardware
from g2rec.training.ranking import rank_all
from g2rec.training.run_config import RunConfig
from g2rec.training.tokenizer import JointMode, TokenizerInputs, fit_tokenizer

Arm = Literal[
    "content", "none", "random", "frozen", "one_way", "joint", "content_ids", "graph_ids", "modularity",
    "neighbours",
]  # fmt: skip
ARMS: tuple[Arm, ...] = ("content", "none", "random", "frozen", "joint")
PAIRS = (
    ("joint", "content"), ("joint", "frozen"), ("frozen", "random"), ("joint", "random"), ("random", "none"),
)  # fmt: skip


MODES: dict[Arm, tuple[JointMode, TokenizerInputs]] = {
    "content": ("off", "content"),
    "none": ("off", "both"),
    "random": ("frozen", "both"),
    "frozen": ("frozen", "both"),
    "one_way": ("one_way", "both"),
    "joint": ("joint", "both"),
    "content_ids": ("joint", "content"),
    "graph_ids": ("joint", "graph"),
    "modularity": ("frozen", "both"),
}
"""How far the contrast reaches, and what is tokenized."""


def encoder_run(seed: int, recipe: str, config: RunConfig, mirror: Path | None, out: Path) -> Run:
    """The run whose encoder and prototypes all arms of a seed share."""
    return Run(
        out / f"encoder-{seed}", load_recipe(recipe), dataclasses.replace(config, seed=seed), mirror=mirror
    )


def with_prototypes(arm: Arm, fitted: FittedEncoder, graph: CoEngagementGraph, seed: int) -> FittedEncoder:
    """The shared encoder with the prototypes of an arm."""
    items, C = fitted.embeddings.items, fitted.prototypes.num_prototypes
    if arm == "random":
        control = random_prototypes(len(items), C, items.shape[1], seed=seed)
        return dataclasses.replace(fitted, head=None, prototypes=control)
    if arm == "modularity":
        free = fit_modularity(graph, items, ModularityConfig(num_prototypes=C), seed=seed)
        return dataclasses.replace(fitted, head=None, prototypes=free)
    return fitted


def tokens_of(
    arm: Arm, seed: int, run: Run, config: RunConfig, out: Path
) -> tuple[SemanticIds, InterestPrototypes | None, NodeEmbeddings | None]:
    """The IDs of an arm, with its prototypes and embeddings; kept, so that a GPU need not wait for them."""
    folder = out / f"{arm}-{seed}"
    if not (folder / "semantic_ids").is_dir():
        graph, coengagement = run.graphs
        joint, inputs = MODES[arm]
        fitted = None if arm == "content" else with_prototypes(arm, run.encoder, coengagement, seed)
        made = fit_tokenizer(
            run.interactions, graph, coengagement, fitted, config.tokenizer, config.tokenizer_fit,
            folder / "tokenizer", seed, joint, inputs,
        )  # fmt: skip
        if made.prototypes is not None:
            made.prototypes.save(folder / "prototypes")
        if made.embeddings is not None and config.recommender.evidence:
            made.embeddings.save(folder / "embeddings")
        made.semantic_ids.save(folder / "semantic_ids")
        shutil.rmtree(folder / "tokenizer", ignore_errors=True)
    prototypes = embeddings = None
    if (folder / "prototypes").is_dir():
        prototypes = InterestPrototypes.load(folder / "prototypes")
    if config.recommender.evidence and (folder / "embeddings").is_dir():
        embeddings = NodeEmbeddings.load(folder / "embeddings")
    return SemanticIds.load(folder / "semantic_ids"), prototypes, embeddings


def measure(arm: Arm, seed: int, run: Run, config: RunConfig, out: Path) -> None:
    """Fit one arm with one seed and keep each test user's metrics."""
    result = out / f"{arm}-{seed}.json"
    if result.is_file():
        return
    clock = time.monotonic()
    found: dict[str, Any] = {"arm": arm, "seed": seed}
    if arm == "neighbours":
        ranks = neighbour_ranks(run.interactions)
        write_json(
            result, found | _metrics(ranks, run.interactions) | {"seconds": round(time.monotonic() - clock)}
        )
        return
    ids, prototypes, embeddings = tokens_of(arm, seed, run, config, out)
    log, recommender = run.interactions, config.recommender
    if arm in ("content", "none"):
        prototypes, recommender = None, dataclasses.replace(recommender, feed="none")
    path = out / f"{arm}-{seed}" / "recommender"
    parts = (log, ids, prototypes, embeddings)
    model, report = fit_g2rec(*parts, recommender, config.recommender_fit, path, seed)
    model.to("cuda" if torch.cuda.is_available() and config.recommender_fit.accelerator != "cpu" else "cpu")
    ranks = rank_all(model, log.targets("test"), top_k=50)
    found |= _metrics(ranks, log) | {
        "best_epoch": report.best_epoch,
        "validation": report.best_score,
        "first_code": first_code_rate(ids, log),
        "tokens": ids.report,
        "seconds": round(time.monotonic() - clock),
    }
    write_json(result, found)
    shutil.rmtree(path, ignore_errors=True)


def _metrics(ranks: TargetRanks, log: Interactions) -> dict[str, Any]:
    """Each test user's metrics, which targets are cold, and where this was measured."""
    events = np.bincount(log.train_events().item_index, minlength=log.num_items)
    found: dict[str, Any] = {
        "cold": np.flatnonzero(events[log.targets("test").target] == 0).tolist(),
        "recall50": ranks.recall(50).tolist(),
        "hardware": hardware(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    for masked in (False, True):
        found["masked" if masked else "unmasked"] = {
            "recall": ranks.recall(masked=masked).tolist(),
            "ndcg": ranks.ndcg(masked=masked).tolist(),
        }
    return found


def neighbour_ranks(log: Interactions) -> TargetRanks:
    """Where the targets stand by the cosine of their content to the last items of the history."""
    targets = log.targets("test")
    assert log.content is not None
    unit = F.normalize(torch.from_numpy(np.array(log.content, dtype=np.float32)), dim=1)
    parts: list[list[torch.Tensor]] = []
    for start in range(0, len(targets.target), 512):
        rows = np.arange(start, min(start + 512, len(targets.target)))
        batch = history_batch(targets.indptr, targets.history, targets.user_index, rows)
        place = torch.arange(batch.items.shape[1])
        weight = 0.6 ** (batch.lengths.unsqueeze(1) - 1 - place).clamp_min(0) * (batch.items >= 0)
        wanted = (unit[batch.items.clamp_min(0)] * weight.unsqueeze(-1)).sum(dim=1)
        scores, seen = wanted @ unit.T, batch.seen(log.num_items)
        target = torch.from_numpy(targets.target[rows].astype(np.int64))
        inside = seen.gather(1, target.unsqueeze(1)).squeeze(1)
        top = scores.topk(50, dim=1).indices
        parts.append([*target_rank(scores, target), *target_rank(scores, target, seen), inside, target, top])
    above, tied, masked_above, masked_tied, inside, target, top = (
        torch.cat(column) for column in zip(*parts, strict=True)
    )
    return TargetRanks(above, tied, masked_above, masked_tied, inside, target, top, log.num_items)


def first_code_rate(ids: SemanticIds, log: Interactions) -> float:
    """How often the validation target shares its first code with the item before it."""
    targets = log.targets("validation")
    has = np.diff(targets.indptr) > 0
    last = targets.history[targets.indptr[1:][has] - 1]
    return float((ids.codes[last, 0] == ids.codes[targets.target[has], 0]).mean())


def show_tokens(arm: Arm, seed: int, ids: SemanticIds, log: Interactions) -> None:
    """One line of an arm's IDs: use, collisions, how well first codes agree with neighbours and labels."""
    report = ids.report
    words = [
        f"{arm} {seed}: usage " + " ".join(f"{level['usage']:.3f}" for level in report["levels"]),
        f"collisions {report['collision_rate_before']:.3f} before and {report['collision_rate']:.3f} after",
        f"next item shares the first code {first_code_rate(ids, log):.4f}",
    ]
    labels = item_labels(log.items)
    if labels is not None:
        depths = category_agreement(ids.codes, labels.index)
        agreement = " ".join(f"{row['nmi']:.3f}/{row['ami']:.3f}" for row in depths)
        words.append(f"NMI/AMI of prefixes with {labels.source} {agreement}")
    print(", ".join(words), flush=True)


def show(out: Path, ranking: str) -> None:
    """Print what is known: means over seeds, and paired differences."""
    files = sorted(out.glob("*-*.json"))
    rows = [read_json(file) for file in files]
    names = list(dict.fromkeys(row["arm"] for row in rows))
    order: list[Any] = [*get_args(Arm)]
    names.sort(key=order.index)
    print(f"{ranking} ranking; {rows[0]['hardware']}; {rows[0]['date']}; means over seeds (least-most)")
    print(
        f"{'arm':12} {'seeds':>5} {'R@10':>20} {'N@10':>20} {'R@10 masked':>20} {'N@10 masked':>20} "
        f"{'first code':>10} {'usage':>6} {'collisions':>10} {'seconds':>8}"
    )
    summary: dict[str, Any] = {}
    for name in names:
        mine = [row for row in rows if row["arm"] == name]
        cells = {}
        for kind in ("unmasked", "masked"):
            for metric in ("recall", "ndcg"):
                cells[f"{kind} {metric}"] = [float(np.mean(row[kind][metric])) for row in mine]
        line = f"{name:12} {len(mine):5} " + " ".join(f"{_cell(values):>20}" for values in cells.values())
        summary[name] = {**cells, "seconds": float(np.mean([row["seconds"] for row in mine]))}
        if name != "neighbours":
            usage = min(level["usage"] for row in mine for level in row["tokens"]["levels"])
            first = float(np.mean([row["first_code"] for row in mine]))
            before = float(np.mean([row["tokens"]["collision_rate_before"] for row in mine]))
            line += f" {first:10.4f} {usage:6.1%} {before:10.1%} {summary[name]['seconds']:8.0f}"
            summary[name] |= {"first_code": first, "usage": usage, "collisions_before": before}
        print(line)
    for name in names:
        mine = [row for row in rows if row["arm"] == name and row["cold"]]
        if mine:
            at10 = [float(np.mean(np.array(row["unmasked"]["recall"])[row["cold"]])) for row in mine]
            at50 = [float(np.mean(np.array(row["recall50"])[row["cold"]])) for row in mine]
            print(f"{name:12} {len(mine[0]['cold'])} cold targets: R@10 {_cell(at10)}, R@50 {_cell(at50)}")
            summary[name] |= {"cold recall@10": at10, "cold recall@50": at50}
    tests = {}
    for ours, other in PAIRS:
        if ours in names and other in names:
            for metric in ("recall", "ndcg"):
                tests[f"{ours} - {other}, masked {metric}@10"] = _paired(rows, ours, other, metric)
    for name, test in tests.items():
        print(f"{name:40} {test['mean']:+.4f} [{test['low']:+.4f}, {test['high']:+.4f}] p = {test['p']:.4f}")
    print(json.dumps({"ranking": ranking, "arms": summary, "paired": tests}))


def _paired(rows: list[dict[str, Any]], ours: str, other: str, metric: str) -> dict[str, float]:
    seeds = {r["seed"] for r in rows if r["arm"] == ours} & {r["seed"] for r in rows if r["arm"] == other}

    def mean(arm: str) -> torch.Tensor:
        values = [r["masked"][metric] for r in rows if r["arm"] == arm and r["seed"] in seeds]
        return torch.tensor(np.mean(values, axis=0))

    test = paired_test(mean(ours), mean(other))
    difference = test.difference
    return {"mean": difference.mean, "low": difference.low, "high": difference.high, "p": test.p_value}


def _cell(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ({min(values):.4f}-{max(values):.4f})".replace("0.", ".")


def main() -> None:
    """Fit what is asked for and missing, then print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=str, help="what data")
    parser.add_argument("--config", action="config")
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps the results")
    parser.add_argument("--mirror", type=Path | None, default=None, help="folder with the recipe's files")
    parser.add_argument("--arms", type=tuple[Arm, ...], default=ARMS, help="which arms")
    parser.add_argument("--seeds", type=tuple[int, ...], default=(0, 1, 2), help="which seeds")
    parser.add_argument("--ids_only", type=bool, default=False, help="items are seen through their IDs alone")
    parser.add_argument("--tokens_only", type=bool, default=False, help="stop when the IDs are there")
    parser.add_class_arguments(RunConfig, as_group=False)
    found = parser.instantiate(parser.parse_args())
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(RunConfig)}
    config = RunConfig(**fields)
    if found.ids_only:
        plain = dataclasses.replace(
            config.recommender, item_inputs=("codes",), smoothing_hops=0, evidence=(),
            dense_weight=0.0, ranking="generative",
        )  # fmt: skip
        config = dataclasses.replace(config, recommender=plain)
    found.out.mkdir(parents=True, exist_ok=True)
    for seed in found.seeds:
        run = encoder_run(seed, found.recipe, config, found.mirror, found.out)
        for arm in found.arms:
            if found.tokens_only:
                show_tokens(arm, seed, tokens_of(arm, seed, run, config, found.out)[0], run.interactions)
            else:
                measure(arm, seed, run, config, found.out)
    if not found.tokens_only and any(found.out.glob("*-*.json")):
        show(found.out, config.recommender.ranking)


if __name__ == "__main__":
    with refusal():
        main()
