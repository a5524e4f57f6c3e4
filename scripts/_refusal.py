"""What the scripts do with a mistake that its message names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from g2rec.errors import ConfigError, G2RecError


@contextmanager
def refusal() -> Iterator[None]:
    """One line on stderr and exit code 2, as `g2rec` does, where there would be a traceback."""
    try:
        yield
    except (G2RecError, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def check_device(device: str) -> None:
    """Refuse a GPU where there is none.

    Raises:
        ConfigError: If so.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "the device is cuda, but torch finds no GPU; use --device cpu, or a machine with one"
        )
