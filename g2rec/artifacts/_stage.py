"""What a run's folder remembers of a stage that is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g2rec.artifacts._io import read_json
from g2rec.errors import ArtifactError


@dataclass(frozen=True)
class StageRecord:
    """What is known of a stage that is done."""

    name: str
    key: str
    """Hash of everything that the stage depends on."""
    line: str
    """Counts, for people."""
    seconds: float
    """Wall-clock time of the session that finished it."""
    reused: bool = False
    """Whether this run loaded it instead of making it."""


def read_record(folder: Path) -> StageRecord | None:
    """What an earlier run remembered of a stage; None if it is not done."""
    file = folder / "stage.json"
    if not file.is_file():
        return None
    try:
        known: dict[str, Any] = read_json(file)
        return StageRecord(known["name"], known["key"], known["line"], known["seconds"], reused=True)
    except (ArtifactError, KeyError, TypeError):
        return None
