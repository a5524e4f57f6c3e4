"""A bundle over HTTP (extra: serve)."""

from g2rec.serving._app import create_app

__all__ = ["create_app"]
