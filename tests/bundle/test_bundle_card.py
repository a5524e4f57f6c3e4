"""The model card: a hub reads its front matter, and it says what is known and no more."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_bundle import make_bundle
from toy_run import TINY, TOY

from g2rec.bundle import Bundle, CardFacts
from g2rec.cli import main

INTERVAL = {"mean": 0.12346, "low": 0.1, "high": 0.15}
SIDE = {"recall@10": INTERVAL, "ndcg@10": INTERVAL}
REPORT = {"masked": SIDE, "unmasked": SIDE}
METRICS = {"models": {"Popularity": REPORT, "G2Rec": REPORT}, "num_users": 1200, "seed": 0, "ties": "shuffle"}
FACTS = CardFacts(
    name="toy",
    data="Toys: a log",
    licence="CC BY 4.0: with attribution",
    citation="Somebody, 2020",
    date="2026-01-01",
    hardware="a CPU",
    metrics=METRICS,
)


def read(folder: Path) -> tuple[dict[str, Any], str]:
    text = (folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_a_card_has_what_is_known(tmp_path: Path) -> None:
    dataclasses.replace(make_bundle(), card=FACTS).save(tmp_path / "b")
    front, body = read(tmp_path / "b")
    assert front["library_name"] == "g2rec"
    assert front["license"] == "other"
    assert front["license_name"] == "cc-by-4.0-with-attribution"
    result = front["model-index"][0]["results"][0]
    assert result["dataset"]["type"] == "toy"
    assert {metric["type"] for metric in result["metrics"]} == {"recall@10", "ndcg@10"}
    assert all(metric["value"] == 0.1235 for metric in result["metrics"])
    for words in (
        "12 users, 30 items, 96 events",
        "**G2Rec**",
        "0.1235 (0.1000–0.1500)",
        "1,200 test users",
        "CC BY 4.0",
        "Somebody, 2020",
        "2026-01-01",
        "a CPU",
        "user IDs included",
        "## Limits",
        "## Intended use",
    ):
        assert words in body, words
    assert "`interactions/`" in body and "`tokenizer/`" not in body


def test_a_hub_reads_the_card(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    dataclasses.replace(make_bundle(), card=FACTS).save(tmp_path / "b")
    card = hub.ModelCard.load(tmp_path / "b" / "README.md")
    assert len(card.data.eval_results) == 4
    assert card.data.eval_results[0].metric_value == pytest.approx(0.1235, abs=1e-4)
    make_bundle().save(tmp_path / "plain")
    assert hub.ModelCard.load(tmp_path / "plain" / "README.md").data.library_name == "g2rec"


def test_a_card_without_figures_says_so(tmp_path: Path) -> None:
    make_bundle().save(tmp_path / "b")
    front, body = read(tmp_path / "b")
    assert "model-index" not in front
    assert "Not evaluated" in body
    assert "cannot be added" in body


def test_facts_stay_with_a_bundle(tmp_path: Path) -> None:
    dataclasses.replace(make_bundle(), card=FACTS).save(tmp_path / "b")
    loaded = Bundle.load(tmp_path / "b")
    assert loaded.card == FACTS
    loaded.save(tmp_path / "c")
    assert (tmp_path / "c" / "README.md").read_text() == (tmp_path / "b" / "README.md").read_text()


def test_an_edited_card_is_the_readers_own(tmp_path: Path) -> None:
    """It is for people: a hub's users edit it, and nothing of it is read back."""
    bundle = make_bundle()
    bundle.save(tmp_path / "b")
    (tmp_path / "b" / "README.md").write_text("---\nlicense: !!python/object/apply:os.abort []\n---\nmine\n")
    assert Bundle.load(tmp_path / "b").recommend(["i1"]).equals(bundle.recommend(["i1"]))
    (tmp_path / "b" / "README.md").unlink()
    Bundle.load(tmp_path / "b")


def test_an_edited_card_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    bundle = make_bundle()
    bundle.save(tmp_path / "b")
    bundle.save(tmp_path / "b")
    assert not (tmp_path / "b" / "README.edited.md").exists()
    written = (tmp_path / "b" / "README.md").read_text()
    (tmp_path / "b" / "README.md").write_text(f"{written}\nOur own words.\n")
    for _ in range(2):
        bundle.save(tmp_path / "b")
        assert (tmp_path / "b" / "README.md").read_text() == written
        assert (tmp_path / "b" / "README.edited.md").read_text() == f"{written}\nOur own words.\n"
    (tmp_path / "b" / "README.md").write_text("Others.\n")
    bundle.save(tmp_path / "b")
    assert (tmp_path / "b" / "README.edited.md").read_text() == f"{written}\nOur own words.\n"
    assert (tmp_path / "b" / "README.edited-2.md").read_text() == "Others.\n"
    Bundle.load(tmp_path / "b")


def test_a_run_writes_figures_of_its_own_model_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(TOY)
    (tmp_path / "tiny.yaml").write_text(TINY)
    steps = [
        ["graph", "build", "toy.yaml", "--config", "tiny.yaml", "--out", "run"],
        *([*stage, "run"] for stage in (["encoder", "fit"], ["tokenizer", "fit"], ["recommender", "fit"])),
    ]
    for step in steps:
        assert main(step) == 0
    bundle = tmp_path / "run" / "bundle"
    assert "Not evaluated" in read(bundle)[1]
    assert main(["evaluate", "run"]) == 0
    front, body = read(bundle)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    held = front["model-index"][0]["results"][0]["metrics"]
    recall = next(metric for metric in held if metric["name"] == "Recall@10, history masked out")
    assert recall["value"] == pytest.approx(
        metrics["models"]["G2Rec"]["masked"]["recall@10"]["mean"], abs=1e-4
    )
    assert "Planted interests, small" in body
    assert main(["recommender", "fit", "run", "--recommender_fit.epochs", "1"]) == 0
    assert "Not evaluated" in read(bundle)[1]
