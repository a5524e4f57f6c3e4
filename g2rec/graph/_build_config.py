"""Which columns of a log are read, and how much memory the builder takes."""

import re
import resource
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from g2rec.errors import ConfigError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)}
_READING = 384 << 20
"""Bytes kept free for decoded batches and what the allocators hold back."""


@dataclass(frozen=True, kw_only=True)
class GraphBuildConfig:
    """Columns of the log, and the memory to build with."""

    user: str = "user"
    """Column of users: node numbers, or any whole numbers or text."""
    item: str = "item"
    """Column of items, likewise."""
    time: str | None = "time"
    """Column of times: whole seconds since 1970, timestamps or dates; null for a log without times."""
    weight: str | None = None
    """Column of positive weights of the events; null where all count the same."""
    memory: int | str = "8GiB"
    """What the whole process may hold, in bytes or as 8GiB or 500MB; a larger graph is placed in parts."""

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        named = (self.user, self.item, self.time, self.weight)
        return [name for name in named if name is not None]

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes.

        Raises:
            ConfigError: If it is not a number of bytes.
        """
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?)B?", str(self.memory).strip(), re.IGNORECASE)
        unit = found[2][:1].upper() + found[2][1:].lower() if found else ""
        if not found or unit not in _UNITS:
            raise ConfigError(
                f"memory should be a number of bytes such as 8GiB or 500MB, got {self.memory!r}"
            )
        return int(float(found[1]) * _UNITS[unit])

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        _ = self.memory_bytes
        if len(set(self.columns)) < len(self.columns):
            raise ConfigError(f"each column has one meaning, got {', '.join(self.columns)}; name others")


def room(config: GraphBuildConfig, fixed: int = 0) -> int:
    """Bytes that are left for tables and edges.

    The memory is what the process holds now (interpreter and libraries), 384 MiB for reading, ``fixed`` (16
    bytes a node while events are placed, and room to sort the longest row), and the rest, which is returned.
    Ids that are numbered in partitions take another 28 bytes each for a moment.

    Raises:
        ConfigError: If nothing is left.
    """
    pa.default_memory_pool().release_unused()
    left = config.memory_bytes - resident_bytes() - _READING - fixed
    if left < 1 << 20:
        need = (config.memory_bytes - left >> 20) + 64
        raise ConfigError(
            f"memory is {config.memory}, this build needs at least {need} MiB; set memory higher"
        )
    return left


def resident_bytes() -> int:
    """What the process holds in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
