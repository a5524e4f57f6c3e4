"""One run as one self-contained page: figures, curves, interests, semantic IDs and recommendations."""

from g2rec.report._interests_table import interests_table
from g2rec.report._report import write_report
from g2rec.report._sweep import plot_sweep

__all__ = ["interests_table", "plot_sweep", "write_report"]
