"""A server on a free port of the loopback interface, for tests that need a socket."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from g2rec.bundle import Bundle
from g2rec.serving import ServeConfig


@contextmanager
def running(bundle: Bundle, config: ServeConfig | None = None) -> Iterator[str]:
    """Serve a bundle while the block runs; gives the address."""
    from g2rec.serving._server import address, open_server

    server, listener = open_server(bundle, config or ServeConfig(port=0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def ask(address: str, path: str, body: object = None) -> httpx.Response:
    """One request: GET, or POST with a body."""
    if body is None:
        return httpx.get(address + path, timeout=20)
    return httpx.post(address + path, json=body, timeout=20)
