"""Checks that the encoders' configurations share."""

from g2rec.errors import ConfigError


def check_sizes(embedding_dim: int, num_layers: int) -> None:
    """Raise `ConfigError` if a size is not positive."""
    for name, value in (("embedding_dim", embedding_dim), ("num_layers", num_layers)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}; raise it")
