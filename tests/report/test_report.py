"""A run's page: whole, self-contained, escaped, and refused without its inputs."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from g2rec.errors import ArtifactError
from g2rec.report import write_report
from g2rec.report._curves import read_series

VOID = {"meta", "path", "use", "circle", "rect", "br", "link", "image", "input"}


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
    markup = page[: page.index("<script>")]  # the library comes after it
    parser = TagBalance()
    parser.feed(page)
    assert parser.open == []
    headings = ["What was run", "Data at a glance", "Interest map", "Interest prototypes", "Semantic IDs"]
    headings += ["Code usage", "Training", "Leaderboard", "Slices", "Three users"]
    assert re.findall("<h2>(.*?)</h2>", markup) == headings
    targets = re.findall('<a href="#([^"]*)"', page)
    assert {f'id="{target}"' in page for target in targets} == {True}
    assert targets[:10] == [heading.lower().replace(" ", "-") for heading in headings]
    assert re.findall(r'(?:src|href)="(?!#)', markup) == []
    assert "@import" not in markup
    assert "url(" not in markup


def test_the_policy_allows_what_is_in_the_file_and_no_more(run: Path) -> None:
    page = write_report(run).read_text()
    found = re.search('http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert found is not None
    policy = dict(part.strip().split(" ", 1) for part in html.unescape(found[1]).split(";"))
    assert policy["default-src"] == "'none'"
    for kind, tag in (("script-src", "script"), ("style-src-elem", "style")):
        inline = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline]
        assert policy[kind].split() == [f"'sha256-{digest}'" for digest in hashes]


def test_charts_have_data_and_words(run: Path) -> None:
    page = write_report(run).read_text()
    texts = re.findall('<div class="chart"><script type="application/json">(.*?)</script>', page)
    specs = [json.loads(text) for text in texts]
    assert all(spec["data"]["values"] and spec["description"] for spec in specs)
    assert len({spec["description"] for spec in specs}) == len(specs) == 13
    assert {"encoder, training: loss from 2.5 to 1.5", "encoder, validation: NDCG@10 from 0.1 to 0.2"} <= {
        spec["description"] for spec in specs
    }


def test_figures_and_words_are_there_and_escaped(run: Path) -> None:
    page = write_report(run).read_text()
    assert "G2Rec 0.1500 [0.1350, 0.1650]; the best baseline, Popularity 0.1000" in page
    assert "12 users &amp; 30 items" in page
    assert "encoder: LightGCN</dt><dd>embedding dim 16, user table no, epochs 6" in page
    assert "recommender: G2Rec</dt><dd>num heads 2, ranking hybrid, note &lt;b&gt;" in page
    assert "72 training, 12 validation, 12 test" in page
    assert "2001-09-09 to 2001-09-16" in page
    assert "&lt;img src=x" in page
    assert "<img" not in page[: page.index("<script>")]
    assert "Held out" in page


def test_the_library_is_as_it_was_published() -> None:
    folder = resources.files("g2rec.report").joinpath("vendor")
    for name, digest in (
        ("vega.min.js", "8f6a3587cf8d4f42c7e08120e3eb05d067e746d554e39d2dcf52acc0bd5ba28f"),
        ("vega-lite.min.js", "843d20762ca6e52ff5ceab7a3296219272a9c0b5364402d6814f3c7738f4be5e"),
        ("vega-embed.min.js", "6719f03edf72beff23310ee56cd0f1a9ebbf7ddcc656d3e5cc2f9067ab835671"),
    ):
        held = folder.joinpath(name).read_bytes()
        assert hashlib.sha256(held).hexdigest() == digest
        assert name in folder.joinpath("LICENSES.txt").read_text()
        assert b"</script" not in held
        assert b"\r" not in held


def test_a_run_without_logs_or_stages_still_has_a_page(run: Path) -> None:
    for file in run.rglob("stage.json"):
        file.unlink()
    for file in run.rglob("metrics.csv"):
        file.unlink()
    (run / "settings.yaml").unlink()
    page = write_report(run).read_text()
    assert "<h2>Training</h2>" not in page
    assert "All settings" not in page


def test_a_run_without_slices_still_has_a_page(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    for entry in metrics["models"].values():
        del entry["slices"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert "<h2>Slices</h2>" not in write_report(run).read_text()


def test_slices_have_intervals(run: Path) -> None:
    page = write_report(run).read_text()
    section = page[page.index("<h2>Slices</h2>") :]
    section = section[: section.index("</section>")]
    assert "head (5)" in section and "cold (0)" in section
    assert '<span>0.1500</span><span class="interval">0.1350 to 0.1650</span>' in section
    assert section.count("<td>none</td>") == 2  # nobody's target is cold
    assert '"high"' in section  # the charts draw them too

    metrics = json.loads((run / "metrics.json").read_text())
    for entry in metrics["models"].values():
        entry["slices"]["head"]["ndcg@10"] = 0.1  # as written before there were intervals
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(ArtifactError, match=r"intervals of the slices.*g2rec evaluate"):
        write_report(run)


def test_a_loss_that_is_not_finite_is_a_gap(run: Path) -> None:
    log = run / "encoder" / "logs" / "csv" / "version_1" / "metrics.csv"
    log.write_text("epoch,step,train_loss\n1,2,inf\n")
    assert '"value":null' in write_report(run).read_text()


@pytest.mark.parametrize("missing", ["metrics.json", "bundle/manifest.json"])
def test_missing_input_is_one_sentence(run: Path, missing: str) -> None:
    (run / missing).unlink()
    with pytest.raises(ArtifactError, match=rf"{Path(missing).name} is missing"):
        write_report(run)


def test_settings_that_are_no_yaml_are_one_sentence(run: Path) -> None:
    (run / "settings.yaml").write_text("encoder: {")
    with pytest.raises(ArtifactError, match=r"expected YAML in .*, got other text; restore it, or remove it"):
        write_report(run)


def test_a_metric_that_is_missing_is_named(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["models"]["G2Rec"]["masked"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(ArtifactError, match=r"metrics.json lacks 'masked'; run `g2rec evaluate` on it again"):
        write_report(run)


def test_a_resumed_fit_is_one_curve(run: Path) -> None:
    logs = sorted((run / "encoder" / "logs").rglob("metrics.csv"))
    epochs, losses = read_series(logs)["train_loss"]
    assert (epochs.tolist(), losses.tolist()) == ([0, 1], [2.5, 1.5])
