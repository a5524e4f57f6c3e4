"""The pieces of a report, as escaped HTML."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from g2rec.bundle import Interest, RecommendedItem

_COLUMNS = (
    ("R@10 masked", "masked", "recall@10"),
    ("N@10 masked", "masked", "ndcg@10"),
    ("R@10", "unmasked", "recall@10"),
    ("N@10", "unmasked", "ndcg@10"),
)


def section(title: str, body: str, note: str) -> str:
    """A headed part of the page, with a note under the heading; its id is the title in small letters."""
    lead = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f'<section id="{slug(title)}">\n<h2>{escape(title)}</h2>\n{lead}\n{body}\n</section>'


def slug(title: str) -> str:
    """A title as an id."""
    return title.lower().replace(" ", "-")


def chart(spec: Mapping[str, Any], label: str, caption: str) -> str:
    """The place where the page's script draws a Vega-Lite chart.

    Args:
        spec: The chart.
        label: What it shows, for those who do not see it.
        caption: What is said under it.
    """
    held = as_json(_finite({**spec, "description": label}))
    return (
        f'<figure><div class="chart"><script type="application/json">{held}</script></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _finite(value: Any) -> Any:
    """The same without numbers that JSON has no word for: a chart leaves a gap there."""
    if isinstance(value, Mapping):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(value: object) -> str:
    """JSON for a script element: no ``<`` in it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )


def facts(named: Mapping[str, str], *, wide: bool = False) -> str:
    """Names and values, in a few columns or, where values are long, in two wide ones."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in named.items()
    )
    return f'<dl class="facts{" wide" if wide else ""}">{rows}</dl>'


def models_table(models: Mapping[str, Mapping[str, Any]], ours: str) -> str:
    """One row a model: figures with intervals, the best of each column marked."""
    best = {
        (part, metric): max(round(entry[part][metric]["mean"], 4) for entry in models.values())
        for _, part, metric in _COLUMNS
    }
    heads = ["model", *(title for title, _, _ in _COLUMNS), "coverage", "parameters", "seconds"]
    rows = []
    for name, entry in models.items():
        cells = [f'<th scope="row">{escape(name)}</th>']
        for _, part, metric in _COLUMNS:
            value = entry[part][metric]
            cells.append(_measured(value, round(value["mean"], 4) == best[part, metric]))
        cells.append(f"<td>{entry['coverage@10']:.1%}</td>")
        seconds = "" if entry["seconds"] is None else f"{entry['seconds']:,.1f}"
        cells.append(f"<td>{entry['parameters']:,}</td><td>{seconds}</td>")
        row = '<tr class="ours">' if name == ours else "<tr>"
        rows.append(f"{row}{''.join(cells)}</tr>")
    return _table(heads, rows, "")


def intervals_table(
    heads: Sequence[str], rows: Mapping[str, Sequence[Mapping[str, float] | None]], missing: str
) -> str:
    """One row a name: means with their intervals, ``missing`` where there is None."""
    nothing = f"<td>{escape(missing)}</td>"
    held = []
    for name, values in rows.items():
        cells = "".join(nothing if value is None else _measured(value) for value in values)
        held.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return _table(heads, held, "")


def word_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of words, the last column figures if they are."""
    return _table(heads, [_row(row) for row in rows], ' class="words"')


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table of figures, the first column at the left."""
    return _table(heads, [_row(row) for row in rows], "")


def _measured(value: Mapping[str, float], best: bool = False) -> str:
    mark = ' class="best"' if best else ""
    interval = f'<span class="interval">{value["low"]:.4f} to {value["high"]:.4f}</span>'
    return f"<td><span{mark}>{value['mean']:.4f}</span>{interval}</td>"


def _row(cells: Sequence[str]) -> str:
    first, *others = (escape(cell) for cell in cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _table(heads: Sequence[str], rows: Sequence[str], kind: str) -> str:
    """Wide tables scroll in a box of their own, which the keyboard reaches."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in heads)
    held = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    label = escape(f"Table of {heads[0]}, {heads[1]} and more", quote=True)
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{held}</div>'


def user_card(
    user: str,
    history: Sequence[str],
    earlier: int,
    interests: Sequence[tuple[Interest, float]],
    items: Sequence[RecommendedItem],
    target: tuple[str, str],
) -> str:
    """One card a user: history, interests, top 10 and the held-out item."""
    past = "".join(f"<li>{escape(title)}</li>" for title in history)
    more = f'<p class="soft">and {earlier:,} before</p>' if earlier else ""
    tastes = "".join(
        f'<li><i class="dot" style="--dot:var(--p{interest.index})"></i>'
        f"<span>{weight:.0%} {escape(interest.name)}</span></li>"
        for interest, weight in interests
    )
    rows = []
    for item in items:
        mark = ' class="hit"' if item.item_id == target[0] else ""
        code = "-".join(map(str, item.semantic_id))
        rows.append(f"<li{mark}>{escape(item.title)} <code>{code}</code></li>")
    found = [item.item_id for item in items]
    place = f"found at {found.index(target[0]) + 1}" if target[0] in found else f"not in the top {len(items)}"
    return (
        f'<div class="card"><h3>User {escape(user)}</h3>'
        f"<h4>Did last</h4><ul>{past}</ul>{more}"
        f'<h4>Interests</h4><ul class="tastes">{tastes}</ul>'
        f"<h4>Top {len(items)}</h4><ol>{''.join(rows)}</ol>"
        f"<h4>Held out</h4><p>{escape(target[1])} <span class='soft'>({place})</span></p></div>"
    )
