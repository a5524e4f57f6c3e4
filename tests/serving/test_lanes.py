"""Requests are answered in batches, in order, and nobody waits for somebody else's mistake."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the serve extra is not installed")

from g2rec.serving._lanes import BatchLane, BusyError, SideLane


class Recorder:
    """Squares numbers, slowly, and remembers the batches."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.seconds = seconds

    def __call__(self, jobs: Sequence[int]) -> list[Any]:
        self.batches.append(list(jobs))
        self.threads.add(threading.current_thread().name)
        time.sleep(self.seconds)
        return [ValueError("odd one") if job < 0 else job * job for job in jobs]


def lane(work: Callable[[Sequence[int]], list[Any]], **options: Any) -> BatchLane[int]:
    settings = {"max_batch": 8, "max_waiting": 100, "gather_seconds": 0.002, **options}
    return BatchLane(work, observe=lambda size, seconds: None, **settings)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(main(), 20)

    return asyncio.run(bounded())


def test_what_comes_while_a_batch_runs_is_the_next_batch() -> None:
    work = Recorder()
    under = lane(work)

    async def main() -> list[int]:
        return await asyncio.gather(*(under.answer(job) for job in range(20)))

    assert run(main) == [job * job for job in range(20)]
    assert [job for batch in work.batches for job in batch] == list(range(20))
    assert max(len(batch) for batch in work.batches) == 8
    assert len(work.batches) <= 4
    assert len(work.threads) == 1


def test_a_batch_of_one_is_one_at_a_time() -> None:
    work = Recorder(0)
    under = lane(work, max_batch=1)

    async def main() -> list[int]:
        return await asyncio.gather(*(under.answer(job) for job in range(5)))

    assert run(main) == [0, 1, 4, 9, 16]
    assert {len(batch) for batch in work.batches} == {1}


def test_an_error_is_its_callers_own() -> None:
    under = lane(Recorder())

    async def main() -> list[Any]:
        return await asyncio.gather(*(under.answer(job) for job in (1, -1, 2)), return_exceptions=True)

    one, odd, two = run(main)
    assert (one, two) == (1, 4)
    assert isinstance(odd, ValueError)


def test_a_broken_batch_is_told_to_all_and_the_lane_goes_on() -> None:
    def work(jobs: Sequence[int]) -> list[int]:
        if 13 in jobs:
            raise RuntimeError("broken")
        return list(jobs)

    under = lane(work)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await under.answer(13)
        assert await under.answer(1) == 1

    run(main)


def test_a_full_queue_refuses_and_who_gave_up_is_not_worked_on() -> None:
    work = Recorder(0.1)
    under = lane(work, max_batch=1, max_waiting=2)

    async def main() -> None:
        first = asyncio.ensure_future(under.answer(0))
        await asyncio.sleep(0.02)
        waiting = [asyncio.ensure_future(under.answer(job)) for job in (1, 2)]
        await asyncio.sleep(0)
        assert under.num_waiting == 2
        with pytest.raises(BusyError):
            await under.answer(3)
        waiting[0].cancel()
        assert await first == 0
        assert await waiting[1] == 4

    run(main)
    assert work.batches == [[0], [2]]


def test_the_loop_is_free_while_the_model_works() -> None:
    under = lane(Recorder(0.3))

    async def main() -> int:
        answer = asyncio.ensure_future(under.answer(1))
        beats = 0
        while not answer.done():
            await asyncio.sleep(0.005)
            beats += 1
        return beats

    assert run(main) > 10


def test_the_side_lane_is_bounded_and_hands_errors_on() -> None:
    side = SideLane(num_threads=1, max_waiting=2)
    go = threading.Event()

    async def main() -> None:
        held = [asyncio.ensure_future(side.call(go.wait, 5)) for _ in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError):
            await side.call(int, "1")
        go.set()
        assert await asyncio.gather(*held) == [True, True]
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="invalid literal"):
            await side.call(int, "x")
        assert await side.call(int, "1") == 1

    run(main)
    side.close()
