"""The figures on prototypes and semantic IDs that a report shows, gathered from a bundle."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from g2rec.bundle import Bundle, Interest, ItemLabels, group_words, item_labels, item_terms
from g2rec.prototypes import PrototypePurity, PrototypeStatistics, prototype_purity, prototype_statistics
from g2rec.report._drift import Drift, measure_drift
from g2rec.report._modularity import MeasuredModularity, measure_modularity
from g2rec.report._settings import read_run_settings
from g2rec.tokenizers import category_agreement, code_usage, collision_rate, prefix_similarity


@dataclass(frozen=True)
class Diagnosis:
    """Everything measured on one bundle; each part is computed once, when it is first asked for."""

    bundle: Bundle
    run: Path | None = None
    """The run's folder, whose graph the prototypes are measured on."""

    @cached_property
    def popularity(self) -> NDArray[np.int64]:
        """[I] training events."""
        log = self.bundle.interactions
        return np.bincount(log.train_events().item_index, minlength=log.num_items)

    @cached_property
    def labels(self) -> ItemLabels | None:
        """The categories, if the catalogue has any."""
        return item_labels(self.bundle.interactions.items)

    @cached_property
    def statistics(self) -> PrototypeStatistics:
        """Size, popularity and softness of the prototypes."""
        return prototype_statistics(self.bundle.prototypes, self.popularity)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """[C] share of the training events on the items of each prototype."""
        events = self.statistics.size * self.statistics.popularity
        found: NDArray[np.float64] = events / max(1.0, float(events.sum()))
        return found

    @cached_property
    def drift(self) -> Drift | None:
        """Shares of the prototypes over time, where events have times."""
        return measure_drift(self.bundle.interactions, self.bundle.prototypes)

    @cached_property
    def purity(self) -> PrototypePurity | None:
        """Purity of the prototypes, if there are categories."""
        if self.labels is None:
            return None
        return prototype_purity(self.bundle.prototypes, self.labels.index)

    @cached_property
    def modularity(self) -> MeasuredModularity | None:
        """Of the prototypes beside Leiden's communities, if the run has their graph."""
        if self.run is None:
            return None
        return measure_modularity(self.run, self.bundle.prototypes, read_run_settings(self.run))

    @cached_property
    def interests(self) -> list[Interest]:
        """The prototypes in words, the largest first."""
        return sorted(self.bundle.interests(), key=lambda interest: -interest.mass)

    @cached_property
    def code_words(self) -> list[tuple[str, ...]]:
        """Words of the items under each first code."""
        first = np.asarray(self.bundle.semantic_ids.codes)[:, 0]
        indptr = np.arange(len(first) + 1)
        groups = csr_matrix(
            (np.ones(len(first)), first, indptr), shape=(len(first), self.bundle.semantic_ids.codebook_size)
        )
        return group_words(groups, item_terms(self.bundle.interactions.items, self.popularity), num_words=3)

    @cached_property
    def levels(self) -> list[dict[str, float]]:
        """Usage and perplexity of each level after collisions were resolved, and before where recorded."""
        ids = self.bundle.semantic_ids
        rows = code_usage(np.asarray(ids.codes), ids.codebook_size)
        for row, before in zip(rows, ids.report.get("levels_before", ()), strict=False):
            row |= {f"{name}_before": before[name] for name in ("usage", "perplexity") if name in before}
        return rows

    @cached_property
    def agreement(self) -> list[dict[str, int | float]]:
        """NMI and AMI of prefixes with the categories; empty without any."""
        if self.labels is None:
            return []
        return category_agreement(np.asarray(self.bundle.semantic_ids.codes), self.labels.index)

    @cached_property
    def similarity(self) -> dict[str, list[dict[str, int | float]]]:
        """Cosine by shared prefix, for graph embeddings and, where there is any, content."""
        codes = np.asarray(self.bundle.semantic_ids.codes)
        found = {"graph embeddings": prefix_similarity(codes, np.asarray(self.bundle.embeddings.items))}
        if self.bundle.interactions.content is not None:
            found["content"] = prefix_similarity(codes, np.asarray(self.bundle.interactions.content))
        return found

    def figures(self) -> dict[str, Any]:
        """All of it as plain values, for ``diagnostics.json``."""
        ids = self.bundle.semantic_ids
        purity = self.purity
        prototypes = []
        for interest in self.interests:
            at = interest.index
            row = {"index": at, "name": interest.name, "words": interest.words, "top_items": interest.titles}
            row |= {name: float(values[at]) for name, values in asdict(self.statistics).items()}
            row["event_share"] = float(self.shares[at])
            if self.drift is not None:
                row["drift"] = float(self.drift.change[at])
            if purity is not None and self.labels is not None and purity.category[at] >= 0:
                row |= {
                    "category": self.labels.names[purity.category[at]],
                    "category_share": float(purity.share[at]),
                }
            prototypes.append(row)
        return {
            "categories": None if self.labels is None else self.labels.source,
            "purity": None if purity is None else purity.overall,
            "purity_by_chance": None if purity is None else purity.chance,
            "modularity": None if self.modularity is None else self.modularity.figures(),
            "softness": self.bundle.prototypes.softness(),
            "prototypes": prototypes,
            "levels": self.levels,
            "collision_rate": collision_rate(np.asarray(ids.codes)),
            "collision_rate_before": ids.report.get("collision_rate_before"),
            "reconstruction_mse": ids.report.get("reconstruction_mse"),
            "input_variance": ids.report.get("input_variance"),
            "category_agreement": self.agreement,
            "prefix_similarity": self.similarity,
        }
