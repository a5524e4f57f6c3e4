"""Building the user-item graph from a log of any size, within a bound of memory, in steps that resume."""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from g2rec.artifacts import adopt_folder, check_replaceable, fingerprint, hash_file, read_json, write_json
from g2rec.errors import ArtifactError, DataError
from g2rec.graph._bipartite import KIND, MAX_NODES, InteractionGraph
from g2rec.graph._build_config import GraphBuildConfig, room
from g2rec.graph._build_ids import NodeIds, as_they_are, map_ids
from g2rec.graph._build_log import EventLog, Progress, find_files, write_log
from g2rec.graph._build_place import Columns, Degrees, PartWriter, count_events, place_part

logger = logging.getLogger(__name__)
Stream = Iterable[pa.RecordBatch] | Callable[[], Iterable[pa.RecordBatch]]
_FORMAT = 1
"""Of the work folder; another one is started anew."""


def build_from_log(
    source: str | Path | list[str] | list[Path] | Stream,
    out: Path,
    config: GraphBuildConfig | None = None,
    *,
    progress: Progress | None = None,
) -> InteractionGraph:
    """Build the graph of all events of a log.

    Ids: whole numbers in [0, events) are node numbers as they are; other ids, and text, are numbered by first
    occurrence, and kept in the graph's folder as ``users.parquet`` and ``items.parquet`` (column ``id``, rows
    in order of the numbers). Then degrees are counted, and events placed in their rows, a range of nodes at a
    time, with one pass over the log for each; rows out of order are sorted by time, ties in log order.

    Finished work is kept in a hidden folder beside ``out``: after a kill or a full disk the same call goes on
    at the last finished step or range. Other files or columns start anew.

    Args:
        source: A Parquet file, a folder or pattern of them, or a list; files are read in order of their
            names. Or record batches, or a function that gives them: those are first written to disk, once.
        out: The graph's folder; it is written whole or not at all.
        config: Columns and memory.
        progress: Called with the name of a step, what is done and the total.

    Raises:
        ConfigError: If a setting is out of range, or the memory too small for anything.
        DataError: If a file is missing, damaged or lacks a column; a value is missing or does not fit; or
            there is no event.
        ArtifactError: If the disk refuses a write, or something stands at ``out`` that g2rec did not write.
    """
    config = config or GraphBuildConfig()
    config.check()
    say = progress or (lambda step, done, total: None)
    out = out.absolute()
    check_replaceable(out)
    work = out.with_name(f".{out.name}.building")
    try:
        return _Build(source, out, work, config, say).run()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(
            f"writing {out} failed: {reason}; finished steps are kept in {work}: free some space and run the "
            "same command again to go on"
        ) from error


class _Build:
    """The steps, and what each leaves in the work folder."""

    def __init__(self, source: Any, out: Path, work: Path, config: GraphBuildConfig, say: Progress) -> None:
        self.out, self.work, self.config, self.say = out, work, config, say
        self.graph = work / "graph"
        if _is_stream(source):
            shutil.rmtree(work, ignore_errors=True)  # nothing tells whether a stream is the one of last time
            batches = source() if callable(source) else source
            files = write_log(batches, config.columns, work / "log")
        else:
            files = find_files(source)
        self.log = EventLog(files, config.columns)
        self.state = self._open_state()

    def run(self) -> InteractionGraph:
        """Do what is not done, then move the graph to its place."""
        start = time.monotonic()
        ids = {side: self._ids(side) for side in ("user", "item")}
        num_users, num_items = ids["user"].size, ids["item"].size
        if num_users + num_items > MAX_NODES:
            raise DataError(
                f"neighbours are int32, so a graph holds at most {MAX_NODES} nodes, got {num_users} users "
                f"and {num_items} items; split the log"
            )
        columns = Columns(
            log=self.log,
            user=self.config.user,
            item=self.config.item,
            time=self.config.time,
            weight=self.config.weight,
            user_nodes=self.work / "user.i32" if ids["user"].mapped else None,
            item_nodes=self.work / "item.i32" if ids["item"].mapped else None,
        )
        checksums = self._place(columns, self._count(columns, num_users, num_items))
        config = {name: getattr(self.config, name) for name in ("user", "item", "time", "weight")}
        adopt_folder(
            self.graph,
            self.out,
            KIND,
            checksums=checksums,
            config={"type": type(self.config).__name__, **config},
            meta={"num_users": num_users, "num_items": num_items},
        )
        shutil.rmtree(self.work, ignore_errors=True)
        graph = InteractionGraph.load(self.out, preload=False)
        seconds = time.monotonic() - start
        logger.info(
            "graph: %d users, %d items, %d events, %.1f s", num_users, num_items, self.log.num_events, seconds
        )
        return graph

    def _open_state(self) -> dict[str, Any]:
        """What earlier calls have done, if they had the same log and columns."""
        key = fingerprint(
            _FORMAT, self.log.state(), self.config.columns, self.config.time, self.config.weight
        )
        file = self.work / "state.json"
        if file.is_file():
            try:
                state: dict[str, Any] = read_json(file)
                if state["key"] == key:
                    logger.info("going on in %s", self.work)
                    return state
            except (ArtifactError, KeyError, TypeError):
                pass
        for stale in self.work.glob("*"):
            if stale.name != "log":
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        self.graph.mkdir(parents=True)
        state = {"key": key, "ids": {}, "degrees": None, "placed": 0, "parts": 0}
        write_json(file, state)
        return state

    def _done(self, **steps: Any) -> None:
        self.state.update(steps)
        write_json(self.work / "state.json", self.state)

    def _ids(self, side: str) -> NodeIds:
        if side in self.state["ids"]:
            return NodeIds(*self.state["ids"][side])
        column = self.config.user if side == "user" else self.config.item
        ids = as_they_are(self.log, column, self.say)
        if ids is None:
            table = self.graph / f"{side}s.parquet"
            ids = map_ids(self.log, column, self.work / f"{side}.i32", table, room(self.config), self.say)
        self._done(ids={**self.state["ids"], side: [ids.size, ids.mapped]})
        return ids

    def _count(self, columns: Columns, num_users: int, num_items: int) -> Degrees:
        file = self.graph / "indptr.npy"
        if self.state["degrees"] is not None:
            return Degrees(num_users, np.load(file), *self.state["degrees"])
        room(self.config, 8 * (num_users + num_items))
        degrees = count_events(columns, num_users, num_items, self.say)
        np.save(file, degrees.indptr)
        self._done(degrees=[degrees.rising, degrees.wide_times])
        return degrees

    def _place(self, columns: Columns, degrees: Degrees) -> dict[str, str]:
        """Fill the rows, a range of nodes at a time; the checksums of the files."""
        indptr = degrees.indptr
        fields = columns.fields(degrees.wide_times)
        each = sum(np.dtype(kind).itemsize for kind in fields.values())
        longest = int(np.diff(indptr).max())
        # sorting copies a row, and two threads may sort a long one at once
        spare = 0 if degrees.rising or columns.time is None else 2 * 32 * longest
        fixed = 2 * 8 * len(indptr) + spare
        budget = room(self.config, fixed) // each
        first, earlier = int(self.state["placed"]), int(self.state["parts"])
        parts = plan_parts(indptr, first, budget)
        if parts is None:
            other = self.config.memory_bytes - budget * each
            need = (other + longest * each >> 20) + 64
            raise DataError(
                f"a row of {longest} events does not fit into a memory of {self.config.memory}; "
                f"it needs {need} MiB, set memory to that"
            )
        writers = [PartWriter(self.graph / name, int(indptr[-1]), kind) for name, kind in fields.items()]
        total = earlier + len(parts)
        largest = max((int(indptr[b] - indptr[a]) for a, b in parts), default=0)
        arrays = [np.empty(largest, dtype=writer.dtype) for writer in writers]
        with contextlib.ExitStack() as stack:
            for writer in writers:
                stack.callback(writer.abandon)
            pool = stack.enter_context(ThreadPoolExecutor(len(writers)))
            _all(pool.submit(writer.open, int(indptr[first])) for writer in writers)
            for number, (low, high) in enumerate(parts, earlier + 1):
                name = "" if total == 1 else f", part {number} of {total}"
                size = int(indptr[high] - indptr[low])
                held = [array[:size] for array in arrays]
                place_part(
                    columns, degrees, (low, high), dict(zip(fields, held, strict=True)), self.say, name
                )
                self.say(f"writing{name}", 0, size)
                _all(pool.submit(writer.write, array) for writer, array in zip(writers, held, strict=True))
                self.say(f"writing{name}", size, size)
                self._done(placed=high, parts=number)
            sums = {writer.path.name: writer.finish() for writer in writers}
        return {**sums, "indptr.npy": hash_file(self.graph / "indptr.npy")}


def plan_parts(indptr: NDArray[np.int64], first: int, budget: int) -> list[tuple[int, int]] | None:
    """Ranges of nodes from ``first`` on with at most ``budget`` edges each, as few and as even as can be.

    None if a single row has more.
    """
    parts = []
    low, last = first, len(indptr) - 1
    while low < last:
        left = int(indptr[-1] - indptr[low])
        number = max(1, -(-left // max(1, budget)))
        even = int(np.searchsorted(indptr, indptr[low] + -(-left // number), side="left"))
        most = int(np.searchsorted(indptr, indptr[low] + budget, side="right")) - 1
        high = min(even, most, last) if number > 1 else last
        if high <= low:
            return None
        parts.append((low, high))
        low = high
    return parts


def _all(futures: Iterable[Future[None]]) -> None:
    """Wait for all, then raise the first error."""
    for future in list(futures):
        future.result()


def _is_stream(source: Any) -> bool:
    if callable(source):
        return True
    if isinstance(source, str | Path):
        return False
    return not (isinstance(source, list | tuple) and all(isinstance(each, str | Path) for each in source))
