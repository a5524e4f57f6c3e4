"""A small leaderboard for real: shared stages, slots, kills, failures, and every mistake in one sentence."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_run import TINY, TOY

import g2rec
from g2rec.cli import main
from g2rec.cli.run_settings import read_settings
from g2rec.cli.settings import preset_path
from g2rec.errors import ConfigError
from g2rec.leaderboard import plot_boards
from g2rec.training.grid import GridPlan, read_grid
from g2rec.training.grid_plan import plan_grid
from g2rec.training.grid_run import Finished, run_jobs
from g2rec.training.grid_time import describe_plan

ROWS: dict[str, dict[str, Any]] = {
    "no prefix": {"recommender.feed": "none"},
    "random prototypes": {"prototypes": "RandomPrototypesConfig", "prototypes.num_prototypes": 5,
                          "prototypes.nonzeros": 2},
    "too few codes": {"tokenizer.codebook_size": 2},
}  # fmt: skip
GRID: dict[str, Any] = {
    "base": {**yaml.safe_load(TINY.replace("epochs: 6", "epochs: 2")), "evaluation": {"cutoffs": [5, 10]}},
    "protocols": {"shuffled": {"ties": "shuffle"}, "temporal": {"split": "temporal"}},
    "rows": ROWS,
    "parts": [
        {
            "rows": ["popularity", "item_transitions", "item_knn", "sasrec", "g2rec", "no prefix"],
            "protocols": ["shuffled"],
            "seeds": [0, 1],
        }
    ],
    "reference": "g2rec",
    "slots": 1,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    (folder / "toy.yaml").write_text(TOY)
    (folder / "grid.yaml").write_text(yaml.safe_dump(GRID))
    return folder


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    monkeypatch.setenv("G2REC_CACHE", str(home / "cache"))
    return home


def plan(out: Path, **changes: Any) -> GridPlan:
    config = read_grid({**GRID, "reference": None, **changes})
    return plan_grid(config, read_settings(config.base), ["toy.yaml"], out=out)


def accuracy(out: Path) -> dict[str, Any]:
    board = json.loads((out / "leaderboard.json").read_text())["boards"][0]
    timed = ("training_seconds", "users_per_second", "folders")
    return {row["name"]: {name: row[name] for name in row if name not in timed} for row in board["rows"]}


@pytest.fixture(scope="module")
def table(home: Path) -> dict[str, Any]:
    """The figures of an undisturbed leaderboard in ``out/``, made in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("G2REC_CACHE", str(home / "cache"))
        assert main(["leaderboard", "toy.yaml", "--grid", "grid.yaml", "--out", "out"]) == 0
    return accuracy(home / "out")


def test_rows_share_the_stages_on_which_they_agree(here: Path) -> None:
    part = {"rows": ["g2rec", "no prefix", "random prototypes", "fusion"], "seeds": [4]}
    made = plan(here / "plan", parts=[part])
    stages = sorted(job.stage for job in made.pending())
    assert stages.count("interactions") == stages.count("graph") == 1
    assert stages.count("encoder") == stages.count("tokenizer") == 2  # random prototypes have their own
    assert stages.count("recommender") == 3
    assert {"baselines/fusion", "baselines/ease", "baselines/sasrec_graph"} <= set(stages)
    seen: set[Path] = set()
    for job in made.pending():
        assert set(job.needs) <= seen
        seen.add(job.home)
    base, variant = (cell.job for cell in made.cells[:2])
    assert base.home == here / "plan" / "toy" / "default" / "seed-4" / "evaluation" / "g2rec"
    assert variant.home.is_relative_to(base.folder / "variants")
    assert variant.settings.seed == variant.settings.interactions.seed == 4


def test_the_order_of_rows_does_not_move_them(here: Path) -> None:
    parts = [{"rows": ["no prefix", "g2rec"]}], [{"rows": ["g2rec", "sasrec", "no prefix"]}]
    first, second = (
        {(cell.row, cell.seed): cell.job.home for cell in plan(here, parts=each).cells} for each in parts
    )
    assert first.items() <= second.items()


def test_the_table(here: Path, table: dict[str, Any]) -> None:
    assert list(table) == ["Popularity", "ItemTransitions", "ItemKNN", "SASRec", "G2Rec", "no prefix"]
    for row in table.values():
        assert row["seeds"] == [0, 1] and row["lacking"] == []
        for side in ("masked", "unmasked"):
            for name in ("recall@5", "ndcg@10"):
                interval = row[side][name]
                assert 0 <= interval["low"] <= interval["mean"] <= interval["high"] <= 1
            seeds = [row["by_seed"][seed][side]["ndcg@10"] for seed in ("0", "1")]
            assert row[side]["ndcg@10"]["mean"] == pytest.approx(sum(seeds) / 2)  # nobody is left out
    best = max(("Popularity", "ItemTransitions", "ItemKNN", "SASRec"),
               key=lambda name: table[name]["masked"]["ndcg@10"]["mean"])  # fmt: skip
    assert "against_best" not in table[best]
    gap = table["G2Rec"]["masked"]["ndcg@10"]["mean"] - table[best]["masked"]["ndcg@10"]["mean"]
    assert table["G2Rec"]["against_best"]["difference"]["mean"] == pytest.approx(gap)
    assert "against_reference" in table["no prefix"] and "against_reference" not in table["G2Rec"]
    assert table["SASRec"]["parameters"] > 0
    markdown = (here / "out" / "leaderboard.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 8 and len({line.count("|") for line in rows}) == 1
    assert f"N@10 masked − {best}" in markdown and "150 users" in markdown
    assert markdown.endswith("](toy.png)\n")
    for kind in ("png", "svg"):
        assert (here / "out" / f"toy.{kind}").stat().st_size > 5_000
    drawn = (here / "out" / "toy.svg").read_text()
    assert "N@10 masked, minus G2Rec" in drawn and "best baseline, masked" in drawn


@pytest.mark.parametrize(
    "kept, shown, lacking",
    [
        (["G2Rec", "no prefix"], ["minus G2Rec", ">G2Rec<"], [">baseline<", "best baseline"]),
        (["Popularity"], [">baseline<"], [">G2Rec<", "minus", "best baseline"]),
    ],
)
def test_a_plot_names_what_it_shows(
    here: Path, table: dict[str, Any], tmp_path: Path, kept: list[str], shown: list[str], lacking: list[str]
) -> None:
    figures = json.loads((here / "out" / "leaderboard.json").read_text())
    (board,) = figures["boards"]
    board["rows"] = [row for row in board["rows"] if row["name"] in kept]
    for field in ("best_baseline", "reference"):
        board[field] = board[field] if board[field] in kept else None
    plot_boards(figures, tmp_path)
    drawn = (tmp_path / "toy.svg").read_text()
    assert [text for text in (*shown, *kept) if text not in drawn] == []
    assert [text for text in lacking if text in drawn] == []


def test_what_is_done_is_not_done_again(
    here: Path, table: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.stat().st_mtime_ns for file in (here / "out").rglob("stage.json")}
    assert main(["leaderboard", "toy.yaml", "--grid", "grid.yaml", "--out", "out"]) == 0
    assert "nothing left to do (12 of 12 cells are done)" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in (here / "out").rglob("stage.json")} == before
    assert accuracy(here / "out") == table
    longer = plan(here / "out", parts=[*GRID["parts"], {**GRID["parts"][0], "seeds": [2]}])
    said = describe_plan(longer, longer.pending(), here / "out", 2)
    assert said.endswith("with 2 slots (12 of 18 cells are done, 16 stages to make)")


def test_python_gives_what_the_command_gives(
    here: Path, table: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = g2rec.compare("toy.yaml", GRID, out=here / "out")
    assert "nothing left to do (12 of 12 cells are done)" in capsys.readouterr().out
    assert [row["name"] for row in figures["boards"][0]["rows"]] == list(table)
    assert accuracy(here / "out") == table
    assert figures["failures"] == {}
    with pytest.raises(ConfigError, match="there is no row sasrek"):
        g2rec.compare(["toy.yaml"], {**GRID, "parts": [{"rows": ["sasrek"]}]}, out=here / "no")
    with pytest.raises(ConfigError, match="expected a recipe, got none"):
        g2rec.compare(grid=GRID, out=here / "no")
    assert not (here / "no").exists()


def test_a_dry_run_does_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["leaderboard", "toy.yaml", "--grid", "grid.yaml", "--out", "dry", "--dry_run", "true"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "(0 of 12 cells are done, 32 stages to make)" in said and "to do  SASRec on toy" in said
    assert not (here / "dry").exists()


def test_a_failed_cell_does_not_keep_the_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = {"rows": ["too few codes", "popularity"], "protocols": ["shuffled"], "seeds": [0]}
    (here / "failing.yaml").write_text(yaml.safe_dump({**GRID, "parts": [part], "reference": None}))
    command = ["leaderboard", "toy.yaml", "--grid", "failing.yaml", "--out", "failing"]
    for _ in range(2):
        assert main(command) == 1
        out, err = capsys.readouterr()
        assert "too few codes on toy (shuffled, seed 0): failed: " in out
        assert "Traceback" not in out + err
        assert err.strip().splitlines()[-1].startswith("g2rec: 1 of 2 cells failed")
        assert list(accuracy(here / "failing")) == ["Popularity"]
        assert "codebook_size" in (here / "failing" / "leaderboard.md").read_text()


@pytest.mark.slow
def test_two_slots_and_a_killed_worker_end_in_the_same_table(here: Path, table: dict[str, Any]) -> None:
    out = here / "slots"
    ended: list[Finished] = []

    def kill_one(finished: Finished) -> None:
        ended.append(finished)
        if finished.job.stage == "encoder" and finished.failure is None:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)

    failures = run_jobs(plan(out).pending(), slots=2, report=kill_one)
    assert failures and all(
        "exit code -9; if memory ran out, use fewer slots" in said for said in failures.values()
    )
    assert len(ended) == 32  # each job was told of once, and the others went on
    command = ["leaderboard", "toy.yaml", "--grid", "grid.yaml", "--out", str(out), "--slots", "2"]
    assert main(command) == 0
    assert_close(accuracy(out), table)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(here: Path, table: dict[str, Any]) -> None:
    out = here / "killed"
    command = [sys.executable, "-m", "g2rec", "leaderboard", "toy.yaml", "--grid", "grid.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    signs = {
        "toy/shuffled/seed-0/encoder/checkpoints/last.ckpt": signal.SIGKILL,
        "toy/shuffled/seed-1/recommender/checkpoints/last.ckpt": signal.SIGINT,
    }
    for slots, (sign, number) in enumerate(signs.items(), start=1):
        process = subprocess.Popen(
            [*command, "--out", str(out), "--slots", str(slots)],
            cwd=here, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 400
        while not (out / sign).exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, f"{sign} never came"
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (130 if number == signal.SIGINT else -9), err
        assert "Traceback" not in err and "leaked" not in err
    assert main([*command[3:], "--out", str(out)]) == 0
    assert_close(accuracy(out), table)


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name in expected:
        for side in ("masked", "unmasked"):
            for metric, interval in expected[name][side].items():
                assert found[name][side][metric] == pytest.approx(interval, abs=1e-6), (name, metric)
        assert found[name]["parameters"] == expected[name]["parameters"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parts": [{"rows": ["sasrek"]}]}, "there is no row sasrek; known rows are g2rec, popularity"),
        ({"parts": []}, "expected parts with rows, protocols and seeds"),
        ({"parts": [{"rows": []}]}, "expected parts with rows, protocols and seeds"),
        ({"parts": [{"rows": ["g2rec"], "seeds": []}]}, "expected parts with rows, protocols and seeds"),
        ({"parts": [{"rows": ["g2rec"], "protocols": ["random"]}]}, "there is no protocol random"),
        (
            {"parts": [{"rows": ["g2rec"], "recipes": ["synthetic"]}]},
            "no part of the grid has the recipe toy; it has synthetic",
        ),
        ({"parts": [{"rows": ["g2rec"], "recipes": ["movielens"]}]}, "there is no recipe movielens"),
        ({"protocols": {"shuffled": {"ties": "no"}}}, "protocol shuffled: expected one of shuffle"),
        ({"rows": {**ROWS, "x": {"recommender.food": 1}}}, "row x: there is no setting recommender.food"),
        ({"rows": {**ROWS, "x": {"seed": 1}}}, "row x changes seed"),
        ({"rows": {**ROWS, "sasrec": {}}}, "sasrec is the name of a baseline"),
        ({"reference": "fusion"}, "the reference fusion is no row"),
        (
            {"per_recipe": {"toy": {"recommender_fit.epochs": -1}}},
            "per_recipe toy: epochs must not be negative",
        ),
        ({"base": "nowhere"}, "nowhere"),
        ({"seeds": [1]}, "bad.yaml: there is no setting seeds; known here are base"),
        ({"parts": [{"rows": "g2rec"}]}, "a list for rows, got 'g2rec'"),
        ({"parts": {"rows": ["g2rec"]}}, "a list for parts, got"),
        ({"rows": {"x": "none"}}, "values by name for rows x, got 'none'"),
        ({"parts": [{"rows": ["no prefix"], "seeds": [-1]}]}, "expected seeds of 0 or more, got -1"),
    ],
)
def test_mistakes_are_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    if "x" in changes.get("rows", {}):
        changes = {**changes, "parts": [{"rows": ["x"]}]}
    (here / "bad.yaml").write_text(yaml.safe_dump({**GRID, "reference": None, **changes}))
    assert says in refused(capsys, "toy.yaml", "--grid", "bad.yaml")


@pytest.mark.parametrize(
    ("name", "cells"), [("leaderboard", 249), ("leaderboard-baselines", 22), ("ablations", 123)]
)
def test_the_shipped_grids_can_be_planned(here: Path, name: str, cells: int) -> None:
    grid = read_grid(preset_path(name))
    made = plan_grid(grid, read_settings(grid.base), out=here / "shipped")
    assert len(made.cells) == cells
    ours = [cell for cell in made.cells if cell.model == "g2rec" and cell.recipe == "amazon-beauty"]
    assert len({cell.job.identity for cell in ours}) == len(ours)  # no two rows have the same settings
    only = plan_grid(grid, read_settings(grid.base), ["amazon-toys"], out=here / "shipped")
    assert {cell.recipe for cell in only.cells} == {"amazon-toys"}


def test_settings_for_an_unknown_recipe_are_named(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan(here, per_recipe={"tyo": {}, "ml-100k": {}, "toy": {}})
    assert caplog.messages == ["the grid's per_recipe has settings for tyo, which is no recipe here"]


def test_other_mistakes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no recipe nothing" in refused(capsys, "nothing")
    assert "expected a recipe, got none" in refused(capsys)
    (here / "rows.yaml").write_text("rows: {no prefix: {recommender.feed: none}}")
    assert "rows no prefix, and no parts that list them" in refused(capsys, "toy.yaml", "--grid", "rows.yaml")
    (here / "broken.yaml").write_text("rows: [")
    assert "broken.yaml cannot be read as YAML" in refused(capsys, "toy.yaml", "--grid", "broken.yaml")
    assert "gone.yaml" in refused(capsys, "toy.yaml", "--grid", "gone.yaml")
    assert "slots" in refused(capsys, "toy.yaml", "--grid", "grid.yaml", "--slots", "0")
    said = refused(capsys, "toy.yaml", "--grid", "grid.yaml", "--mirror", "gone")
    assert "there is no folder gone; check the path of the mirror" in said
    (here / "table.csv").write_text("sku,title\n" * 1000)
    assert len(refused(capsys, "toy.yaml", "--grid", "table.csv")) < 250
    (here / "file").write_text("")
    assert main(["leaderboard", "toy.yaml", "--grid", "grid.yaml", "--out", "file"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("g2rec: writing file failed: File exists;") and "\n" not in said


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["leaderboard", *arguments, "--out", "refused"]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("g2rec: ") and "\n" not in message and "Traceback" not in message
    assert not Path("refused").exists()
    return message
