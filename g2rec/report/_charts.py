"""The charts of a report, as Vega-Lite specifications that take their colours from the page's style sheet.

Vega-Lite: Satyanarayan et al., InfoVis 2017, https://vega.github.io/vega-lite/. A colour is a CSS variable
(``var(--s1)``), so that one drawing serves light and dark pages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g2rec.report._drift import Drift

Spec = dict[str, Any]

_SERIES = [f"var(--s{number})" for number in range(1, 7)]
_HEIGHT = 190
_MOST_CODES = 256
"""Points of a line over codes or items: more cannot be told apart."""
SLICES = ("head", "torso", "tail", "cold")


def models(entries: Mapping[str, Mapping[str, Any]], ours: str, metric: str, title: str) -> Spec:
    """One metric of each model with its 95% interval: full dots with the history masked, rings without."""
    rows = [
        {"model": name, "side": side, "ours": name == ours, **entry[part][metric]}
        for name, entry in entries.items()
        for part, side in (("masked", "masked"), ("unmasked", "not masked"))
    ]
    encoding = {
        "y": _names("model"),
        "yOffset": {"field": "side", "sort": ["masked", "not masked"]},
        "color": {
            "field": "ours",
            "scale": {"domain": [True, False], "range": [_SERIES[1], _SERIES[0]]},
            "legend": None,
        },
        "tooltip": [
            {"field": "model"},
            {"field": "side", "title": "history"},
            *(_number(key, ".4f", title if key == "mean" else key) for key in ("mean", "low", "high")),
        ],
    }
    value = {"field": "mean", "type": "quantitative", "title": title, "axis": {"tickCount": 5}}
    point = {"type": "point", "size": 45, "opacity": 1}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.6, "aria": False},
            "encoding": {"x": _quantity("low", title), "x2": {"field": "high"}},
        },
        {"transform": [{"filter": "datum.side === 'masked'"}], "mark": {**point, "filled": True}},
        {
            "transform": [{"filter": "datum.side !== 'masked'"}],
            "mark": {**point, "filled": False, "fill": "var(--paper)"},
        },
    ]
    for layer in layers[1:]:
        layer["encoding"] = {"x": value}
    return {"data": {"values": rows}, "height": 36 * len(entries), "encoding": encoding, "layer": layers}


def slices(entries: Mapping[str, Mapping[str, Any]], metric: str, title: str) -> Spec:
    """One masked metric of each model by how popular the target is, with its 95% interval.

    Slices without a user are left out.
    """
    rows = [
        {"model": name, "slice": part, "users": found["num_users"], **found[metric]}
        for name, entry in entries.items()
        for part, found in entry["slices"].items()
        if found["num_users"]
    ]
    held = [part for part in SLICES if any(row["slice"] == part for row in rows)]
    encoding = {
        "y": _names("model"),
        "yOffset": {"field": "slice", "sort": held},
        "color": _series("slice", held, "target"),
        "tooltip": [
            {"field": "model"},
            {"field": "slice"},
            *(_number(key, ".4f", title if key == "mean" else key) for key in ("mean", "low", "high")),
            _number("users"),
        ],
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.6, "aria": False},
            "encoding": {"x": _quantity("low", title), "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1},
            "encoding": {
                "x": {**_quantity("mean", title), "axis": {"tickCount": 5}},
                "shape": {"field": "slice", "scale": {"domain": held}},
            },
        },
    ]
    height = 13 * max(2, len(held)) * len(entries)
    return {"data": {"values": rows}, "height": height, "encoding": encoding, "layer": layers}


def curves(series: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], title: str) -> Spec:
    """Curves over epochs, one line each."""
    rows = [
        {"epoch": int(epoch) + 1, "value": float(value), "curve": name}
        for name, (epochs, values) in series.items()
        for epoch, value in zip(epochs, values, strict=True)
    ]
    encoding = {
        "x": {**_depth("epoch"), "field": "epoch", "scale": {"zero": False, "nice": False}},
        "y": {**_quantity("value", title), "scale": {"zero": False}},
        "color": _series("curve", list(series), None if len(series) > 1 else False),
        "tooltip": [{"field": "curve"}, _number("epoch"), _number("value", ".4~g", title)],
    }
    return _lines(rows, encoding)


def sizes(rows: Sequence[Mapping[str, Any]], field: str, title: str) -> Spec:
    """A bar for each prototype, in the order given and in its colour."""
    order = [row["prototype"] for row in rows]
    encoding = {
        "x": {"field": "prototype", "type": "ordinal", "sort": order, "axis": {"labelOverlap": True}},
        "y": {
            **_quantity(field, title),
            "axis": {"format": "~%" if field == "share" else "~s", "tickCount": 5},
        },
        "color": _owners("prototype", order),
        "tooltip": [
            _number("prototype"),
            {"field": "about"},
            _number("items", ",.1f"),
            _number("share", ".1%", "share of events"),
            _number("events", ",.1f", "events an item"),
            _number("softness", ".2f"),
        ],
    }
    return {"data": {"values": list(rows)}, "height": _HEIGHT, "mark": {"type": "bar"}, "encoding": encoding}


def drift(found: Drift, shown: Sequence[tuple[int, str]]) -> Spec:
    """Share of each prototype among the training events of each bucket of time, a small chart each.

    Args:
        found: Shares and times.
        shown: Prototypes and their names.
    """
    middle = (found.start + found.end) / 2
    labels = {index: f"{index} {name}" for index, name in shown}
    rows: list[dict[str, Any]] = [
        {
            "panel": labels[index],
            "prototype": index,
            "time": int(1000 * at),
            "share": round(float(share), 5),
            "from": int(1000 * start),
            "to": int(1000 * end),
        }
        for index in labels
        for at, start, end, share in zip(middle, found.start, found.end, found.shares[:, index], strict=True)
    ]
    encoding = {
        "x": {
            "field": "time",
            "type": "temporal",
            "scale": {"type": "utc"},
            "title": None,
            "axis": {"tickCount": 2, "format": "%b %Y", "labelFlush": 24, "labelOverlap": True},
        },
        "y": {
            **_quantity("share", None),
            "scale": {"type": "sqrt", "domain": [0, round(1.15 * max(row["share"] for row in rows), 5)]},
            "axis": {"format": "~%", "tickCount": 3},
        },
        "color": _owners("prototype", list(labels)),
        "tooltip": [
            {"field": "panel", "title": "prototype"},
            _number("share", ".1%", "share of events"),
            {"field": "from", "type": "temporal", "timeUnit": "utcyearmonthdate"},
            {"field": "to", "type": "temporal", "timeUnit": "utcyearmonthdate"},
        ],
    }
    line = {"type": "line", "point": {"size": 18}, "strokeWidth": 1.6}
    return {
        "data": {"values": rows},
        "facet": {
            "field": "panel",
            "sort": list(labels.values()),
            "header": {"title": None, "labelAnchor": "start"},
        },
        "spec": {"height": 70, "mark": line, "encoding": encoding},
    }


def codes(ids: NDArray[np.int32], codebook_size: int) -> Spec:
    """Items on each code, most used first, one line a level."""
    rows, names = [], []
    for level in range(ids.shape[1]):
        counts = np.sort(np.bincount(ids[:, level], minlength=codebook_size))[::-1]
        names.append(f"level {level + 1}")
        rows += [
            {"code": at + 1, "items": int(counts[at]), "level": names[-1]} for at in thinned(len(counts))
        ]
    encoding = {
        "x": {**_quantity("code", "code, by use"), "axis": {"format": "d"}, "scale": {"nice": False}},
        "y": {**_quantity("items", "items"), "scale": {"type": "sqrt"}, "axis": {"tickCount": 5}},
        "color": _series("level", names, None),
        "tooltip": [{"field": "level"}, _number("code", title="code, by use"), _number("items")],
    }
    return _lines(rows, encoding, points=False)


def similarity(measured: Mapping[str, Sequence[Mapping[str, float]]]) -> Spec:
    """Mean cosine of two items against the leading codes that they share, with 95% intervals."""
    rows = [{"of": name, **row} for name, found in measured.items() for row in found]
    encoding = {
        "x": _depth("leading codes shared"),
        "y": _quantity("cosine", "mean cosine"),
        "color": _series("of", list(measured), None),
        "tooltip": [
            {"field": "of"},
            _number("depth", title="codes shared"),
            *(_number(key, ".3f") for key in ("cosine", "low", "high")),
            _number("pairs"),
        ],
    }
    spec = _lines(rows, encoding)
    between = {"y": _quantity("low", "mean cosine"), "y2": {"field": "high"}}
    drawn = {"mark": spec.pop("mark")}
    return spec | {"layer": [{"mark": {"type": "rule", "aria": False}, "encoding": between}, drawn]}


def agreement(measured: Sequence[Mapping[str, float]]) -> Spec:
    """Mutual information of prefixes with categories, normalised and adjusted, by depth."""
    kinds = {"nmi": "NMI", "ami": "adjusted (chance is 0)"}
    rows = [
        {"depth": row["depth"], "value": row[key], "kind": kind}
        for row in measured
        for key, kind in kinds.items()
    ]
    encoding = {
        "x": _depth("leading codes"),
        "y": _quantity("value", "mutual information"),
        "color": _series("kind", list(kinds.values()), None),
        "tooltip": [{"field": "kind"}, _number("depth", title="leading codes"), _number("value", ".3f")],
    }
    return _lines(rows, encoding)


def histogram(
    rows: Sequence[Mapping[str, Any]], x: Spec, counted: str, parts: Sequence[str] | None = None
) -> Spec:
    """Bars of counts between ``from`` and ``to``, stacked by part where there are parts."""
    count = _number("count", title=counted)
    encoding = {
        "x": {**x, "field": "from", "bin": "binned"},
        "x2": {"field": "to"},
        "y": {**_quantity("count", counted), "axis": {"format": "~s", "tickCount": 5}},
        "tooltip": [{"field": "label", "title": x["title"]}, count],
    }
    if parts is not None:
        encoding["tooltip"] = [{"field": "label", "title": x["title"]}, {"field": "part"}, count]
        encoding["color"] = _series("part", parts, None)
    mark = {"type": "bar", "color": _SERIES[0], "binSpacing": 1}
    return {"data": {"values": list(rows)}, "height": _HEIGHT, "mark": mark, "encoding": encoding}


def shares(rows: Sequence[Mapping[str, float]]) -> Spec:
    """Share of the events on the most used items, against the share of the items."""
    encoding = {
        "x": {**_quantity("items", "share of the items, most used first"), "axis": {"format": "~%"}},
        "y": {**_quantity("events", "share of the events"), "axis": {"format": "~%", "tickCount": 5}},
        "tooltip": [_number("items", ".1%", "items"), _number("events", ".1%", "events")],
    }
    return _lines(rows, encoding, points=False)


def thinned(count: int) -> list[int]:
    """At most 256 of so many places, the first and the last among them."""
    places = np.linspace(0, count - 1, min(count, _MOST_CODES)).round().astype(int)
    return sorted(set(places.tolist()))


def _lines(rows: Sequence[Mapping[str, Any]], encoding: Spec, *, points: bool = True) -> Spec:
    mark: Spec = {"type": "line", "color": _SERIES[0], "strokeWidth": 1.6}
    # A line without points has a tooltip all the same: invisible points that light up where one points at.
    mark["point"] = {"size": 24, "color": _SERIES[0], "opacity": 1 if points else 0, "aria": points}
    return {"data": {"values": list(rows)}, "height": _HEIGHT, "mark": mark, "encoding": encoding}


def _quantity(field: str, title: str | None) -> Spec:
    return {"field": field, "type": "quantitative", "title": title}


def _number(field: str, form: str = ",", title: str | None = None) -> Spec:
    return {"field": field, "type": "quantitative", "format": form, "title": title or field}


def _names(field: str) -> Spec:
    """A row for each, in the order of the data."""
    return {"field": field, "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 130}}


def _depth(title: str) -> Spec:
    return {**_quantity("depth", title), "axis": {"tickMinStep": 1, "format": "d"}}


def _series(field: str, names: Sequence[str], legend: str | bool | None) -> Spec:
    """A colour for each name; ``legend`` is its title, None for none, or False to leave the legend out."""
    colours = [_SERIES[at % len(_SERIES)] for at in range(len(names))]
    key = None if legend is False else {"title": legend}
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(names), "range": colours},
        "legend": key,
    }


def _owners(field: str, prototypes: Sequence[int]) -> Spec:
    """The prototypes' own colours."""
    colours = [f"var(--p{index})" for index in prototypes]
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(prototypes), "range": colours},
        "legend": None,
    }
