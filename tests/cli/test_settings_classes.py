"""Flags and later files change the class of settings that was named before them, never another one."""

from pathlib import Path

import pytest

from g2rec.cli import main
from g2rec.cli import pipeline as commands
from g2rec.encoders import GraphSAGEConfig, LightGCNConfig
from g2rec.prototypes import GraphHeadConfig, ModularityConfig, RandomPrototypesConfig
from g2rec.tokenizers import OPQConfig, RQKMeansConfig, RQVAEConfig
from g2rec.training.run_config import RunConfig

OPQ = "tokenizer: {class_path: OPQConfig, init_args: {codebook_size: 32}}"
SAGE = "encoder: {class_path: GraphSAGEConfig, init_args: {num_layers: 3}}"
FREE = "prototypes: {class_path: ModularityConfig, init_args: {num_prototypes: 7}}"
RANDOM = "prototypes: {class_path: RandomPrototypesConfig, init_args: {num_prototypes: 7}}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch):
    """Settings with which ``g2rec run`` would start, from files' texts and flags."""
    seen: list[RunConfig] = []

    def run(recipe: str, settings: RunConfig) -> None:
        seen.append(settings)

    monkeypatch.setattr(commands, "run", run)

    def parse(files: list[str], *flags: str) -> RunConfig:
        configs = []
        for number, text in enumerate(files):
            Path(f"{number}.yaml").write_text(text)
            configs += ["--config", f"{number}.yaml"]
        assert main(["run", "synthetic", *configs, *flags]) == 0
        return seen[-1]

    return parse


@pytest.mark.parametrize(
    ("files", "flags", "field", "expected"),
    [
        ([OPQ], ["--tokenizer.num_levels", "4"], "tokenizer", OPQConfig(codebook_size=32, num_levels=4)),
        ([OPQ], ["--tokenizer.num_levels=4"], "tokenizer", OPQConfig(codebook_size=32, num_levels=4)),
        ([OPQ], ["--tokenizer.init_args.num_levels", "4"], "tokenizer",
         OPQConfig(codebook_size=32, num_levels=4)),
        ([OPQ], ["--tokenizer.rounds", "5", "--tokenizer.start", "4"], "tokenizer",
         OPQConfig(codebook_size=32, rounds=5, start="4")),
        ([OPQ, "tokenizer: {num_levels: 4}"], [], "tokenizer", OPQConfig(codebook_size=32, num_levels=4)),
        ([OPQ, "tokenizer: {init_args: {num_levels: 4}}"], [], "tokenizer",
         OPQConfig(codebook_size=32, num_levels=4)),
        ([], ["--tokenizer", "RQKMeansConfig", "--tokenizer.num_levels", "4"], "tokenizer",
         RQKMeansConfig(num_levels=4)),
        ([], ["--tokenizer=RQKMeansConfig", "--tokenizer.init_args.num_levels", "4"], "tokenizer",
         RQKMeansConfig(num_levels=4)),
        ([OPQ], ["--tokenizer", "RQKMeansConfig", "--tokenizer.num_levels", "4"], "tokenizer",
         RQKMeansConfig(codebook_size=32, num_levels=4)),
        ([OPQ], ["--tokenizer", "RQVAEConfig"], "tokenizer", RQVAEConfig(codebook_size=32)),
        ([], ["--tokenizer.num_levels", "4"], "tokenizer", RQVAEConfig(num_levels=4)),
        ([SAGE], ["--encoder.embedding_dim", "8"], "encoder", GraphSAGEConfig(num_layers=3, embedding_dim=8)),
        ([], ["--encoder", "GraphSAGEConfig", "--encoder.embedding_dim", "8"], "encoder",
         GraphSAGEConfig(embedding_dim=8)),
        ([], ["--encoder.embedding_dim", "8"], "encoder", LightGCNConfig(embedding_dim=8)),
        ([FREE], ["--prototypes.nonzeros", "2"], "prototypes",
         ModularityConfig(num_prototypes=7, nonzeros=2)),
        ([RANDOM], ["--prototypes.nonzeros", "2"], "prototypes",
         RandomPrototypesConfig(num_prototypes=7, nonzeros=2)),
        (["prototypes: {nonzeros: 2}"], ["--prototypes.num_prototypes", "7"], "prototypes",
         GraphHeadConfig(num_prototypes=7, nonzeros=2)),
    ],
)  # fmt: skip
def test_the_class_that_was_named_gets_the_setting(parsed, files, flags, field, expected) -> None:
    assert getattr(parsed(files, *flags), field) == expected


def test_a_run_goes_on_with_the_classes_it_keeps(parsed) -> None:
    """Its settings.yaml names them, as later commands on its folder read it."""
    settings = RunConfig(tokenizer=OPQConfig(rounds=3), prototypes=RandomPrototypesConfig())
    commands.write_settings(Path("kept/settings.yaml"), settings)
    found = parsed([Path("kept/settings.yaml").read_text()], "--tokenizer.num_levels", "4")
    assert found.tokenizer == OPQConfig(rounds=3, num_levels=4)
    assert found.prototypes == settings.prototypes


@pytest.mark.parametrize(
    ("text", "flags", "says"),
    [
        (OPQ, ["--tokenizer.latent_dim", "8"], ["OPQConfig", "latent_dim", "--tokenizer RQVAEConfig"]),
        (OPQ, ["--tokenizer.iterations", "8"], ["OPQConfig", "--tokenizer RQKMeansConfig"]),
        ("seed: 1", ["--tokenizer.rounds", "8"], ["RQVAEConfig", "rounds", "--tokenizer OPQConfig"]),
        (RANDOM, ["--prototypes.gamma", "2"], ["RandomPrototypesConfig", "gamma"]),
        (RANDOM, ["--prototypes.gama", "2"], ["gama", "num_prototypes, nonzeros"]),
        ("tokenizer: {num_levels: 3, rounds: 4}", [], ["RQVAEConfig", "rounds", "OPQConfig"]),
        ("tokenizer: {class_path: OPQConfig, num_levels: 3}", [], ["class_path", "init_args"]),
        ("tokenizer: {class_path: LightGCNConfig}", [], ["tokenizer"]),
    ],
)
def test_a_setting_of_another_class_is_refused(
    capsys: pytest.CaptureFixture[str], text: str, flags: list[str], says: list[str]
) -> None:
    Path("it.yaml").write_text(text)
    assert main(["run", "synthetic", "--config", "it.yaml", *flags]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("g2rec: ") and "\n" not in message
    assert all(part in message for part in says), message
    assert not Path("runs").exists()


def test_an_empty_settings_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.yaml").write_text("# nothing yet")
    assert main(["run", "synthetic", "--config", "empty.yaml"]) == 2
    assert "empty.yaml" in capsys.readouterr().err
