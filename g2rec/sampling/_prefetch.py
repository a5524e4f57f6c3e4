"""Batches made ahead, by threads, while the model computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from g2rec.errors import ConfigError

Key = TypeVar("Key")
Batch = TypeVar("Batch")


def prefetch(
    make: Callable[[Key], Batch], keys: Iterable[Key], *, num_threads: int = 2, depth: int = 4
) -> Iterator[Batch]:
    """Yield ``make(key)`` for each key, in the order of the keys, made ahead by threads.

    Threads and not processes: the samplers hold no lock while they work, so the graph and its pages are
    shared and a batch is handed over without a copy.

    Args:
        make: Makes one batch; called from several threads at once.
        keys: Which batches; read as they are needed.
        num_threads: Batches made at the same time; 0 makes each when it is asked for.
        depth: Batches finished or under way at any time; at least ``num_threads`` are.

    Raises:
        ConfigError: If a number is negative. What ``make`` raises is raised where its batch would come.
    """
    if num_threads < 0 or depth < 0:
        raise ConfigError(
            f"num_threads and depth must not be negative, got {num_threads} and {depth}; use 2 and 4"
        )
    if num_threads == 0:
        return (make(key) for key in keys)
    return _ahead(make, keys, num_threads, max(depth, num_threads))


def _ahead(
    make: Callable[[Key], Batch], keys: Iterable[Key], num_threads: int, depth: int
) -> Iterator[Batch]:
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="g2rec-batches")
    waiting: deque[Future[Batch]] = deque()
    try:
        for key in keys:
            waiting.append(pool.submit(make, key))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also where the consumer stops early
        pool.shutdown(wait=True, cancel_futures=True)
