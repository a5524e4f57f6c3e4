"""The checkout itself: rooms import one way, packaging lists all of them, the scripts are sound."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def test_imports_go_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter import cli

    # its logging settings would silence the loggers of later tests
    monkeypatch.setattr("logging.config.dictConfig", lambda settings: None)
    assert cli.lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True) == cli.EXIT_STATUS_SUCCESS


def test_setup_lists_every_room() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split()) - {"g2rec.shipped_graphs", "g2rec.shipped_presets"}
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "g2rec").rglob("__init__.py")}
    assert listed == found


def test_the_constraints_pin_every_requirement() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config["options"]["install_requires"] + config["options.extras_require"]["test"]
    names = {re.split(r"[\[<>=]", line, maxsplit=1)[0].lower() for line in wanted.split()}
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert names - set(pins) == set()
    assert pins["torch"] == "2.13.0"


@pytest.mark.parametrize("script", ["scripts/_setup.sh", "scripts/quickstart", "scripts/test", ".ci/run"])
def test_the_scripts_are_sound_bash(script: str) -> None:
    assert subprocess.run(["bash", "-n", str(ROOT / script)], check=False).returncode == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (
            "bench_training.py --model MISSING --interactions MISSING",
            "expected a folder of kind interactions at",
        ),
        ("bench_billion.py --log MISSING --run MISSING", "run.json is missing"),
        ("bench_joint.py amazon-beauty --out OUT --mirror MISSING", "it is missing; check the folder"),
        pytest.param(
            "bench_decoding.py --device cuda",
            "the device is cuda, but torch finds no GPU; use --device cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ("bench_sampling.py --engines [nativ]", "there is no engine nativ; known engines are"),
    ],
)
def test_a_benchmark_refuses_in_one_sentence(tmp_path: Path, words: str, said: str) -> None:
    given = words.replace("MISSING", str(tmp_path / "missing")).replace("OUT", str(tmp_path / "out"))
    script, *arguments = given.split()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{script}: ") and said in line


def test_every_benchmark_refuses() -> None:
    scripts = {path.name: path.read_text() for path in (ROOT / "scripts").glob("bench_*.py")}
    assert scripts and [name for name in scripts if "    with refusal():\n" not in scripts[name]] == []


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/_setup.sh", "constraints.txt", "setup.cfg", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.18" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail; source scripts/_setup.sh; set_up"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "G2REC_PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("g2rec needs Python 3.11 or newer, found Python 3.8.18; install one")
    assert done.stderr.count("\n") == 1
