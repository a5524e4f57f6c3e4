"""A leaderboard as files: Markdown, JSON and plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2rec.artifacts import write_json, write_text
from g2rec.leaderboard._collect import collect
from g2rec.leaderboard._plot import plot_boards
from g2rec.training.grid import GridPlan


def write_leaderboard(
    plan: GridPlan, out: Path, failures: Mapping[Path, str] | None = None
) -> dict[str, Any]:
    """Write ``leaderboard.md``, ``leaderboard.json``, and ``RECIPE.png`` and ``.svg`` of what is done.

    Args:
        plan: All cells; those that are not done are left out.
        out: The leaderboard's folder.
        failures: Sentences on jobs that failed, by home, as `run_jobs` gives them.

    Returns:
        What ``leaderboard.json`` holds (see `collect`).

    Raises:
        ArtifactError: If ranks are damaged or the disk refuses a write.
    """
    figures = collect(plan, failures)
    write_json(out / "leaderboard.json", figures)
    recipes = dict.fromkeys(board["recipe"] for board in figures["boards"])
    plots = "".join(f"\n![R@10, N@10 and paired differences, {name}]({name}.png)\n" for name in recipes)
    write_text(out / "leaderboard.md", f"{format_leaderboard(figures)}\n{plots}")
    plot_boards(figures, out)
    return figures


def format_leaderboard(figures: Mapping[str, Any]) -> str:
    """The tables in Markdown, one for each recipe and protocol, and what failed."""
    lines = ["# Leaderboard", "", f"{figures['date']}, {figures['hardware']}."]
    for board in figures["boards"]:
        lines += ["", *_section(board)]
    if figures["failures"]:
        lines += ["", "## Failed", ""]
        lines += [f"- {cell}: {sentence}" for cell, sentence in figures["failures"].items()]
    return "\n".join(lines)


_ACCURACY = (
    ("R@10", "unmasked", "recall@10"),
    ("N@10", "unmasked", "ndcg@10"),
    ("R@10 masked", "masked", "recall@10"),
    ("N@10 masked", "masked", "ndcg@10"),
)


def _section(board: Mapping[str, Any]) -> list[str]:
    rows = board["rows"]
    columns: list[tuple[str, list[str]]] = []
    for title, side, metric in _ACCURACY:
        best = max(round(row[side][metric]["mean"], 4) for row in rows)
        columns.append((title, [_interval(row[side][metric], best) for row in rows]))
    compared = (("against_best", board["best_baseline"]), ("against_reference", board["reference"]))
    for field, other in compared:
        if other is not None and not (field == "against_reference" and other == board["best_baseline"]):
            columns.append((f"N@10 masked − {other}", [_difference(row, field) for row in rows]))
    columns.append(("coverage", [f"{row['coverage@10']:.3f}" for row in rows]))
    columns.append(("parameters", [_number(row["parameters"]) for row in rows]))
    columns.append(("training, s", [_number(row["training_seconds"], 1) for row in rows]))
    columns.append(("users/s", [_number(row["users_per_second"]) for row in rows]))
    columns.append(("seeds", [_seeds(row) for row in rows]))
    table = [
        f"| | {' | '.join(title for title, _ in columns)} |",
        "|---|" + "---|" * len(columns),
        *(
            f"| {row['name']} | {' | '.join(cells[at] for _, cells in columns)} |"
            for at, row in enumerate(rows)
        ),
    ]
    return [f"## {board['recipe']}, {board['protocol']}", "", *table, "", _note(board)]


def _interval(value: Mapping[str, float], best: float) -> str:
    mean = f"{value['mean']:.4f}"
    mean = f"**{mean}**" if round(value["mean"], 4) == best else mean
    return f"{mean} [{value['low']:.4f}, {value['high']:.4f}]"


def _difference(row: Mapping[str, Any], field: str) -> str:
    test = row.get(field)
    if test is None:
        return "–"
    gap = test["difference"]
    return f"{gap['mean']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}], p = {test['p_value']:.3f}"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _seeds(row: Mapping[str, Any]) -> str:
    done, lacking = len(row["seeds"]), len(row["lacking"])
    return f"{done} of {done + lacking}" if lacking else str(done)


def _note(board: Mapping[str, Any]) -> str:
    words = {
        "leave_one_out": "leave one out",
        "temporal": "global temporal split",
        "shuffle": "ties shuffled",
        "file_order": "ties in file order",
        "next_item": "the next item",
        "next_new_item": "the next new item",
    }
    note = (
        f"{board['num_users']:,} users, {board['num_items']:,} items, the full catalogue ranked; "
        f"{words[board['split']]}, {words[board['ties']]}, the target is {words[board['target']]}."
    )
    if board["left_out_when_masked"]:
        note += (
            f" Masked leaves out {board['left_out_when_masked']:,} users whose target is in their history"
            " (first seed)."
        )
    return note + (
        " Means over seeds and users, 95% bootstrap intervals over users; differences are paired, p by random"
        " swaps. Training counts every stage that a row needs, ranking both lists, not masked and masked."
    )
