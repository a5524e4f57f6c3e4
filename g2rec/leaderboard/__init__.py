"""The models of a run side by side: a table for the terminal, and the same in Markdown."""

from g2rec.leaderboard._table import format_markdown, format_table

__all__ = ["format_markdown", "format_table"]
