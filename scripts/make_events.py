"""Make an event log of any size with planted interests, as Parquet shards, to build and train graphs on.

    python scripts/make_events.py --events 1e9 --users 5e7 --items 1e6 --out /data/planted

Every event is a function of the seed and its number, so shards can be made in any order and again. Users
and items have power-law activity; each user has one to three of the interests, each item one.
"""

import argparse
import json
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

SHARD_ROWS = 25_000_000
GROUP_ROWS = 1 << 20
FIRST_TIME, LAST_TIME = 1_600_000_000, 1_760_000_000
USER_POWER, ITEM_POWER = 0.6, 0.8  # a place r of n is drawn with a density of r^-power
CONTENT_DIM, CONTENT_NOISE = 16, 0.31  # with which k-means on content alone has an AMI of about 0.5

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Planted:
    """What the log is made from."""

    events: int
    users: int
    items: int
    interests: int
    noise: float
    seed: int
    user_step: int
    """A scrambled user is step * user mod users."""
    item_step: int


@nb.njit(inline="always")
def mix(x):
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@nb.njit(inline="always")
def unit(x):
    """A number in [0, 1) from the upper 53 bits."""
    return np.float64(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@nb.njit(inline="always")
def power_law(u, size, power):
    """A place in [0, size) with density (place + 1)^-power: the inverse of its distribution."""
    left = 1.0 - power
    place = (1.0 + u * ((size + 1.0) ** left - 1.0)) ** (1.0 / left) - 1.0
    return min(np.int64(place), size - 1)


@nb.njit(nogil=True)
def draw_events(first, users, items, times, planted, noise, span):
    """Fill arrays with the events from number ``first`` on."""
    events, num_users, num_items, interests, seed, user_step, item_step = planted
    base = mix(np.uint64(seed) * _GOLDEN + _GOLDEN)
    for at in range(len(users)):
        number = first + at
        key = mix(base ^ mix(np.uint64(number) + _GOLDEN))
        user = power_law(unit(key), num_users, USER_POWER)
        traits = mix(base ^ mix(np.uint64(user) * _GOLDEN))
        key = mix(key + _GOLDEN)
        if unit(key) < noise:
            chosen = np.int64(mix(key + _GOLDEN) % np.uint64(interests))
        else:
            which = mix(key + _GOLDEN) % (np.uint64(1) + traits % np.uint64(3))
            chosen = np.int64(mix(traits + (which + np.uint64(1)) * _GOLDEN) % np.uint64(interests))
        key = mix(key + _MIX_1)
        rank = power_law(unit(key), (num_items - chosen + interests - 1) // interests, ITEM_POWER)
        item = rank * interests + chosen
        users[at] = user * user_step % num_users
        items[at] = item * item_step % num_items
        times[at] = FIRST_TIME + np.int64(np.float64(span) * (np.float64(number) / np.float64(events)))


def write_shard(path: Path, first: int, rows: int, planted: Planted) -> None:
    """Write one shard, whole or not at all."""
    numbers = tuple(value for name, value in asdict(planted).items() if name != "noise")
    schema = pa.schema([(name, pa.int32()) for name in ("user", "item", "time")])
    temporary = path.with_name(f".{path.name}.tmp")
    options = {"compression": "none", "use_dictionary": False}
    encoding = {"user": "PLAIN", "item": "PLAIN", "time": "DELTA_BINARY_PACKED"}
    with pq.ParquetWriter(temporary, schema, column_encoding=encoding, **options) as writer:
        columns = [np.empty(GROUP_ROWS, dtype=np.int32) for _ in range(3)]
        for start in range(0, rows, GROUP_ROWS):
            size = min(GROUP_ROWS, rows - start)
            held = [column[:size] for column in columns]
            draw_events(first + start, *held, numbers, planted.noise, LAST_TIME - FIRST_TIME)
            writer.write_batch(pa.record_batch([pa.array(column) for column in held], schema=schema))
    temporary.replace(path)


def write_items(out: Path, planted: Planted) -> None:
    """Write every item's interest and title, and weak content: noise about the centre of its interest."""
    raw = np.arange(planted.items, dtype=np.int64)
    interest = np.empty(planted.items, dtype=np.int32)
    interest[raw * planted.item_step % planted.items] = raw % planted.interests
    titles = [f"Interest {c} · item {i}" for i, c in enumerate(interest.tolist())]
    table = pa.table({"item": pa.array(raw.astype(np.int32)), "interest": interest, "title": titles})
    pq.write_table(table, out / "items.parquet", compression="zstd")
    rng = np.random.default_rng([planted.seed, 1])
    centres = rng.standard_normal((planted.interests, CONTENT_DIM)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    shape = (planted.items, CONTENT_DIM)
    content = np.lib.format.open_memmap(out / "content.npy", mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, planted.items, GROUP_ROWS):
        rows = interest[start : start + GROUP_ROWS]
        noise = rng.standard_normal((len(rows), CONTENT_DIM), dtype=np.float32)
        content[start : start + GROUP_ROWS] = centres[rows] + CONTENT_NOISE * noise
    content.flush()


def coprime_step(size: int, seed: int) -> int:
    """A multiplier that scrambles [0, size) without collisions; small enough for 64-bit products."""
    step = max(1, int(size * 0.6180339887) + seed % 1000)
    while math.gcd(step, size) != 1:
        step += 1
    return step % size or 1


def parse(arguments: list[str]) -> tuple[Planted, Path, int, int]:
    """The settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)

    def number(text: str) -> int:
        return int(float(text)) if "e" in text.lower() else int(text.replace("_", ""))

    parser.add_argument("--events", type=number, default=1_000_000)
    parser.add_argument("--users", type=number, help="a twentieth of the events if not given")
    parser.add_argument("--items", type=number, help="a thousandth of the events if not given")
    parser.add_argument("--interests", type=number, default=64)
    parser.add_argument(
        "--noise", type=float, default=0.3, help="share of events outside the user's interests"
    )
    parser.add_argument("--seed", type=number, default=0)
    parser.add_argument("--shard_rows", type=number, default=SHARD_ROWS)
    parser.add_argument("--threads", type=number, default=os.cpu_count())
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    users, items = given.users or max(10, given.events // 20), given.items or max(10, given.events // 1000)
    if given.events < 1:
        parser.error(f"expected an event or more, got {given.events}; raise --events")
    if not 0 < given.interests <= items:
        parser.error(
            f"expected 1 to {items} interests, one an item at most, got {given.interests}; change "
            "--interests or --items"
        )
    if not 0 <= given.noise <= 1:
        parser.error(f"expected a noise from 0 to 1, got {given.noise}; change --noise")
    if max(users, items) >= 2**31:
        parser.error("users and items must be below 2^31")
    steps = coprime_step(users, given.seed), coprime_step(items, given.seed)
    planted = Planted(given.events, users, items, given.interests, given.noise, given.seed, *steps)
    return planted, given.out, given.shard_rows, given.threads


def main(arguments: list[str]) -> None:
    """Write what is missing of the log."""
    planted, out, shard_rows, threads = parse(arguments)
    settings = json.dumps({**asdict(planted), "shard_rows": shard_rows}, indent=2) + "\n"
    known, folder = out / "settings.json", out / "events"
    if known.exists() and known.read_text() != settings:
        sys.exit(f"{out} holds a log of other settings (settings.json); remove it or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    known.write_text(settings)
    firsts = range(0, planted.events, shard_rows)
    tasks = [(folder / f"part-{n:05}.parquet", first) for n, first in enumerate(firsts)]

    def make(task: tuple[Path, int]) -> int:
        path, first = task
        rows = min(shard_rows, planted.events - first)
        if not path.exists():
            write_shard(path, first, rows, planted)
        return rows

    write_items(out, planted)
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=planted.events, unit="event", unit_scale=True, desc="events", disable=None) as bar,
    ):
        for rows in pool.map(make, tasks):
            bar.update(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
