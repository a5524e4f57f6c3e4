"""Stable hashes of configurations, and seeds derived from names."""

import dataclasses
import enum
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def to_plain(value: Any) -> Any:
    """Turn dataclasses, enums, paths, tuples and numpy scalars into plain JSON values.

    A dataclass keeps its class name under ``"type"``, so two configurations with the same fields differ.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    return value


def fingerprint(*values: Any) -> str:
    """Hash values by content: 16 hexadecimal digits of the SHA-256 of their canonical JSON."""
    text = json.dumps([to_plain(value) for value in values], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derive_seed(*parts: int | str) -> int:
    """Derive an independent 31-bit seed from a seed and names: ``derive_seed(seed, "tokenizer", epoch)``."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") & 0x7FFFFFFF
