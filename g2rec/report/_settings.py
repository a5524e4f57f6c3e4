"""The section on what was run: recipe, protocol, machine, settings and stages."""

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import yaml

from g2rec import __version__
from g2rec.artifacts import StageRecord, read_record
from g2rec.errors import ArtifactError
from g2rec.report import _html

_MODELS = ("encoder", "prototypes", "tokenizer", "recommender")
"""Settings whose kind is shown at once."""


def run_section(run: Path, metrics: Mapping[str, Any]) -> str:
    """Facts, the settings of the four models, the whole settings file and the stages."""
    settings = read_run_settings(run)
    models = {name: _model(name, settings) for name in _MODELS if isinstance(settings.get(name), dict)}
    facts = {
        "recipe": str(metrics.get("recipe", "")),
        "split": str(metrics.get("split", "")).replace("_", "-"),
        "ties": str(metrics.get("ties") or "as in the recipe").replace("_", " "),
        "seed": str(metrics.get("seed", "")),
        **{name: kind for name, (kind, _) in models.items()},
        "machine": str(metrics.get("hardware", "")),
        "date": str(metrics.get("date", "")),
        "g2rec": __version__,
    }
    parts = [_html.facts({name: value for name, value in facts.items() if value})]
    if models:
        named = {f"{name}: {kind}": words for name, (kind, words) in models.items()}
        settings_of = _html.facts(named, wide=True)
        parts.append(f"<details><summary>Settings of the models</summary>{settings_of}</details>")
    if settings:
        text = (run / "settings.yaml").read_text(encoding="utf-8")
        box = '<pre tabindex="0" role="region" aria-label="All settings">'
        parts.append(f"<details><summary>All settings</summary>{box}{escape(text)}</pre></details>")
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


def read_run_settings(run: Path) -> Mapping[str, Any]:
    """The run's settings file as it stands; empty without one."""
    file = run / "settings.yaml"
    if not file.is_file():
        return {}
    try:
        held = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise ArtifactError(f"expected YAML in {file}, got other text; restore it, or remove it") from None
    return held if isinstance(held, dict) else {}


def _model(name: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and plain settings of one model, with the epochs of its fit."""
    held = settings[name]
    kind = str(held.get("class_path", "")).rpartition(".")[2].removesuffix("Config")
    values = held.get("init_args", held)
    inner = values.get("transformer") or {}
    plain = {key: value for key, value in {**inner, **values}.items() if not isinstance(value, dict | list)}
    fit = settings.get(f"{name}_fit")
    if isinstance(fit, dict) and "epochs" in fit:
        plain["epochs"] = fit["epochs"]
    words = ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in plain.items())
    return kind or "G2Rec", words


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _stages(run: Path) -> list[StageRecord]:
    files = sorted(run.rglob("stage.json"), key=lambda file: (file.stat().st_mtime, str(file)))
    records = [(file.parent.relative_to(run), read_record(file.parent)) for file in files]
    return [replace(record, name=" ".join(path.parts)) for path, record in records if record is not None]
