"""The section on what was run: recipe, protocol, machine, settings and stages."""

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import yaml

from g2rec import __version__
from g2rec.report import _html
from g2rec.training.stages import StageRecord, read_record

_SHOWN = ("encoder", "prototypes", "tokenizer", "recommender")
"""Settings that are shown at once; the whole file is below them."""


def run_section(run: Path, metrics: Mapping[str, Any]) -> str:
    """Facts, the settings of the four models, the whole settings file and the stages."""
    settings = _settings(run)
    facts = {
        "recipe": str(metrics.get("recipe", "")),
        "split": str(metrics.get("split", "")).replace("_", "-"),
        "ties": str(metrics.get("ties") or "as in the recipe").replace("_", " "),
        "seed": str(metrics.get("seed", "")),
        "machine": str(metrics.get("hardware", "")),
        "date": str(metrics.get("date", "")),
        "g2rec": __version__,
    }
    parts = [_html.facts({name: value for name, value in facts.items() if value})]
    models = dict(found for name in _SHOWN if (found := _model(name, settings)))
    if models:
        parts.append(_html.facts(models, wide=True))
    if settings:
        text = (run / "settings.yaml").read_text(encoding="utf-8")
        parts.append(f"<details><summary>All settings</summary><pre>{escape(text)}</pre></details>")
    stages = _stages(run)
    if stages:
        seconds = sum(stage.seconds for stage in stages)
        table = _html.word_table(
            ("stage", "made", "seconds"),
            [(stage.name, stage.line, f"{stage.seconds:,.1f}") for stage in stages],
        )
        words = f"{len(stages)} stages, {seconds:,.0f} seconds of work"
        parts.append(f"<details><summary>{words}</summary>{table}</details>")
    return _html.section("What was run", "\n".join(parts), "")


def _settings(run: Path) -> Mapping[str, Any]:
    file = run / "settings.yaml"
    held = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return held if isinstance(held, dict) else {}


def _model(name: str, settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """Kind and plain settings of one model, with the epochs of its fit."""
    held = settings.get(name)
    if not isinstance(held, dict):
        return None
    kind = str(held.get("class_path", "")).rpartition(".")[2].removesuffix("Config")
    values = held.get("init_args", held)
    inner = values.get("transformer") or {}
    plain = {key: value for key, value in {**inner, **values}.items() if not isinstance(value, dict | list)}
    fit = settings.get(f"{name}_fit")
    if isinstance(fit, dict) and "epochs" in fit:
        plain["epochs"] = fit["epochs"]
    words = ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in plain.items())
    return f"{name}: {kind or 'G2Rec'}", words


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _stages(run: Path) -> list[StageRecord]:
    files = sorted(run.rglob("stage.json"), key=lambda file: (file.stat().st_mtime, str(file)))
    records = [(file.parent.relative_to(run), read_record(file.parent)) for file in files]
    return [replace(record, name=" ".join(path.parts)) for path, record in records if record is not None]
