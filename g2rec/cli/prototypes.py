"""``g2rec prototypes sweep``: how many prototypes, and at what resolution."""

from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from g2rec.artifacts import read_json, write_json
from g2rec.errors import ArtifactError
from g2rec.graph import CoEngagementGraph
from g2rec.prototypes import ModularityConfig, SweepRow, choose_prototypes, sweep_prototypes
from g2rec.report import plot_sweep
from g2rec.training.run_config import RunConfig

_HEAD = "    C  gamma  stability  modularity  at gamma 1   used  perplexity  softness  seconds"


def sweep(
    run: Path,
    settings: RunConfig,
    num_prototypes: tuple[int, ...] = (16, 32, 64, 128),
    gammas: tuple[float, ...] = (1.0, 2.0, 4.0),
    seeds: tuple[int, ...] = (0, 1, 2),
    share: float = 0.9,
) -> None:
    """Compare numbers of prototypes and resolutions without labels, and say which to take.

    Free prototypes are fitted to the run's co-engagement graph, with each setting and seed, on a random share
    of its pairs. Of the settings with at least 80% of the best modularity at gamma 1, the choice is, among
    the most stable between seeds (within .02), the one of highest modularity at gamma 1, then of smallest C.
    Written to RUN/sweep: sweep.json and sweep.png. Rows that are there with the same settings are kept.

    Args:
        run: A run's folder, with its graph built (of a log: with --coengagement settings).
        settings: The run's own; of a prototypes section of class ModularityConfig the other settings count.
        num_prototypes: Each number of prototypes, C.
        gammas: Each resolution; higher favours smaller interests.
        seeds: Of the pairs that are kept and of the communities to start from; two or more.
        share: Of the pairs that a fit sees, in (0, 1].
    """
    graph = _graph(run)
    folder = run / "sweep"
    file = folder / "sweep.json"
    known = _known(file)
    fit = settings.prototypes if isinstance(settings.prototypes, ModularityConfig) else ModularityConfig()
    found: dict[str, SweepRow] = {}
    bar = tqdm(unit="fit", leave=False, disable=None)

    def show(row: SweepRow) -> None:
        tqdm.write(_line(row) if found else f"{_HEAD}\n{_line(row)}")
        found[row.key] = row
        keep = [*found.values(), *(each for each in known if each.key not in found)]
        write_json(file, {"rows": [asdict(each) for each in keep]})

    def count(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    with bar:
        rows = sweep_prototypes(
            graph, num_prototypes=num_prototypes, gammas=gammas, seeds=seeds, share=share, config=fit,
            known=known, report=show, progress=count,
        )  # fmt: skip
    chosen = choose_prototypes(rows)
    write_json(file, {"chosen": asdict(chosen), "rows": [asdict(row) for row in rows]})
    plot_sweep(rows, chosen, folder / "sweep.png")
    print(f"\nChosen: C = {chosen.num_prototypes}, gamma = {chosen.gamma:g}")
    print(f"Figures: {file}\nPlot: {folder / 'sweep.png'}")


def _graph(run: Path) -> CoEngagementGraph:
    """The item-item graph of a run of a recipe, or of a log."""
    if not (run / "run.json").is_file():
        raise ArtifactError(
            f"expected a run's folder, found no run.json in {run}; start with g2rec graph build"
        )
    if "log" not in read_json(run / "run.json"):
        path, command = run / "graph" / "coengagement", "g2rec graph build"
    else:
        path, command = run / "coengagement", f"g2rec graph build LOG --out {run} --coengagement.window 5"
    if not path.is_dir():
        raise ArtifactError(f"{run} has no co-engagement graph; build it with {command}")
    made_from = read_json(path / "manifest.json").get("made_from", {}).get("graph")
    if made_from and made_from != read_json(run / "graph" / "manifest.json")["content_hash"]:
        raise ArtifactError(f"{path} was made from another graph than {run / 'graph'}; repeat {command}")
    return CoEngagementGraph.load(path)


def _known(file: Path) -> list[SweepRow]:
    """Rows of an earlier call, if it left any."""
    try:
        return [SweepRow(**row) for row in read_json(file)["rows"]]
    except (ArtifactError, KeyError, TypeError):
        return []


def _line(row: SweepRow) -> str:
    return (
        f"{row.num_prototypes:>5}  {row.gamma:>5g}  {row.stability:>9.3f}  {row.modularity:>10.3f}  "
        f"{row.modularity_one:>10.3f}  {row.used:>5.0f}  {row.usage_perplexity:>10.1f}  "
        f"{row.softness:>8.3f}  {row.seconds:>7.1f}"
    )
