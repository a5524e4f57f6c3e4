"""One run as one self-contained page: figures, curves, interests and recommendations."""

from g2rec.report._report import write_report

__all__ = ["write_report"]
