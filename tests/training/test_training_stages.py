"""Which settings redo which stage, and the random control, on a run that takes seconds."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_run import TINY, TOY

from g2rec.artifacts import StageRecord, fingerprint
from g2rec.cli import main
from g2rec.encoders import LightGCNConfig
from g2rec.errors import ArtifactError, ConfigError
from g2rec.prototypes import InterestPrototypes, RandomPrototypesConfig
from g2rec.recipes import load_recipe
from g2rec.tokenizers import RQVAEConfig, load_tokenizer
from g2rec.training import FitConfig
from g2rec.training.encoder import LinkConfig
from g2rec.training.pipeline import Run
from g2rec.training.run_config import RunConfig

SHORT = FitConfig(epochs=2, batch_size=512, accelerator="cpu")
CONFIG = RunConfig(
    encoder=LightGCNConfig(embedding_dim=8),
    links=LinkConfig(num_edges=64, num_negatives=16, num_in_batch=16, warmup_epochs=1),
    prototypes=RandomPrototypesConfig(num_prototypes=7, nonzeros=3),
    encoder_fit=SHORT,
    tokenizer=RQVAEConfig(num_levels=2, codebook_size=16, latent_dim=8, hidden_dims=(16,)),
    tokenizer_fit=SHORT,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    (folder / "toy.yaml").write_text(TOY)
    tokenize(folder)
    return folder


def tokenize(folder: Path, **settings: Any) -> tuple[Run, dict[str, StageRecord]]:
    """A run up to its tokenizers, and what became of each stage."""
    seen: dict[str, StageRecord] = {}
    run = Run(
        folder / "run",
        load_recipe(str(folder / "toy.yaml")),
        dataclasses.replace(CONFIG, **settings),
        announce=lambda record: seen.setdefault(record.name, record),
    )
    _ = run.tokenizer, run.content_tokenizer
    return run, seen


def test_the_random_control_goes_through_the_stages(home: Path) -> None:
    tokenize(home)
    run, seen = tokenize(home)
    assert all(record.reused for record in seen.values())
    assert run.encoder.head is None
    before, after = run.encoder.prototypes, run.tokenizer.prototypes
    assert after is not None
    for found in (before, after):
        assert found.method == "random"
        assert found.num_prototypes == 7
        assert found.indices.shape == (run.interactions.num_items, 3)
    # Joint training moves the vectors; who belongs to what stays as it was drawn.
    assert np.array_equal(before.indices, after.indices)
    assert np.array_equal(before.weights, after.weights)
    assert not np.allclose(before.vectors, after.vectors, atol=1e-7)
    interests = np.array(run.interactions.items["dominant_interest"].to_pylist())
    share = np.bincount(before.dominant()[interests == interests[0]], minlength=7).max()
    assert share < 0.6 * (interests == interests[0]).sum()  # without meaning


def test_a_bad_control_is_refused_before_anything_is_trained(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("g2rec.training.pipeline.fit_encoder", None)
    for nonzeros in (0, 8):
        bad = RandomPrototypesConfig(num_prototypes=7, nonzeros=nonzeros)
        with pytest.raises(ConfigError, match=f"between 1 and num_prototypes=7, got {nonzeros}"):
            tokenize(home, prototypes=bad)


@pytest.mark.parametrize(
    "settings",
    [{"joint": "frozen"}, {"joint": "off"}, {"tokenizer_inputs": "graph"}, {"tokenizer_inputs": "content"}],
)
def test_what_is_tokenized_and_how_redoes_the_tokenizer_alone(home: Path, settings: dict[str, Any]) -> None:
    key = tokenize(home)[1]["tokenizer"].key
    _, seen = tokenize(home, **settings)
    assert [name for name, record in seen.items() if not record.reused] == ["tokenizer"]
    assert seen["tokenizer"].key != key


def test_other_control_other_prototypes(home: Path) -> None:
    kept = tokenize(home)[0].encoder.prototypes
    run, seen = tokenize(home, prototypes=RandomPrototypesConfig(num_prototypes=9, nonzeros=2))
    assert {name for name, record in seen.items() if not record.reused} == {"encoder", "tokenizer"}
    assert run.encoder.prototypes.num_prototypes == 9 != kept.num_prototypes


def test_the_random_control_from_a_settings_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag changes the control that the file names, and the run's folder keeps it for the next command."""
    monkeypatch.chdir(home)
    head = "GraphHeadConfig, init_args: {num_prototypes: 5, nonzeros: 2}"
    assert head in TINY
    Path("random.yaml").write_text(TINY.replace(head, "RandomPrototypesConfig"))
    build = ["graph", "build", "toy.yaml", "--config", "random.yaml", "--out", "by-command"]
    assert main([*build, "--prototypes.num_prototypes", "6"]) == 0
    assert main(["encoder", "fit", "by-command", "--prototypes.nonzeros", "9"]) == 2
    assert "between 1 and num_prototypes=6, got 9; lower it" in capsys.readouterr().err
    assert main(["encoder", "fit", "by-command", "--prototypes.nonzeros", "2"]) == 0
    assert main(["tokenizer", "fit", "by-command", "--joint", "off", "--tokenizer_inputs", "content"]) == 0
    assert "6 prototypes" in capsys.readouterr().out
    found = InterestPrototypes.load(Path("by-command/tokenizer/prototypes"))
    assert (found.method, found.num_prototypes, found.indices.shape[1]) == ("random", 6, 2)


def test_another_tokenizer_at_the_same_path_redoes_what_began_from_it(home: Path, tmp_path: Path) -> None:
    run, _ = tokenize(home)
    kept = run.folder / "tokenizer" / "tokenizer"
    shutil.copytree(kept, tmp_path / "earlier")
    begun = dataclasses.replace(CONFIG.tokenizer, start=str(tmp_path / "earlier"))
    settings = dataclasses.replace(CONFIG, tokenizer=begun)
    recipe = load_recipe(str(home / "toy.yaml"))

    def key() -> str:
        return fingerprint(Run(tmp_path / "run", recipe, settings).settings_of("tokenizer"))

    before = key()
    assert key() == before
    earlier = load_tokenizer(tmp_path / "earlier")
    with torch.no_grad():
        next(earlier.parameters()).add_(1.0)
    earlier.save(tmp_path / "earlier")
    assert key() != before
    shutil.rmtree(tmp_path / "earlier")
    with pytest.raises(ArtifactError, match="expected a folder of kind tokenizer"):
        key()
