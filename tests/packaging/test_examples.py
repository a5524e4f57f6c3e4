"""The examples of docs/rooms.md run, one after the other, on a small synthetic log."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "rooms.md").read_text(), re.DOTALL)


def test_there_is_one_for_each_room_and_all_are_short() -> None:
    text = "\n".join(EXAMPLES)
    for room in ("graph", "encoders", "prototypes", "tokenizers", "recommenders"):
        assert f"from g2rec.{room} import" in text
    assert max(example.count("\n") for example in EXAMPLES) < 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_they_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("G2REC_CACHE", str(tmp_path / "cache"))
    recipe = (ROOT / "graphs" / "synthetic.yaml").read_text()
    recipe = recipe.replace("num_users: 2000", "num_users: 100").replace("num_items: 1000", "num_items: 150")
    (tmp_path / "small.yaml").write_text(recipe.replace("num_interests: 16", "num_interests: 8"))
    namespace: dict[str, Any] = {}
    for number, example in enumerate(EXAMPLES, start=1):
        code = example.replace('"ml-100k"', '"small.yaml"').replace("epochs=3", "epochs=1")
        exec(compile(code, f"docs/rooms.md, example {number}", "exec"), namespace)
    assert (tmp_path / "runs" / "mine" / "bundle" / "manifest.json").is_file()
