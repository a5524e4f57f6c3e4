"""Gather what a run left in its folder and write it as one page."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from g2rec import __version__
from g2rec.artifacts import read_json, replace_path, write_json
from g2rec.bundle import Bundle
from g2rec.errors import ArtifactError
from g2rec.report import _html, _plots
from g2rec.report._diagnosis import Diagnosis
from g2rec.report._identifiers import identifiers_section, tree_section
from g2rec.report._interests_table import table_of
from g2rec.report._payload import Payload, make_payload
from g2rec.report._prototypes import prototypes_section
from g2rec.training.stages import StageRecord, read_record

_OURS = "G2Rec"
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
    diagnosis = Diagnosis(bundle)
    try:
        payload = make_payload(diagnosis)
        sections = _sections(run, metrics, diagnosis, payload)
        page = _page(metrics, bundle, sections, payload)
    except KeyError as error:
        raise ArtifactError(f"{run}/metrics.json lacks {error}; run `g2rec evaluate` on it again") from None
    write_json(run / "diagnostics.json", diagnosis.figures())
    _write(run / "interests.md", table_of(diagnosis))
    return _write(run / "report.html", page)


def _write(path: Path, text: str) -> Path:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    replace_path(temporary, path)
    return path


def _page(metrics: Mapping[str, Any], bundle: Bundle, sections: Sequence[str], payload: Payload) -> str:
    files = resources.files("g2rec.report")
    template = Template(files.joinpath("page.html").read_text(encoding="utf-8"))
    log = bundle.interactions
    recipe = str(metrics.get("recipe", "a run"))
    protocol = f"{metrics.get('split', log.split)} split, ties {metrics.get('ties', 'as in the recipe')}"
    subtitle = [
        f"{log.num_users:,} users, {log.num_items:,} items, {len(log.item_index):,} events",
        protocol.replace("_", "-"),
        str(metrics.get("hardware", "")),
        str(metrics.get("date", "")),
    ]
    return template.substitute(
        title=html.escape(f"g2rec on {recipe}"),
        subtitle=html.escape(" · ".join(part for part in subtitle if part)),
        summary=_summary(metrics["models"], metrics.get("paired")),
        sections="\n".join(sections),
        footer=f"Written by g2rec {__version__}. All figures are in metrics.json and diagnostics.json beside "
        "this page.",
        items=payload.json,
        script=files.joinpath("page.js").read_text(encoding="utf-8"),
    )


def _sections(run: Path, metrics: Mapping[str, Any], diagnosis: Diagnosis, payload: Payload) -> list[str]:
    models = metrics["models"]
    sections = [
        _html.section(
            "Models",
            _html.models_table(models, _OURS)
            + _html.figure(
                _plots.plot_models(models, _OURS),
                "Mean over users and 95% bootstrap interval. Dots: every item can be recommended. Rings: the "
                "items in the user's history cannot (masked).",
            ),
            _protocol_note(metrics),
        )
    ]
    stages = _stages(run)
    if stages:
        sections.append(_html.section("Stages", _html.stage_table(stages), ""))
    curves = _plots.plot_curves(_logs(run))
    if curves is not None:
        sections.append(_html.section("Training", _html.figure(curves, ""), "From the CSV logs of this run."))
    sections.append(prototypes_section(diagnosis, payload))
    sections.append(identifiers_section(diagnosis))
    sections.append(tree_section(diagnosis, payload))
    sections.append(_users(diagnosis.bundle))
    return sections


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
    def recall(name: str) -> Mapping[str, float]:
        found: Mapping[str, float] = models[name]["unmasked"]["recall@10"]
        return found

    def words(name: str) -> str:
        found = recall(name)
        return f"{html.escape(name)} {found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"

    others = sorted((name for name in models if name != _OURS), key=lambda name: -recall(name)["mean"])
    if _OURS not in models or not others:
        return "Recall@10 over the full catalogue: " + "; ".join(words(name) for name in models) + "."
    summary = f"Recall@10 over the full catalogue: {words(_OURS)}; the best baseline, {words(others[0])}."
    if paired:
        gap, chance = paired["difference"], paired["p_value"]
        summary += (
            f" User by user, {_OURS} differs from {html.escape(paired['baseline'])} by {gap['mean']:+.4f} "
            f"[{gap['low']:+.4f}, {gap['high']:+.4f}] in {html.escape(paired['metric'])} (p = {chance:.3f})."
        )
    return summary


def _protocol_note(metrics: Mapping[str, Any]) -> str:
    note = "The full catalogue is ranked for every user, in float32; ties get their expected score."
    if metrics.get("num_users") is not None:
        note += f" {metrics['num_users']:,} users are evaluated"
        left_out = metrics.get("left_out_when_masked")
        note += f"; masked leaves out {left_out:,} whose target is in their history." if left_out else "."
    return note


def _stages(run: Path) -> list[StageRecord]:
    files = sorted(run.rglob("stage.json"), key=lambda file: (file.stat().st_mtime, str(file)))
    records = [(file.parent.relative_to(run), read_record(file.parent)) for file in files]
    return [replace(record, name=" ".join(path.parts)) for path, record in records if record is not None]


def _logs(run: Path) -> dict[str, list[Path]]:
    """The CSV logs of each fit, a log for each session, oldest first."""
    logs: dict[str, list[Path]] = {}
    for file in sorted(
        run.rglob("logs/csv/*/metrics.csv"), key=lambda file: (file.stat().st_mtime, str(file))
    ):
        stage = file.parents[3].relative_to(run)
        logs.setdefault(" ".join(stage.parts) or run.name, []).append(file)
    return logs
