"""Settings changed by dotted names: values, classes, and what is refused."""

from typing import Any

import pytest

from g2rec.errors import ConfigError
from g2rec.graph import CoEngagementConfig
from g2rec.prototypes import ModularityConfig, RandomPrototypesConfig
from g2rec.tokenizers import RQKMeansConfig, RQVAEConfig
from g2rec.training.overrides import check_settings, override
from g2rec.training.run_config import RunConfig


def test_values_classes_and_values_of_classes() -> None:
    changed = override(
        RunConfig(),
        {
            "seed": 3,
            "recommender.feed": "none",
            "recommender.transformer.dropout": 0,
            "encoder_fit.learning_rate": 1,
            "evaluation.cutoffs": [5, 10],
            "baselines": ["popularity"],
            "coengagement.window": 4,
            "prototypes": "ModularityConfig",
            "prototypes.num_prototypes": 7,
            "tokenizer": {"class_path": "RQKMeansConfig", "init_args": {"num_levels": 2}},
        },
    )
    assert changed.seed == 3 and changed.recommender.feed == "none"
    assert changed.recommender.transformer.dropout == 0.0
    assert isinstance(changed.encoder_fit.learning_rate, float)
    assert changed.evaluation.cutoffs == (5, 10) and changed.baselines == ("popularity",)
    assert changed.coengagement == CoEngagementConfig(window=4)
    assert changed.prototypes == ModularityConfig(num_prototypes=7)
    assert changed.tokenizer == RQKMeansConfig(num_levels=2)
    assert override(changed, {"coengagement": None, "tokenizer": "RQVAEConfig"}).tokenizer == RQVAEConfig()
    assert override(changed, {"prototypes": "RandomPrototypesConfig"}).prototypes == RandomPrototypesConfig()
    assert override(changed, {"prototypes.init_args.gamma": 2}).prototypes.gamma == 2.0  # type: ignore[union-attr]
    assert override(changed, {}) == changed


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recomender.feed": "none"}, r"no setting recomender.feed; known here are seed"),
        ({"seed.x": 1}, "no setting seed.x"),
        ({"prototypes.rounds": 1}, r"no setting prototypes.rounds; known here are"),
        ({"recommender.feed": "infix"}, "one of prefix, interleaved, none for recommender.feed, got 'infix'"),
        ({"seed": "one"}, "a whole number for seed, got 'one'"),
        ({"seed": True}, "a whole number for seed, got True"),
        ({"recommender": None}, "G2RecConfig for recommender, got None"),
        ({"evaluation.cutoffs": 10}, "a list for evaluation.cutoffs, got 10"),
        ({"prototypes": "Prototypes"}, "GraphHeadConfig or ModularityConfig"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        override(RunConfig(), changes)


def test_ranges_are_checked_before_anything_runs() -> None:
    check_settings(RunConfig())
    with pytest.raises(ConfigError, match="num_prefix"):
        check_settings(override(RunConfig(), {"recommender.num_prefix": 0}))
