"""From interactions to metrics in seconds: the commands one by one, and all in one go."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_run import TINY, TOY

from g2rec.bundle import Bundle
from g2rec.cli import main
from g2rec.errors import ArtifactError

STAGES = [
    ["graph", "build", "toy.yaml", "--config", "tiny.yaml", "--out", "run"],
    ["encoder", "fit", "run"],
    ["tokenizer", "fit", "run"],
    ["recommender", "fit", "run"],
    ["evaluate", "run"],
    ["report", "run"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in ``run/`` that went through the commands one by one."""
    home = tmp_path_factory.mktemp("pipeline")
    (home / "toy.yaml").write_text(TOY)
    (home / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for command in STAGES:
            assert main(command) == 0, command
    return home


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def test_metrics_have_every_model_and_interval(here: Path) -> None:
    metrics = json.loads((here / "run" / "metrics.json").read_text())
    assert set(metrics["models"]) == {"Popularity", "SASRec", "G2Rec"}
    for report in metrics["models"].values():
        for side in ("unmasked", "masked"):
            for name in ("recall@5", "ndcg@5", "recall@10", "ndcg@10"):
                interval = report[side][name]
                assert 0 <= interval["low"] <= interval["mean"] <= interval["high"] <= 1
    assert metrics["ties"] == "shuffle"
    assert metrics["num_users"] == 150


def test_the_stages_one_by_one_are_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`g2rec run` finds every stage done, and a fresh one gives the same figures."""
    assert main(["run", "toy.yaml", "--config", "tiny.yaml", "--out", "run"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("]")]
    assert lines and all(line.endswith("[reused]") for line in lines)
    before = json.loads((here / "run" / "metrics.json").read_text())["models"]
    assert main(["run", "toy.yaml", "--config", "tiny.yaml", "--out", "again"]) == 0
    after = json.loads((here / "again" / "metrics.json").read_text())["models"]
    for model in before:
        for side in ("masked", "unmasked"):
            for name, interval in before[model][side].items():
                assert after[model][side][name] == pytest.approx(interval, abs=1e-6)


def test_a_changed_setting_redoes_its_stage_and_the_later_ones_only(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "toy.yaml", "--config", "tiny.yaml", "--out", "again", "--recommender.num_prefix", "2"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    reused = {line.split()[0] for line in lines if line.endswith("[reused]")}
    assert {"interactions", "graph", "encoder", "tokenizer", "baselines/sasrec"} <= reused
    assert "recommender" not in reused and "evaluation/g2rec" not in reused


def test_another_ranking_trains_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "toy.yaml", "--config", "tiny.yaml", "--out", "ranked"]
    command += ["--baselines", "[tiger_decoder]"]
    assert main(command) == 0
    hybrid = json.loads((here / "ranked" / "metrics.json").read_text())["models"]["G2Rec"]
    capsys.readouterr()
    assert main(["evaluate", "ranked", "--recommender.ranking", "generative"]) == 0
    lines = capsys.readouterr().out.splitlines()
    done = {line.split()[0] for line in lines if line.endswith("]") and not line.endswith("[reused]")}
    assert done == {"evaluation/g2rec"}
    beam = json.loads((here / "ranked" / "metrics.json").read_text())["models"]["G2Rec"]
    assert beam["masked"] != hybrid["masked"]
    card = (here / "ranked" / "bundle" / "README.md").read_text()
    assert "ranking: generative" in card and f"{beam['masked']['ndcg@10']['mean']:.4f}" in card


def test_recommend_for_a_user_and_a_history(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "run", "--user", "3", "--k", "5", "--explain", "true"]) == 0
    shown = capsys.readouterr().out
    assert (
        len([line for line in shown.splitlines() if line.lstrip()[:2] in ("1.", "2.", "3.", "4.", "5.")]) == 5
    )
    assert "Interests read from the history" in shown
    assert main(["recommend", "run", "--history", "[1,2]", "--k", "3", "--mode", "dense"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recommend", "run", "--user", "nobody"], "nobody"),
        (["recommend", "run", "--user", "3", "--k", "1000"], "k"),
        (["recommend", "run", "--history", "[no-such-item]"], "no-such-item"),
        (["recommend", "run"], "user or a history"),
        (["encoder", "fit", "run", "--interactions.seed", "5"], "g2rec graph build"),
        (["run", "toy.yaml", "--out", "x", "--tokenizer.codebook_size", "2"], "codebook_size"),
    ],
)
def test_mistakes_are_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    settings = here / "run" / "settings.yaml"
    kept = settings.read_text()
    assert main(arguments) == 2
    settings.write_text(kept)
    lines = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()
    assert lines[-1].startswith("g2rec: ")
    assert says in lines[-1]


def test_a_swapped_bundle_part_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = here / "run" / "bundle" / "prototypes" / "manifest.json"
    kept = manifest.read_text()
    manifest.write_text(kept.replace("graph_head", "modularity"))
    try:
        assert main(["recommend", "run", "--user", "3"]) == 2
    finally:
        manifest.write_text(kept)
    assert "prototypes" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["recommender", "embeddings/items.npy", "manifest.json"])
def test_running_again_mends_a_bundle(here: Path, damaged: str) -> None:
    bundle = here / "run" / "bundle"
    file = bundle / damaged
    if file.is_dir():
        shutil.rmtree(file)
    else:  # changed, its size kept
        body = file.read_bytes()
        file.write_bytes(
            body.replace(b"made_from", b"made_with") if file.suffix == ".json" else body[:-1] + b"x"
        )
    with pytest.raises(ArtifactError):
        Bundle.load(bundle)
    assert main(["evaluate", "run"]) == 0
    assert Bundle.load(bundle).interactions.num_users == 150


def test_ten_is_measured_whatever_else_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["run", "toy.yaml", "--config", "tiny.yaml", "--out", "cut", "--evaluation.cutoffs"]
    assert main([*again, "[5]"]) == 0
    assert "R@10" in capsys.readouterr().out
    assert main([*again, "[5,1000]"]) == 0  # of 90 items
    metrics = json.loads((here / "cut" / "metrics.json").read_text())
    assert {"recall@5", "ndcg@10"} <= set(metrics["models"]["G2Rec"]["masked"])


def test_help_is_light() -> None:
    """``g2rec --help`` imports neither torch nor numpy."""
    code = (
        "import sys; from g2rec.cli import main; main(['--help']); "
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert shown.stdout.splitlines()[-1] == "False False"
    assert "tokenizer fit" in shown.stdout
