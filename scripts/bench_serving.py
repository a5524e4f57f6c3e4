"""How fast a bundle is served, and whether memory stays put; a table, and last one line of JSON.

    python scripts/bench_serving.py RUN/bundle [--clients [1,8,64]] [--soak_requests 100000]

Two servers, one that gathers requests into batches and one that answers one at a time (``max_batch`` 1), else
alike: each a process of its own with one torch thread, on the loopback interface. Each client keeps one
connection and asks for ten items for a history of 1 to 20 popular items, the next as soon as the last is
answered; all clients run in this process, on the same cores. The servers are measured by turns, ``rounds``
times: figures are medians over the rounds, the ratio is the median of each round's. Latency is from the first
byte sent to the last one received. An answer that is not a list of items ends the bench.

soak_requests: that many from 64 clients to the batching server, and its resident memory after every tenth.
"""

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from _refusal import refusal
from jsonargparse import CLI

_K = 10
_HISTORIES = 2_000
_SOAK_CLIENTS = 64
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Server(NamedTuple):
    """A server under test."""

    host: str
    port: int
    pid: int


class Load(NamedTuple):
    """What clients saw."""

    seconds: float
    latencies: list[float]
    """Seconds, of each request."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def within(self, share: float) -> float:
        """Milliseconds that this share of the requests took at most."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(
        self, requests: Iterator[bytes], latencies: list[float], end: "asyncio.Future[None]"
    ) -> None:
        self._requests, self._latencies, self._end = requests, latencies, end
        self._received = bytearray()

    def connection_made(self, transport: Any) -> None:
        """Ask for the first time."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Collect an answer; ask again when it is whole."""
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, head) if head >= 0 else None
        if length is None or len(self._received) < head + 4 + int(length[1]):
            return
        self._latencies.append(time.perf_counter() - self._began)
        if self._received.startswith(b"HTTP/1.1 200 ") and b'{"items":[{' in self._received:
            self._received.clear()
            self._ask()
        else:
            self._finish(RuntimeError(f"expected a list of items, got {bytes(self._received[:300])!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless all is done."""
        self._finish(exc or ConnectionError("the server closed a connection"))

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._finish(None)
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def _finish(self, error: Exception | None) -> None:
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)
        self._transport.close()


def drive(server: Server, asked: Sequence[bytes], clients: int, requests: int) -> Load:
    """Send ``requests`` requests from ``clients`` connections."""
    queue = (asked[at % len(asked)] for at in range(requests))
    latencies: list[float] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(clients)]
        began = time.perf_counter()
        for end in ends:
            client = Client(queue, latencies, end)
            await loop.create_connection(lambda client=client: client, server.host, server.port)
        await asyncio.gather(*ends)
        return time.perf_counter() - began

    return Load(asyncio.run(main()), latencies)


def make_requests(server: Server, seed: int) -> list[bytes]:
    """Requests for random histories of the most popular items."""
    with urllib.request.urlopen(f"http://{server.host}:{server.port}/items?k=200", timeout=30) as answer:
        ids = [item["item_id"] for item in json.load(answer)["items"]]
    draw = random.Random(seed)
    asked = []
    for _ in range(_HISTORIES):
        body = json.dumps({"history": draw.sample(ids, min(draw.randint(1, 20), len(ids) - 1)), "k": _K})
        head = "POST /recommend HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
        asked.append(f"{head}{len(body)}\r\n\r\n{body}".encode())
    return asked


@contextmanager
def serving(bundle: Path, **settings: Any) -> Iterator[Server]:
    """``g2rec serve`` in a process of its own."""
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "g2rec", "serve", str(bundle), "--port", "0", "--threads", "1", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline()
            if not address:  # it has said why
                raise SystemExit(process.wait())
            parts = urlsplit(address.split()[0])
            yield Server(str(parts.hostname), int(parts.port or 0), process.pid)
        finally:
            process.terminate()
            process.wait(60)


def resident(server: Server) -> float:
    """Resident memory of a server, MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


def processor(server: Server) -> float:
    """Processor seconds that a server has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(
    servers: dict[str, Server], asked: Sequence[bytes], clients: Sequence[int], seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """Rates and latencies of both servers by turns, about ``seconds`` a turn."""
    rows = []
    for count in clients:
        turns: dict[str, list[tuple[Load, float]]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                trial = drive(server, asked, count, 2 * count + 10)
                requests = max(4 * count, int(trial.rate * seconds))
                used = processor(server)
                load = drive(server, asked, count, requests)
                turns[name].append((load, (processor(server) - used) / requests))
        row: dict[str, Any] = {"clients": count}
        for name, loads in turns.items():
            row[name] = {
                "requests_per_s": statistics.median(load.rate for load, _ in loads),
                "p50_ms": statistics.median(load.within(0.5) for load, _ in loads),
                "p99_ms": statistics.median(load.within(0.99) for load, _ in loads),
                "cpu_ms": 1000 * statistics.median(used for _, used in loads),
            }
        pairs = list(zip(turns["batched"], turns["single"], strict=True))
        ratios = [batched.rate / single.rate for (batched, _), (single, _) in pairs]
        row["ratio"], row["ratios"] = statistics.median(ratios), ratios
        row["cpu_ratio"] = statistics.median(single / batched for (_, batched), (_, single) in pairs)
        rows.append(row)
        shown = [row[name] for name in servers]
        print(
            f"{count:>7}  "
            + "  ".join(
                f"{of['requests_per_s']:>9.0f} {of['p50_ms']:>7.1f} {of['p99_ms']:>7.1f} {of['cpu_ms']:>7.2f}"
                for of in shown
            )
            + f"  {row['ratio']:>5.1f} ({min(ratios):.1f}–{max(ratios):.1f})  {row['cpu_ratio']:>5.1f}",
            flush=True,
        )
    return rows


def soak(server: Server, asked: Sequence[bytes], requests: int) -> dict[str, Any]:
    """Memory over many requests; a tenth of them at a time."""
    memory, latencies, began = [resident(server)], [], time.perf_counter()
    for _ in range(10):
        latencies += drive(server, asked, _SOAK_CLIENTS, requests // 10).latencies
        memory.append(resident(server))
    load = Load(time.perf_counter() - began, latencies)
    print(f"\nmemory over {len(latencies):,} requests, MiB: {', '.join(f'{each:.0f}' for each in memory)}")
    print(
        f"no error; {load.rate:.0f} requests/s, p50 {load.within(0.5):.0f} ms, p99 {load.within(0.99):.0f} ms"
    )
    return {
        "requests": len(latencies),
        "memory_mib": memory,
        "requests_per_s": load.rate,
        "p50_ms": load.within(0.5),
        "p99_ms": load.within(0.99),
    }


def main(
    bundle: Path,
    clients: tuple[int, ...] = (1, 8, 64),
    seconds: float = 5.0,
    rounds: int = 5,
    soak_requests: int = 0,
    seed: int = 0,
) -> None:
    """Measure.

    Args:
        bundle: A bundle's folder, or a run's.
        clients: Connections at once, each number in turn.
        seconds: Of a turn, about.
        rounds: Turns of each server.
        soak_requests: Requests of the soak; 0 leaves it out.
        seed: Of the histories.
    """
    result: dict[str, Any] = {"bundle": bundle.name, "cores": os.cpu_count(), "rounds": rounds}
    with ExitStack() as stack:
        batched = stack.enter_context(serving(bundle))
        asked = make_requests(batched, seed)
        if clients:
            single = stack.enter_context(serving(bundle, max_batch=1))
            print("                        in batches                     one at a time")
            head = f"{'requests/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'CPU ms':>7}"
            print(f"clients  {head}  {head}  ratio (least–most)  ratio of CPU")
            result["load"] = compare({"batched": batched, "single": single}, asked, clients, seconds, rounds)
        if soak_requests:
            result["soak"] = soak(batched, asked, soak_requests)
    print(json.dumps(result))


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=True)
