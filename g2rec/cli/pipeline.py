"""``g2rec run``, and each of its stages as a command of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from g2rec.artifacts import check_replaceable, read_json, write_json, write_text
from g2rec.cli.settings import write_settings
from g2rec.cli.show import Download, Steps, announce, print_interests, print_recommendations
from g2rec.errors import ArtifactError, ConfigError, G2RecError
from g2rec.leaderboard import format_table
from g2rec.recipes import NetworkError, load_recipe
from g2rec.report import write_report
from g2rec.training.log_run import LogRun
from g2rec.training.overrides import check_settings
from g2rec.training.pipeline import Run
from g2rec.training.run_config import RunConfig

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def run(
    recipe: str,
    settings: RunConfig,
    out: Path | None = None,
    mirror: Path | None = None,
    fallback: str | None = None,
) -> None:
    """Run everything on a graph recipe: data, graph, encoder, tokenizer, recommender, baselines, report.

    What an earlier run in the same folder has done with the same settings is reused; a run that was cut off
    goes on at its last epoch. The bundle is written before the baselines are trained, ready to serve.

    Args:
        recipe: A recipe's name (see g2rec data list) or a YAML file.
        settings: All settings.
        out: The run's folder; runs/RECIPE if not given.
        mirror: A local folder with the recipe's files, used instead of downloading.
        fallback: A recipe to run instead if no source of the first can be reached.
    """
    folder = out or default_folder(recipe)
    load_recipe(recipe)  # what is refused leaves no folder
    check_settings(settings)
    check_own(folder)
    with _alone(folder):
        going = open_run(folder, recipe, settings, mirror)
        try:
            _ = going.interactions
        except NetworkError as error:
            if fallback is None:
                raise
            print(f"Running on {fallback} instead of {recipe}: {error}.", file=sys.stderr)
            going = open_run(folder, fallback, settings, None)
        metrics = going.evaluate()
        bundle = going.write_bundle()
        report = write_report(folder)
    print()
    print(format_table(metrics, bold=sys.stdout.isatty()))
    print_interests(bundle, 5)
    print_recommendations(bundle, 3)
    print(f"\nBundle: {folder / 'bundle'}\nReport: {report}\nFigures: {folder / 'metrics.json'}")


def encoder_fit(run: Path, settings: RunConfig) -> None:
    """Train the graph encoder and the interest prototypes of a run.

    On the graph of a log an epoch is 500 batches, or a pass where that is less; --encoder_fit.minutes bounds
    the training time.

    Args:
        run: A run's folder, with its graph built.
        settings: The run's own; flags change them.
    """
    with _unless_refused(run):
        log = _log_run(run, settings)
        _ = _resume(run, settings, "encoder").encoder if log is None else log.encoder


def tokenizer_fit(run: Path, settings: RunConfig) -> None:
    """Train the semantic tokenizer of a run, jointly with prototypes and encoder.

    Args:
        run: A run's folder, with its encoder fitted.
        settings: The run's own; flags change them.
    """
    with _unless_refused(run):
        log = _log_run(run, settings)
        _ = _resume(run, settings, "tokenizer").tokenizer if log is None else log.tokenizer


def recommender_fit(run: Path, settings: RunConfig) -> None:
    """Train the generative recommender of a run, and bundle what it needs.

    Args:
        run: A run's folder, with its tokenizer fitted.
        settings: The run's own; flags change them.
    """
    with _unless_refused(run):
        going = _resume(run, settings, "recommender")
        _ = going.recommender
        going.write_bundle()


def evaluate(run: Path, settings: RunConfig) -> None:
    """Train the baselines of a run, rank all items for all test users, and write metrics.json.

    Another ``recommender.ranking`` trains nothing; the run's bundle ranks that way from then on.

    Args:
        run: A run's folder, with its recommender fitted.
        settings: The run's own; flags change them.
    """
    with _unless_refused(run):
        metrics = _resume(run, settings, "baselines", "content_tokenizer", "evaluation").evaluate()
    print()
    print(format_table(metrics, bold=sys.stdout.isatty()))


def default_folder(source: str) -> Path:
    """``runs/NAME`` of a recipe, a recipe's file, or a log; of a pattern the last part without wildcards."""
    plain = [part for part in Path(source).parts if not set("*?[") & set(part)]
    last = Path(plain[-1] if plain else "log")
    return Path("runs") / (last.stem if last.suffix in (".yaml", ".yml", ".parquet") else last.name or "log")


def open_run(folder: Path, recipe: str, settings: RunConfig, mirror: Path | None, *stages: str) -> Run:
    """A run, with what the later commands need kept in its folder."""
    parsed = load_recipe(recipe)
    check_settings(settings)
    check_replaceable(folder / "bundle")
    if _is_log_run(folder):
        raise ConfigError(f"{folder} is a run of a log, {recipe} is a recipe; name another folder with --out")
    known = {"recipe": recipe, "mirror": None if mirror is None else str(mirror.resolve())}
    write_json(folder / "run.json", known)
    write_settings(folder / "settings.yaml", settings)
    return Run(
        folder,
        parsed,
        settings,
        mirror=mirror,
        announce=announce,
        progress=Download(),
        build=frozenset(stages) or None,
    )


def check_own(folder: Path) -> None:
    """Refuse a folder of other files: a run's would be mixed with them, or replace them."""
    if folder.is_dir() and not (folder / "run.json").is_file():
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if others:
            raise ConfigError(
                f"expected a new folder or a run's, {folder} has other files, such as {others[0]}; "
                "name another one with --out"
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One command at a time in a run's folder; a process that ends lets go of it, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another g2rec is at work in {folder}; wait for its end, or name another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


@contextmanager
def _unless_refused(folder: Path) -> Iterator[None]:
    """A run keeps the settings of a stage that is killed, so that it goes on, but no refused ones."""
    file = folder / "settings.yaml"
    with _alone(folder) if (folder / "run.json").is_file() else nullcontext():
        before = file.read_text() if file.is_file() else None
        try:
            yield
        except G2RecError:
            if before is not None:
                write_text(file, before)
            raise


def _is_log_run(folder: Path) -> bool:
    return (folder / "run.json").is_file() and "log" in read_json(folder / "run.json")


def _log_run(folder: Path, settings: RunConfig) -> LogRun | None:
    """The run in a folder, if it was made from a log."""
    if not _is_log_run(folder):
        return None
    write_settings(folder / "settings.yaml", settings)
    return LogRun(folder, settings, announce=announce, progress=Steps())


def _resume(folder: Path, settings: RunConfig, *stages: str) -> Run:
    if not (folder / "run.json").is_file():
        raise ArtifactError(
            f"expected a run's folder, found no run.json in {folder}; start with g2rec graph build"
        )
    known = read_json(folder / "run.json")
    if "recipe" not in known:
        raise ArtifactError(
            f"{folder} has the graph of a log, and this stage needs the titles and splits of a recipe; "
            "make one with g2rec data import"
        )
    mirror = None if known["mirror"] is None else Path(known["mirror"])
    return open_run(folder, known["recipe"], settings, mirror, *stages)
