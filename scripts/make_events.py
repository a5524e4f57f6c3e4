"""Write an event log with planted interests as Parquet shards: up to a billion events in minutes.

    python scripts/make_events.py --events 1000000000 --users 50000000 --items 1000000 --out logs/billion

Event e is a pure function of (seed, e), so shards are written in any order, by several threads, and a run
that was cut off goes on where it stopped. The story:

1. Item ``b`` belongs to one interest. Inside an interest, and among all items, popularity is a power law.
2. A user's share of the events is a power law too. A user has one to three interests.
3. With probability ``noise`` an event's item is drawn from all items by popularity, else from one of the
   user's interests.
4. Events rise in time, spread evenly over two years.
5. The content of an item is its interest's centre and noise, so much that content alone tells little.

In the folder: ``events/part-*.parquet`` (user, item int32; time int32, seconds), ``items.parquet`` (item,
title, interest), ``content.npy`` (float32 [items, 16]) and ``settings.json``.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jsonargparse import CLI
from tqdm import tqdm

_START_SECONDS, _SPAN_SECONDS = 1_600_000_000, 2 * 365 * 86_400
_USER_EXPONENT, _ITEM_EXPONENT, _OFFSET = 0.5, 0.8, 10.0
_CONTENT_DIM = 16


def main(
    out: Path,
    events: int = 1_000_000,
    users: int | None = None,
    items: int | None = None,
    interests: int = 64,
    noise: float = 0.3,
    content_noise: float = 0.35,
    seed: int = 0,
    shard: int = 25_000_000,
    threads: int = os.cpu_count() or 1,
) -> None:
    """Write the log.

    Args:
        out: Folder; what an earlier run with the same settings left there is kept.
        events: Number of events.
        users: Number of users; one for every 20 events if not given.
        items: Number of items; one for every 1,000 events, and at least 20 an interest, if not given.
        interests: Number of planted interests.
        noise: Share of the events outside their user's interests.
        content_noise: Standard deviation of the noise per content dimension; interest centres have unit norm.
        seed: Another seed gives another log.
        shard: Events in a file.
        threads: Files written at the same time.
    """
    users = users or max(1, events // 20)
    items = items or max(20 * interests, events // 1000)
    if not (0 <= noise <= 1 and interests >= 1 and items >= interests and events >= 1 and shard >= 1):
        raise SystemExit(
            f"expected a share of noise and at least one item an interest, got noise {noise}, {items} items "
            f"and {interests} interests; change them"
        )
    if max(users, items) > 2**31 - 1 or users + items > 2**31 - 1:
        raise SystemExit(f"expected at most {2**31 - 1} users and items together, got {users + items}")
    settings = {
        "events": events, "users": users, "items": items, "interests": interests, "noise": noise,
        "content_noise": content_noise, "seed": seed, "shard": shard,
    }  # fmt: skip
    (out / "events").mkdir(parents=True, exist_ok=True)
    note = out / "settings.json"
    if note.exists() and json.loads(note.read_text()) != settings:
        raise SystemExit(f"{out} holds a log with other settings ({note}); choose another folder")
    note.write_text(json.dumps(settings, indent=1) + "\n")
    scatter_items, scatter_users = _bijection(items, seed), _bijection(users, seed + 1)
    _write_items(out, items, interests, content_noise, seed, scatter_items)
    starts = [
        (number, first)
        for number, first in enumerate(range(0, events, shard))
        if not (out / "events" / f"part-{number:05d}.parquet").exists()
    ]
    done = events - sum(min(shard, events - first) for _, first in starts)
    with tqdm(total=events, initial=done, unit=" events", unit_scale=True) as bar:

        def write(job: tuple[int, int]) -> None:
            number, first = job
            final = out / "events" / f"part-{number:05d}.parquet"
            temporary = final.with_suffix(f".{os.getpid()}.tmp")
            try:
                _write_shard(temporary, first, min(first + shard, events), bar)
                temporary.replace(final)
            finally:
                temporary.unlink(missing_ok=True)

        def _write_shard(path: Path, first: int, last: int, bar: tqdm) -> None:
            step = 1 << 20
            schema = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("time", pa.int32())])
            with pq.ParquetWriter(
                path, schema, compression="NONE", use_dictionary=False, write_statistics=True,
                column_encoding={"user": "PLAIN", "item": "PLAIN", "time": "DELTA_BINARY_PACKED"},
            ) as writer:  # fmt: skip
                for begin in range(first, last, step):
                    size = min(step, last - begin)
                    columns = [np.empty(size, np.int32) for _ in range(3)]
                    _draw(
                        np.int64(begin), events, users, items, interests, noise, np.uint64(seed),
                        *scatter_items, *scatter_users, *columns,
                    )  # fmt: skip
                    writer.write_table(pa.table(columns, schema=schema), row_group_size=step)
                    bar.update(size)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(write, starts))
    print(f"{events:,} events of {users:,} users and {items:,} items in {out / 'events'}")


def _bijection(size: int, seed: int) -> tuple[int, int]:
    """(a, b) of x -> (a x + b) mod size, with a prime to size, which hides the ranks."""
    rng = np.random.default_rng(seed)
    a = int(rng.integers(size // 3 + 1, size + 1)) | 1
    while np.gcd(a, size) != 1:
        a += 2
    return a, int(rng.integers(size))


def _write_items(
    out: Path, items: int, interests: int, content_noise: float, seed: int, scatter: tuple[int, int]
) -> None:
    """The truth, and the content."""
    raw = np.arange(items, dtype=np.int64)
    interest = np.empty(items, np.int32)
    interest[(raw * scatter[0] + scatter[1]) % items] = raw % interests
    names = [f"Interest {c} · item {i}" for i, c in enumerate(interest.tolist())]
    table = pa.table({"item": raw.astype(np.int32), "title": names, "interest": interest})
    pq.write_table(table, out / "items.parquet")
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(interests, _CONTENT_DIM))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    content = centres[interest] + content_noise * rng.normal(size=(items, _CONTENT_DIM))
    np.save(out / "content.npy", content.astype(np.float32))


@nb.njit(inline="always")
def _bits(seed, event, draw):  # type: ignore[no-untyped-def]
    """53 random bits as a float in [0, 1): SplitMix64 of (seed, event, draw)."""
    x = np.uint64(event) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(draw) * np.uint64(0xD6E8FEB86659FD93)
    x ^= seed * np.uint64(0xA0761D6478BD642F) + np.uint64(0x8EBC6AF09C88C6E3)
    for _ in range(2):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.float64(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@nb.njit(inline="always")
def _rank(share, size, exponent):  # type: ignore[no-untyped-def]
    """Inverse CDF of the bounded power law (rank + 10) ** -exponent over ``size`` ranks."""
    power = 1.0 - exponent
    low, high = _OFFSET**power, (size + _OFFSET) ** power
    return min(np.int64((share * (high - low) + low) ** (1.0 / power) - _OFFSET), size - 1)


@nb.njit(nogil=True, cache=True)
def _draw(  # type: ignore[no-untyped-def]
    begin, events, users, items, interests, noise, seed, item_a, item_b, user_a, user_b, user_out, item_out,
    time_out,
):  # fmt: skip
    for at in range(len(user_out)):
        event = begin + at
        user = (_rank(_bits(seed, event, 0), users, _USER_EXPONENT) * user_a + user_b) % users
        if _bits(seed, event, 1) < noise:
            raw = _rank(_bits(seed, event, 2), items, _ITEM_EXPONENT)
        else:
            count = 1 + np.int64(3 * _bits(seed + np.uint64(1), user, 0))
            which = np.int64(count * _bits(seed, event, 3))
            interest = np.int64(interests * _bits(seed + np.uint64(1), user, 1 + which))
            inside = (items - interest + interests - 1) // interests
            raw = _rank(_bits(seed, event, 2), inside, _ITEM_EXPONENT) * interests + interest
        user_out[at] = user
        item_out[at] = (raw * item_a + item_b) % items
        time_out[at] = _START_SECONDS + np.int64(event / events * _SPAN_SECONDS)


if __name__ == "__main__":
    CLI(main, as_positional=False)
