"""Rebuilding a saved encoder."""

from pathlib import Path

from g2rec.artifacts import open_folder
from g2rec.encoders._base import GraphEncoder
from g2rec.encoders._lightgcn import LightGCNConfig
from g2rec.encoders._sage import GraphSAGEConfig
from g2rec.errors import ArtifactError


def load_encoder(path: Path) -> GraphEncoder:
    """Rebuild the encoder that ``GraphEncoder.save`` wrote.

    Raises:
        ArtifactError: If the folder is missing or damaged, or holds an encoder that is not known here.
    """
    folder = open_folder(path, "graph_encoder")
    fields = dict(folder.meta["encoder"])
    kind = fields.pop("type")
    sizes = (int(folder.meta[name]) for name in ("num_users", "num_items", "content_dim"))
    encoder: GraphEncoder
    if kind == "LightGCNConfig":
        encoder = LightGCNConfig(**fields).build(*sizes)
    elif kind == "GraphSAGEConfig":
        encoder = GraphSAGEConfig(**fields).build(*sizes)
    else:
        raise ArtifactError(f"expected a LightGCN or GraphSAGE encoder at {path}, found {kind}; fit it again")
    encoder.load_state_dict(folder.tensors("weights"))
    return encoder.eval()
