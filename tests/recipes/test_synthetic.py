"""The planted-interest graph: its noise, its content, and that its interests can be found at all."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.model_selection import cross_val_predict

from g2rec.errors import ConfigError
from g2rec.recipes import SyntheticConfig, generate, load_recipe, read_dataset

SMALL = SyntheticConfig(num_users=300, num_items=200, num_interests=8, events_per_user=20)


def arrays(data):
    return data.events["user"].to_numpy(), data.events["item"].to_numpy()


def test_the_same_seed_gives_the_same_graph():
    first, second = generate(SMALL), generate(SMALL)
    assert first.events.equals(second.events)
    assert np.array_equal(first.content, second.content)
    other = SyntheticConfig(num_users=300, num_items=200, num_interests=8, events_per_user=20, seed=1)
    assert not first.events.equals(generate(other).events)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 0.5])
def test_noise_is_the_share_of_events_outside_a_users_interests(noise):
    config = SyntheticConfig(num_users=1000, num_items=400, num_interests=12, noise=noise)
    data = generate(config)
    user, item = arrays(data)
    user_interests, item_interests = data.users["interests"].to_pylist(), data.items["interests"].to_pylist()
    outside = [not set(user_interests[u]) & set(item_interests[i]) for u, i in zip(user, item, strict=True)]
    assert np.mean(outside) == pytest.approx(noise, abs=0.02)
    assert sum(data.users["num_outside"].to_pylist()) == sum(outside)


def test_the_story_holds():
    data = generate(SMALL)
    user, item = arrays(data)
    assert len(np.unique(user * 200 + item)) == len(user)  # nobody repeats
    time = data.events["time"].to_numpy()
    assert (np.diff(time) >= 0).all()
    assert {len(row) for row in data.items["interests"].to_pylist()} == {1, 2, 3}
    assert {len(row) for row in data.users["interests"].to_pylist()} == {2, 3, 4}
    assert data.items["dominant_interest"].to_pylist() == [
        row[0] for row in data.items["interests"].to_pylist()
    ]
    assert min(data.items["dominant_weight"].to_pylist()) > 0.5
    assert data.items["title"][3].as_py().endswith("item 003")
    counts = np.sort(np.bincount(item, minlength=200))[::-1]
    assert counts[:20].sum() > 3 * counts[-20:].sum()  # a power law, not a plain


def test_events_reveal_the_interests_and_content_alone_does_not():
    config = SyntheticConfig()
    data = generate(config)
    truth = data.items["dominant_interest"].to_numpy()
    probe = cross_val_predict(LogisticRegression(C=0.1, max_iter=300), data.content, truth, cv=5)
    assert 0.5 <= adjusted_mutual_info_score(truth, probe) <= 0.6

    user, item = arrays(data)
    clicks = sp.csr_matrix((np.ones(len(user)), (user, item)), shape=(config.num_users, config.num_items))
    together = (clicks.T @ clicks).toarray()
    np.fill_diagonal(together, 0)
    strength = together.sum(0) + 1
    surprise = np.log1p(np.maximum(together * strength.sum() / np.outer(strength, strength) - 1, 0))
    values, vectors = eigsh(surprise, k=config.num_interests, which="LA", v0=np.ones(config.num_items))
    places = vectors * np.sqrt(np.abs(values))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    found = KMeans(config.num_interests, n_init=3, random_state=0).fit_predict(places)
    often = np.bincount(item, minlength=config.num_items) >= 20
    assert adjusted_mutual_info_score(truth[often], found[often]) > 0.95


def test_the_recipe_reads_its_parameters():
    raw = read_dataset(load_recipe("synthetic"))
    assert raw.num_users == 2000
    assert raw.content is not None
    assert raw.content.shape == (1000, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": 1.0}, r"synthetic\.noise must lie in \[0, 1\), got 1\.0"),
        ({"num_items": 3}, "num_items must be at least 16, got 3"),
        ({"events_per_user": 2.0}, "events_per_user must be at least 5"),
    ],
)
def test_values_out_of_range(change, message):
    with pytest.raises(ConfigError, match=message):
        generate(SyntheticConfig(**change))
