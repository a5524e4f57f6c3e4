"""``g2rec graph build``: the first stages of a run, from a recipe or straight from an event log."""

import time as clock
from pathlib import Path

from g2rec.artifacts import StageRecord, fingerprint, read_json, to_plain, write_json
from g2rec.cli.pipeline import check_own, default_folder, open_run
from g2rec.cli.settings import write_settings
from g2rec.cli.show import Steps, announce
from g2rec.errors import ArtifactError, ConfigError, DataError
from g2rec.graph import (
    CoEngagementConfig,
    CoEngagementGraph,
    GraphBuildConfig,
    InteractionGraph,
    build_coengagement,
    build_from_log,
    find_log_files,
)
from g2rec.training.run_config import RunConfig


def graph_build(
    source: str,
    settings: RunConfig,
    out: Path | None = None,
    mirror: Path | None = None,
    user: str = "user",
    item: str = "item",
    time: str | None = "time",
    weight: str | None = None,
    memory: str = "8GiB",
    content: Path | None = None,
) -> None:
    """Build the graphs of a run, from a recipe or from an event log of any size.

    A recipe's log is filtered, split and mapped. A log in Parquet is taken as it is, all its events, within
    a bound of memory; a build that was cut off goes on where it stopped. With a setting such as
    --coengagement.window 5, the item-item graph of a log is built beside it.

    Args:
        source: A recipe (see g2rec data list), or a Parquet file, a folder of them, or a pattern in quotes.
        settings: All settings of the run; kept in its folder for the stages that follow.
        out: The run's folder; runs/SOURCE if not given.
        mirror: A local folder with the recipe's files, used instead of downloading.
        user: Of a log: the column of users.
        item: Of a log: the column of items.
        time: Of a log: the column of times (seconds since 1970, timestamps, dates); null for none.
        weight: Of a log: the column of positive weights.
        memory: Of a log: what the process may hold in memory while it builds either graph.
        content: Of a log: an .npy file of item features, [items, F], row i of item i.
    """
    config = GraphBuildConfig(user=user, item=item, time=time, weight=weight, memory=memory)
    if settings.coengagement is not None:
        settings.coengagement.check()
    folder = out or default_folder(source)
    if _is_log(source):
        if mirror is not None:
            raise ConfigError(f"a mirror is of a recipe, and {source} is a log; leave out --mirror")
        _build_log(source, folder, settings, config, content)
        return
    if config != GraphBuildConfig() or content is not None:
        raise ConfigError(
            f"--user, --item, --time, --weight, --memory and --content are for logs, {source} is a recipe; "
            "drop them"
        )
    check_own(folder)
    _ = open_run(folder, source, settings, mirror).graphs


def _is_log(source: str) -> bool:
    path = Path(source)
    if path.is_dir():
        return next(path.rglob("*.parquet"), None) is not None
    return path.suffix == ".parquet" or bool(set("*?[") & set(source))


def _build_log(
    source: str, folder: Path, settings: RunConfig, config: GraphBuildConfig, content: Path | None
) -> None:
    """Build the graph, or find that it is there; leave what the later commands need."""
    if content is not None and not content.is_file():
        raise DataError(f"expected item features as an .npy file, there is no file {content}; check the path")
    files = [path.resolve() for path in find_log_files(source)]
    columns = {name: getattr(config, name) for name in ("user", "item", "time", "weight")}
    known = read_json(folder / "run.json") if (folder / "run.json").is_file() else {"log": []}
    if "log" not in known:
        raise ArtifactError(
            f"{folder} is a run of the recipe {known.get('recipe')}; name another folder with --out"
        )
    stats = [(path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()]
    key = fingerprint(files, stats, columns)
    start = clock.monotonic()
    graph = _finished(folder / "graph") if known.get("key") == key else None
    reused = graph is not None
    if graph is None:
        steps = Steps()
        try:
            graph = build_from_log(files, folder / "graph", config, progress=steps)
        finally:
            steps.close()
    known = {"log": [str(path) for path in files], "columns": columns, "key": key}
    known["content"] = None if content is None else str(content.resolve())
    write_json(folder / "run.json", known)
    write_settings(folder / "settings.yaml", settings)
    counts = f"{graph.num_users:,} users, {graph.num_items:,} items, {graph.num_edges // 2:,} events"
    announce(StageRecord("graph", key, counts, clock.monotonic() - start, reused))
    if settings.coengagement is not None:
        _coengagement(graph, folder, settings.coengagement, config.memory)


def _coengagement(
    graph: InteractionGraph, folder: Path, config: CoEngagementConfig, memory: int | str
) -> None:
    """Build the item-item graph of a log, or find that it is there."""
    out, steps = folder / "coengagement", Steps()
    made_from = {"graph": str(read_json(folder / "graph" / "manifest.json")["content_hash"])}
    key = fingerprint(config, made_from)
    start = clock.monotonic()
    pairs = _loaded(out, config, made_from)
    reused = pairs is not None
    if pairs is None:
        try:
            pairs = build_coengagement(
                graph, config, out=out, memory=memory, made_from=made_from, progress=steps
            )
        finally:
            steps.close()
    counts = f"{pairs.num_items:,} items, {pairs.num_edges:,} edges (both directions)"
    announce(StageRecord("coengagement", key, counts, clock.monotonic() - start, reused))


def _loaded(out: Path, config: CoEngagementConfig, made_from: dict[str, str]) -> CoEngagementGraph | None:
    """The item-item graph of an earlier call; None if it is missing, damaged or of other settings."""
    try:
        manifest = read_json(out / "manifest.json")
        if [manifest.get("config"), manifest.get("made_from")] != [to_plain(config), made_from]:
            return None
        return CoEngagementGraph.load(out)
    except ArtifactError:
        return None


def _finished(path: Path) -> InteractionGraph | None:
    """The graph of an earlier call; None if it is missing or damaged."""
    try:
        return InteractionGraph.load(path)
    except ArtifactError:
        return None
