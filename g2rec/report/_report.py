"""Gather what a run left in its folder and write it as one page."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from g2rec import __version__
from g2rec.artifacts import read_json, write_json, write_text
from g2rec.bundle import Bundle
from g2rec.errors import ArtifactError
from g2rec.report import _html
from g2rec.report._curves import training_section
from g2rec.report._data import data_section
from g2rec.report._diagnosis import Diagnosis
from g2rec.report._identifiers import tree_section, usage_section
from g2rec.report._interests_table import table_of
from g2rec.report._leaderboard import leaderboard_section, slices_section
from g2rec.report._page import write_page
from g2rec.report._payload import Payload, make_payload
from g2rec.report._prototypes import map_section, prototypes_section
from g2rec.report._settings import run_section

OURS = "G2Rec"
_USERS_SHOWN = 3


def write_report(run: Path) -> Path:
    """Write ``report.html``: one file with the figures, plots, interests, codes and recommendations of a run.

    Nothing in it points outside the file, so it can be mailed or archived. Beside it go
    ``diagnostics.json``, the figures on prototypes and semantic IDs, and ``interests.md``, the twenty largest
    prototypes in Markdown.

    Args:
        run: A folder with ``metrics.json``, ``bundle/``, and a ``stage.json`` and ``logs/`` for each stage.

    Raises:
        ArtifactError: If ``metrics.json`` or the bundle is missing or damaged.
    """
    metrics = read_json(run / "metrics.json")
    if not isinstance(metrics, dict) or not metrics.get("models"):
        raise ArtifactError(f"{run}/metrics.json holds no model; run `g2rec evaluate` on it again")
    bundle = Bundle.load(run / "bundle")
    diagnosis = Diagnosis(bundle, run)
    try:
        payload = make_payload(diagnosis)
        sections = _sections(run, metrics, diagnosis, payload)
        page = _page(metrics, bundle, sections, payload)
    except KeyError as error:
        raise ArtifactError(f"{run}/metrics.json lacks {error}; run `g2rec evaluate` on it again") from None
    write_json(run / "diagnostics.json", diagnosis.figures())
    write_text(run / "interests.md", table_of(diagnosis))
    write_text(run / "report.html", page)
    return run / "report.html"


def _page(metrics: Mapping[str, Any], bundle: Bundle, sections: Sequence[str], payload: Payload) -> str:
    log = bundle.interactions
    protocol = f"{metrics.get('split', log.split)} split, ties {metrics.get('ties') or 'as in the recipe'}"
    subtitle = [
        f"{log.num_users:,} users, {log.num_items:,} items, {log.num_events:,} events",
        protocol.replace("_", "-"),
        str(metrics.get("hardware", "")),
        str(metrics.get("date", "")),
    ]
    return write_page(
        title=f"g2rec on {metrics.get('recipe', 'a run')}",
        subtitle=" · ".join(part for part in subtitle if part),
        summary=_summary(metrics["models"], metrics.get("paired")),
        sections=sections,
        footer=f"Written by g2rec {__version__}. All figures are in metrics.json and diagnostics.json beside "
        "this page.",
        payload=payload,
    )


def _sections(run: Path, metrics: Mapping[str, Any], diagnosis: Diagnosis, payload: Payload) -> list[str]:
    sections = [
        run_section(run, metrics),
        data_section(diagnosis.bundle.interactions),
        map_section(diagnosis, payload),
        prototypes_section(diagnosis),
        tree_section(diagnosis, payload),
        usage_section(diagnosis),
        training_section(run),
        leaderboard_section(metrics, OURS),
        slices_section(metrics),
        _users(diagnosis.bundle),
    ]
    return [section for section in sections if section]


def _users(bundle: Bundle) -> str:
    targets = bundle.interactions.targets("test")
    lengths = np.diff(targets.indptr)
    candidates = np.flatnonzero((lengths >= 5) & (lengths <= 200))
    pool = candidates if len(candidates) >= _USERS_SHOWN else np.flatnonzero(lengths)
    chosen = np.random.default_rng(0).choice(pool, size=min(_USERS_SHOWN, len(pool)), replace=False)
    titles = bundle.interactions.titles
    cards = []
    for row in chosen:
        history = targets.history[targets.indptr[row] : targets.indptr[row + 1]]
        item_ids = bundle.item_ids(history)
        k = min(10, bundle.interactions.num_items - len(np.unique(history)))
        if not k:
            continue
        explained = bundle.explain(history=item_ids, k=k)
        cards.append(
            _html.user_card(
                user=str(bundle.interactions.user_ids[int(targets.user_index[row])]),
                history=[titles[index] for index in history[::-1][:8]],
                earlier=max(0, len(history) - 8),
                interests=explained.interests,
                items=explained.items,
                target=(
                    str(bundle.item_ids(targets.target[row : row + 1])[0]),
                    titles[int(targets.target[row])],
                ),
            )
        )
    note = (
        "What three users picked at random (seed 0) did last, the interests read from it, and the ten new "
        "items recommended for the moment before their held-out item, which is marked where it was found."
    )
    return _html.section("Three users", f'<div class="cards">{"".join(cards)}</div>', note)


def _summary(models: Mapping[str, Mapping[str, Any]], paired: Mapping[str, Any] | None) -> str:
    def score(name: str) -> Mapping[str, float]:
        found: Mapping[str, float] = models[name]["masked"]["ndcg@10"]
        return found

    def words(name: str) -> str:
        found = score(name)
        return f"{html.escape(name)} {found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"

    others = sorted((name for name in models if name != OURS), key=lambda name: -score(name)["mean"])
    if OURS not in models or not others:
        return "Masked NDCG@10 over the full catalogue: " + "; ".join(words(name) for name in models) + "."
    summary = f"Masked NDCG@10 over the full catalogue: {words(OURS)}; the best baseline, {words(others[0])}."
    if paired:
        gap, chance = paired["difference"], paired["p_value"]
        metric = html.escape(paired["metric"].replace("ndcg", "NDCG"))
        summary += (
            f" User by user, {OURS} differs from {html.escape(paired['baseline'])} by {gap['mean']:+.4f} "
            f"[{gap['low']:+.4f}, {gap['high']:+.4f}] in {metric} (p = {chance:.3f})."
        )
    return summary
