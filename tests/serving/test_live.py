"""The server on a socket: slow and vanishing clients, floods, signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from toy_bundle import make_bundle

pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")
import httpx
from live_server import ask, running

from g2rec.bundle import Bundle
from g2rec.errors import ConfigError
from g2rec.serving import ServeConfig, run_server

BUNDLE = make_bundle()
ASKED = {"history": ["i1", "i2"], "k": 3}
BODY = json.dumps(ASKED).encode()
HEAD = b"POST /recommend HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that is quick to lose patience."""
    with running(BUNDLE, ServeConfig(port=0, read_seconds=0.4, max_body_bytes=100_000)) as address:
        yield address


def connect(address: str) -> socket.socket:
    """A bare connection."""
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def answer_to(address: str, *pieces: bytes, pause: float = 0.0) -> str:
    """What comes back until the server closes, of bytes sent piece by piece."""
    with connect(address) as link:
        for piece in pieces:
            link.sendall(piece)
            time.sleep(pause)
        received = b""
        while part := link.recv(65_536):
            received += part
            if received.endswith(b"}"):
                break
    return received.decode()


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((b"POST /recommend HTTP/1.1\r\nHost",), "408 "),
        ((b"",), "408 "),
        ((HEAD + b"Content-Length: 500\r\n\r\n" + b'{"history"',), "408 "),
        ((b"nonsense\r\n\r\n",), "400 "),
        ((HEAD + b"Content-Length: abc\r\n\r\n",), "400 "),
        ((HEAD + b"X-Long: " + b"x" * 70_000,), " 4"),
    ],
)
def test_slow_and_broken_clients_are_told_and_let_go(
    server: str, pieces: tuple[bytes, ...], words: str
) -> None:
    began = time.monotonic()
    assert words in answer_to(server, *pieces).split("\r\n")[0]
    assert time.monotonic() - began < 5
    assert ask(server, "/recommend", ASKED).status_code == 200


def test_a_second_request_on_a_connection_may_not_dribble_either(server: str) -> None:
    with connect(server) as link:
        link.sendall(WHOLE)
        received = b""
        while not received.endswith(b"]}"):
            received += link.recv(65_536)
        assert b"200 OK" in received
        link.sendall(b"POST /rec")
        time.sleep(0.2)
        link.sendall(b"ommend")
        assert b"408 " in link.recv(65_536)


def test_clients_that_hang_up_leave_nothing_behind(server: str) -> None:
    for end in (10, len(HEAD) + 30, len(WHOLE)):
        for _ in range(10):
            with connect(server) as link:
                link.sendall(WHOLE[:end])
    assert ask(server, "/recommend", ASKED).status_code == 200
    waiting = [
        line for line in ask(server, "/metrics").text.splitlines() if line.startswith("g2rec_waiting ")
    ]
    assert waiting == ["g2rec_waiting 0.0"]


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_refused_and_the_sender_hears_of_it(server: str, chunked: bool) -> None:
    large = b"[" + b"1," * 5_000_000 + b"1]"
    content: Any = iter([large[:5_000_000], large[5_000_000:]]) if chunked else large
    answer = httpx.post(
        f"{server}/recommend", content=content, headers={"content-type": "application/json"}, timeout=20
    )
    assert answer.status_code == 413
    assert "at most 100000 bytes" in answer.json()["error"]


def test_many_clients_get_what_each_would_get_alone(server: str) -> None:
    histories = [[f"i{at % 30}", f"i{(at * 7 + 1) % 30}"] for at in range(60)]

    def one(at: int) -> Any:
        return ask(server, "/recommend", {"history": histories[at], "k": 1 + at % 9}).json()["items"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(60)))
    for at, found in enumerate(answers):
        alone = BUNDLE.recommend(histories[at], k=1 + at % 9).to_pylist()
        assert [item["item_id"] for item in found] == [item["item_id"] for item in alone]
        assert [item["score"] for item in found] == pytest.approx([item["score"] for item in alone], abs=1e-4)


def test_a_full_server_says_when_to_come_back_and_a_slow_one_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recommend = Bundle.recommend_many

    def slowly(self: Bundle, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.6)
        return recommend(self, *arguments, **options)

    config = ServeConfig(port=0, max_batch=1, max_waiting=1, timeout_seconds=0.9)
    with running(make_bundle(), config) as address:
        monkeypatch.setattr(Bundle, "recommend_many", slowly)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(address, "/recommend", ASKED), range(8)))
        found = {answer.status_code for answer in answers}
        assert 503 in found and found <= {200, 503, 504}
        full = next(answer for answer in answers if answer.status_code == 503)
        assert full.headers["retry-after"] == "1" and "try again" in full.json()["error"]
        monkeypatch.undo()
        deadline = time.monotonic() + 10
        while ask(address, "/recommend", ASKED).status_code != 200:
            assert time.monotonic() < deadline
    with running(make_bundle(), ServeConfig(port=0, timeout_seconds=0.2)) as address:
        monkeypatch.setattr(Bundle, "recommend_many", slowly)
        late = ask(address, "/recommend", ASKED)
        assert late.status_code == 504 and "within 0.2 seconds" in late.json()["error"]


def test_a_taken_address_is_refused_in_one_sentence(server: str) -> None:
    port = urlsplit(server).port
    assert port is not None
    with pytest.raises(ConfigError, match="cannot be listened on"):
        run_server(make_bundle(), ServeConfig(port=port))


def test_the_command_serves_a_bundle_and_ends_cleanly(tmp_path: Path) -> None:
    BUNDLE.save(tmp_path / "bundle")
    settings = tmp_path / "serve.yaml"
    settings.write_text("max_k: 7\nport: 1\n")
    command = [
        sys.executable,
        "-m",
        "g2rec",
        "serve",
        str(tmp_path),
        "--config",
        str(settings),
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[0]
        assert "recommends from 30 items" in line
        assert ask(address, "/recommend", ASKED).status_code == 200
        assert "between 1 and 7" in ask(address, "/recommend", {**ASKED, "k": 8}).json()["error"]
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert err == f"g2rec: loading {tmp_path / 'bundle'}; the address follows when it listens\n"
