"""Planted interests come back: slow, for it trains an encoder on a graph of a few hundred items."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.model_selection import cross_val_predict

from g2rec.encoders import LightGCNConfig
from g2rec.graph import build_coengagement, build_graph
from g2rec.interactions import prepare
from g2rec.prototypes import GraphHeadConfig
from g2rec.recipes import SyntheticConfig, load_recipe, read_dataset
from g2rec.training import FitConfig, fit_encoder

PLANTED = SyntheticConfig(num_users=1_500, num_items=800, num_interests=12, noise=0.3, seed=1)


@pytest.mark.slow
def test_the_head_finds_planted_interests_that_content_does_not_tell(tmp_path):
    recipe = dataclasses.replace(load_recipe("synthetic"), synthetic=PLANTED)
    log = prepare(read_dataset(recipe), recipe)
    graph = build_graph(log)
    fitted = fit_encoder(
        log,
        graph,
        build_coengagement(log),
        LightGCNConfig(),
        GraphHeadConfig(num_prototypes=PLANTED.num_interests),
        FitConfig(epochs=10, batch_size=1024, learning_rate=5e-3, accelerator="cpu"),
        tmp_path,
        0,
    )
    known = graph.item_degrees() >= 20
    planted = np.array(log.items["dominant_interest"].to_pylist())[known]
    found = adjusted_mutual_info_score(planted, fitted.prototypes.dominant()[known])
    probe = cross_val_predict(LogisticRegression(C=0.03, max_iter=2000), log.content[known], planted, cv=5)
    content = adjusted_mutual_info_score(planted, probe)
    print(f"AMI with the planted interests: head {found:.3f}, supervised content probe {content:.3f}")
    assert found >= 0.9
    assert found > content + 0.2
