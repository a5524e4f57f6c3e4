"""Every notebook runs in a kernel, shows its pictures, and is committed without outputs."""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

nbclient = pytest.importorskip("nbclient", reason="the test extra is not installed")
pytest.importorskip("ipykernel", reason="the test extra is not installed")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROMISES: dict[str, tuple[int, tuple[str, ...]]] = {
    "01_quickstart": (3, (r"agreement of interests and shelves: 0\.[89]", r"Lighthouse", r"manifest\.json")),
    "02_graphs_and_sampling": (5, (r"another batch: True", r"True False", r"million edges", r"HeteroData")),
    "03_interest_prototypes": (5, (r"16 planted interests", r"prototype 0: Interest")),
    "04_semantic_ids": (5, (r"RQ-VAE .* collided", r"\(\d+, \d+, \d+\) Interest", r"have neighbours")),
    "05_training_with_lightning": (3, (r"stopped after", r"bit by bit: True", r"item_id")),
    "06_leaderboard_and_ablations": (4, (r"SASRec", r"no prefix", r"p = ")),
    "07_bring_your_own_data": (3, (r"orders\.csv", r"recommends from", r"the server ended with 0")),
}
"""The fewest pictures of each notebook, and what its text must show."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_all_are_known() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(PROMISES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_clean_and_ends_with_something_to_try(path: Path) -> None:
    notebook = read(path)
    assert not [cell for cell in code_cells(notebook) if cell.outputs or cell.execution_count]
    assert notebook.cells[0].source.startswith("# ")
    assert "## Try it" in notebook.cells[-1].source
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search(r"from g2rec(\.\w+)*\._|import g2rec(\.\w+)*\._", text)  # public rooms only


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What kernels see: the checkout, one thread, and a home, cache and temporary folder of their own."""
    home = tmp_path_factory.mktemp("home")
    (home / "tmp").mkdir()
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "G2REC_CACHE": str(home / "cache"),
        "IPYTHONDIR": str(home / "ipython"),
        "TMPDIR": str(home / "tmp"),
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(
    path: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    here = tmp_path / "here"
    here.mkdir()
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(here)}}
    )
    client.execute(env=environment)
    assert not list(here.iterdir())  # everything goes into temporary folders
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    shown = "\n".join(
        output.get("text", "") + "".join(output.get("data", {}).get("text/plain", "")) for output in outputs
    )
    few, words = PROMISES[path.stem]
    assert len(pictures) >= few
    for word in words:
        assert re.search(word, shown), word
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not [text for text in complaints if "Warning" in text or "Error" in text]
