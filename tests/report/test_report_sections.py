"""What a page says about prototypes and semantic IDs: the map, the tree, the figures and the table."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from toy_bundle import NUM_ITEMS, make_bundle

from g2rec.artifacts import save_folder
from g2rec.bundle import Bundle
from g2rec.errors import ConfigError, DataError
from g2rec.graph import CoEngagementConfig, CoEngagementGraph, build_coengagement
from g2rec.prototypes import (
    GraphHeadConfig,
    InterestPrototypes,
    Memberships,
    community_partition,
    soft_modularity,
)
from g2rec.report import interests_table
from g2rec.report._diagnosis import Diagnosis
from g2rec.report._drift import measure_drift
from g2rec.report._identifiers import tree_section, usage_section
from g2rec.report._layout import lay_out, palettes
from g2rec.report._payload import make_payload
from g2rec.report._prototypes import map_section, prototypes_section


def labelled() -> Bundle:
    """The toy bundle with categories that are the first codes, content that is one-hot in them, and words."""
    bundle = make_bundle()
    first = bundle.semantic_ids.codes[:, 0]
    items = bundle.interactions.items.append_column(
        "category", pa.array([f"kind <{code}>" for code in first])
    )
    items = items.set_column(1, "title", pa.array([f"Sort{code} | thing <b>" for code in first]))
    log = dataclasses.replace(bundle.interactions, items=items, content=np.eye(8, dtype=np.float32)[first])
    report = {
        "collision_rate_before": 0.25,
        "items_moved": 9,
        "reconstruction_mse": 0.5,
        "input_variance": 1.0,
    }
    ids = dataclasses.replace(bundle.semantic_ids, report=report)
    return dataclasses.replace(bundle, interactions=log, semantic_ids=ids)


def test_layout_keeps_clusters_apart_and_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(4), 30, axis=0) + 0.05 * rng.standard_normal((120, 4))
    vectors = vectors.astype(np.float32)
    placed = lay_out(vectors, np.arange(120))
    assert placed.min() >= 0
    assert placed.max() <= 1
    assert np.array_equal(placed, lay_out(vectors, np.arange(120)))
    middles = placed.reshape(4, 30, 2).mean(axis=1)
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=2)[np.triu_indices(4, 1)].min()
    inside = np.linalg.norm(placed.reshape(4, 30, 2) - middles[:, None], axis=2).mean()
    assert apart > 3 * inside


def test_items_beyond_the_anchors_lie_beside_their_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("g2rec.report._layout.ANCHORS", 60)
    vectors = (
        np.tile(np.eye(2, dtype=np.float32), (60, 1)) + np.linspace(0, 0.1, 120, dtype=np.float32)[:, None]
    )
    placed = lay_out(vectors, np.arange(120)[::-1])
    kind = np.arange(120) % 2
    middles = np.stack([placed[:60][kind[:60] == at].mean(axis=0) for at in (0, 1)])
    nearest = np.linalg.norm(placed[60:, None] - middles[None], axis=2).argmin(axis=1)
    assert np.array_equal(nearest, kind[60:])


@pytest.mark.parametrize("vectors", [np.eye(3), np.ones((40, 4)), np.zeros((9, 2))])
def test_layout_of_what_cannot_be_told_apart(vectors: Any) -> None:
    placed = lay_out(vectors.astype(np.float32), np.ones(len(vectors), int))
    assert placed.shape == (len(vectors), 2)
    assert np.isfinite(placed).all()


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="expected finite item embeddings, 1 of 6 are not"):
        lay_out(np.array([[np.nan, 1]] + [[1, 2]] * 5, np.float32), np.ones(6, int))


def test_neighbours_differ_in_colour() -> None:
    rng = np.random.default_rng(0)
    centres = rng.random((64, 2))
    light, dark = palettes(centres, rng.random(64))
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in [*light, *dark])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 9 * np.eye(64)
    rgb = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in light])
    nearest = np.linalg.norm(rgb - rgb[apart.argmin(axis=1)], axis=1)
    assert nearest.min() > 60
    assert palettes(centres[:1], np.ones(1))[0] == light[:1] or len(set(light)) > 40


def test_the_embedded_data_is_whole_and_safe() -> None:
    payload = make_payload(Diagnosis(labelled()))
    assert "<" not in payload.json
    data = json.loads(payload.json)
    assert payload.num_items == len(data["titles"]) == len(data["x"]) == len(data["owner"]) == NUM_ITEMS
    assert len(data["codes"]) == NUM_ITEMS * data["levels"]
    assert data["events"] == sorted(data["events"], reverse=True)
    assert data["categories"][data["category"][0]].startswith("kind <")
    assert len(data["light"]) == len(data["names"]) == 5


def test_a_large_catalogue_shows_its_most_used_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("g2rec.report._payload._MOST_ITEMS", 12)
    diagnosis = Diagnosis(labelled())
    payload = make_payload(diagnosis)
    assert payload.num_items == 12
    assert "The 12 most used of 30 items" in map_section(diagnosis, payload)
    assert "the 12 most used of 30 items" in tree_section(diagnosis, payload)


def test_a_page_with_categories_has_purity_and_agreement() -> None:
    diagnosis = Diagnosis(labelled())
    section = prototypes_section(diagnosis)
    assert "Weighted purity is 0." in section
    assert "the column category (5 values, 100% of the items)" in section
    assert "kind &lt;" in section
    codes = usage_section(diagnosis)
    assert "Collisions: 25.0% of the items before resolution, 0.0% after it; 9 items were moved." in codes
    assert "the codes explain 50.0% of it" in codes
    first = re.search(r'<tr><th scope="row">1</th>(.*?)</tr>', codes[codes.index("leading codes") :])
    assert first is not None
    cells = re.findall("<td>(.*?)</td>", first[1])
    assert cells[1] == "1.000 ± 0.000"  # items that share the first code have the same content
    assert cells[3:] == ["5", "1.000", "1.000"]  # and the same category
    assert codes.count('class="chart"') == 3


def with_graph(folder: Path, bundle: Bundle) -> CoEngagementGraph:
    """The graph and encoder stages of a run, as far as modularity needs them."""
    graph = build_coengagement(bundle.interactions, CoEngagementConfig())
    made = {"graph/coengagement": graph.save(folder / "graph/coengagement").content_hash}
    labels = community_partition(graph, gamma=2.0, seed=0)
    parts = Memberships(labels[:, None], np.ones((len(labels), 1), np.float32))
    vectors = np.ones((int(labels.max()) + 1, 4), np.float32)
    found = InterestPrototypes(vectors, parts.indices, parts.weights, "graph_head")
    found.save(folder / "encoder/prototypes", made_from=made)
    config = GraphHeadConfig(num_prototypes=len(vectors), gamma=2.0)
    save_folder(folder / "encoder/fitted", "fitted_encoder", tensors={}, config=config, made_from=made)
    return graph


def test_modularity_stands_beside_that_of_communities(tmp_path: Path) -> None:
    bundle = make_bundle()
    learnt = dataclasses.replace(bundle.prototypes, method="graph_head")
    bundle = dataclasses.replace(bundle, prototypes=learnt)
    graph = with_graph(tmp_path, bundle)
    diagnosis = Diagnosis(bundle, tmp_path)
    found = diagnosis.figures()["modularity"]
    assert (found["gamma"], found["start"]) == (2.0, "communities")
    rows = {row["name"]: row for row in found["rows"]}
    assert len(rows) == 6
    # prototypes that are Leiden's communities have their modularity, soft or hard
    for kind in ("soft", "hardened"):
        same = rows[f"prototypes after the encoder, {kind}"]
        assert {**same, "name": ""} == {**rows["Leiden, γ = 2"], "name": ""}
    joint, C = rows["prototypes after joint training, soft"], bundle.prototypes.num_prototypes
    for key, gamma in (("at_one", 1.0), ("at_gamma", 2.0)):
        asked = soft_modularity(bundle.prototypes.memberships, graph, C, gamma)
        assert joint[key] == pytest.approx(asked)
        assert rows[f"Leiden, γ = {gamma:.0f}"][key] > asked
    section = prototypes_section(diagnosis)
    assert "<h3>Modularity</h3>" in section and "Q, γ = 2.00" in section and "began from Leiden" in section


def test_modularity_is_left_out_without_the_graph_of_the_prototypes(tmp_path: Path) -> None:
    bundle = make_bundle()
    assert Diagnosis(bundle, tmp_path).modularity is None
    graph = with_graph(tmp_path, bundle)
    dataclasses.replace(graph, weights=graph.weights * 2).save(tmp_path / "graph/coengagement")
    assert Diagnosis(bundle, tmp_path).modularity is None
    assert "Modularity" not in prototypes_section(Diagnosis(bundle, tmp_path))


def test_a_page_without_categories_says_so_once() -> None:
    diagnosis = Diagnosis(make_bundle())
    page = prototypes_section(diagnosis) + usage_section(diagnosis)
    assert page.count("has no column of categories") == 1
    assert "NMI" not in page
    assert "purity is" not in page


def test_drift_is_the_share_of_each_prototype_in_buckets_of_like_size() -> None:
    bundle = make_bundle()
    indices, weights = [[0, 1], [1, 0]], [[0.75, 0.25], [1, 0]]
    prototypes = dataclasses.replace(
        bundle.prototypes,
        vectors=np.ones((2, 8), np.float32),
        indices=np.array(indices, np.int32),
        weights=np.array(weights, np.float32),
    )
    # two hundred events: item 0 in the first hundred seconds, then item 1; validation events do not count
    log = dataclasses.replace(
        bundle.interactions,
        user_index=np.zeros(220, np.int32),
        item_index=np.repeat([0, 1, 0], [100, 100, 20]).astype(np.int32),
        time=np.arange(220),
        part=np.repeat([0, 1], [200, 20]).astype(np.uint8),
        items=bundle.interactions.items[:2],
    )
    drift = measure_drift(log, prototypes)
    assert drift is not None
    assert drift.events == 50
    assert drift.start.tolist() == [0, 50, 100, 150]
    assert drift.end.tolist() == [49, 99, 149, 199]
    assert drift.shares == pytest.approx(np.array([[0.75, 0.25], [0.75, 0.25], [0, 1], [0, 1]]))
    assert drift.change == pytest.approx([-0.75, 0.75])
    assert measure_drift(dataclasses.replace(log, time=np.ones(220, int)), prototypes) is None
    assert measure_drift(dataclasses.replace(log, time=None), prototypes) is None


def test_figures_are_plain_values() -> None:
    figures = json.loads(json.dumps(Diagnosis(labelled()).figures()))
    assert figures["collision_rate"] == 0
    assert figures["category_agreement"][0]["nmi"] == pytest.approx(1)
    assert len(figures["prototypes"]) == 5
    assert {"size", "popularity", "softness", "category", "top_items"} <= set(figures["prototypes"][0])


def test_the_table_is_markdown() -> None:
    lines = interests_table(labelled(), 2).splitlines()
    assert lines[0] == "| # | about | items | purest category | top items |"
    assert len(lines) == 4
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in lines)
    assert "&lt;b>" in lines[2]
    assert "purest" not in interests_table(make_bundle())
    with pytest.raises(ConfigError, match="num must be at least 1, got 0"):
        interests_table(make_bundle(), 0)
