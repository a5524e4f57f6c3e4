"""The baselines that spell or predict codes, as stages of a run."""

import dataclasses
from pathlib import Path

import pytest
import torch
from toy_run import TOY

from g2rec.artifacts import StageRecord
from g2rec.recipes import load_recipe
from g2rec.recommenders import (
    RPG,
    TIGER,
    EncoderDecoderConfig,
    G2Rec,
    G2RecConfig,
    RPGConfig,
    SASRecConfig,
    TIGERConfig,
    TransformerConfig,
)
from g2rec.tokenizers import LETTERConfig, OPQConfig, RQVAEConfig
from g2rec.training import FitConfig
from g2rec.training.pipeline import TITLES, Run
from g2rec.training.run_config import RunConfig

SMALL = TransformerConfig(embedding_dim=16, num_layers=1, num_heads=2, dropout=0.0, max_len=10)
ONCE = FitConfig(epochs=1, batch_size=64, accelerator="cpu")
CONFIG = RunConfig(
    tokenizer=RQVAEConfig(num_levels=2, codebook_size=16, latent_dim=8, hidden_dims=(32,)),
    tokenizer_fit=ONCE,
    recommender=G2RecConfig(transformer=SMALL, beam_width=10),
    recommender_fit=ONCE,
    sasrec=SASRecConfig(transformer=SMALL),
    sasrec_fit=ONCE,
    tiger=TIGERConfig(
        transformer=EncoderDecoderConfig(
            embedding_dim=16, num_layers=1, num_heads=2, head_dim=8, feed_dim=32
        ),
        max_len=5,
        beam_width=10,
    ),
    tiger_fit=FitConfig(epochs=1, batch_size=256, accelerator="cpu"),
    rpg=RPGConfig(transformer=SMALL, tokenizer=OPQConfig(num_levels=4, codebook_size=8)),
    rpg_fit=ONCE,
    letter=LETTERConfig(num_clusters=4),
)
STAGES = {
    "tiger": ["interactions", "content_tokenizer", "baselines/tiger"],
    "tiger_decoder": ["interactions", "content_tokenizer", "baselines/tiger_decoder"],
    "letter": ["interactions", "baselines/sasrec_cosine", "baselines/letter"],
    "rpg": ["interactions", "baselines/rpg"],
}
KINDS = {"tiger": TIGER, "tiger_decoder": G2Rec, "letter": TIGER, "rpg": RPG}


@pytest.mark.parametrize("name", STAGES)
def test_a_run_fits_it_once_from_what_it_needs(name: str, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(TOY)
    recipe = load_recipe(str(tmp_path / "toy.yaml"))
    seen: list[StageRecord] = []
    first = Run(tmp_path / "run", recipe, CONFIG, announce=seen.append).baseline(name)  # type: ignore[arg-type]
    assert [stage.name for stage in seen] == STAGES[name]
    assert isinstance(first, KINDS[name])
    assert name in TITLES
    assert not (tmp_path / "run" / "baselines" / name / "checkpoints").exists()
    del seen[:]
    again = Run(tmp_path / "run", recipe, CONFIG, announce=seen.append).baseline(name)  # type: ignore[arg-type]
    assert all(stage.reused for stage in seen)
    before, after = first.state_dict(), again.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_other_weights_of_letter_are_another_stage(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(TOY)
    recipe = load_recipe(str(tmp_path / "toy.yaml"))
    run = Run(tmp_path / "run", recipe, CONFIG)
    one = run.baseline("letter").state_dict()["codes"]
    other = dataclasses.replace(CONFIG, letter=LETTERConfig(num_clusters=4, alignment_weight=5.0))
    seen: list[StageRecord] = []
    two = Run(tmp_path / "run", recipe, other, announce=seen.append).baseline("letter").state_dict()["codes"]
    assert [stage.reused for stage in seen] == [True, True, False]
    assert not torch.equal(one, two)
