"""Using a run: recommendations on the terminal, the report, and the HTTP service."""

import csv
import sys
from pathlib import Path
from typing import Literal

from g2rec.bundle import Bundle
from g2rec.cli.show import print_table
from g2rec.serving import ServeConfig, run_server


def recommend(
    run: Path,
    user: str | None = None,
    history: str | None = None,
    k: int = 10,
    mode: Literal["generative", "dense", "hybrid"] | None = None,
    explain: bool = False,
    include_seen: bool = False,
) -> None:
    """Recommend items for a user of the log, or for anybody's history.

    Args:
        run: A run's folder, or a bundle's.
        user: A user's id, as in the log.
        history: Item ids, oldest first, such as [50,181,172]; as written, with quotes around one that has a
            comma.
        k: Items to recommend.
        mode: How to rank; as the recommender was configured if not given.
        explain: Also say which interests were read from the history, and which of them each item shares.
        include_seen: Allow items that are in the history.
    """
    bundle = Bundle.load(_bundle(run))
    past = None if history is None else _ids(history)
    asked = {"user": user, "history": past, "k": k, "mode": mode, "exclude_seen": not include_seen}
    print_table(bundle.recommend(**asked))  # type: ignore[arg-type]
    if not explain:
        return
    explanation = bundle.explain(**asked)  # type: ignore[arg-type]
    print("\nInterests read from the history:")
    for interest, weight in explanation.interests:
        print(f"  #{interest.index:<3} {weight:5.1%}  {interest.name}")
    print("\nShared by each item:")
    for item in explanation.items:
        print(f"  {item.title}: {', '.join(f'#{index}' for index in item.shared) or 'none'}")


def _ids(text: str) -> list[str]:
    """The IDs of a list: as written, since 0010 is no number and 1e5 may be an ID."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    found = next(csv.reader([inner], skipinitialspace=True), [])
    return [key.strip().removeprefix("'").removesuffix("'") for key in found if key.strip()]


def report(run: Path) -> None:
    """Write report.html of a run, and beside it interests.md and diagnostics.json.

    The page names the largest prototypes, maps the items, opens the semantic IDs as a tree and shows the
    figures; interests.md is a table of the twenty largest prototypes, diagnostics.json holds the figures.

    Args:
        run: A run's folder, evaluated.
    """
    from g2rec.report import write_report

    print(write_report(run))


def serve(run: Path, settings: ServeConfig) -> None:
    """Answer recommendation requests over HTTP, with a page to try them in a browser.

    For example `g2rec serve runs/quickstart --port 8080`, then open http://127.0.0.1:8080; its /docs has the
    routes. Where G2REC_API_KEY is set, or --api_key_file names a file, requests must carry that key.

    Args:
        run: A run's folder, or a bundle's.
        settings: Address, batching, limits.
    """
    settings.check()
    folder = _bundle(run)
    print(f"g2rec: loading {folder}; the address follows when it listens", file=sys.stderr, flush=True)
    bundle = Bundle.load(folder)
    items = bundle.interactions.num_items

    def announce(address: str) -> None:
        print(f"{address} recommends from {items:,} items; Ctrl-C ends it", flush=True)

    run_server(bundle, settings, announce)


def _bundle(run: Path) -> Path:
    return run / "bundle" if (run / "bundle").is_dir() else run
