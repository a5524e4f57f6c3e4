"""A run's stages: each is done once, remembered by what it was made from, and resumed when it was cut off.

A run is a folder. Each stage owns a subfolder of it and, when all that it writes is there, a ``stage.json``
with the key of its inputs (settings and content hashes), one line of counts, and the seconds it took. The
same key means the same result, so a second run loads it; another key starts the stage afresh.
"""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from g2rec.artifacts import StageRecord, read_record, write_json
from g2rec.errors import ArtifactError
from g2rec.training.fitting import start_or_resume

logger = logging.getLogger(__name__)
T = TypeVar("T")


def run_stage(
    folder: Path,
    name: str,
    key: str,
    *,
    make: Callable[[], T],
    load: Callable[[], T],
    line: Callable[[T], str],
    announce: Callable[[StageRecord], None] = lambda record: None,
) -> T:
    """Load the stage in ``folder`` if it was made from the same inputs, or make it.

    Args:
        folder: The stage's own folder.
        name: What people see, such as ``baselines/sasrec``.
        key: Hash of the settings and of the content of what the stage takes.
        make: Does the work and saves the result below ``folder``.
        load: Reads the result.
        line: Counts to show and to remember.
        announce: Told when the stage is there.
    """
    remembered = read_record(folder)
    if remembered is not None and remembered.key == key:
        try:
            result = load()
        except ArtifactError as error:
            logger.warning("%s; making it again", error)
        else:
            announce(StageRecord(name, key, remembered.line, remembered.seconds, reused=True))
            return result
    (folder / "stage.json").unlink(missing_ok=True)
    _sweep(folder)
    start_or_resume(folder, key)
    clock = time.monotonic()
    result = make()
    record = StageRecord(name, key, line(result), time.monotonic() - clock)
    known = {"name": name, "key": key, "line": record.line, "seconds": record.seconds}
    write_json(folder / "stage.json", known)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    announce(record)
    return result


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half-written."""
    for leftover in folder.rglob(".*.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
