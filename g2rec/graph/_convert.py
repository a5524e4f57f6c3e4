"""Graphs in the forms that other libraries take; each is imported only when asked for."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.errors import ConfigError, DataError
from g2rec.graph._bipartite import InteractionGraph
from g2rec.graph._coengagement import CoEngagementGraph

if TYPE_CHECKING:
    import networkx as nx
    from torch_geometric.data import Data, HeteroData

TO_ITEM = ("user", "engages", "item")
"""Edges by which items receive: the item rows."""
TO_USER = ("item", "engaged_by", "user")
"""Edges by which users receive: the user rows."""


def to_pyg(graph: InteractionGraph) -> "HeteroData":
    """A PyG ``HeteroData`` with node types user and item, and edge types of both directions.

    Edges (user, engages, item) run by item and (item, engaged_by, user) by user, and then by time: sorted by
    target, as PyG's own loaders want them (``is_sorted=True``). ``time`` is in seconds; ``weight`` is there
    where the graph has weights. The edges are copied, at 16 bytes each: for graphs that do not fit there are
    `pyg_data` and `g2rec.sampling.G2RecSampler`.
    """
    from torch_geometric.data import HeteroData

    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = graph.num_users, graph.num_items
    for kind, indptr, edges, other in _relations(graph):
        target = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        source = graph.indices[edges].astype(np.int64) - other
        data[kind].edge_index = torch.from_numpy(np.stack((source, target)))
        if graph.times is not None:
            data[kind].time = torch.from_numpy(np.array(graph.times[edges]))
        if graph.weights is not None:
            data[kind].weight = torch.from_numpy(np.array(graph.weights[edges]))
    return data


def pyg_data(graph: InteractionGraph, *, hetero: bool = True) -> "Data | HeteroData":
    """What PyG's loaders need to know of a graph whose edges `g2rec.sampling.G2RecSampler` samples in place.

    It holds the numbers of nodes and no edges, so it is small for any graph. Add features as usual
    (``data["item"].x = …``, a tensor or a memory-mapped numpy array); a batch holds those of its nodes, and
    ``n_id`` for embeddings. Times and weights of a batch's edges are looked up by ``e_id`` (see the sampler).

    Args:
        graph: The graph.
        hetero: Node types user and item as in `to_pyg`; else one type, where item i is node num_users + i.
    """
    from torch_geometric.data import Data, HeteroData

    none = torch.empty((2, 0), dtype=torch.int64)  # which the loaders replace by the edges of the batch
    if not hetero:
        return Data(edge_index=none, num_nodes=graph.num_nodes)
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = graph.num_users, graph.num_items
    data[TO_ITEM].edge_index = data[TO_USER].edge_index = none
    return data


def event_pairs(
    graph: InteractionGraph, events: NDArray[np.integer[Any]] | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Events as (user index, item index), [2, M], and their times, [M]: the seeds of a link loader.

    For PyG: ``LinkLoader(data, sampler, (("user", "engages", "item"), pairs), edge_label_time=times)``. PyG
    copies its seeds and shuffles them as a Python list, so take a random million of a large graph at a time.

    Args:
        graph: The graph.
        events: Which, numbered by user and then time; all if not given.

    Raises:
        DataError: If an event is out of range.
    """
    count = graph.num_edges // 2
    chosen = np.arange(count) if events is None else np.asarray(events, dtype=np.int64)
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < count:
        raise DataError(
            f"events must lie in [0, {count}), got {chosen.min()} to {chosen.max()}; "
            "they are numbered by user and then time"
        )
    users = np.searchsorted(graph.indptr[: graph.num_users + 1], chosen, side="right") - 1
    items = graph.indices[chosen].astype(np.int64) - graph.num_users
    times = None if graph.times is None else torch.from_numpy(np.asarray(graph.times[chosen], dtype=np.int64))
    return torch.from_numpy(np.stack((users, items))), times


def to_dgl(graph: InteractionGraph, *, hetero: bool = True, idtype: torch.dtype = torch.int64) -> Any:
    """A DGL graph, with ``edata`` ``time`` (seconds) and ``weight`` where the graph has them.

    It is made from the rows as they are (DGL's CSC), so nothing is sorted.

    Args:
        graph: The graph.
        hetero: Node and edge types as in `to_pyg`; else one type, where item i is node num_users + i.
        idtype: ``torch.int32`` takes half the memory and is sampled faster, below 2^31 edges.

    Raises:
        ConfigError: If DGL is not installed.
        DataError: If the edges are too many for ``idtype``.
    """
    try:
        import dgl
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"this needs DGL 1.1.3, which cannot be imported ({str(error).splitlines()[0]}); "
            "pip install 'g2rec[dgl]', under Python 3.11"
        ) from error
    if idtype == torch.int32 and graph.num_edges >= 2**31:
        raise DataError(f"32-bit ids hold fewer than 2^31 edges, got {graph.num_edges}; use torch.int64")

    def csc(indptr: NDArray[Any], sources: NDArray[Any]) -> tuple[str, tuple[torch.Tensor, ...]]:
        return "csc", (_tensor(indptr).to(idtype), _tensor(sources).to(idtype), torch.empty(0, dtype=idtype))

    if not hetero:
        whole = dgl.graph(csc(graph.indptr, graph.indices), num_nodes=graph.num_nodes, idtype=idtype)
        _set_edata(whole.edata, graph, slice(None))
        return whole
    relations = _relations(graph)
    whole = dgl.heterograph(
        {kind: csc(indptr, graph.indices[edges] - other) for kind, indptr, edges, other in relations},
        num_nodes_dict={"user": graph.num_users, "item": graph.num_items},
        idtype=idtype,
    )
    for kind, _, edges, _ in relations:
        _set_edata(whole.edges[kind].data, graph, edges)
    return whole


def to_networkx(graph: InteractionGraph | CoEngagementGraph) -> "nx.Graph[Any]":
    """A networkx graph; for graphs that fit a page.

    An `InteractionGraph` becomes a ``MultiGraph`` with a node attribute ``bipartite`` (0 user, 1 item) and
    edge attributes ``time`` in seconds and ``weight``, where it has them; a `CoEngagementGraph` a ``Graph``
    with ``weight``.
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
    columns = {"time": graph.times, "weight": graph.weights}
    held = {name: column[: len(users)].tolist() for name, column in columns.items() if column is not None}
    for at, (user, item) in enumerate(zip(users, graph.indices[: len(users)].tolist(), strict=True)):
        multi.add_edge(user, item, **{name: column[at] for name, column in held.items()})
    return multi


def _relations(
    graph: InteractionGraph,
) -> list[tuple[tuple[str, str, str], NDArray[np.int64], slice, int]]:
    """Each edge type with the offsets of its targets, its part of the edges, and the first source node."""
    cut = int(graph.indptr[graph.num_users])
    return [
        (TO_ITEM, graph.indptr[graph.num_users :] - cut, slice(cut, None), 0),
        (TO_USER, graph.indptr[: graph.num_users + 1], slice(0, cut), graph.num_users),
    ]


def _set_edata(edata: Any, graph: InteractionGraph, edges: slice) -> None:
    if graph.times is not None:
        edata["time"] = _tensor(graph.times[edges])
    if graph.weights is not None:
        edata["weight"] = _tensor(graph.weights[edges])


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """A tensor on the array's own memory, which may be mapped read-only: it must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.asarray(array))
