"""What happens to the output of a command that is not read to its end, as in ``g2rec --help | head``."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command", [["--help"], ["data"], ["leaderboard", "--grid", "leaderboard", "--dry_run", "true"]]
)
def test_output_that_nobody_reads_is_no_mistake(command: list[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "g2rec", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
