"""Two graphs of the training events: users with items in time, and items with items."""

from g2rec.graph._bipartite import InteractionGraph, build_graph
from g2rec.graph._build import build_from_log
from g2rec.graph._build_config import GraphBuildConfig
from g2rec.graph._build_log import find_files as find_log_files
from g2rec.graph._coengagement import CoEngagementGraph
from g2rec.graph._convert import TO_ITEM, TO_USER, event_pairs, pyg_data, to_dgl, to_networkx, to_pyg
from g2rec.graph._pages import available_bytes
from g2rec.graph._pairs import CoEngagementConfig, build_coengagement

__all__ = [
    "TO_ITEM",
    "TO_USER",
    "CoEngagementConfig",
    "CoEngagementGraph",
    "GraphBuildConfig",
    "InteractionGraph",
    "available_bytes",
    "build_coengagement",
    "build_from_log",
    "build_graph",
    "event_pairs",
    "find_log_files",
    "pyg_data",
    "to_dgl",
    "to_networkx",
    "to_pyg",
]
