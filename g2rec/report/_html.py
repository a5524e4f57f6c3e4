"""The tables and cards of a report, as escaped HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from g2rec.bundle import Interest, RecommendedItem
from g2rec.training.stages import StageRecord

_COLUMNS = (
    ("R@10", "unmasked", "recall@10"),
    ("N@10", "unmasked", "ndcg@10"),
    ("R@10 masked", "masked", "recall@10"),
    ("N@10 masked", "masked", "ndcg@10"),
)


def section(title: str, body: str, note: str) -> str:
    """A headed part of the page, with a note under the heading."""
    lead = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{lead}\n{body}\n</section>"


def figure(svg: str, caption: str) -> str:
    """A plot and its caption."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{words}</figure>"


def models_table(models: Mapping[str, Mapping[str, Any]], ours: str) -> str:
    """One row a model: figures with intervals, the best of each column marked."""
    best = {
        (part, metric): max(round(entry[part][metric]["mean"], 4) for entry in models.values())
        for _, part, metric in _COLUMNS
    }
    heads = [title for title, _, _ in _COLUMNS] + ["coverage", "parameters", "seconds"]
    rows = []
    for name, entry in models.items():
        cells = [f"<td>{escape(name)}</td>"]
        for _, part, metric in _COLUMNS:
            value = entry[part][metric]
            mark = ' class="best"' if round(value["mean"], 4) == best[part, metric] else ""
            interval = f'<span class="interval">{value["low"]:.4f} to {value["high"]:.4f}</span>'
            cells.append(f"<td><span{mark}>{value['mean']:.4f}</span>{interval}</td>")
        cells.append(f"<td>{entry['coverage@10']:.1%}</td>")
        seconds = "" if entry["seconds"] is None else f"{entry['seconds']:,.1f}"
        cells.append(f"<td>{entry['parameters']:,}</td><td>{seconds}</td>")
        row = '<tr class="ours">' if name == ours else "<tr>"
        rows.append(f"{row}{''.join(cells)}</tr>")
    head = "<th>model</th>" + "".join(f"<th>{title}</th>" for title in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def stage_table(stages: Sequence[StageRecord]) -> str:
    """One row a stage: what it made, and how long it took."""
    rows = "".join(
        f"<tr><td>{escape(stage.name)}</td><td>{escape(stage.line)}</td><td>{stage.seconds:,.1f}</td></tr>"
        for stage in stages
    )
    head = "<tr><th>stage</th><th>made</th><th>seconds</th></tr>"
    return (
        f'<div class="scroll"><table class="words"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table of figures, the first column at the left."""
    head = "".join(f"<th>{escape(title)}</th>" for title in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


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
    tastes = "".join(f"<li>{weight:.0%} {escape(interest.name)}</li>" for interest, weight in interests)
    rows = []
    for item in items:
        mark = ' class="hit"' if item.item_id == target[0] else ""
        rows.append(f"<li{mark}>{escape(item.title)}</li>")
    return (
        f'<div class="card"><h3>User {escape(user)}</h3>'
        f"<p class='soft'>did last</p><ul>{past}</ul>{more}"
        f"<p class='soft'>interests</p><ul>{tastes}</ul>"
        f"<p class='soft'>top {len(items)}</p><ol>{''.join(rows)}</ol>"
        f"<p><span class='soft'>held out:</span> {escape(target[1])}</p></div>"
    )
