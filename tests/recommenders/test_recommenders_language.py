"""A language model as the backbone: the tree of beams computes what one sequence after the other would."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from g2rec.errors import ConfigError
from g2rec.recommenders import (
    HistoryBatch,
    LanguageModel,
    LanguageModelConfig,
    beam_search,
    history_batch,
    load_recommender,
)

NUM_ITEMS, LEVELS, SIZE, WORDS = 30, 3, 5, 11
ROWS = ([], [1], [2, 3, 4], [5, 6, 7, 8, 9, 10])


def llama(*, tied: bool = False) -> transformers.PretrainedConfig:
    return transformers.LlamaConfig(
        vocab_size=WORDS, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=tied,
    )  # fmt: skip


def gpt2() -> transformers.PretrainedConfig:
    return transformers.GPT2Config(vocab_size=WORDS, n_positions=32, n_embd=16, n_layer=2, n_head=2)


def language_model(
    folder: Path, config: transformers.PretrainedConfig, *, lora_rank: int = 0
) -> LanguageModel:
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    every = np.array(list(itertools.product(range(SIZE), repeat=LEVELS)))
    codes = np.random.default_rng(0).permutation(every)[:NUM_ITEMS]
    settings = LanguageModelConfig(path=str(folder), lora_rank=lora_rank, max_len=4, beam_width=NUM_ITEMS)
    model = settings.build(codes=codes, codebook_size=SIZE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def histories(*rows: list[int]) -> HistoryBatch:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    return history_batch(indptr, items, np.arange(len(rows)))


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "lora_rank"),
    [(llama(), 0), (llama(), 2), (llama(tied=True), 2), (gpt2(), 0)],
    ids=["llama", "lora", "tied", "gpt2"],
)
def test_the_tree_of_beams_is_the_model_itself(
    config: transformers.PretrainedConfig, lora_rank: int, tmp_path: Path
) -> None:
    model = language_model(tmp_path, config, lora_rank=lora_rank)
    scores = model.score(histories(*ROWS))
    for row, history in enumerate(ROWS):
        kept = torch.tensor(history[-4:], dtype=torch.long)
        for item in (0, 7, 29):  # the sequence spelled out, by the backbone as it is, and no cache
            tokens = model.tokens(torch.cat([kept, torch.tensor([item])]).unsqueeze(0))
            logits = model.backbone(input_ids=tokens, use_cache=False).logits[0]
            assert logits.shape[1] == WORDS + LEVELS * SIZE + 1
            expected = 0.0
            for level in range(LEVELS):
                first = WORDS + level * SIZE
                log_p = logits[len(kept) * LEVELS + level, first : first + SIZE].log_softmax(-1)
                expected += float(log_p[model.codes[item, level].long()])
            assert float(scores[row, item]) == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
def test_a_narrow_beam_finds_items_with_their_exact_scores(tmp_path: Path) -> None:
    model = language_model(tmp_path, llama())
    batch = histories(*ROWS)
    exact = model.score(batch)
    for width in (1, 3, 8):
        read = batch.last(4)
        found = beam_search(model, model.trie, (read.items, read.lengths), width)
        torch.testing.assert_close(found.scores, exact.gather(1, found.items), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_loss_is_the_mean_over_codes_of_what_is_scored(tmp_path: Path) -> None:
    model = language_model(tmp_path, llama())
    loss = model.loss(torch.tensor([[4, 9, -1], [4, -1, -1]]))
    first = model.score(histories([]))[0, 4]
    second = model.score(histories([4]))[0, 9]
    torch.testing.assert_close(loss, -(2 * first + second) / (3 * LEVELS), rtol=1e-4, atol=1e-4)


def test_the_vocabulary_grows_by_a_token_a_code(tmp_path: Path) -> None:
    model = language_model(tmp_path, llama())
    assert len(model.vocabulary) == LEVELS * SIZE + 1
    assert model.vocabulary["<l0_0>"] == WORDS
    assert model.vocabulary["<l2_4>"] == WORDS + 14
    tokens = model.tokens(torch.tensor([[3]]))[0].tolist()
    names = [f"<l{level}_{code}>" for level, code in enumerate(model.codes[3].tolist())]
    assert tokens == [model.vocabulary[name] for name in ("<start>", *names)]


@pytest.mark.parametrize("tied", [False, True])
def test_lora_trains_the_updates_and_the_tokens_and_comes_back(tied: bool, tmp_path: Path) -> None:
    model = language_model(tmp_path / "hub", llama(tied=tied), lora_rank=2)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.0)
    model.loss(torch.tensor([[4, 9, 2]])).backward()
    optimizer.step()
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert any("lora_A" in name for name in moved)
    assert all("lora_" in name or "embed_tokens" in name or "lm_head" in name for name in moved)
    words = model.backbone.get_input_embeddings().weight[:WORDS]
    torch.testing.assert_close(words, before["backbone.model.embed_tokens.weight"][:WORDS])
    model.save(tmp_path / "model")
    for file in (tmp_path / "hub").iterdir():
        file.unlink()  # what it grew from is not needed any more
    back = load_recommender(tmp_path / "model")
    batch = histories(*ROWS)
    with torch.no_grad():
        assert torch.equal(back.score(batch), model.score(batch))


def test_what_is_no_language_model_is_one_sentence(tmp_path: Path) -> None:
    codes = np.array([[0, 1], [1, 0]])
    with pytest.raises(ConfigError, match=r"expected a local folder of a causal language model, .* got ''"):
        LanguageModelConfig().build(codes=codes, codebook_size=2)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="no causal language model can be read from"):
        LanguageModelConfig(path=str(tmp_path)).build(codes=codes, codebook_size=2)
    with pytest.raises(ConfigError, match="lora_rank must not be negative, got -1"):
        LanguageModelConfig(path=str(tmp_path), lora_rank=-1).build(codes=codes, codebook_size=2)
