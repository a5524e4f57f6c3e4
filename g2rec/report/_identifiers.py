"""The sections on semantic IDs: how healthy the codes are, what prefixes mean, and the tree of them."""

from html import escape

import numpy as np

from g2rec.report import _charts, _html
from g2rec.report._diagnosis import Diagnosis
from g2rec.report._payload import Payload
from g2rec.tokenizers import collision_rate

_LEVEL_HEADS = ("level", "codes used", "perplexity", "used before", "perplexity before")


def usage_section(diagnosis: Diagnosis) -> str:
    """Usage, collisions, reconstruction, agreement with categories and similarity, in tables and charts."""
    ids = diagnosis.bundle.semantic_ids
    codes = np.asarray(ids.codes)
    figures = [
        _html.chart(
            _charts.codes(codes, ids.codebook_size),
            "Items on each code, by level",
            "Items on each code, the most used first.",
        ),
        _html.chart(
            _charts.similarity(diagnosis.similarity),
            "Similarity of items by the number of leading codes that they share",
            "How alike two items are that share so many leading codes.",
        ),
    ]
    if diagnosis.agreement:
        figures.append(
            _html.chart(
                _charts.agreement(diagnosis.agreement),
                "Mutual information of prefixes with categories, by depth",
                "How well leading codes tell the category.",
            )
        )
    parts = [
        _html.table(_LEVEL_HEADS, _levels(diagnosis)),
        f"<p>{_collisions(diagnosis)}</p>",
        f'<div class="trio">{"".join(figures)}</div>',
        _prefixes(diagnosis),
    ]
    note = (
        f"Each item has {ids.num_levels} codes out of {ids.codebook_size} a level, and no two items share "
        "all. Perplexity is the number of codes that would carry the same entropy if all were used alike; "
        "before means before collisions were resolved."
    )
    return _html.section("Code usage", "\n".join(parts), note)


def tree_section(diagnosis: Diagnosis, payload: Payload) -> str:
    """The place where the script draws the tree."""
    everything = diagnosis.bundle.interactions.num_items
    which = f"all {everything:,}"
    if payload.num_items < everything:
        which = f"the {payload.num_items:,} most used of {everything:,}"
    gist = "category" if diagnosis.labels is not None else "strongest prototype"
    note = (
        f"The semantic IDs of {which} items by first code, the fullest on top: code, items under it, words "
        f"of those items, their most frequent {gist}, and the two most used items. Open a code to see the "
        "next level."
    )
    return _html.section("Semantic IDs", '<div id="tree" class="tree"></div>', note)


def _levels(diagnosis: Diagnosis) -> list[list[str]]:
    rows = []
    for level, row in enumerate(diagnosis.levels, start=1):
        before = [
            f"{row['usage_before']:.1%}" if "usage_before" in row else "",
            f"{row['perplexity_before']:.1f}" if "perplexity_before" in row else "",
        ]
        rows.append([str(level), f"{row['usage']:.1%}", f"{row['perplexity']:.1f}", *before])
    return rows


def _collisions(diagnosis: Diagnosis) -> str:
    ids = diagnosis.bundle.semantic_ids
    words = []
    before, moved = ids.report.get("collision_rate_before"), ids.report.get("items_moved")
    rate = collision_rate(np.asarray(ids.codes))
    if before is not None:
        words.append(f"Collisions: {before:.1%} of the items before resolution, {rate:.1%} after it")
        words[-1] += "." if moved is None else f"; {moved:,} items were moved."
    else:
        words.append(f"Collisions: {rate:.1%} of the items.")
    error, variance = ids.report.get("reconstruction_mse"), ids.report.get("input_variance")
    if error is not None and variance:
        words.append(
            f"Reconstruction: mean squared error {error:.3f} of the scaled inputs, whose variance is "
            f"{variance:.3f}: the codes explain {1 - error / variance:.1%} of it."
        )
    return " ".join(words)


def _prefixes(diagnosis: Diagnosis) -> str:
    """One row a depth: how alike items are that share so many codes, and how prefixes match categories."""
    similarity, agreement = diagnosis.similarity, diagnosis.agreement
    heads = ["leading codes", *(f"cosine of {name}" for name in similarity), "pairs"]
    alike = {name: {int(row["depth"]): row for row in rows} for name, rows in similarity.items()}
    matches = {int(row["depth"]): row for row in agreement}
    if agreement:
        heads += ["prefixes", "NMI", "adjusted"]
    rows = []
    for depth in range(diagnosis.bundle.semantic_ids.num_levels + 1):
        measured = [found.get(depth) for found in alike.values()]
        row = [str(depth), *(_with_interval(found) for found in measured)]
        row.append("" if measured[0] is None else f"{measured[0]['pairs']:,}")
        match = matches.get(depth)
        if match is not None:
            row += [f"{match['prefixes']:,}", _figure(match["nmi"]), _figure(match["ami"])]
        rows.append(row + [""] * (len(heads) - len(row)))
    note = (
        "Cosine: the mean over pairs of items that share exactly so many leading codes, with its 95% "
        "interval (20,000 pairs drawn for each depth). "
    )
    if agreement and diagnosis.labels is not None:
        note += (
            f"NMI: mutual information of the prefix with the category ({diagnosis.labels.source}), "
            "normalised; deep prefixes inflate it, the adjusted form is 0 by chance and 1 for identity."
        )
    return f'{_html.table(heads, rows)}\n<p class="soft">{escape(note)}</p>'


def _with_interval(row: dict[str, int | float] | None) -> str:
    if row is None:
        return ""
    return f"{_figure(row['cosine'])} ± {_figure((row['high'] - row['low']) / 2)}"


def _figure(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no minus before a zero
