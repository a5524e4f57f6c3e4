"""Models side by side: the table of one run, and the leaderboard of many."""

from g2rec.leaderboard._board import format_leaderboard, write_leaderboard
from g2rec.leaderboard._collect import cell_figures, collect
from g2rec.leaderboard._plot import plot_boards
from g2rec.leaderboard._table import format_markdown, format_table

__all__ = [
    "cell_figures",
    "collect",
    "format_leaderboard",
    "format_markdown",
    "format_table",
    "plot_boards",
    "write_leaderboard",
]
