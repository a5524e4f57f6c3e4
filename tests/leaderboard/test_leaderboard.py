"""The table of models: worked by hand, and refusing metrics that lack an entry."""

from typing import Any

import pytest

from g2rec.errors import ArtifactError
from g2rec.leaderboard import format_markdown, format_table


def entry(recall: float, ndcg: float, coverage: float) -> dict[str, Any]:
    def measured(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}

    part = {"recall@10": measured(recall), "ndcg@10": measured(ndcg)}
    return {"unmasked": part, "masked": part, "coverage@10": coverage}


METRICS = {
    "num_users": 1200,
    "left_out_when_masked": 7,
    "models": {"Popularity": entry(0.05, 0.02, 0.01), "G2Rec": entry(0.1, 0.06, 0.5)},
}


def test_the_terminal_table_by_hand() -> None:
    assert format_table(METRICS).splitlines() == [
        "model         R@10    N@10  R@10 masked  N@10 masked  coverage",
        "--------------------------------------------------------------",
        "Popularity  0.0500  0.0200       0.0500       0.0200    0.0100",
        "G2Rec       0.1000  0.0600       0.1000       0.0600    0.5000",
        "1,200 users, the full catalogue ranked; masked leaves out 7 users whose target is in their history",
    ]


def test_bold_marks_the_best_of_each_column_and_ties() -> None:
    tied = {"models": {"A": entry(0.1, 0.05, 0.2), "B": entry(0.1, 0.06, 0.1)}}
    first, second = format_table(tied, bold=True).splitlines()[2:4]
    assert first.count("\x1b[1m") == 3
    assert second.count("\x1b[1m") == 4


def test_markdown_has_intervals_and_one_cell_a_column() -> None:
    lines = format_markdown(METRICS).splitlines()
    assert lines[3].startswith("| G2Rec | **0.1000** [0.0900, 0.1100] | **0.0600**")
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_missing_entries_are_one_sentence() -> None:
    with pytest.raises(ArtifactError, match=r"metrics lack 'coverage@10'; run `g2rec evaluate`"):
        format_table(
            {"models": {"A": {key: value for key, value in entry(1, 1, 1).items() if "cov" not in key}}}
        )
