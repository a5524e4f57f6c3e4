"""Write the language model of codes as a Hugging Face folder that `LlamaForCausalLM` reads."""

from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from g2rec.artifacts import write_json
from g2rec.recommenders._code_lm import CodeLM
from g2rec.shapes import Tensor


def export_llama(model: CodeLM, folder: Path) -> None:
    """Write a model for the Hugging Face tools: the same function, weight for weight.

    The folder gets ``config.json``, ``generation_config.json``, ``model.safetensors``, ``vocab.json`` (the
    token of each code, ``<level_code>``, and of the start) and ``semantic_ids.npy`` (int32 [I, L]: the codes
    of each item, without level offsets). A prompt is the start token and the codes of the history.

    Args:
        model: What to write.
        folder: Where; made if it does not exist, and files of these names are overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    transformer = model.config.transformer
    weights = _weights(model)
    dim, heads = transformer.embedding_dim, transformer.num_heads
    settings = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.start + 1,
        "hidden_size": dim,
        "intermediate_size": weights["model.layers.0.mlp.gate_proj.weight"].shape[0],
        "num_hidden_layers": transformer.num_layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": dim // heads,
        "hidden_act": "silu",
        "max_position_embeddings": model.max_positions,
        "rms_norm_eps": model.transformer.norm.eps,
        "rope_theta": 10_000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
    tokens = {"bos_token_id": model.start, "eos_token_id": None, "pad_token_id": model.start}
    write_json(folder / "config.json", {**settings, **tokens})
    write_json(folder / "generation_config.json", {**tokens, "max_new_tokens": model.num_levels})
    vocabulary = {
        f"<{level}_{code}>": level * model.codebook_size + code
        for level in range(model.num_levels)
        for code in range(model.codebook_size)
    }
    write_json(folder / "vocab.json", {**vocabulary, "<start>": model.start})
    np.save(folder / "semantic_ids.npy", model.codes.cpu().numpy().astype(np.int32))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _weights(model: CodeLM) -> dict[str, Tensor]:
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    out = {
        "model.embed_tokens.weight": state["token_embedding.weight"],
        "model.norm.weight": state["transformer.norm.weight"],
    }
    for layer in range(model.config.transformer.num_layers):
        ours, theirs = f"transformer.blocks.{layer}", f"model.layers.{layer}"
        parts = {
            "self_attn.{}_proj": (("q", "k", "v"), state[f"{ours}.qkv.weight"].chunk(3)),
            "mlp.{}_proj": (("gate", "up"), state[f"{ours}.gate_up.weight"].chunk(2)),
        }
        for pattern, (names, tensors) in parts.items():
            for name, tensor in zip(names, tensors, strict=True):
                out[f"{theirs}.{pattern.format(name)}.weight"] = tensor
        for name, mine in {
            "self_attn.o_proj": "out",
            "mlp.down_proj": "down",
            "input_layernorm": "norm_attention",
            "post_attention_layernorm": "norm_feed",
        }.items():
            out[f"{theirs}.{name}.weight"] = state[f"{ours}.{mine}.weight"]
    return {name: tensor.contiguous() for name, tensor in out.items()}
