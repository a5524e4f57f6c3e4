"""What stands before the routes: the key, the limits of a request, the headers of an answer, the clock."""

import asyncio
import hashlib
import hmac
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from g2rec.serving._config import ServeConfig
from g2rec.serving._metrics import Metrics

_OPEN = ("/", "/docs", "/openapi.json", "/health")
"""Routes that need no key, beside the files under /static: they tell nothing of the catalogue."""
_DRAINED = 64 << 20
"""Bytes of a body that is too large that are read and thrown away, so that its sender reads the answer."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Guard:
    """ASGI middleware that refuses what the routes should not see.

    It reads a body whole before a route runs, so a slow client holds a socket and nothing else.

    Args:
        app: What comes after.
        config: The limits.
        key: What requests must carry, or None.
        metrics: Told of each request.
    """

    def __init__(self, app: ASGIApp, *, config: ServeConfig, key: str | None, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._key = None if key is None else _digest(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of the ASGI protocol."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await self._handle(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, time.perf_counter() - began)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if self._key is not None and not self._is_allowed(scope["path"], headers):
            await refuse(401, "expected the server's API key in X-API-Key or as a bearer token; send it")(
                scope, receive, send
            )
            return
        body = b""
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            given = await self._read(scope["method"], headers, receive)
            if isinstance(given, JSONResponse):
                await given(scope, receive, send)
                return
            if given is None:  # the client hung up
                return
            body = given
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        limit = self._config.timeout_seconds
        try:
            async with asyncio.timeout(limit) as clock:
                await self._app(scope, _replay(body, receive), noted)
        except TimeoutError:
            if not clock.expired() or started:
                raise
            late = refuse(504, f"expected an answer within {limit:g} seconds, got none; try again later")
            await late(scope, receive, send)

    def _is_allowed(self, path: str, headers: Headers) -> bool:
        if path in _OPEN or path.startswith("/static/"):
            return True
        given = headers.get("x-api-key")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if given is None and scheme.lower() == "bearer":
            given = token.strip()
        assert self._key is not None
        return hmac.compare_digest(_digest(given or ""), self._key)

    async def _read(self, method: str, headers: Headers, receive: Receive) -> bytes | JSONResponse | None:
        """The body, a refusal, or None if the client hung up."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/json":
            shown = repr(kind[:40]) if kind else "none"
            return refuse(415, f"expected a body with Content-Type application/json, got {shown}; send JSON")
        most, limit = self._config.max_body_bytes, self._config.read_seconds
        declared = headers.get("content-length", "0")
        if not declared.isdigit():
            return refuse(400, "expected Content-Length as a whole number; mend it")
        too_large = int(declared[:20]) > most
        parts: list[bytes] = []
        size = 0
        if not (too_large and headers.get("expect", "").lower() == "100-continue"):
            try:
                async with asyncio.timeout(limit):
                    more = True
                    while more and size <= _DRAINED:
                        message = await receive()
                        if message["type"] == "http.disconnect":
                            return None
                        part = message.get("body", b"")
                        size += len(part)
                        too_large = too_large or size > most
                        if not too_large:
                            parts.append(part)
                        more = message.get("more_body", False)
            except TimeoutError:
                if not too_large:
                    return refuse(408, f"expected the body within {limit:g} seconds, got less; hurry")
        if too_large:
            return refuse(413, f"expected a body of at most {most} bytes, got more; send less")
        return b"".join(parts)


def refuse(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The form of every error: one sentence."""
    closing: dict[str, str] = {"Connection": "close"} if status in (408, 413) else {}
    if status == 401:
        closing["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": sentence}, status, headers={**closing, **(headers or {})})


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
