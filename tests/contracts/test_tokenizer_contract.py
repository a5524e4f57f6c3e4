"""What every tokenizer must do, run through each of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from g2rec.errors import ConfigError, DataError
from g2rec.tokenizers import (
    ItemTokenizer,
    OPQConfig,
    RQKMeansConfig,
    RQVAEConfig,
    SemanticIds,
    collision_rate,
    load_tokenizer,
)

NUM_ITEMS, CONTENT, EMBEDDING = 120, 10, 6


def features() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, CONTENT + EMBEDDING))
    joined = centres[rng.integers(0, 8, NUM_ITEMS)] + 0.1 * rng.normal(size=(NUM_ITEMS, CONTENT + EMBEDDING))
    return joined[:, :CONTENT].astype(np.float32) * 50 + 7, joined[:, CONTENT:].astype(np.float32)


class TokenizerContract:
    """Subclassed by each tokenizer."""

    def make(self, content: int = CONTENT, embedding: int = EMBEDDING, **settings: Any) -> ItemTokenizer:
        raise NotImplementedError

    def fitted(self, start: ItemTokenizer | None = None, seed: int = 0, **settings: Any) -> ItemTokenizer:
        tokenizer: Any = self.make(**settings)
        fit = tokenizer.fit if hasattr(tokenizer, "fit") else tokenizer.start
        fit(*features(), seed=seed, start=start)
        return tokenizer  # type: ignore[no-any-return]

    def test_ids_are_unique_and_within_the_codebook(self) -> None:
        ids = self.fitted().tokenize(*features())
        assert ids.codes.shape == (NUM_ITEMS, 3)
        assert ids.codes.dtype == np.int32
        assert 0 <= ids.codes.min() <= ids.codes.max() < 16
        assert collision_rate(ids.codes) == 0
        assert ids.report["collision_rate"] == 0
        assert len(ids.report["levels"]) == 3
        assert 0 < ids.report["levels"][0]["usage"] <= 1

    def test_near_items_share_the_first_code(self) -> None:
        content, embedding = features()
        codes = self.fitted().tokenize(content, embedding).codes
        same = codes[:, 0][:, None] == codes[:, 0][None]
        gap = np.square(embedding[:, None] - embedding[None]).sum(axis=2)
        assert gap[same].mean() < 0.5 * gap[~same].mean()

    def test_reload_gives_the_same_ids(self, tmp_path: Path) -> None:
        tokenizer = self.fitted()
        ids = tokenizer.tokenize(*features())
        tokenizer.save(tmp_path / "tokenizer")
        ids.save(tmp_path / "ids")
        loaded = load_tokenizer(tmp_path / "tokenizer")
        assert loaded.config == tokenizer.config
        assert np.array_equal(loaded.tokenize(*features()).codes, ids.codes)
        again = SemanticIds.load(tmp_path / "ids")
        assert np.array_equal(again.codes, ids.codes)
        assert again.report == ids.report

    def test_begun_from_an_earlier_one_items_keep_their_codes(self) -> None:
        earlier = self.fitted()
        codes = earlier.tokenize(*features()).codes
        again = self.fitted(start=earlier, seed=1).tokenize(*features()).codes
        assert (again[:, 0] == codes[:, 0]).mean() > 0.9
        with pytest.raises(ConfigError, match="of the same inputs, levels and sizes"):
            self.fitted(start=self.fitted(num_levels=2))

    def test_new_items_join_their_like_and_take_no_held_id(self) -> None:
        content, embedding = features()
        tokenizer = self.fitted()
        ids = tokenizer.tokenize(content, embedding)
        new = tokenizer.tokenize_new(content[:30], embedding[:30], taken=ids)
        assert collision_rate(np.concatenate([ids.codes, new])) == 0
        assert (new[:, 0] == ids.codes[:30, 0]).mean() > 0.9
        alone = tokenizer.tokenize_new(content[:1], embedding[:1])
        assert alone.shape == (1, 3)

    def test_identical_items(self) -> None:
        content = np.ones((NUM_ITEMS, CONTENT), np.float32)
        ids = self.fitted().tokenize(content, np.ones((NUM_ITEMS, EMBEDDING), np.float32))
        assert collision_rate(ids.codes) == 0
        assert ids.report["collision_rate_before"] == pytest.approx(1 - 1 / NUM_ITEMS)

    def test_fitting_on_identical_items(self) -> None:
        tokenizer: Any = self.make(embedding=0)
        content = np.ones((NUM_ITEMS, CONTENT), np.float32)
        (tokenizer.fit if hasattr(tokenizer, "fit") else tokenizer.start)(content, seed=0)
        assert collision_rate(tokenizer.tokenize(content).codes) == 0

    def test_dedup_token_adds_a_level(self) -> None:
        ids = self.fitted(collisions="dedup_token").tokenize(*features())
        assert ids.num_levels == 4
        assert collision_rate(ids.codes) == 0

    def test_more_items_than_ids_is_refused(self) -> None:
        tokenizer = self.fitted(num_levels=1)
        with pytest.raises(
            ConfigError, match="1 levels of 16 codes make 16 IDs, the catalogue has 120 items"
        ):
            tokenizer.tokenize(*features())

    def test_missing_or_broken_input_is_refused(self) -> None:
        content, embedding = features()
        tokenizer = self.fitted()
        with pytest.raises(DataError, match="takes content and embedding, got content"):
            tokenizer.tokenize(content)
        with pytest.raises(DataError, match=r"content of shape \[items, 10\], got \(120, 6\)"):
            tokenizer.tokenize(embedding, embedding)
        content[17, 3] = np.nan
        with pytest.raises(DataError, match="content of item 17 is not finite"):
            tokenizer.tokenize(content, embedding)

    def test_no_input_at_all_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="got neither"):
            self.make(content=0, embedding=0)


class TestRQKMeans(TokenizerContract):
    def make(self, content: int = CONTENT, embedding: int = EMBEDDING, **settings: Any) -> ItemTokenizer:
        chosen = {"num_levels": 3, "codebook_size": 16, **settings}
        return RQKMeansConfig(**chosen).build(content=content, embedding=embedding)


class TestOPQ(TokenizerContract):
    def make(self, content: int = CONTENT, embedding: int = EMBEDDING, **settings: Any) -> ItemTokenizer:
        chosen = {"num_levels": 3, "codebook_size": 16, **settings}
        return OPQConfig(**chosen).build(content=content, embedding=embedding)


class TestRQVAE(TokenizerContract):
    def make(self, content: int = CONTENT, embedding: int = EMBEDDING, **settings: Any) -> ItemTokenizer:
        chosen = {"num_levels": 3, "codebook_size": 16, "latent_dim": 8, "hidden_dims": (32,), **settings}
        return RQVAEConfig(**chosen).build(content=content, embedding=embedding)


class TestRQVAEMovingAverage(TestRQVAE):
    def make(self, content: int = CONTENT, embedding: int = EMBEDDING, **settings: Any) -> ItemTokenizer:
        return super().make(content, embedding, codebook_update="ema", **settings)
