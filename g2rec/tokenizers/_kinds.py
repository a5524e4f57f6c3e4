"""The tokenizers that there are, and reading any of them."""

import dataclasses
import typing
from pathlib import Path
from typing import Any

from g2rec.artifacts import open_folder
from g2rec.errors import ArtifactError
from g2rec.tokenizers._base import ItemTokenizer
from g2rec.tokenizers._opq import OPQConfig
from g2rec.tokenizers._rqkmeans import RQKMeansConfig
from g2rec.tokenizers._rqvae import RQVAEConfig

TokenizerConfig = RQVAEConfig | RQKMeansConfig | OPQConfig
"""Settings of any tokenizer. The RQ-VAE trains; each of the others is fitted in one call of its ``fit``."""


def load_tokenizer(path: Path) -> ItemTokenizer:
    """Read the folder of any tokenizer."""
    folder = open_folder(path, "tokenizer")
    settings = dict(folder.meta["config"])
    name = settings.pop("type")
    kinds: dict[str, Any] = {kind.__name__: kind for kind in typing.get_args(TokenizerConfig)}
    if name not in kinds:
        raise ArtifactError(
            f"{path} holds a tokenizer of kind {name}, known are {', '.join(kinds)}; fit again"
        )
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    known = {field.name for field in dataclasses.fields(kinds[name])}
    if set(settings) != known:
        odd = ", ".join(sorted(set(settings) ^ known))
        raise ArtifactError(f"{path} was written with other settings ({odd}); fit the tokenizer again")
    tokenizer: ItemTokenizer = kinds[name](**settings).build(**folder.meta["blocks"])
    tokenizer.load_state_dict(folder.tensors("weights"))
    return tokenizer.eval()
