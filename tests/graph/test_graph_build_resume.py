"""A build that is cut off anywhere goes on there, and ends with the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rec.errors import ArtifactError
from g2rec.graph import GraphBuildConfig, _build, build_from_log

EVENTS = 20_000
STEPS = ["ids of user", "table of user", "table of item", "counting", "placing, part 2", "writing, part 4"]

BUILD = """
import os, signal, sys
from pathlib import Path
from g2rec.graph import GraphBuildConfig, _build, build_from_log

_build.room = lambda config, fixed=0: 100_000

def stop(step, done, total):
    if step.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

build_from_log("log.parquet", Path(sys.argv[1]), GraphBuildConfig(memory="4GiB"), progress=stop)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With a log, and memory for some parts of the graph only."""
    rng = np.random.default_rng(0)
    user = [f"u{n}" for n in rng.integers(0, 900, EVENTS)]
    item = [f"i{n}" for n in rng.integers(0, 300, EVENTS)]
    log = pa.table({"user": user, "item": item, "time": rng.integers(0, 10**6, EVENTS)})
    pq.write_table(log, tmp_path / "log.parquet")
    monkeypatch.setattr(_build, "room", lambda config, fixed=0: 100_000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class StopError(Exception):
    pass


def test_stops_in_every_step(folder):
    build_from_log("log.parquet", folder / "whole")
    for step in STEPS:
        seen: list[str] = []

        def stop(name, done, total, step=step, seen=seen):
            seen.append(name)
            if name.startswith(step):
                raise StopError

        with pytest.raises(StopError):
            build_from_log("log.parquet", folder / "cut", progress=stop)
        assert not (folder / "cut").exists()
        if step.startswith("writing"):
            assert not any(name.startswith(("ids", "counting")) for name in seen)
    build_from_log("log.parquet", folder / "cut")
    assert content(folder / "cut") == content(folder / "whole")
    assert sorted(path.name for path in folder.iterdir()) == ["cut", "log.parquet", "whole"]


def test_killed_twice(folder):
    build_from_log("log.parquet", folder / "whole")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for step in ("counting", "placing, part 3"):
        done = subprocess.run(
            [sys.executable, "-c", BUILD, "cut", step],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == -9, done.stderr
        assert (folder / ".cut.building" / "state.json").is_file()
    build_from_log("log.parquet", folder / "cut")
    assert content(folder / "cut") == content(folder / "whole")


def test_other_memory_goes_on_and_gives_the_same_bytes(folder, monkeypatch):
    build_from_log("log.parquet", folder / "whole")
    with pytest.raises(StopError):
        build_from_log("log.parquet", folder / "cut", progress=stop_in("writing, part 2"))
    monkeypatch.setattr(_build, "room", lambda config, fixed=0: 30_000)
    build_from_log("log.parquet", folder / "cut", GraphBuildConfig(memory="7GiB"))
    assert content(folder / "cut") == content(folder / "whole")


def test_another_log_or_column_starts_anew(folder):
    with pytest.raises(StopError):
        build_from_log("log.parquet", folder / "cut", progress=stop_in("writing, part 2"))
    log = pq.read_table("log.parquet")
    pq.write_table(log.slice(0, EVENTS // 2), "log.parquet")
    graph = build_from_log("log.parquet", folder / "cut")
    assert graph.num_edges == EVENTS
    with pytest.raises(StopError):
        build_from_log("log.parquet", folder / "cut", progress=stop_in("writing, part 2"))
    assert build_from_log("log.parquet", folder / "cut", GraphBuildConfig(time=None)).times is None


def test_a_full_disk_is_one_sentence_and_resumes(folder, monkeypatch):
    import errno

    from g2rec.graph import _build_place

    write = _build_place.PartWriter._write

    def full(writer, part):
        if len(part) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(writer, part)

    monkeypatch.setattr(_build_place.PartWriter, "_write", full)
    with pytest.raises(ArtifactError, match="No space left on device; finished steps are kept") as caught:
        build_from_log("log.parquet", folder / "g")
    assert "\n" not in str(caught.value) and not (folder / "g").exists()
    monkeypatch.setattr(_build_place.PartWriter, "_write", write)
    seen = []
    build_from_log("log.parquet", folder / "g", progress=lambda *told: seen.append(told[0]))
    assert not any(name.startswith(("ids", "counting")) for name in seen)


def stop_in(step):
    def stop(name, done, total):
        if name.startswith(step):
            raise StopError

    return stop
