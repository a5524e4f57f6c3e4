"""A Hugging Face causal language model that spells semantic IDs, its vocabulary grown by their codes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.recommenders._base import RankedItems, Recommender, check_k, read_config
from g2rec.recommenders._decoding import Context, beam_search, score_items
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._transformer import KeysValues
from g2rec.recommenders._trie import PrefixTrie
from g2rec.shapes import Bool, Float, Int, Tensor

_ITEMS_AT_ONCE = 256
"""Items that `LanguageModel.score` spells side by side: the mask between them is square."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """A causal language model as the backbone."""

    path: str = ""
    """Local folder of a causal language model, as ``save_pretrained`` writes it; nothing is downloaded."""
    lora_rank: int = 0
    """Rank of the low-rank updates that are trained beside the token embeddings; 0 trains all weights."""
    max_len: int = 20
    """Items of history that are read; older ones are cut off."""
    beam_width: int = 50
    """Beams kept by the search; a longer list widens it."""

    def build(self, *, codes: np.ndarray[Any, Any], codebook_size: int) -> "LanguageModel":
        """The language model with a token for each code, not trained on any history yet.

        Args:
            codes: [I, L] semantic IDs, all different.
            codebook_size: Codes a level.

        Raises:
            ConfigError: If a value is out of range, there is no model at the path, or a package is missing.
            DataError: If the codes do not fit the codebook, or two items share an ID.
        """
        for name in ("max_len", "beam_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if self.lora_rank < 0:
            raise ConfigError(f"lora_rank must not be negative, got {self.lora_rank}; use 0 to train all")
        if int(codes.max(initial=0)) >= codebook_size or int(codes.min(initial=0)) < 0:
            raise DataError(
                f"codes must lie in 0 ... {codebook_size - 1}, got {codes.min()} ... {codes.max()}"
            )
        if not self.path or not (Path(self.path) / "config.json").is_file():
            raise ConfigError(
                f"expected a local folder of a causal language model, with config.json, got {self.path!r}; "
                "set path"
            )
        library = _transformers()
        try:
            backbone = library.AutoModelForCausalLM.from_pretrained(self.path, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"no causal language model can be read from {self.path}: {reason}") from error
        num_levels = codes.shape[1]
        first = int(backbone.get_input_embeddings().num_embeddings)
        backbone.resize_token_embeddings(first + num_levels * codebook_size + 1)
        for table in (backbone.get_input_embeddings(), backbone.get_output_embeddings()):
            with torch.no_grad():  # as large as the tokens that it knows, and no two alike
                table.weight[first:] = torch.randn_like(table.weight[first:]) * table.weight[:first].std()
        return LanguageModel(self, backbone.float(), np.asarray(codes), codebook_size, first)


class LanguageCache(NamedTuple):
    """What the language model keeps between levels: all beams of a user in one sequence, as a tree."""

    last: Float[Tensor, "B 1 D"]
    """Output at the last code of the history, which is all that level 0 needs."""
    past: tuple[KeysValues, ...]
    """For each block, [B, H, S, d]: the history, once a user, then one position a beam and level."""
    visible: Bool[Tensor, "B W S"]
    """What each beam may see of the past: the history and its own codes."""
    lengths: Int[Tensor, " B"]
    """Tokens of the history."""


class LanguageModel(Recommender):
    """A causal language model over histories of codes (LC-Rec: Zheng et al., ICDE 2024, arXiv 2311.09049).

    p(x_1 ... x_nL) = prod_t p(x_t | start, x_1 ... x_{t-1});  score_i = sum_l log p(c_il | history, c_i1 ...)

    Its vocabulary grows by a token for each code, ``<l{level}_{code}>``, and a start token; a history is the
    start and the codes of its items. With LoRA (Hu et al. 2022, arXiv 2106.09685; scale 2) only low-rank
    updates of the linear layers and the token embeddings are trained. Where LC-Rec has prompts in words and
    tasks that tie codes to titles, there are histories alone; and the softmax is over the codes of a level.

    The search is a tree in the backbone's own cache: a step feeds the latest codes of all beams as one
    sequence, at one position, with a mask that shows each beam the history and its own codes. So it takes
    backbones that read position_ids and 4-D masks (Llama, Qwen, Mistral, GPT-2 and most others).

    The saved folder holds all weights: the model it grew from is not needed any more.

    Args:
        config: What it was built with.
        backbone: The language model, with a row for each token.
        codes: [I, L] semantic IDs.
        codebook_size: V.
        first_token: The token of code 0 of level 0.
    """

    name = "language"
    config: LanguageModelConfig
    codes: Tensor

    def __init__(
        self,
        config: LanguageModelConfig,
        backbone: Any,
        codes: np.ndarray[Any, Any],
        codebook_size: int,
        first_token: int,
    ) -> None:
        super().__init__()
        self.config, self.codebook_size, self.first_token = config, codebook_size, first_token
        self.num_items, self.num_levels = codes.shape
        self.register_buffer("codes", torch.from_numpy(codes.astype(np.int32)))
        self.trie = PrefixTrie(codes)
        self.backbone = backbone
        self.start = first_token + self.num_levels * codebook_size
        if config.lora_rank:
            _inject_lora(backbone, config.lora_rank)
        self._share_head()

    @property
    def scores_all_items(self) -> bool:
        """It ranks by search."""
        return False

    @property
    def vocabulary(self) -> dict[str, int]:
        """The tokens that were added, by name."""
        names = {
            f"<l{level}_{code}>": self.first_token + level * self.codebook_size + code
            for level in range(self.num_levels)
            for code in range(self.codebook_size)
        }
        return {**names, "<start>": self.start}

    def tokens(self, items: Int[Tensor, "B T"]) -> Int[Tensor, "B P"]:
        """The start and the codes of each item; what stands at padded items is meaningless."""
        offset = self.first_token + torch.arange(self.num_levels, device=items.device) * self.codebook_size
        return F.pad((self.codes[items.clamp(min=0)] + offset).flatten(1), (1, 0), value=self.start)

    def loss(self, items: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of a code, in nats, over right-padded sequences."""
        hidden = self._read(input_ids=self.tokens(items)[:, :-1], use_cache=False).last_hidden_state
        valid = items >= 0
        hidden = hidden.unflatten(1, (items.shape[1], self.num_levels))[valid]
        logits = torch.einsum("pld,lvd->plv", hidden, self._head().to(hidden.dtype)).float()
        return F.cross_entropy(logits.flatten(0, 1), self.codes[items[valid]].long().flatten())

    def begin(self, context: Context) -> LanguageCache:
        """Keys and values of the history, once a user; the context is items [B, T] and lengths [B].

        The padding stands on the right, where causality hides it.
        """
        items, lengths = context
        tokens = self.tokens(items)
        past = _transformers().DynamicCache()
        hidden = self._read(input_ids=tokens, past_key_values=past, use_cache=True).last_hidden_state
        lengths = lengths * self.num_levels + 1
        rows = torch.arange(len(tokens), device=tokens.device)
        visible = torch.arange(tokens.shape[1], device=tokens.device) < lengths.unsqueeze(1)
        return LanguageCache(
            hidden[rows, lengths - 1].unsqueeze(1), _layers(past), visible.unsqueeze(1), lengths
        )

    def step(
        self,
        cache: LanguageCache,
        level: int,
        codes: Int[Tensor, "B W l"],
        parents: Int[Tensor, "B W"] | None,
    ) -> tuple[Float[Tensor, "B W V"], LanguageCache]:
        """Log-probabilities of the code that follows each beam, among those of its level."""
        hidden = cache.last
        if level and parents is not None:
            B, W, _ = codes.shape
            seen = cache.visible.gather(1, parents.unsqueeze(2).expand(-1, -1, cache.visible.shape[2]))
            itself = torch.eye(W, dtype=torch.bool, device=codes.device).expand(B, -1, -1)
            visible = torch.cat([seen, itself], dim=2)
            dtype = cache.last.dtype
            mask = torch.zeros(visible.shape, dtype=dtype, device=codes.device)
            past = _transformers().DynamicCache()  # grows; the tensors of the cache stay as they are
            for at, (keys, values) in enumerate(cache.past):
                past.update(keys, values, at)
            hidden = self._read(
                input_ids=codes[:, :, -1] + self.first_token + (level - 1) * self.codebook_size,
                position_ids=(cache.lengths + level - 1).unsqueeze(1).expand(B, W),
                attention_mask=mask.masked_fill(~visible, torch.finfo(dtype).min).unsqueeze(1),
                past_key_values=past,
                use_cache=True,
            ).last_hidden_state
            cache = LanguageCache(cache.last, _layers(past), visible, cache.lengths)
        logits = F.linear(hidden, self._head()[level].to(hidden.dtype))
        return logits.float().log_softmax(-1), cache

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Log-probability of every item, exactly; slow, and meant for checks."""
        context = self._context(batch)
        parts = torch.split(self.codes.long(), _ITEMS_AT_ONCE)
        return torch.cat([score_items(self, context, part.unsqueeze(0)) for part in parts], dim=1)

    def rank(self, batch: HistoryBatch, k: int, *, exclude: Bool[Tensor, "B I"] | None = None) -> RankedItems:
        """The ``k`` best items that the search finds.

        Raises:
            ConfigError: If ``k`` is larger than the catalogue.
        """
        check_k(k, self.num_items)
        width = max(self.config.beam_width, k)
        found = beam_search(self, self.trie, self._context(batch), width, exclude)
        return RankedItems(found.items[:, :k], found.scores[:, :k])

    def _context(self, batch: HistoryBatch) -> tuple[Tensor, Tensor]:
        batch = batch.last(self.config.max_len)
        return batch.items, batch.lengths

    def _read(self, **inputs: Any) -> Any:
        return self.backbone.base_model(**inputs)

    def _head(self) -> Float[Tensor, "L V D"]:
        rows = self.backbone.get_output_embeddings().weight[self.first_token : self.start]
        out: Tensor = rows.view(self.num_levels, self.codebook_size, -1)
        return out

    def _share_head(self) -> None:
        """Save a table that is both input and output once, and give it back to both."""
        named = {id(weight): name for name, weight in self.named_parameters(remove_duplicate=True)}
        shared = {
            name: named[id(weight)]
            for name, weight in self.named_parameters(remove_duplicate=False)
            if named[id(weight)] != name
        }

        def leave_out(module: Any, state: dict[str, Tensor], prefix: str, meta: Any) -> None:
            for name in shared:
                del state[prefix + name]

        def put_back(module: Any, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
            for name, kept in shared.items():
                state[prefix + name] = state[prefix + kept]

        self.register_state_dict_post_hook(leave_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(put_back)  # type: ignore[no-untyped-call]

    def meta(self) -> Mapping[str, Any]:
        """Shapes of the IDs, and the backbone's own settings."""
        return {
            "codebook_size": self.codebook_size,
            "num_levels": self.num_levels,
            "first_token": self.first_token,
            "backbone": json.loads(self.backbone.config.to_json_string(use_diff=False)),
        }

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved shape, without the folder it grew from."""
        library = _transformers()
        settings = dict(folder.meta["backbone"])
        backbone = library.AutoModelForCausalLM.from_config(
            library.AutoConfig.for_model(settings.pop("model_type"), **settings)
        )
        codes = folder.tensors("state")["codes"].numpy()
        config = read_config(LanguageModelConfig, folder.manifest["config"])
        size, first = int(folder.meta["codebook_size"]), int(folder.meta["first_token"])
        return cls(config, backbone.float(), codes, size, first)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(
            "a language model as the backbone needs transformers; pip install 'g2rec[language]'"
        ) from error
    return transformers


def _inject_lora(backbone: Any, rank: int) -> None:
    """Freeze the backbone but for its token embeddings, and put low-rank updates beside its linear layers."""
    try:
        import peft
    except ImportError as error:
        raise ConfigError("lora_rank needs peft; pip install 'g2rec[language]'") from error
    lora = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    peft.inject_adapter_in_model(lora, backbone)
    for table in (backbone.get_input_embeddings(), backbone.get_output_embeddings()):
        table.weight.requires_grad_(True)


def _layers(past: Any) -> tuple[KeysValues, ...]:
    """Keys and values of each block; before version 4.54 transformers kept them in two lists."""
    if hasattr(past, "layers"):
        return tuple(KeysValues(layer.keys, layer.values) for layer in past.layers)
    return tuple(KeysValues(*pair) for pair in zip(past.key_cache, past.value_cache, strict=True))
