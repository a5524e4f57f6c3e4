"""`import g2rec`: a table in, recommendations out."""

import gc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from toy_run import TINY, TOY

import g2rec
from g2rec.cli import main
from g2rec.errors import ConfigError, DataError
from g2rec.interactions import Interactions

FAST: dict[str, Any] = yaml.safe_load(TINY)


@pytest.fixture(scope="module")
def tables(toy: Interactions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Events and items of somebody who never heard of this package."""
    kinds = toy.items["dominant_interest"].to_pylist()
    events = {
        "customer": [f"c{user}" for user in toy.user_index],
        "sku": [f"sku-{item}" for item in toy.item_index],
        "when": list(range(toy.num_events)),
    }
    items = {
        "sku": [f"sku-{item}" for item in range(toy.num_items)],
        "name": [f"thing {item} of kind {kind}" for item, kind in enumerate(kinds)],
    }
    return events, items


COLUMNS = {"user": "customer", "item": "sku", "time": "when", "title": "name"}


@pytest.fixture(scope="module")
def bundle(tables: tuple[Any, Any]) -> g2rec.Bundle:
    return g2rec.fit(*tables, **COLUMNS, config=FAST)


def test_ten_lines(tables: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events, items = (pa.table(table) for table in tables)

    bundle = g2rec.fit(events, items, user="customer", item="sku", time="when", title="name", config=FAST)
    table = bundle.recommend(["sku-17", "sku-4"], k=5)
    for interest, weight in bundle.explain(["sku-17", "sku-4"]).interests:
        print(f"{weight:.0%} {interest.name}")
    bundle = bundle.add_items({"item_id": ["sku-new"], "name": ["thing 90 of kind 3"]})
    bundle.save("my-bundle")
    again = g2rec.load("my-bundle")
    nearest = again.similar("sku-new", k=3)

    assert table.column_names == ["item_id", "title", "score"]
    assert table.num_rows == 5
    assert nearest.num_rows == 3
    assert again.search("thing 90")["item_id"].to_pylist() == ["sku-new"]
    assert [path.name for path in tmp_path.iterdir()] == ["my-bundle"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_give_what_tables_give(tables: tuple[Any, Any], bundle: g2rec.Bundle, library: str) -> None:
    frames = pytest.importorskip(library)
    events, items = (frames.DataFrame(table) for table in tables)
    other = g2rec.fit(events, items, **COLUMNS, config=FAST)
    for history, plain in ((["sku-1"], ["sku-1"]), (events["sku"][:3], tables[0]["sku"][:3])):
        found, expected = other.recommend(history), bundle.recommend(plain)
        assert found["item_id"].equals(expected["item_id"])
        # two fits on two threads agree but for the last bits of their sums
        np.testing.assert_allclose(found["score"].to_numpy(), expected["score"].to_numpy(), rtol=1e-3)
    new = frames.DataFrame({"item_id": ["sku-new"], "name": ["thing 90 of kind 3"]})
    assert other.tokenize(new).num_rows == 1


def test_filtered_and_categorical_pandas_columns() -> None:
    from g2rec.interactions import as_table

    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": ["x", "y", "x"], "b": [1, 2, 3]})
    frame["a"] = frame["a"].astype("category")
    table = as_table(frame[frame["b"] != 2])
    assert table.column_names == ["a", "b"]
    assert table["a"].type == pa.string()
    assert table["a"].to_pylist() == ["x", "x"]


def test_a_kept_run_is_a_run_of_the_commands(
    tables: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    settings = tmp_path / "fast.yaml"
    settings.write_text(TINY)
    events = tmp_path / "events.csv"
    rows = zip(*tables[0].values(), strict=True)
    events.write_text("customer,sku,when\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    bundle = g2rec.fit(events, dict(tables[1]), **COLUMNS, config=settings, out=out, evaluate=True)
    assert (out / "metrics.json").is_file()
    assert main(["recommend", str(out), "--history", "[sku-1]", "--k", "3"]) == 0
    assert main(["report", str(out)]) == 0
    capsys.readouterr()
    again = g2rec.fit(events, dict(tables[1]), **COLUMNS, config=settings, out=out)
    assert all(line.endswith("[reused]") for line in capsys.readouterr().out.splitlines())
    assert again.recommend(["sku-1"]).equals(bundle.recommend(["sku-1"]))
    assert g2rec.load(out).recommend(["sku-1"]).equals(bundle.recommend(["sku-1"]))


def test_nothing_is_kept_unless_wanted(
    tables: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bundle = g2rec.fit(*tables, **COLUMNS, config=FAST)
    assert list(tmp_path.iterdir())  # its arrays are mapped from there
    bundle.recommend(["sku-1"])
    del bundle
    gc.collect()
    assert not list(tmp_path.iterdir())
    narrow = {"num_levels": 1, "codebook_size": 2, "latent_dim": 8, "hidden_dims": [8]}
    tokenizer = {"class_path": "RQVAEConfig", "init_args": narrow}
    with pytest.raises(ConfigError, match="make 2 IDs"):
        g2rec.fit(*tables, **COLUMNS, config={**FAST, "tokenizer": tokenizer})
    assert not list(tmp_path.iterdir())


def test_a_run_stage_by_stage(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(TOY)
    run = g2rec.run(tmp_path / "toy.yaml", FAST, out=tmp_path / "run")
    assert run.interactions.num_items == 90
    assert run.graphs[0].num_users == 150
    assert (tmp_path / "run" / "settings.yaml").is_file()
    assert not (tmp_path / "run" / "encoder").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("no-such-preset", "a settings file or a preset"),
        ({"encodr": {}}, "config has the unknown key encodr; known keys are seed"),
        ({"seed": "many"}, "seed"),
        ({"recommender_fit": {"epoch": 3}}, "epoch"),
        ({"tokenizer": {"class_path": "RQVAEConfig", "init_args": {"rounds": 3}}}, "rounds"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tables: tuple[Any, Any], config: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        g2rec.fit(*tables, **COLUMNS, config=config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": "client"}, "events.*client"),
        ({"title": "label"}, "items.*label"),
        ({"item": "when"}, "items"),
    ],
)
def test_a_wrong_column_is_one_sentence(tables: tuple[Any, Any], changes: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        g2rec.fit(*tables, **{**COLUMNS, **changes}, config=FAST)


def test_what_python_says_is_not_about_the_command_line(tables: tuple[Any, Any]) -> None:
    events, items = tables
    wrong: list[tuple[type[Exception], dict[str, Any], str]] = [
        (DataError, {"user": "client"}, "has customer, sku, when; name one of them as user"),
        (DataError, {"items": items, "text": "label"}, "items has no column label"),  # not a letter of it
        (ConfigError, {"title": "name"}, "needs a table of items; give items as well"),
        (DataError, {"events": {**events, "sku": [["x"]] * len(events["sku"])}}, "should hold ids"),
        (ConfigError, {"config": {"seed": "many"}}, "seed"),
        (ConfigError, {"config": {"tokenizer": {"class_path": "RQVAEConfig", "init_args": {"rounds": 3}}}},
         "as the class_path of tokenizer"),
    ]  # fmt: skip
    for kind, changes, words in wrong:
        with pytest.raises(kind, match=re.escape(words)) as caught:
            g2rec.fit(**{"events": events, "user": "customer", "item": "sku", **changes})
        assert "--" not in str(caught.value)


def test_a_bundle_says_what_it_is_in_one_line(bundle: g2rec.Bundle) -> None:
    said = repr(bundle)
    assert said.startswith("Bundle(events: 150 users × 90 items × ")
    assert "5 interests, IDs of 2 levels of 16 codes" in said
    assert len(said) < 200


def test_a_table_without_events_is_refused() -> None:
    events = {"user": [None, None], "item": ["x", "y"]}
    with pytest.raises(DataError, match="no row of events has user and item"):
        g2rec.fit(events)
    with pytest.raises(DataError, match="expected a table"):
        g2rec.fit(np.arange(3))


def test_importing_is_light() -> None:
    code = (
        "import sys, g2rec; assert {'fit', 'load', 'run', 'Bundle'} <= set(dir(g2rec)); "
        "print('torch' in sys.modules); g2rec.Bundle, g2rec.load; "
        "print('lightning' in sys.modules); g2rec.nothing"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\nFalse\n"
    assert "module 'g2rec' has no attribute 'nothing'" in done.stderr


def test_what_is_offered_is_documented() -> None:
    for name in g2rec.__all__:
        if name != "__version__":
            assert (getattr(g2rec, name).__doc__ or "").strip(), name
            assert f"`{name}`" in (g2rec.__doc__ or "")
