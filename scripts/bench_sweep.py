"""Does stability, which needs no labels, tell which prototypes are the planted interests?

    python scripts/bench_sweep.py --interests 16 64 --noise 0.3 0.5

Sweeps C and gamma on synthetic graphs, and sets what `sweep_prototypes` measures beside the adjusted mutual
information (AMI) of the prototypes with the items' planted interests. Prints a table, and last one JSON line.
"""

import argparse
import dataclasses
import json

import numpy as np
from _refusal import refusal
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_mutual_info_score

from g2rec.graph import build_coengagement
from g2rec.interactions import prepare
from g2rec.prototypes import ModularityConfig, choose_prototypes, fit_modularity, sweep_prototypes
from g2rec.recipes import SyntheticConfig, load_recipe, read_dataset


def measure(interests: int, noise: float, numbers: list[int], gammas: list[float]) -> dict[str, object]:
    """One graph: its table, the chosen setting, and the rank correlations with the truth."""
    recipe = load_recipe("synthetic")
    plan = SyntheticConfig(noise=noise, num_interests=interests, num_items=max(1000, 30 * interests))
    recipe = dataclasses.replace(recipe, synthetic=plan)
    log = prepare(read_dataset(recipe), recipe)
    graph = build_coengagement(log)
    truth = np.asarray(log.items["dominant_interest"].to_numpy())
    rows = sweep_prototypes(graph, num_prototypes=numbers, gammas=gammas)
    nothing = np.ones((graph.num_items, 1), dtype=np.float32)
    print(f"\n{interests} interests, noise {noise}: {graph.num_items} items, {graph.num_edges:,} edges")
    print("    C  gamma  stability  at gamma 1  perplexity    AMI")
    scores = []
    for row in rows:
        config = ModularityConfig(num_prototypes=row.num_prototypes, gamma=row.gamma)
        fitted = fit_modularity(graph, nothing, config, seed=0)
        scores.append(float(adjusted_mutual_info_score(truth, fitted.dominant())))
        print(
            f"{row.num_prototypes:>5}  {row.gamma:>5g}  {row.stability:>9.3f}  {row.modularity_one:>10.3f}  "
            f"{row.usage_perplexity:>10.1f}  {scores[-1]:>5.3f}",
            flush=True,
        )
    chosen = choose_prototypes(rows)
    found = scores[rows.index(chosen)]
    stability = float(spearmanr([row.stability for row in rows], scores)[0])
    modularity = float(spearmanr([row.modularity_one for row in rows], scores)[0])
    best = max(scores)
    print(
        f"chosen C = {chosen.num_prototypes}, gamma = {chosen.gamma:g}: AMI {found:.3f}, best {best:.3f}\n"
        f"rank correlation with AMI: stability {stability:.2f}, modularity at gamma 1 {modularity:.2f}"
    )
    return {
        "interests": interests,
        "noise": noise,
        "chosen": [chosen.num_prototypes, chosen.gamma],
        "ami_chosen": found,
        "ami_best": best,
        "correlation_stability": stability,
        "correlation_modularity": modularity,
    }


def main() -> None:
    """All graphs of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interests", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.3, 0.5])
    parser.add_argument("--num_prototypes", type=int, nargs="+", default=[4, 16, 64, 128])
    parser.add_argument("--gammas", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    given = parser.parse_args()
    results = [
        measure(interests, noise, given.num_prototypes, given.gammas)
        for noise in given.noise
        for interests in given.interests
    ]
    print()
    print(json.dumps(results))


if __name__ == "__main__":
    with refusal():
        main()
