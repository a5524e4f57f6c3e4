"""Settings of the server."""

import os
from dataclasses import dataclass
from pathlib import Path

from g2rec.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Where a server listens, how it batches, and what it refuses."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    max_batch: int = 64
    """Requests that go through the model at once, at most; 1 answers one at a time."""
    gather_ms: float = 2.0
    """Milliseconds in which a busy server gathers requests into a batch; an idle one answers at once."""
    max_waiting: int = 512
    """Requests that wait for the model, at most; the next one gets 503 and Retry-After."""
    max_connections: int = 1024
    """Open connections, at most; the next one gets 503."""
    timeout_seconds: float = 10.0
    """Seconds in which a request must be answered; then 504."""
    read_seconds: float = 5.0
    """Seconds in which a client must have sent the head of a request, and again the body; then 408."""
    shutdown_seconds: float = 10.0
    """Seconds in which requests under way may end after the signal to stop."""
    max_body_bytes: int = 1 << 20
    """Bytes of a request's body, at most; then 413."""
    max_history: int = 1000
    """Items in a history, at most."""
    max_k: int = 200
    """Items in an answer, at most."""
    max_new_items: int = 10_000
    """Items that may be added while the server runs; 0 refuses all."""
    api_key_env: str = "G2REC_API_KEY"
    """Environment variable with a key that requests must carry; without one, none is asked for."""
    api_key_file: Path | None = None
    """File with the key, before the variable."""
    threads: int = 0
    """Threads that torch uses; 0 leaves that to torch."""
    access_log: bool = False
    """Write a line for each request."""

    def check(self) -> None:
        """Raise `ConfigError` on a value that is out of range."""
        least = {
            "port": 0,
            "max_batch": 1,
            "gather_ms": 0,
            "max_waiting": 1,
            "max_connections": 1,
            "shutdown_seconds": 0,
            "max_body_bytes": 1,
            "max_history": 1,
            "max_k": 1,
            "max_new_items": 0,
            "threads": 0,
        }
        for name, bound in least.items():
            value = getattr(self, name)
            if not value >= bound:
                raise ConfigError(f"expected {name} of at least {bound}, got {value}; raise it")
        for name in ("timeout_seconds", "read_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected {name} above 0, got {getattr(self, name)}; raise it")
        if self.port > 65_535:
            raise ConfigError(f"expected a port up to 65535, got {self.port}; lower it")

    def api_key(self) -> str | None:
        """The key that requests must carry, or None.

        Raises:
            ConfigError: If the file cannot be read, or holds no key.
        """
        if self.api_key_file is None:
            return os.environ.get(self.api_key_env, "").strip() or None
        try:
            key = self.api_key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the key file {self.api_key_file} cannot be read ({error}); mend it") from None
        if not key:
            raise ConfigError(f"expected a key in {self.api_key_file}, got an empty file; write one into it")
        return key
