"""An application behind a socket, until a signal ends it."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from g2rec.bundle import Bundle
from g2rec.errors import ConfigError
from g2rec.serving._app import build_app
from g2rec.serving._config import ServeConfig


def serve(bundle: Bundle, config: ServeConfig, announce: Callable[[str], None]) -> None:
    """See `g2rec.serving.run_server`."""
    server, listener = open_server(bundle, config)
    with contextlib.closing(listener):
        announce(address(listener))
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes the signal on once it has shut down
            server.run(sockets=[listener])


def open_server(bundle: Bundle, config: ServeConfig) -> tuple[uvicorn.Server, socket.socket]:
    """A server, and the socket that it is to run on, which listens already.

    Raises:
        ConfigError: If a setting is out of range, or the address cannot be listened on.
    """
    config.check()
    listener = _listen(config)
    try:
        settings = uvicorn.Config(
            build_app(bundle, config),
            http=_with_deadline(config.read_seconds),
            ws="none",
            log_level="info" if config.access_log else "warning",
            access_log=config.access_log,
            limit_concurrency=config.max_connections,
            timeout_graceful_shutdown=max(1, round(config.shutdown_seconds)),
            server_header=False,
        )
    except BaseException:
        listener.close()
        raise
    return uvicorn.Server(settings), listener


def address(listener: socket.socket) -> str:
    """Of a socket, for people: http://127.0.0.1:8000."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(config: ServeConfig) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(config.max_connections)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"expected a free address, got {config.host} port {config.port}, which cannot be listened on "
            f"({error.strerror or error}); choose another --port or --host"
        ) from None
    listener.setblocking(False)
    return listener


def _with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, with a limit to the time that the head of a request may take.

    Without it, a client that sends a line a minute holds its connection for ever.
    """
    base: Any = AutoHTTPProtocol

    class Protocol(base):  # type: ignore[misc]
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._cancel()
            elif self._deadline is None:
                self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _expect_head(self) -> None:
            self._deadline = self.loop.call_later(seconds, self._give_up)

        def _cancel(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._deadline = None
            if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
                return
            body = b'{"error":"expected the head of a request within %g seconds, got less; send it faster"}'
            body = body % seconds
            head = b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
            self.transport.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.transport.close()

    return Protocol
