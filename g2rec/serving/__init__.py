"""A bundle over HTTP, and a page to try it in a browser (extra: serve)."""

from g2rec.serving._config import ServeConfig
from g2rec.serving._create import create_app, run_server

__all__ = ["ServeConfig", "create_app", "run_server"]
