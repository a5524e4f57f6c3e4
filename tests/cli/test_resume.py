"""A run that is killed, interrupted or out of disk ends, when repeated, where an undisturbed one does."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy_run import TINY, TOY

from g2rec.bundle import Bundle

COMMAND = [sys.executable, "-m", "g2rec", "run", "toy.yaml", "--config", "tiny.yaml", "--out", "run"]
FITTED = ["encoder", "tokenizer", "recommender", "baselines/sasrec"]


def place(folder: Path) -> Path:
    folder.mkdir()
    (folder / "toy.yaml").write_text(TOY)
    (folder / "tiny.yaml").write_text(TINY)
    return folder


def start(folder: Path, **options) -> subprocess.Popen[str]:
    environment = {**os.environ, "G2REC_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(COMMAND, cwd=folder, env=environment, **pipes, **options)


def stop_when(folder: Path, sign: str, number: int) -> tuple[int, str]:
    """Start the run, send a signal once the file ``sign`` is there; give exit code and stderr."""
    process = start(folder)
    deadline = time.monotonic() + 120
    while not (folder / "run" / sign).exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{sign} never came"
        time.sleep(0.01)
    process.send_signal(number)
    return process.wait(timeout=60), process.communicate()[1]


def finish(folder: Path) -> dict:
    process = start(folder)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "R@10" in out
    return json.loads((folder / "run" / "metrics.json").read_text())


def accuracy(metrics: dict) -> dict[str, float]:
    return {
        f"{model} {side} {name}": interval["mean"]
        for model, report in metrics["models"].items()
        for side in ("unmasked", "masked")
        for name, interval in report[side].items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return accuracy(finish(place(tmp_path_factory.mktemp("runs") / "whole")))


@pytest.mark.slow
def test_kill_in_every_stage(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    folder = place(tmp_path / "cut")
    for stage in ("interactions", "graph"):
        stop_when(folder, stage, signal.SIGKILL)
    for stage in FITTED:
        stop_when(folder, f"{stage}/checkpoints/last.ckpt", signal.SIGKILL)
    early = Bundle.load(folder / "run" / "bundle")  # written before the baselines
    assert early.card.metrics is None
    assert "not evaluated" in (folder / "run" / "bundle" / "README.md").read_text().lower()
    assert early.recommend(early.item_ids(np.arange(3)), k=5).num_rows == 5
    again = accuracy(finish(folder))
    card = Bundle.load(folder / "run" / "bundle").card
    assert card.metrics == json.loads((folder / "run" / "metrics.json").read_text())
    for stage in FITTED:
        sessions = list((folder / "run" / stage / "logs" / "csv").glob("version_*"))
        assert len(sessions) == 2, f"{stage} was not resumed"
    assert again == pytest.approx(undisturbed, abs=1e-6)
    assert not list((folder / "run").rglob(".*.tmp"))


@pytest.mark.slow
def test_ctrl_c_exits_130_and_resumes(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    folder = place(tmp_path / "cut")
    code, err = stop_when(folder, "encoder/checkpoints/last.ckpt", signal.SIGINT)
    assert code == 130
    assert "resumes" in err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert accuracy(finish(folder)) == pytest.approx(undisturbed, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4_000, 30_000])
def test_full_disk_is_one_sentence(tmp_path: Path, limit: int) -> None:
    """No file may grow beyond ``limit`` bytes: the first stage fails, or a checkpoint does."""
    folder = place(tmp_path / "full")

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    process = start(folder, preexec_fn=small_files)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    line = err.strip().splitlines()[-1]
    assert line.startswith("g2rec: writing ")
    assert "Traceback" not in err
    assert not list((folder / "run").rglob(".*.tmp"))
