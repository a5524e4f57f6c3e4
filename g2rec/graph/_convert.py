"""Graphs in the forms that other libraries take; both are imported only when asked for."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from g2rec.graph._bipartite import InteractionGraph
from g2rec.graph._coengagement import CoEngagementGraph

if TYPE_CHECKING:
    import networkx as nx
    from torch_geometric.data import HeteroData


def to_pyg(graph: InteractionGraph) -> "HeteroData":
    """A PyG ``HeteroData`` with node types user and item, and edge types of both directions.

    Edges (user, engages, item) run by user and then time; (item, engaged_by, user) are the item rows.
    ``time`` is in seconds.
    """
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = graph.num_users, graph.num_items
    cut = int(graph.indptr[graph.num_users])
    degrees = graph.degrees()
    for kind, rows, edges, own, other in (
        (("user", "engages", "item"), slice(0, graph.num_users), slice(0, cut), 0, graph.num_users),
        (("item", "engaged_by", "user"), slice(graph.num_users, None), slice(cut, None), graph.num_users, 0),
    ):
        nodes = np.arange(graph.num_nodes, dtype=np.int64)[rows]
        source = np.repeat(nodes, degrees[rows]) - own
        target = graph.indices[edges].astype(np.int64) - other
        data[kind].edge_index = torch.from_numpy(np.stack((source, target)))
        if graph.times is not None:
            data[kind].time = torch.from_numpy(np.array(graph.times[edges]))
    return data


def to_networkx(graph: InteractionGraph | CoEngagementGraph) -> "nx.Graph[Any]":
    """A networkx graph; for graphs that fit a page.

    An `InteractionGraph` becomes a ``MultiGraph`` with a node attribute ``bipartite`` (0 user, 1 item) and
    an edge attribute ``time`` in seconds; a `CoEngagementGraph` a ``Graph`` with ``weight``.
    """
    import networkx as nx

    if isinstance(graph, CoEngagementGraph):
        plain: nx.Graph[Any] = nx.Graph()
        plain.add_nodes_from(range(graph.num_items))
        source, target, weight = graph.edge_list()
        once = source < target
        plain.add_weighted_edges_from(
            zip(source[once].tolist(), target[once].tolist(), weight[once].tolist(), strict=True)
        )
        return plain
    multi: nx.MultiGraph[Any] = nx.MultiGraph()
    multi.add_nodes_from(range(graph.num_users), bipartite=0)
    multi.add_nodes_from(range(graph.num_users, graph.num_nodes), bipartite=1)
    users = np.repeat(np.arange(graph.num_users), graph.degrees()[: graph.num_users]).tolist()
    items = graph.indices[: len(users)].tolist()
    if graph.times is None:
        multi.add_edges_from(zip(users, items, strict=True))
    else:
        for user, item, time in zip(users, items, graph.times[: len(users)].tolist(), strict=True):
            multi.add_edge(user, item, time=time)
    return multi
