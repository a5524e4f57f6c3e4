"""Make the pending stages of a leaderboard: here, or in several processes that share a card.

Each process takes one job after the other; a job waits for those that it takes from. Nothing else is shared:
a process that is killed loses its own stage at most, and that one goes on from its last checkpoint.
"""

import contextlib
import gc
import logging
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from g2rec.artifacts import read_record, write_json
from g2rec.errors import ConfigError, G2RecError
from g2rec.training.grid import Job

logger = logging.getLogger(__name__)
_SLOTS_PER_GPU = 6


@dataclass(frozen=True)
class Finished:
    """A job that is over."""

    job: Job
    seconds: float
    """Wall-clock time of this session."""
    failure: str | None
    """One sentence; None if the job is done."""


def choose_slots(slots: int | None) -> int:
    """The number asked for, or 6 on each GPU, or 1 on the CPU.

    Raises:
        ConfigError: If it is below 1.
    """
    if slots is not None and slots < 1:
        raise ConfigError(f"slots must be at least 1, got {slots}; raise it, or leave it out")
    if slots is not None:
        return slots
    return _SLOTS_PER_GPU * torch.cuda.device_count() if torch.cuda.is_available() else 1


def run_jobs(
    pending: Sequence[Job], *, slots: int = 1, report: Callable[[Finished], None] = lambda finished: None
) -> dict[Path, str]:
    """Make jobs, each after those that it takes from; what fails does not keep the others.

    Args:
        pending: What `GridPlan.pending` gives.
        slots: Processes; with 1 the jobs are done in this one.
        report: Told of each job that is over.

    Returns:
        A sentence for each job that failed, or takes from one that did, by home.
    """
    line = _Line(pending, report)
    if slots == 1:
        while (job := line.take()) is not None:
            clock = time.monotonic()
            failure = attempt(job)
            line.finish(job, time.monotonic() - clock, failure)
        return line.failures
    workers = [_Worker(number, slots) for number in range(min(slots, len(pending)))]
    try:
        while True:
            for worker in workers:
                if worker.job is None and (job := line.take()) is not None:
                    worker.give(job)
            busy = {worker.link: worker for worker in workers if worker.job is not None}
            if not busy:
                return line.failures
            for link in connection.wait(list(busy)):
                worker = busy[link]  # type: ignore[index]
                job, seconds, failure = worker.receive()
                line.finish(job, seconds, failure)
                if not worker.process.is_alive():
                    workers[workers.index(worker)] = _Worker(worker.number, slots)
    finally:
        for worker in workers:
            worker.stop()


def attempt(job: Job) -> str | None:
    """Do one job; give a sentence if it fails."""
    trace = job.home / "error.txt"
    try:
        _perform(job)
    except G2RecError as error:
        return " ".join(str(error).split())
    except Exception as error:
        with contextlib.suppress(OSError):
            trace.parent.mkdir(parents=True, exist_ok=True)
            trace.write_text(traceback.format_exc())
        said = " ".join(str(error).split())[:200]
        return f"{type(error).__name__}: {said} (the traceback is in {trace})"
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    trace.unlink(missing_ok=True)
    return None


def _perform(job: Job) -> None:
    result = job.open().make(job.stage)
    record = read_record(job.home)
    assert record is not None
    known: dict[str, Any] = {
        "identity": job.identity,
        "stage": job.stage,
        "recipe": job.recipe.name,
        "seconds": record.seconds,
        "work": job.work,
    }
    if isinstance(result, torch.nn.Module):
        known["parameters"] = sum(parameter.numel() for parameter in result.parameters())
    write_json(job.home / "grid.json", known)


class _Line:
    """The jobs in line: which may start, and what the failure of one means for the others."""

    def __init__(self, pending: Sequence[Job], report: Callable[[Finished], None]) -> None:
        self.waiting = {job.home: job for job in pending}
        self.busy: dict[Path, Job] = {}
        self.failures: dict[Path, str] = {}
        self.report = report

    def take(self) -> Job | None:
        """The first job that can start now; None if there is none."""
        for job in list(self.waiting.values()):
            lost = [self.failures[home] for home in job.needs if home in self.failures]
            if lost:
                del self.waiting[job.home]
                self.finish(job, 0.0, lost[0])
            elif self._can_start(job):
                self.busy[job.home] = self.waiting.pop(job.home)
                return job
        return None

    def finish(self, job: Job, seconds: float, failure: str | None) -> None:
        """Note that a job is over."""
        self.busy.pop(job.home, None)
        if failure is not None:
            self.failures[job.home] = failure
        self.report(Finished(job, seconds, failure))

    def _can_start(self, job: Job) -> bool:
        if any(home in self.waiting or home in self.busy for home in job.needs):
            return False
        if job.stage != "interactions" or job.mirror is not None:
            return True
        # one of a recipe at a time: the first downloads its files
        reading = [each.recipe.name for each in self.busy.values() if each.stage == "interactions"]
        return job.recipe.name not in reading


class _Worker:
    """A process that does one job after the other."""

    def __init__(self, number: int, slots: int) -> None:
        self.number = number
        self.job: Job | None = None
        self.clock = 0.0
        context = get_context("spawn")
        self.link, theirs = context.Pipe()
        with _environment(_worker_environment(number, slots)):
            self.process = context.Process(target=_serve, args=(theirs,))
            self.process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Start a job."""
        self.job, self.clock = job, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it has died: its answer says so
            self.link.send(job)

    def receive(self) -> tuple[Job, float, str | None]:
        """What came of the job; a process that died is a failure of its job."""
        assert self.job is not None
        job, self.job = self.job, None
        try:
            failure: str | None = self.link.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            code = self.process.exitcode
            failure = f"its process ended with exit code {code}; if memory ran out, use fewer slots"
        return job, time.monotonic() - self.clock, failure

    def stop(self) -> None:
        """End the process, whatever it is doing; Lightning would answer a gentler signal with a traceback."""
        self.process.kill()
        self.process.join()
        self.link.close()


def _serve(link: "connection.Connection[Any, Any]") -> None:
    """A worker's life: it ends with the process that started it, even if that one is killed."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a process that is ended leaves behind
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the starter ends us
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                jobs.put(link.recv())
            except (EOFError, OSError):
                os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        link.send(attempt(jobs.get()))


def _worker_environment(number: int, slots: int) -> dict[str, str]:
    """A card each, in turn; a share of the cores, unless the user has said how many; no bars."""
    threads = str(max(1, (os.cpu_count() or 1) // slots))
    chosen = {name: os.environ.get(name, threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    if torch.cuda.is_available():
        listed = os.environ.get("CUDA_VISIBLE_DEVICES")
        cards = listed.split(",") if listed else [str(at) for at in range(torch.cuda.device_count())]
        chosen["CUDA_VISIBLE_DEVICES"] = cards[number % len(cards)]
    return {**chosen, "TQDM_DISABLE": "1"}


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a process that is started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
