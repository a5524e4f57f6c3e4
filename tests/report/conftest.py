"""A run's folder as `g2rec run` leaves it, of the toy bundle."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from toy_bundle import NUM_ITEMS, make_bundle

from g2rec.bundle import Bundle
from g2rec.report import write_report

DAY = 86_400
SETTINGS = """
encoder:
  class_path: g2rec.encoders._lightgcn.LightGCNConfig
  init_args: {embedding_dim: 16, user_table: false}
encoder_fit: {epochs: 6}
recommender: {transformer: {num_heads: 2}, ranking: hybrid, note: <b>}
"""


def timed() -> Bundle:
    """The toy bundle with a time for each event and titles that are markup."""
    bundle = make_bundle()
    titles = [f"<img src=x onerror=alert({index})> Item & {index}" for index in range(NUM_ITEMS)]
    log = bundle.interactions
    time = 1_000_000_000 + DAY * np.tile(np.arange(8), log.num_users) + log.user_index
    items = log.items.set_column(1, "title", pa.array(titles))
    return dataclasses.replace(bundle, interactions=dataclasses.replace(log, items=items, time=time))


def figures(recall: float) -> dict[str, Any]:
    def measured(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean * 0.9, "high": mean * 1.1}

    part = {"recall@10": measured(recall), "ndcg@10": measured(recall / 2)}
    sides = {
        name: {"num_users": users, **part}
        for name, users in (("head", 5), ("torso", 4), ("tail", 3), ("cold", 0))
    }
    counts = {"coverage@10": 0.25, "seconds": 1.5, "parameters": 1000}
    return {"unmasked": part, "masked": part, "slices": sides, **counts}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return fill(tmp_path / "run")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page with all of its sections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("g2rec.report._drift._LEAST", 5)  # the toy log is short
        return write_report(fill(tmp_path_factory.mktemp("page") / "run")).as_uri()


def fill(folder: Path) -> Path:
    timed().save(folder / "bundle")
    stage = folder / "encoder"
    for session in ("version_0", "version_1"):
        (stage / "logs" / "csv" / session).mkdir(parents=True)
    known = {"name": "encoder", "key": "k", "line": "12 users & 30 items", "seconds": 2.0}
    (stage / "stage.json").write_text(json.dumps(known))
    (stage / "logs" / "csv" / "version_0" / "metrics.csv").write_text(
        "epoch,step,train_loss,val_ndcg@10\n0,1,2.5,\n0,1,,0.1\n1,2,2.0,\n"
    )
    (stage / "logs" / "csv" / "version_1" / "metrics.csv").write_text(
        "epoch,step,train_loss,val_ndcg@10\n1,2,1.5,0.2\n"
    )
    (folder / "settings.yaml").write_text(SETTINGS)
    metrics = {
        "recipe": "toy",
        "split": "leave_one_out",
        "ties": "shuffle",
        "seed": 0,
        "date": "2026-01-02",
        "hardware": "a test",
        "num_users": 12,
        "left_out_when_masked": 0,
        "models": {"Popularity": figures(0.2), "G2Rec": figures(0.3)},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder
