"""The model card: what a bundle is, how good it is, and what it is not for, as a model hub shows it."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_SHOWN = ("recall@10", "ndcg@10")
_OURS = "G2Rec"


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says beside what the bundle itself shows."""

    name: str = "a g2rec bundle"
    """Of the recipe."""
    data: str = ""
    """Where the events are from, in words."""
    licence: str = ""
    """Of the data."""
    citation: str = ""
    date: str = ""
    """When it was written, as ISO date."""
    hardware: str = ""
    """What it was trained on."""
    metrics: Mapping[str, Any] | None = None
    """``metrics.json`` of its run; None if it was not evaluated."""
    items_added: int = 0
    """Items that were added after the fit."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "CardFacts":
        """What a manifest keeps."""
        names = {entry.name for entry in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in names})


@dataclass(frozen=True)
class CardSizes:
    """What the bundle itself shows."""

    users: int
    items: int
    events: int
    split: str
    prototypes: int
    levels: int
    codebook_size: int
    parameters: int
    ranking: str
    feed: str
    takes_new_items: bool
    version: str
    parts: tuple[str, ...]


def render_card(facts: CardFacts, sizes: CardSizes) -> str:
    """A README.md: front matter for a hub, then what a reader wants to know."""
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(facts, sizes), sort_keys=False, allow_unicode=True)}---",
        f"# {facts.name}",
        "A generative recommender over semantic IDs, fed with interest prototypes that were learned on the "
        f"user-item graph (g2rec {sizes.version}, after G2Rec, arXiv 2606.20554).",
        "```python\nimport g2rec\n\nbundle = g2rec.load('path/to/this/folder')\n"
        "bundle.recommend([ITEM_ID, ...], k=10)\n```",
        "## Figures",
        _figures(facts, sizes),
        "## Data",
        _data(facts, sizes),
        "## Model",
        f"{sizes.parameters:,} parameters; {sizes.prototypes} interest prototypes (feed: {sizes.feed}); "
        f"semantic IDs of {sizes.levels} levels of {sizes.codebook_size} codes; ranking: {sizes.ranking}."
        + (f" Trained on {facts.hardware}." if facts.hardware else "")
        + (f" Written on {facts.date}." if facts.date else ""),
        "## Intended use",
        "To rank the items of this catalogue for people of whom a history of items is known, and for "
        "research on recommendation. "
        + (
            "Items that came later can be added by their content (`bundle.add_items`)."
            if sizes.takes_new_items
            else "Items that came later cannot be added: the catalogue has no content."
        ),
        "## Limits",
        "- **This folder holds the event log**, user IDs included (`interactions/`): publish it only if the "
        "log may be published.\n"
        "- It knows what happened before the fit; tastes and catalogues move on, so fit again from time to "
        "time.\n"
        "- It repeats what the log shows: popular items come up more often, and what a group of users never "
        "saw is not recommended to it.\n"
        "- Scores rank the items of one list; they are no probabilities and cannot be compared between "
        "lists.\n"
        "- It is not meant for decisions about people.",
        "## Licence",
        f"The data: {facts.licence or 'not stated'}. What was learned from data may be bound by its terms; "
        "g2rec itself is Apache-2.0.",
        "## The folder",
        "Arrays (`.npy`), tables (`.parquet`), weights (`.safetensors`) and JSON with a checksum of each "
        "file; nothing is pickled, and loading runs no code of the folder.\n\n"
        + "\n".join(f"- `{name}/`" for name in sizes.parts),
    ]
    if facts.citation:
        parts += ["## Citation", facts.citation]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: CardFacts, sizes: CardSizes) -> dict[str, Any]:
    front: dict[str, Any] = {
        "library_name": "g2rec",
        "license": "other",
        "license_name": _slug(facts.licence)[:60] or "not-stated",
        "tags": ["recommender-systems", "generative-retrieval", "semantic-ids", "graph-neural-networks"],
    }
    ours = _models(facts).get(_OURS)
    if not ours:
        return front
    metrics = [
        {"type": name, "name": f"{_title(name)}, {_SIDES[side]}", "value": round(float(found["mean"]), 4)}
        for side in _SIDES
        for name in _SHOWN
        if (found := ours.get(side, {}).get(name))
    ]
    result = {
        "task": {"type": "recommendation", "name": "Next-item recommendation"},
        "dataset": {"type": facts.name, "name": facts.data or facts.name, "split": f"test, {sizes.split}"},
        "metrics": metrics,
    }
    return {**front, "model-index": [{"name": f"g2rec-{_slug(facts.name)}", "results": [result]}]}


_SIDES = {"masked": "history masked out", "unmasked": "history not masked"}


def _models(facts: CardFacts) -> Mapping[str, Any]:
    return (facts.metrics or {}).get("models", {})  # type: ignore[no-any-return]


def _figures(facts: CardFacts, sizes: CardSizes) -> str:
    models = _models(facts)
    if not models:
        return "Not evaluated: `g2rec evaluate RUN` ranks the test users and adds the figures."
    rows = [f"| model | {' | '.join(_title(name) for name in _SHOWN)} |", f"|{'---|' * (len(_SHOWN) + 1)}"]
    for model, report in models.items():
        cells = []
        for name in _SHOWN:
            found = report["masked"][name]
            cells.append(f"{found['mean']:.4f} ({found['low']:.4f}–{found['high']:.4f})")
        rows.append(f"| {f'**{model}**' if model == _OURS else model} | {' | '.join(cells)} |")
    assert facts.metrics is not None
    users, seed = facts.metrics.get("num_users"), facts.metrics.get("seed")
    return (
        "\n".join(rows)
        + f"\n\nMean over {users:,} test users and its 95% interval; split {sizes.split}, ties "
        f"{facts.metrics.get('ties')}, seed {seed}, the whole catalogue ranked, the history left out."
        + (
            f" Items added after the fit ({facts.items_added}) are not in these figures."
            if facts.items_added
            else ""
        )
    )


def _data(facts: CardFacts, sizes: CardSizes) -> str:
    name = f"{facts.data}: " if facts.data else ""
    text = (
        f"{name}{sizes.users:,} users, {sizes.items:,} items, {sizes.events:,} events; split {sizes.split}."
    )
    if facts.items_added:
        text += f" {facts.items_added:,} of the items were added after the fit, by their content."
    return text


def _title(name: str) -> str:
    return name.replace("recall", "Recall").replace("ndcg", "NDCG")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
