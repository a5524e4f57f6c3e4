"""``g2rec graph build`` of a Parquet log: a run's folder, one sentence for each mistake, and going on."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.cli import main
from g2rec.graph import CoEngagementConfig, CoEngagementGraph, InteractionGraph, build_coengagement

EVENTS = 5000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test has a working directory with a log."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    log = {"user": rng.integers(0, 90, EVENTS), "item": rng.integers(0, 40, EVENTS), "ts": np.arange(EVENTS)}
    Path("log").mkdir()
    pq.write_table(pa.table(log), "log/part.parquet")
    return tmp_path


def refused(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("g2rec: ")
    return message


def test_a_log_becomes_a_run(capsys):
    Path("build.yaml").write_text("time: ts\nmemory: 6GiB\nseed: 5\n")
    assert main(["graph", "build", "log", "--config", "build.yaml", "--out", "run"]) == 0
    assert "5,000 events" in capsys.readouterr().out
    graph = InteractionGraph.load(Path("run/graph"))
    assert graph.num_edges == 2 * EVENTS and graph.times is not None
    known = json.loads(Path("run/run.json").read_text())
    assert known["log"] == [str(Path("log/part.parquet").resolve())] and known["columns"]["time"] == "ts"
    assert "seed: 5" in Path("run/settings.yaml").read_text()
    assert main(["graph", "build", "log", "--time", "ts", "--out", "run"]) == 0
    assert "reused" in capsys.readouterr().out
    (Path("run/graph") / "times.npy").write_bytes(b"damaged")
    assert main(["graph", "build", "log/part.parquet", "--time", "null", "--out", "run"]) == 0
    assert InteractionGraph.load(Path("run/graph")).times is None


def test_the_item_item_graph_of_a_log(capsys):
    command = ["graph", "build", "log", "--time", "ts", "--out", "run"]
    assert main(command) == 0 and not Path("run/coengagement").exists()
    assert main([*command, "--coengagement.window", "3", "--memory", "6GiB"]) == 0
    assert "40 items, " in capsys.readouterr().out
    pairs = CoEngagementGraph.load(Path("run/coengagement"))
    expected = build_coengagement(InteractionGraph.load(Path("run/graph")), CoEngagementConfig(window=3))
    np.testing.assert_array_equal(pairs.weights, expected.weights)
    assert main(command) == 0  # the run keeps its settings
    assert capsys.readouterr().out.count("reused") == 2
    assert "eps must be positive" in refused(capsys, *command, "--coengagement.eps", "-1")
    Path("more.yaml").write_text("coengagement:\n  window: 3\n  weighting: binary\n")
    assert main([*command, "--config", "more.yaml"]) == 0
    assert set(CoEngagementGraph.load(Path("run/coengagement")).weights) == {1}


def test_mistakes_are_one_sentence(capsys):
    assert "no column time; it has user, item, ts" in refused(capsys, "graph", "build", "log", "--out", "run")
    assert "there is no file" in refused(capsys, "graph", "build", "gone.parquet")
    assert "number of bytes" in refused(capsys, "graph", "build", "log", "--time", "ts", "--memory", "much")
    assert "leave out --mirror" in refused(capsys, "graph", "build", "log", "--mirror", "x")
    assert "is a recipe" in refused(capsys, "graph", "build", "synthetic", "--user", "u")
    Path("run").mkdir()
    Path("run/run.json").write_text('{"recipe": "toy", "mirror": null}')
    assert "run of the recipe toy" in refused(capsys, "graph", "build", "log", "--time", "ts", "--out", "run")


def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(capsys):
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (EVENTS * 4, resource.RLIM_INFINITY))

    command = ["graph", "build", "log", "--time", "ts", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "g2rec", *command],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_files,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("g2rec: writing ")
    assert "Traceback" not in done.stderr and not Path("run/graph").exists()
    assert Path("run/.graph.building/state.json").is_file()
    assert main(command) == 0
    assert sorted(path.name for path in Path("run").iterdir()) == ["graph", "run.json", "settings.yaml"]
