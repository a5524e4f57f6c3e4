"""``g2rec tokenizer subwords``: from a run's semantic IDs, by flags and by a settings file."""

from pathlib import Path

import numpy as np
import pytest

from g2rec.cli import main
from g2rec.graph import InteractionGraph
from g2rec.tokenizers import SemanticIds, SubwordTokens


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """As much of a run as the command needs."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 30, 400), rng.integers(0, 50, 400)
    graph = InteractionGraph.from_events(30, 50, users, items, None)
    graph.save(tmp_path / "run" / "graph" / "bipartite")
    codes = np.unique(rng.integers(0, 6, (90, 3)), axis=0)[:50].astype(np.int32)
    SemanticIds(codes, 6).save(tmp_path / "run" / "tokenizer" / "semantic_ids")
    return tmp_path / "run"


def test_ngrams_by_flag(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "subwords", str(run), "--subwords.ngrams", "[unigram]"]) == 0
    assert "18 ngram tokens, 3.0 an item" in capsys.readouterr().out
    tokens = SubwordTokens.load(run / "subwords")
    assert tokens.num_items == 50
    assert "unigram" in (run / "settings.yaml").read_text()


def test_sentencepiece_by_settings_file(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece", reason="the extra subwords is not installed")
    settings = tmp_path / "settings.yaml"
    settings.write_text("subwords: {kind: sentencepiece, vocabulary_size: 40}\n")
    assert main(["tokenizer", "subwords", str(run), "--config", str(settings)]) == 0
    assert 19 < SubwordTokens.load(run / "subwords").vocabulary_size <= 40


def test_a_run_without_ids_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "subwords", str(tmp_path)]) == 2
    assert "run g2rec tokenizer fit first" in capsys.readouterr().err
