"""How well planted interests are found, beside plain methods and an oracle; a table, and one line of JSON.

    python scripts/bench_interests.py [--interests [16,64,256]] [--noises [0.1,0.3,0.5]] [--seeds [0,1,2]]

A graph has 125 users and 62.5 items an interest. A tenth of the items is held out of all that is fitted.
AMI is the adjusted mutual information of each item's strongest prototype with its planted dominant interest:

- *frequent*: items with at least 20 training events; *tail*: with fewer;
- *held out*: items that nothing was fitted on, from their content alone, and from events that are shown at
  inference only: by their embeddings, or by the memberships of the items that they are engaged with.

F1 is of the overlap: prototypes are matched to interests one to one (Hungarian), an item belongs to those of
weight .1 or more, and the pairs (item, interest) are compared with the planted ones, frequent items only.

The oracle knows what no method does: the interests' content vectors, every user's interests and the noise; it
names the interest of largest likelihood. Leiden runs at gamma = 1, and at the least gamma that has as many
communities as there are interests, from which free modularity and the graph head start. The probe is
supervised: a logistic regression on the content, five-fold cross-validated. *content, true interests* places
held-out items as the graph head does, but is told the planted interests of all others: what is then left
to the oracle is what so many items cannot tell of the content vectors. Louvain (networkx) is left out
beyond a million edges, where it takes minutes to hours. Seconds are of CPU time; k-means and the graph head
share one fit of the encoder, counted to the head.
"""

import dataclasses
import datetime
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F
from _refusal import refusal
from jsonargparse import CLI
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.model_selection import cross_val_predict

from g2rec.encoders import GraphSAGEConfig, LightGCNConfig
from g2rec.graph import CoEngagementGraph, build_coengagement, build_graph, to_networkx
from g2rec.interactions import TRAIN, Interactions, prepare
from g2rec.prototypes import (
    ContentMemberships,
    GraphHeadConfig,
    InterestPrototypes,
    Memberships,
    ModularityConfig,
    community_partition,
    fit_modularity,
    kmeans,
    neighbour_memberships,
    partition_into,
)
from g2rec.recipes import SyntheticConfig, generate, load_recipe, read_dataset
from g2rec.training import FitConfig, LinkConfig, fit_encoder
from g2rec.training.pipeline import hardware

FREQUENT = 20
"""Training events from which an item counts as frequent."""
HELD_OUT = 0.1
"""Share of the items that nothing is fitted on."""
LOUVAIN_EDGES = 1_000_000
"""Directed edges up to which networkx's Louvain is run."""
Array = np.ndarray[Any, Any]


class Truth:
    """What was planted, in the log's item order, and what an oracle makes of it."""

    def __init__(self, config: SyntheticConfig, log: Interactions) -> None:
        self.data, self.config = generate(config), config
        place = np.array(log.items["item_id"].to_pylist())
        table = self.data.items.take(place)
        self.dominant = np.array(table["dominant_interest"].to_pylist())
        self.sets = np.zeros((log.num_items, config.num_interests), bool)
        for item, interests in enumerate(table["interests"].to_pylist()):
            self.sets[item, interests] = True
        self.content = self.data.content[place]
        users = np.array(log.user_ids.to_pylist())
        held = [self.data.users["interests"][user].as_py() for user in users.tolist()]
        C, noise = config.num_interests, max(config.noise, 1e-3)
        self.user_score = np.zeros((len(users), C))
        for user, interests in enumerate(held):
            self.user_score[user] = np.log(noise / (C - len(interests)))
            self.user_score[user, interests] = np.log((1 - noise) / len(interests))

    def oracle(self, user: Array, item: Array) -> Array:
        """Log-likelihood [I, C] of each interest from the content, and from who engaged."""
        weight = 0.85  # mean weight of a dominant interest
        gap = ((self.content[:, None, :] - weight * self.data.centres[None]) ** 2).sum(axis=2)
        score = -gap / (2 * max(self.config.content_noise, 1e-3) ** 2)
        np.add.at(score, item, self.user_score[user])
        return np.asarray(score)


def hold_out(log: Interactions, seed: int) -> tuple[Interactions, Array]:
    """The log with the training events of some items set aside, and which items those are."""
    held = np.random.default_rng(seed).random(log.num_items) < HELD_OUT
    part = np.array(log.part)
    part[held[log.item_index] & (part == TRAIN)] = 3
    return dataclasses.replace(log, part=part), held


def overlap_f1(found: Memberships, truth: Truth, rows: Array, num_found: int) -> float:
    """Micro F1 of (item, interest) pairs after the best one-to-one matching of prototypes to interests."""
    together = np.zeros((num_found, truth.sets.shape[1]))
    np.add.at(together, (found.indices[rows, 0], truth.dominant[rows]), 1)
    prototype, interest = linear_sum_assignment(-together)
    name = np.full(num_found, -1)
    name[prototype] = interest
    guess = np.zeros_like(truth.sets)
    row, place = np.nonzero(found.weights >= 0.1)
    named = name[found.indices[row, place]]
    guess[row[named >= 0], named[named >= 0]] = True
    right = (guess & truth.sets)[rows].sum()
    return float(2 * right / (guess[rows].sum() + truth.sets[rows].sum()))


def hard(labels: Array) -> Memberships:
    """Labels as memberships."""
    return Memberships(labels[:, None].astype(np.int32), np.ones((len(labels), 1), np.float32))


def louvain(graph: CoEngagementGraph, seed: int) -> Array:
    """networkx's Louvain communities."""
    labels = np.zeros(graph.num_items, np.int64)
    found = nx.community.louvain_communities(to_networkx(graph), weight="weight", seed=seed)
    for number, items in enumerate(found):
        labels[list(items)] = number
    return labels


def measure(
    synthetic: SyntheticConfig,
    fit: FitConfig,
    encoder: Any,
    head: GraphHeadConfig,
    links: LinkConfig,
    seed: int,
) -> dict[str, dict[str, float]]:
    """AMI, F1 and CPU seconds of every method on one graph."""
    recipe = dataclasses.replace(load_recipe("synthetic"), synthetic=synthetic)
    whole = prepare(read_dataset(recipe), recipe)
    log, held = hold_out(whole, seed)
    truth = Truth(synthetic, whole)
    graph, coengagement = build_graph(log), build_coengagement(log)
    events = graph.item_degrees()
    rows = {"frequent": ~held & (events >= FREQUENT), "tail": ~held & (events > 0) & (events < FREQUENT)}
    C = synthetic.num_interests
    found: dict[str, dict[str, float]] = {}
    start = time.process_time()

    def ami(labels: Array, chosen: Array) -> float:
        return round(float(adjusted_mutual_info_score(truth.dominant[chosen], labels[chosen])), 4)

    def note(method: str, memberships: Memberships, **more: float) -> None:
        nonlocal start
        seconds = round(time.process_time() - start, 2)
        labels = memberships.indices[:, 0]
        scores = {name: ami(labels, chosen) for name, chosen in rows.items()}
        f1 = round(overlap_f1(memberships, truth, rows["frequent"], max(C, int(labels.max()) + 1)), 4)
        found[method] = {**scores, "f1": f1, "seconds": seconds, **more}
        start = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        fitted = fit_encoder(log, graph, coengagement, encoder, head, fit, Path(folder), seed, links)
    assert fitted.head is not None
    seconds = time.process_time()
    shown = fitted.encoder.embed_items(build_graph(whole), whole.content)
    late = fitted.head.memberships(shown).indices[:, 0]
    new = {"held_out_content": ami(fitted.prototypes.dominant(), held), "held_out_embedded": ami(late, held)}
    later, rest = build_coengagement(whole), np.flatnonzero(held)
    late[rest] = neighbour_memberships(fitted.prototypes, later, rest, gamma=fitted.head.gamma).indices[:, 0]
    new["held_out_events"] = ami(late, held)
    start += time.process_time() - seconds
    note("graph head", fitted.prototypes.memberships, **new, softness=round(fitted.prototypes.softness(), 3))
    items = F.normalize(torch.from_numpy(fitted.embeddings.items), dim=1)
    centres = kmeans(items[torch.from_numpy(rows["frequent"])], C, seed=seed, spherical=True)
    note("k-means on embeddings", hard((items @ centres.T).argmax(dim=1).numpy()))
    config = ModularityConfig(num_prototypes=C)
    free = fit_modularity(coengagement, fitted.embeddings.items, config, seed=seed)
    seconds = time.process_time()
    late[rest] = neighbour_memberships(free, later, rest).indices[:, 0]
    start += time.process_time() - seconds
    by_events = {"held_out_events": ami(late, held)}
    note("free modularity", free.memberships, **by_events, softness=round(free.softness(), 3))
    note("Leiden (networkit)", hard(community_partition(coengagement, seed=seed)))
    note("Leiden into C", hard(partition_into(coengagement, C, seed=seed)[0]))
    if coengagement.num_edges <= LOUVAIN_EDGES:
        note("Louvain (networkx)", hard(louvain(coengagement, seed)))
    labels = np.zeros(log.num_items, np.int64)
    chosen = rows["frequent"] | rows["tail"]
    probe = LogisticRegression(C=0.03, max_iter=2000)
    labels[chosen] = cross_val_predict(probe, truth.content[chosen], truth.dominant[chosen], cv=5)
    probe.fit(truth.content[chosen], truth.dominant[chosen])
    labels[held] = probe.predict(truth.content[held])
    note("content probe", hard(labels), held_out_content=ami(labels, held))
    planted = InterestPrototypes(np.eye(C, dtype=np.float32), *hard(truth.dominant), "random")
    told = ContentMemberships.fit(truth.content, planted, chosen).of(truth.content)
    note("content, true interests", told, held_out_content=ami(told.indices[:, 0], held))
    train = log.train_events()
    oracle = truth.oracle(train.user_index, train.item_index).argmax(axis=1)
    every = whole.train_events()
    late = truth.oracle(every.user_index, every.item_index).argmax(axis=1)
    note("oracle", hard(oracle), held_out_content=ami(oracle, held), held_out_events=ami(late, held))
    return found


def main(
    interests: tuple[int, ...] = (16, 64, 256),
    noises: tuple[float, ...] = (0.1, 0.3, 0.5),
    seeds: tuple[int, ...] = (0, 1, 2),
    encoder: Literal["LightGCN", "GraphSAGE"] = "LightGCN",
    head: GraphHeadConfig | None = None,
    links: LinkConfig | None = None,
    epochs: int = 8,
    batch_size: int = 2048,
    learning_rate: float = 5e-3,
    accelerator: Literal["cpu", "auto"] = "cpu",
) -> None:
    """Fit and print.

    Args:
        interests: Numbers of planted interests; as many prototypes are fitted.
        noises: Shares of a user's events outside their interests.
        seeds: Of graph and fit alike; one run each.
        encoder: Which encoder.
        head: Settings of the graph head, apart from the number of prototypes.
        links: What a step of the encoder samples.
        epochs: Of the encoder.
        batch_size: Training events in a batch.
        learning_rate: Of the encoder and the head.
        accelerator: cpu, or auto for a GPU where there is one.
    """
    fit = FitConfig(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, accelerator=accelerator
    )
    head, links = head or GraphHeadConfig(), links or LinkConfig()
    encoder_config = {"LightGCN": LightGCNConfig(), "GraphSAGE": GraphSAGEConfig()}[encoder]
    rows = []
    for C in interests:
        settings = dataclasses.replace(head, num_prototypes=C)
        for noise in noises:
            for seed in seeds:
                synthetic = SyntheticConfig(
                    num_users=125 * C, num_items=125 * C // 2, num_interests=C, noise=noise, seed=seed
                )
                for method, result in measure(synthetic, fit, encoder_config, settings, links, seed).items():
                    rows.append({"interests": C, "noise": noise, "seed": seed, "method": method, **result})
    about, date = hardware(), datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"{encoder}; {about}; {date}; means over {len(seeds)} seeds (least-most)")
    columns = (
        "frequent",
        "tail",
        "f1",
        "held_out_content",
        "held_out_embedded",
        "held_out_events",
        "seconds",
    )
    print(f"{'C':>4} {'noise':>5} {'method':22} " + " ".join(f"{name:>18}" for name in columns))
    for C in interests:
        for noise in noises:
            for method in dict.fromkeys(row["method"] for row in rows):
                chosen = [r for r in rows if (r["interests"], r["noise"], r["method"]) == (C, noise, method)]
                if chosen:
                    cells = " ".join(f"{_cell(chosen, name):>18}" for name in columns)
                    print(f"{C:4} {noise:5} {method:22} {cells}")
    print(
        json.dumps(
            {
                "machine": about,
                "date": date,
                "fit": vars(fit),
                "head": vars(head),
                "links": vars(links),
                "rows": rows,
            }
        )
    )


def _cell(rows: list[dict[str, Any]], name: str) -> str:
    values = [float(row[name]) for row in rows if name in row]
    if not values:
        return "-"
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
