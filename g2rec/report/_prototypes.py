"""The section on prototypes: what each is about, and where its items lie."""

from html import escape
from string import Template

from g2rec.bundle import Interest
from g2rec.report import _html
from g2rec.report._diagnosis import Diagnosis
from g2rec.report._layout import ANCHORS
from g2rec.report._payload import Payload

SHOWN = 20
_METHODS = {
    "graph_head": "a head on the graph encoder",
    "modularity": "soft modularity with free memberships",
    "random": "chance (the control)",
}

_MAP = Template(
    """<h3 id="map">Map of items</h3>
<div class="tools">
<input id="find" type="search" placeholder="Find titles" aria-label="Find items by title">
<span id="found" class="soft" role="status"></span>
<button id="nearer" type="button" aria-label="Zoom in">+</button>
<button id="farther" type="button" aria-label="Zoom out">−</button>
<button id="whole" type="button">Show all</button>
</div>
<figure class="map">
<div class="plane">
<canvas role="img" aria-label="Items in two dimensions, coloured by prototype"></canvas>
<div class="ring" hidden></div><div class="tip" hidden></div>
</div>
<figcaption>$caption</figcaption>
</figure>
<div id="chips" class="chips" role="group" aria-label="Prototypes on the map"></div>
<noscript><p>The map and the prefix tree need JavaScript; nothing is fetched.</p></noscript>"""
)


def prototypes_section(diagnosis: Diagnosis, payload: Payload) -> str:
    """Cards of the twenty largest prototypes, then the map of items."""
    prototypes = diagnosis.bundle.prototypes
    cards = "".join(_card(interest, diagnosis, payload) for interest in diagnosis.interests[:SHOWN])
    method = _METHODS[prototypes.method]
    shown = min(SHOWN, prototypes.num_prototypes)
    note = (
        f"{prototypes.num_prototypes} prototypes, found by {method}; the {shown} largest are shown. "
        "A heading holds the words that set a prototype's items apart from all others (log-odds over titles "
        "and categories), the list its items of most weight and use. Softness is the entropy of the "
        f"memberships: 0 is hard, 1 is even; over all items it is {prototypes.softness():.2f}."
    )
    return _html.section(
        "Interest prototypes",
        f'<p>{escape(_purity(diagnosis))}</p>\n<div class="cards">{cards}</div>\n{_map(diagnosis, payload)}',
        note,
    )


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


def _card(interest: Interest, diagnosis: Diagnosis, payload: Payload) -> str:
    at, statistics = interest.index, diagnosis.statistics
    light, dark = (colours[at] for colours in payload.colours)
    facts = (
        f"{interest.mass:,.0f} items ({interest.mass / max(1, diagnosis.bundle.prototypes.num_items):.1%}), "
        f"{statistics.popularity[at]:,.0f} events an item, softness {statistics.softness[at]:.2f}"
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
        f'<div class="card"><h3><a class="dot" href="#map" data-show="{at}" '
        f'style="--light:{light};--dark:{dark}" aria-label="Show prototype {at} on the map"></a>'
        f"<span>{heading}</span></h3>"
        f'<p class="soft">Prototype {at}: {facts}</p>{purest}<ul>{items}</ul></div>'
    )


def _map(diagnosis: Diagnosis, payload: Payload) -> str:
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
        "coloured by strongest prototype. Near items are alike; distances between far groups mean little. "
        "Point at an item for its title; pick a prototype to see it alone."
    )
    return _MAP.substitute(caption=escape(caption))
