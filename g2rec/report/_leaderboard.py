"""The sections on accuracy: all models of the run with intervals, and by how popular the target is."""

from collections.abc import Mapping
from typing import Any

from g2rec.report import _charts, _html


def leaderboard_section(metrics: Mapping[str, Any], ours: str) -> str:
    """Table and charts of the models, the highest masked N@10 first."""
    models = _ranked(metrics)
    charts = "".join(
        _html.chart(
            _charts.models(models, ours, metric, title),
            f"{title} of each model with 95% intervals, masked and not masked",
            caption,
        )
        for metric, title, caption in (
            (
                "recall@10",
                "Recall@10",
                "Dots: the items in the user's history are left out (masked). Rings: every item counts.",
            ),
            ("ndcg@10", "NDCG@10", "Mean over users and 95% bootstrap interval."),
        )
    )
    body = f'{_html.models_table(models, ours)}<div class="pair">{charts}</div>'
    return _html.section("Leaderboard", body, _note(metrics))


def slices_section(metrics: Mapping[str, Any]) -> str:
    """Masked R@10 and N@10 of head, torso, tail and cold targets with intervals; empty if not measured."""
    models = {name: entry for name, entry in _ranked(metrics).items() if entry.get("slices")}
    if not models:
        return ""
    first = next(iter(models.values()))["slices"]
    recall, ndcg = (
        next(name for name in first["head"] if name.startswith(kind)) for kind in ("recall", "ndcg")
    )
    if not isinstance(first["head"][ndcg], Mapping):
        raise KeyError("intervals of the slices")  # from before they were measured
    charts = "".join(
        _html.chart(
            _charts.slices(models, metric, title),
            f"Masked {title} by the popularity of the target, with 95% intervals",
            f"{title}, masked: mean over the users of the slice and 95% bootstrap interval.",
        )
        for metric, title in (
            (recall, recall.replace("recall", "Recall")),
            (ndcg, ndcg.replace("ndcg", "NDCG")),
        )
    )
    held = [part for part in _charts.SLICES if part in first]
    rows = {
        name: [entry["slices"][part][ndcg] if entry["slices"][part]["num_users"] else None for part in held]
        for name, entry in models.items()
    }
    heads = [
        f"{ndcg.replace('ndcg', 'NDCG')} masked",
        *(f"{part} ({first[part]['num_users']:,})" for part in held),
    ]
    note = (
        "Items in descending order of training events: the head gathers the first third of all events, the "
        "torso the second, the tail the rest; cold targets have no training event. In brackets, the users "
        "whose target is in the slice."
    )
    table = _html.intervals_table(heads, rows, "none")
    return _html.section("Slices", f'<div class="pair">{charts}</div>{table}', note)


def _ranked(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    models: Mapping[str, Mapping[str, Any]] = metrics["models"]
    return dict(sorted(models.items(), key=lambda entry: -entry[1]["masked"]["ndcg@10"]["mean"]))


def _note(metrics: Mapping[str, Any]) -> str:
    note = "The full catalogue is ranked for every user, in float32; ties get their expected score."
    if metrics.get("num_users") is not None:
        note += f" {metrics['num_users']:,} users are evaluated"
        left_out = metrics.get("left_out_when_masked")
        note += f"; masked leaves out {left_out:,} whose target is in their history." if left_out else "."
    return note
