"""A run's page: whole, self-contained, escaped, and refused without its inputs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from toy_bundle import make_bundle

from g2rec.errors import ArtifactError
from g2rec.report import write_report
from g2rec.report._plots import _read_series

VOID = {"meta", "path", "use", "circle", "rect", "br", "link", "image", "input"}


def figures(recall: float) -> dict[str, Any]:
    def measured(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean * 0.9, "high": mean * 1.1}

    part = {"recall@10": measured(recall), "ndcg@10": measured(recall / 2)}
    return {"unmasked": part, "masked": part, "coverage@10": 0.25, "seconds": 1.5, "parameters": 1000}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    make_bundle().save(folder / "bundle")
    stage = folder / "encoder"
    for session in ("version_0", "version_1"):
        (stage / "logs" / "csv" / session).mkdir(parents=True)
    known = {"name": "encoder", "key": "k", "line": "12 users & 30 items", "seconds": 2.0}
    (stage / "stage.json").write_text(json.dumps(known))
    (stage / "logs" / "csv" / "version_0" / "metrics.csv").write_text(
        "epoch,step,train_loss,val_ndcg@10\n0,1,2.5,\n0,1,,0.1\n1,2,2.0,\n"
    )
    (stage / "logs" / "csv" / "version_1" / "metrics.csv").write_text(
        "epoch,step,train_loss,val_ndcg@10\n1,2,1.5,0.2\n"
    )
    metrics = {
        "recipe": "toy",
        "split": "leave_one_out",
        "ties": "shuffle",
        "date": "2026-01-02",
        "hardware": "a test",
        "num_users": 12,
        "left_out_when_masked": 0,
        "models": {"Popularity": figures(0.2), "G2Rec": figures(0.3)},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


class TagBalance(HTMLParser):
    """Fails on a tag that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass


def test_the_page_is_whole_and_points_nowhere_else(run: Path) -> None:
    page = write_report(run).read_text()
    parser = TagBalance()
    parser.feed(page)
    assert parser.open == []
    headings = ["Models", "Stages", "Training", "Interest prototypes", "Semantic IDs", "Prefix tree"]
    for heading in [*headings, "Three users"]:
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<svg") == 5
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in page
    assert "url(http" not in page


def test_figures_and_words_are_there_and_escaped(run: Path) -> None:
    page = write_report(run).read_text()
    assert "G2Rec 0.3000 [0.2700, 0.3300]; the best baseline, Popularity 0.2000" in page
    assert "12 users &amp; 30 items" in page
    assert "Item &lt;" in page
    assert "Item <" not in page
    assert "User 1" in page
    assert "held out:" in page


def test_ids_differ_between_plots(run: Path) -> None:
    ids = re.findall(r'<clipPath id="([^"]+)"', write_report(run).read_text())
    assert len(ids) == len(set(ids))


def test_a_run_without_logs_or_stages_still_has_a_page(run: Path) -> None:
    for file in run.rglob("stage.json"):
        file.unlink()
    for file in run.rglob("metrics.csv"):
        file.unlink()
    assert "<h2>Training</h2>" not in write_report(run).read_text()


@pytest.mark.parametrize("missing", ["metrics.json", "bundle/manifest.json"])
def test_missing_input_is_one_sentence(run: Path, missing: str) -> None:
    (run / missing).unlink()
    with pytest.raises(ArtifactError, match=rf"{missing} is missing"):
        write_report(run)


def test_a_metric_that_is_missing_is_named(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["models"]["G2Rec"]["masked"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(ArtifactError, match=r"metrics.json lacks 'masked'; run `g2rec evaluate` on it again"):
        write_report(run)


def test_a_resumed_fit_is_one_curve(run: Path) -> None:
    logs = sorted((run / "encoder" / "logs").rglob("metrics.csv"))
    epochs, losses = _read_series(logs)["train_loss"]
    assert (epochs.tolist(), losses.tolist()) == ([0, 1], [2.5, 1.5])
