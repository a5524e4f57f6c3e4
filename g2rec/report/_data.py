"""The section on the data: how much there is of what, for whom, and when."""

import datetime

import numpy as np
from numpy.typing import NDArray

from g2rec.interactions import TEST, TRAIN, UNUSED, VALIDATION, Interactions
from g2rec.report import _charts, _html

_PARTS = {TRAIN: "training", VALIDATION: "validation", TEST: "test", UNUSED: "unused"}
_TIME_BINS = 40


def data_section(log: Interactions) -> str:
    """Counts and spread of users, items and events, and three charts."""
    used = log.item_index[log.part == TRAIN]
    popularity = np.bincount(used, minlength=log.num_items)
    lengths = np.diff(log.user_indptr)
    figures = [_timeline(log), _lengths(lengths), _popularity(popularity)]
    body = _html.facts(_facts(log, popularity, lengths))
    return _html.section("Data at a glance", f'{body}<div class="trio">{"".join(figures)}</div>', "")


def _facts(log: Interactions, popularity: NDArray[np.int64], lengths: NDArray[np.int64]) -> dict[str, str]:
    parts = np.bincount(log.part, minlength=4)
    density = log.num_events / max(1, log.num_users * log.num_items)
    facts = {
        "users": f"{log.num_users:,}",
        "items": f"{log.num_items:,}",
        "events": f"{log.num_events:,}",
        "parts": ", ".join(f"{parts[at]:,} {name}" for at, name in _PARTS.items() if parts[at]),
        "density": f"{density:.3%}",
        "events a user": _spread(lengths),
        "training events an item": _spread(popularity),
        "items without a training event": f"{int((popularity == 0).sum()):,}",
        "times": "none"
        if log.time is None or not len(log.time)
        else f"{_day(log.time.min())} to {_day(log.time.max())}",
    }
    known = [name for name in log.items.column_names if name not in ("item_id", "title")]
    facts["known of an item"] = ", ".join(["title", *known])
    if log.content is not None:
        facts["content features"] = f"{log.content.shape[1]:,}"
    return facts


def _spread(counts: NDArray[np.int64]) -> str:
    if not len(counts):
        return "none"
    return f"median {np.median(counts):,.0f}, {counts.min():,} to {counts.max():,}"


def _day(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).date().isoformat()


def _timeline(log: Interactions) -> str:
    """Events by time and part; empty where there are no times."""
    if log.time is None or not len(log.time) or log.time.min() == log.time.max():
        return ""
    edges = np.linspace(log.time.min(), log.time.max(), _TIME_BINS + 1)
    rows, held = [], []
    for part, name in _PARTS.items():
        counts = np.histogram(log.time[log.part == part], edges)[0]
        if not counts.any():
            continue
        held.append(name)
        rows += [
            {
                "from": int(1000 * low),
                "to": int(1000 * high),
                "label": f"{_day(low)} to {_day(high)}",
                "count": int(count),
                "part": name,
            }
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
            if count
        ]
    x = {"type": "temporal", "scale": {"type": "utc"}, "title": "time", "axis": {"tickCount": 4}}
    label = f"Events over time, from {_day(edges[0])} to {_day(edges[-1])}"
    return _html.chart(_charts.histogram(rows, x, "events", held), label, "Events over time.")


def _lengths(lengths: NDArray[np.int64]) -> str:
    """Users by their number of events, in bins that double."""
    top = max(1, int(lengths.max(initial=1)))
    edges = 2 ** np.arange(int(np.log2(top)) + 2)
    counts = np.histogram(lengths, edges)[0]
    rows = [
        {
            "from": int(low),
            "to": int(high),
            "label": f"{low:,}" if high - low == 1 else f"{low:,} to {high - 1:,}",
            "count": int(count),
        }
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    x = {
        "type": "quantitative",
        "scale": {"type": "log", "base": 2},
        "title": "events of a user",
        "axis": {"tickCount": 6, "format": "~s"},
    }
    label = f"Users by number of events, median {np.median(lengths):,.0f}"
    return _html.chart(_charts.histogram(rows, x, "users"), label, "Users by how much they did.")


def _popularity(popularity: NDArray[np.int64]) -> str:
    """How much of the training events the most used items gather."""
    total = popularity.sum()
    if not total:
        return ""
    gathered = np.concatenate([[0], np.sort(popularity)[::-1].cumsum()]) / total
    rows = [
        {"items": round(at / len(popularity), 4), "events": round(float(gathered[at]), 4)}
        for at in _charts.thinned(len(gathered))
    ]
    tenth = gathered[max(1, len(popularity) // 10)]
    caption = f"A tenth of the items gather {tenth:.0%} of the training events."
    return _html.chart(_charts.shares(rows), f"Popularity of the items. {caption}", caption)
