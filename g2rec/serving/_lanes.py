"""Work off the event loop: a lane that answers requests in batches, and one that runs what is left."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class BusyError(Exception):
    """More requests wait than a lane may hold."""


class BatchLane(Generic[Job]):
    """Jobs in the order in which they come, as many at once as there are, in one thread.

    While a batch is in the thread the next one gathers by itself. A batch that follows one of several jobs
    waits ``gather_seconds`` more, for the clients that were just answered to come back; a lone client never
    waits. A job whose caller gave up is not worked on.

    Args:
        work: Answers a batch, in its order; an answer that is an exception is raised to its caller.
        max_batch: Jobs in a batch.
        max_waiting: Jobs that may wait.
        gather_seconds: See above.
        observe: Told the size and the seconds of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Sequence[Any]],
        *,
        max_batch: int,
        max_waiting: int,
        gather_seconds: float,
        observe: Callable[[int, float], None],
    ) -> None:
        self._work, self._observe = work, observe
        self._max_batch, self._max_waiting, self._gather = max_batch, max_waiting, gather_seconds
        self._waiting: deque[tuple[Job, asyncio.Future[Any]]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None  # made when the first job comes, also after `close`

    @property
    def num_waiting(self) -> int:
        """Jobs that are in no batch yet."""
        return len(self._waiting)

    async def answer(self, job: Job) -> Any:
        """The answer to one job.

        Raises:
            BusyError: If too many jobs wait.
        """
        if len(self._waiting) >= self._max_waiting:
            raise BusyError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((job, future))
        if self._drain is None or self._drain.done():
            self._drain = loop.create_task(self._run())
        return await future

    def close(self) -> None:
        """Let the thread end, once it has done what it does; a later job starts another."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    async def _run(self) -> None:
        last = 1
        while self._waiting:
            if last > 1 and self._gather and len(self._waiting) < self._max_batch:
                await asyncio.sleep(self._gather)
            batch: list[tuple[Job, asyncio.Future[Any]]] = []
            while self._waiting and len(batch) < self._max_batch:
                job, future = self._waiting.popleft()
                if not future.done():  # done: its caller gave up
                    batch.append((job, future))
            if batch:
                await self._answer(batch)
            last = len(batch)

    async def _answer(self, batch: list[tuple[Job, asyncio.Future[Any]]]) -> None:
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="g2rec-model")
        try:
            answers = await loop.run_in_executor(self._thread, self._work, [job for job, _ in batch])
        except Exception as error:
            answers = [error] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        self._observe(len(batch), time.perf_counter() - began)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class SideLane:
    """Calls that need no batch, in a few threads beside the model's.

    Args:
        num_threads: Calls at once.
        max_waiting: Calls under way or waiting.
    """

    def __init__(self, *, num_threads: int, max_waiting: int) -> None:
        self._num_threads, self._max_waiting, self._held = num_threads, max_waiting, 0
        self._threads: ThreadPoolExecutor | None = None  # made when the first call comes, also after `close`

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What the function gives.

        Raises:
            BusyError: If too many calls wait.
        """
        if self._held >= self._max_waiting:
            raise BusyError
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._num_threads, thread_name_prefix="g2rec-side")
        self._held += 1
        call = self._threads.submit(function, *arguments)
        loop = asyncio.get_running_loop()
        call.add_done_callback(lambda _: self._release(loop))
        return await asyncio.wrap_future(call)

    def close(self) -> None:
        """Let the threads end, once they have done what they do; a later call starts others."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(self._free)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._free()

    def _free(self) -> None:
        self._held -= 1
