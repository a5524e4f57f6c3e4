"""The page itself: sections, data, scripts and style in one file that runs and loads nothing else."""

import base64
import hashlib
import html
from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Template

from g2rec.report._payload import Payload

_LIBRARY = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")
"""Vega-Lite with what embeds it, 0.8 MB. It labels each mark for screen readers and, with Vega's interpreter
of expressions, makes no code from text, and so needs no lax policy. Plotly's smallest bundle has 1.2 MB."""


def write_page(
    title: str, subtitle: str, summary: str, sections: Sequence[str], footer: str, payload: Payload
) -> str:
    """The page as HTML.

    A content security policy allows the scripts and style sheets of this file by their hashes and nothing
    else: no address is fetched, and text that slipped through as markup would not run.

    Args:
        title: Plain text.
        subtitle: Plain text.
        summary: HTML.
        sections: HTML, each from `section`.
        footer: Plain text.
        payload: Data of the map and the tree.
    """
    scripts = [*map(_read, (f"vendor/{name}" for name in _LIBRARY)), _read("charts.js"), _read("page.js")]
    styles = [_read("page.css"), _colours(payload)]
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src-elem {_hashes(styles)}; "
        "style-src-attr 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(_read("page.html")).substitute(
        title=html.escape(title),
        policy=html.escape(policy),
        subtitle=html.escape(subtitle),
        summary=summary,
        contents=_contents(sections),
        sections="\n".join(sections),
        footer=html.escape(footer),
        licences=html.escape(_read("vendor/LICENSES.txt")),
        items=payload.json,
        styles="\n".join(f"<style>{style}</style>" for style in styles),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


@cache
def _read(name: str) -> str:
    return resources.files("g2rec.report").joinpath(name).read_text(encoding="utf-8")


def _hashes(texts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _colours(payload: Payload) -> str:
    """The prototypes' colours as variables, for light and for dark pages."""
    light, dark = (
        "".join(f"--p{index}:{colour};" for index, colour in enumerate(colours))
        for colours in payload.colours
    )
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _contents(sections: Sequence[str]) -> str:
    """Links to the sections, by their headings."""
    links = []
    for text in sections:
        found = text.partition('<section id="')[2].partition('"')[0]
        heading = text.partition("<h2>")[2].partition("</h2>")[0]
        links.append(f'<a href="#{found}">{heading}</a>')
    return "".join(links)
