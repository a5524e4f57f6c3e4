"""``g2rec prototypes sweep``: a table, a file, a plot, and going on."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.cli import main

SWEEP = ["prototypes", "sweep", "run", "--gammas", "[1.0]", "--seeds", "[0,1]"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test has a working directory with a log of four interests."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(200), 12)
    item = 20 * (user % 4) + rng.integers(0, 20, len(user))
    Path("log").mkdir()
    pq.write_table(pa.table({"user": user, "item": item, "time": np.arange(len(user))}), "log/part.parquet")


def test_a_sweep_of_a_log(capsys):
    assert main(["graph", "build", "log", "--out", "run", "--coengagement.window", "5"]) == 0
    capsys.readouterr()
    assert main([*SWEEP, "--num_prototypes", "[2,4]"]) == 0
    out = capsys.readouterr().out
    assert "Chosen: C = 4, gamma = 1" in out and "stability" in out
    file = Path("run/sweep/sweep.json")
    found = json.loads(file.read_text())
    assert [row["num_prototypes"] for row in found["rows"]] == [2, 4]
    assert found["chosen"]["num_prototypes"] == 4 and found["chosen"]["stability"] > 0.9
    assert Path("run/sweep/sweep.png").read_bytes().startswith(b"\x89PNG")
    Path("sweep.yaml").write_text("num_prototypes: [2, 4, 6]\nshare: 0.9\n")
    assert main([*SWEEP, "--config", "sweep.yaml"]) == 0
    again = json.loads(file.read_text())["rows"]
    assert again[:2] == found["rows"] and again[2]["num_prototypes"] == 6
    assert "prototypes" in Path("run/settings.yaml").read_text()  # the run's settings are as they were


def test_mistakes_are_one_sentence(capsys):
    def refused(*arguments: str) -> str:
        assert main(list(arguments)) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert message.startswith("g2rec: ")
        return message

    assert "found no run.json in run" in refused(*SWEEP)
    assert main(["graph", "build", "log", "--out", "run"]) == 0
    assert "build it with g2rec graph build LOG --out run --coengagement.window 5" in refused(*SWEEP)
    assert main(["graph", "build", "log", "--out", "run", "--coengagement.window", "5"]) == 0
    assert "name two or more" in refused(*SWEEP, "--seeds", "[3]")
    assert "num_prototypes must be at least 2" in refused(*SWEEP, "--num_prototypes", "[1]")
    assert "num_prototypes" in refused(*SWEEP, "--num_prototypes", "many")
    pq.write_table(pa.table({"user": [0, 0], "item": [0, 1], "time": [0, 1]}), "log/part.parquet")
    Path("plain.yaml").write_text("coengagement: null\n")
    assert main(["graph", "build", "log", "--out", "run", "--config", "plain.yaml"]) == 0
    assert "run/coengagement was made from another graph than run/graph" in refused(*SWEEP)
