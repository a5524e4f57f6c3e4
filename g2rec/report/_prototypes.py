"""The sections on prototypes: the map of items, what each prototype is about, and how it drifts."""

from html import escape
from string import Template

import numpy as np

from g2rec.bundle import Interest
from g2rec.report import _charts, _html
from g2rec.report._diagnosis import Diagnosis
from g2rec.report._drift import Drift
from g2rec.report._layout import ANCHORS
from g2rec.report._modularity import modularity_table
from g2rec.report._payload import Payload

SHOWN = 20
_METHODS = {
    "graph_head": "a head on the graph encoder",
    "modularity": "soft modularity with free memberships",
    "random": "chance (the control)",
}

_MAP = Template(
    """<div class="tools">
<input id="find" type="search" placeholder="Find titles" aria-label="Find items by title">
<span id="found" class="soft" role="status"></span>
<button id="nearer" type="button" aria-label="Zoom in">+</button>
<button id="farther" type="button" aria-label="Zoom out">−</button>
<button id="whole" type="button">Show all</button>
</div>
<div id="hits" class="chips" role="group" aria-label="Items found"></div>
<figure>
<div id="plane" class="plane" tabindex="0" role="group"
 aria-label="Map of the items; arrow keys move it, plus and minus zoom"></div>
<p id="picked" class="picked" role="status"></p>
<figcaption>$caption</figcaption>
</figure>
<div id="chips" class="chips" role="group" aria-label="Prototypes on the map"></div>
<noscript><p>The charts, the map and the tree need JavaScript; nothing is fetched.</p></noscript>"""
)


def map_section(diagnosis: Diagnosis, payload: Payload) -> str:
    """The place where the script draws the map."""
    everything = diagnosis.bundle.interactions.num_items
    which = (
        f"All {everything:,} items"
        if payload.num_items == everything
        else f"The {payload.num_items:,} most used of {everything:,} items"
    )
    placed = ""
    if payload.num_items > ANCHORS:
        placed = f" (the most used {ANCHORS:,}; the others beside their nearest of those)"
    caption = (
        f"{which}, laid out by t-SNE of their graph embeddings{placed} in {payload.seconds:.0f} s and "
        "coloured by strongest prototype. Near items are alike; distances between far groups mean little."
    )
    note = "Point at an item for its title, or find it by title; pick a prototype to see it alone."
    return _html.section("Interest map", _MAP.substitute(caption=escape(caption)), note)


def prototypes_section(diagnosis: Diagnosis) -> str:
    """Sizes and drift of the prototypes, cards of the twenty largest, a table of all."""
    prototypes, drift = diagnosis.bundle.prototypes, diagnosis.drift
    method = _METHODS[prototypes.method]
    shown = min(SHOWN, prototypes.num_prototypes)
    note = (
        f"{prototypes.num_prototypes} prototypes, found by {method}; the {shown} largest have a card. "
        "A heading holds the words that set a prototype's items apart from all others (log-odds over titles "
        "and categories), the list its items of most weight and use. Softness is the entropy of the "
        f"memberships: 0 is hard, 1 is even; over all items it is {prototypes.softness():.2f}."
    )
    cards = "".join(_card(interest, diagnosis) for interest in diagnosis.interests[:SHOWN])
    body = [
        f"<p>{escape(_purity(diagnosis))}</p>",
        _sizes(diagnosis),
        _drift(diagnosis, drift) if drift is not None else "",
        modularity_table(diagnosis.modularity) if diagnosis.modularity is not None else "",
        f'<h3>The {shown} largest</h3><div class="cards">{cards}</div>',
        f"<details><summary>All {prototypes.num_prototypes} as a table</summary>{_all(diagnosis)}</details>",
    ]
    return _html.section("Interest prototypes", "\n".join(body), note)


def _purity(diagnosis: Diagnosis) -> str:
    purity, labels = diagnosis.purity, diagnosis.labels
    if purity is None or labels is None:
        return (
            "The catalogue has no column of categories, so that purity, and how far codes agree with "
            "categories, are left out."
        )
    return (
        f"Weighted purity is {purity.overall:.3f}: that share of a prototype's weight lies in its most "
        f"frequent category; with categories dealt at random it would be {purity.chance:.3f}. Categories are "
        f"{labels.source} ({len(labels.names)} values, {purity.labelled:.0%} of the items)."
    )


def _sizes(diagnosis: Diagnosis) -> str:
    rows = [
        {
            "prototype": interest.index,
            "about": interest.name,
            "items": round(interest.mass, 2),
            "share": round(float(diagnosis.shares[interest.index]), 5),
            "events": round(float(diagnosis.statistics.popularity[interest.index]), 2),
            "softness": round(float(diagnosis.statistics.softness[interest.index]), 3),
        }
        for interest in diagnosis.interests
    ]
    size = _html.chart(
        _charts.sizes(rows, "items", "items"),
        "Size of each prototype, the largest first",
        "Size: items of each prototype (sum of memberships).",
    )
    popularity = _html.chart(
        _charts.sizes(rows, "share", "share of events"),
        "Popularity of each prototype, in the order of size",
        "Popularity: share of the training events on its items, in the same order.",
    )
    return f'<div class="pair">{size}{popularity}</div>'


def _drift(diagnosis: Diagnosis, drift: Drift) -> str:
    shown = [(interest.index, interest.name) for interest in diagnosis.interests[:SHOWN]]
    names = {interest.index: interest.name for interest in diagnosis.interests}
    most, least = int(drift.change.argmax()), int(drift.change.argmin())
    words = (
        f"Share of the training events on each prototype's items, in {len(drift.shares)} buckets of time "
        f"with {drift.events:,} events or more each. From the earlier to the later half, prototype {most} "
        f"({names[most]}) gained most, {100 * drift.change[most]:+.1f} points, and prototype {least} "
        f"({names[least]}) lost most, {100 * drift.change[least]:+.1f}."
    )
    figure = _html.chart(_charts.drift(drift, shown), f"Drift of the prototypes. {words}", "")
    return f'<h3>Drift over time</h3><p class="soft">{escape(words)}</p>{figure}'


def _card(interest: Interest, diagnosis: Diagnosis) -> str:
    at, statistics = interest.index, diagnosis.statistics
    facts = (
        f"{interest.mass:,.0f} items ({interest.mass / max(1, diagnosis.bundle.prototypes.num_items):.1%}), "
        f"{diagnosis.shares[at]:.1%} of the events, {statistics.popularity[at]:,.0f} an item, "
        f"softness {statistics.softness[at]:.2f}"
    )
    purest = ""
    if diagnosis.purity is not None and diagnosis.labels is not None and diagnosis.purity.category[at] >= 0:
        share = diagnosis.purity.share[at]
        name = escape(diagnosis.labels.names[diagnosis.purity.category[at]])
        purest = (
            f'<div class="meter"><i style="--share:{share:.0%}"></i><span>{share:.0%} {name}</span></div>'
        )
    items = "".join(f"<li><span>{escape(title)}</span></li>" for title in interest.titles)
    heading = escape(", ".join(interest.words) if len(interest.words) > 1 else interest.name)
    return (
        f'<div class="card"><h4><i class="dot" style="--dot:var(--p{at})"></i><span>{heading}</span></h4>'
        f'<p class="soft">Prototype {at}: {facts}</p>{purest}<ul>{items}</ul>'
        f'<a href="#interest-map" data-show="{at}" aria-label="Show prototype {at} on the map">'
        "Show on the map</a></div>"
    )


def _all(diagnosis: Diagnosis) -> str:
    drift, statistics = diagnosis.drift, diagnosis.statistics
    heads = ["prototype", "about", "items", "share of events", "events an item", "softness"]
    heads += ["drift, points"] if drift is not None else []
    change = np.zeros(diagnosis.bundle.prototypes.num_prototypes) if drift is None else drift.change
    rows = []
    for interest in diagnosis.interests:
        at = interest.index
        row = [str(at), interest.name, f"{interest.mass:,.1f}", f"{diagnosis.shares[at]:.1%}"]
        row += [f"{statistics.popularity[at]:,.1f}", f"{statistics.softness[at]:.2f}"]
        rows.append(row + ([f"{100 * change[at]:+.1f}"] if drift is not None else []))
    return _html.table(heads, rows)
