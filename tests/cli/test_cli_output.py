"""What commands print, also where it is not read to its end, as in ``g2rec --help | head``."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_bundle import LENGTH, make_bundle

from g2rec.cli.serve import _ids
from g2rec.cli.show import print_recommendations
from g2rec.interactions import TRAIN


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


def test_users_who_have_seen_nearly_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """They get what is left, and who has seen everything is passed over."""
    bundle = make_bundle()
    log = bundle.interactions
    first, last = log.user_index == 0, log.user_index == log.num_users - 1
    items = np.arange(log.num_items, dtype=np.int32)
    users = [items, log.item_index[~first & ~last], items[:-2]]
    lengths = [len(items), LENGTH * (log.num_users - 2), len(items) - 2]
    index = np.concatenate(
        [
            np.zeros(lengths[0], np.int32),
            log.user_index[~first & ~last],
            np.full(lengths[2], log.num_users - 1, np.int32),
        ]
    )
    full = dataclasses.replace(
        log,
        user_index=index,
        item_index=np.concatenate(users).astype(np.int32),
        part=np.full(len(index), TRAIN, np.uint8),
    )
    print_recommendations(dataclasses.replace(bundle, interactions=full), log.num_users)
    shown = capsys.readouterr().out
    assert shown.count("for user") == log.num_users - 1
    assert "for user 100:" not in shown and "Top 2 for user 111:" in shown


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("[0010,0011]", ["0010", "0011"]),
        ("[true, 1e5]", ["true", "1e5"]),
        ('["a,b", c]', ["a,b", "c"]),
        ("['a', b ]", ["a", "b"]),
        ("sku-1,sku-2", ["sku-1", "sku-2"]),
        ("[]", []),
    ],
)
def test_a_history_is_read_as_it_is_written(text: str, keys: list[str]) -> None:
    assert _ids(text) == keys
