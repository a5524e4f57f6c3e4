"""The sampler in plain torch operations: any device, every mode; the numbers of nodes rise within a hop."""

from collections.abc import Callable

import torch

from g2rec.sampling._device_graph import DeviceGraph
from g2rec.sampling._device_random import bits, draw, row_key
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Bool, Int, Tensor

Chooser = Callable[[Tensor, Tensor, int, bool], tuple[Tensor, Tensor]]

_ROWS = 1 << 15
"""Rows with excluded neighbours handled at once; each draws a few hundred numbers."""


def sample(
    graph: DeviceGraph,
    fanouts: tuple[int, ...],
    replace: bool,
    degrees: bool,
    seeds: Int[Tensor, " S"],
    cuts: Int[Tensor, " S"] | None,
    excluded: "Excluded | None",
    keys: list[int],
    choose_fused: Chooser | None = None,
) -> SampledSubgraph:
    """Sample one batch.

    Args:
        graph: The graph.
        fanouts: Neighbours per node in each hop; -1 takes all.
        replace: Draw with replacement.
        degrees: Also look up the degree of every node.
        seeds: Nodes, on the graph's device, which may repeat.
        cuts: Times; with them every seed is a tree of its own.
        excluded: Pairs not to be sampled.
        keys: Of the hops.
        choose_fused: Does what `choose` does, for fan-outs from 1 to 32.
    """
    num_nodes, device = graph.num_nodes, seeds.device
    if cuts is None:
        distinct, rank = torch.unique(seeds, return_inverse=True)
        first = torch.full_like(distinct, len(seeds)).scatter_reduce_(
            0, rank, torch.arange(len(seeds), device=device), "amin"
        )
        order = torch.argsort(first)
        nodes = distinct[order]
        seed_index = torch.argsort(order)[rank]
    else:
        nodes, seed_index = seeds, torch.arange(len(seeds), device=device)
    # A node is known by tree * N + node; without times there is one tree.
    known = nodes if cuts is None else seed_index * num_nodes + nodes
    sizes, edge_sizes = [len(known)], []
    all_sources, all_targets, all_degrees = [], [], []
    start = num_edges = 0
    for fanout, key in zip(fanouts, keys, strict=True):
        frontier = known[start:]
        row_nodes, trees, begin, degree = _rows(graph, frontier, cuts)
        all_degrees.append(degree)
        hop_key = row_key(key, row_nodes, trees)
        if fanout < 0:
            rows, positions = _whole_rows(begin, degree)
        else:
            chooser = choose_fused if choose_fused is not None and 0 < fanout <= 32 else choose
            offsets, valid = chooser(hop_key, degree, fanout, replace)
            if excluded is not None:
                special = torch.nonzero(excluded.touches(row_nodes) & (degree > 0))[:, 0]
                for part in torch.split(special, _ROWS):
                    offsets[part], valid[part] = excluded.positions(
                        graph, row_nodes[part], hop_key[part], begin[part], degree[part], fanout, replace
                    )
            rows = torch.arange(len(frontier), device=device)[:, None].expand_as(offsets)[valid]
            positions = begin[rows] + offsets[valid]
        found = graph.indices[positions].long()
        if fanout < 0 and excluded is not None:
            keep = ~excluded.contains(row_nodes[rows], found)
            rows, found = rows[keep], found[keep]
        wanted = found if trees is None else trees[rows] * num_nodes + found
        distinct, inverse = torch.unique(wanted, return_inverse=True)
        in_order, place = torch.sort(known)
        at = torch.searchsorted(in_order, distinct).clamp_(max=max(len(known) - 1, 0))
        seen = in_order[at] == distinct if len(known) else torch.zeros_like(distinct, dtype=torch.bool)
        new = len(known) + torch.cumsum(~seen, 0) - 1
        local = torch.where(seen, place[at], new) if len(known) else new
        all_sources.append(local[inverse])
        all_targets.append(rows + start)
        start = len(known)
        known = torch.cat((known, distinct[~seen]))
        num_edges += len(rows)
        sizes.append(len(known))
        edge_sizes.append(num_edges)
    if degrees:
        all_degrees.append(_rows(graph, known[start:], cuts)[3])
    return SampledSubgraph(
        nodes=known if cuts is None else known % num_nodes,
        num_seeds=sizes[0],
        nodes_per_hop=tuple(sizes),
        edge_index=torch.stack((torch.cat(all_sources), torch.cat(all_targets))),
        edges_per_hop=tuple(edge_sizes),
        seed_index=seed_index,
        degrees=torch.cat(all_degrees) if degrees else known[:0],
    )


def _rows(
    graph: DeviceGraph, known: Int[Tensor, " R"], cuts: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Nodes, trees, where the rows begin, and their degrees before the cuts."""
    if cuts is None:
        begin = graph.indptr[known]
        return known, None, begin, graph.indptr[known + 1] - begin
    trees = torch.div(known, graph.num_nodes, rounding_mode="floor")
    nodes = known - trees * graph.num_nodes
    begin, end = graph.indptr[nodes], graph.indptr[nodes + 1]
    assert graph.times is not None
    cut = cuts[trees]
    low, high = begin, end
    for _ in range(graph.max_degree.bit_length()):
        middle = torch.div(low + high, 2, rounding_mode="floor")
        open_ = low < high
        early = open_ & (graph.times[torch.where(open_, middle, 0)] < cut)
        low = torch.where(early, middle + 1, low)
        high = torch.where(open_ & ~early, middle, high)
    return nodes, trees, begin, low - begin


def _whole_rows(begin: Int[Tensor, " R"], degree: Int[Tensor, " R"]) -> tuple[Tensor, Tensor]:
    """Row and position of every neighbour."""
    rows = torch.repeat_interleave(torch.arange(len(begin), device=begin.device), degree)
    before = torch.cumsum(degree, 0) - degree
    return rows, torch.arange(len(rows), device=begin.device) + (begin - before)[rows]


def choose(
    keys: Int[Tensor, " R"], degree: Int[Tensor, " R"], fanout: int, replace: bool
) -> tuple[Int[Tensor, "R k"], Bool[Tensor, "R k"]]:
    """Places drawn within each row, and which of them count."""
    j = torch.arange(fanout, device=keys.device)
    size = degree[:, None]
    if replace:
        return draw(keys[:, None], j, size), (size > 0).repeat(1, fanout)
    top = size - fanout + j
    drawn = draw(keys[:, None], j, (top + 1).clamp_(min=0))
    chosen = drawn.clone()
    for column in range(1, fanout):  # Floyd 1987: a uniform subset in as many draws as it has members
        taken = (chosen[:, :column] == drawn[:, column, None]).any(1)
        chosen[:, column] = torch.where(taken, top[:, column], drawn[:, column])
    return torch.where(size <= fanout, j, chosen), j < size


class Excluded:
    """Pairs of nodes whose edges, in both directions, are not to be sampled."""

    def __init__(self, exclude: tuple[Tensor, Tensor], device: torch.device) -> None:
        a, b = (side.detach().to(device, torch.int64) for side in exclude)
        self._pairs = torch.unique(torch.cat((a << 32 | b, b << 32 | a)))
        self._nodes = torch.unique(self._pairs >> 32)

    def __len__(self) -> int:
        return len(self._pairs)

    def touches(self, nodes: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Which nodes have excluded neighbours."""
        return _among(self._nodes, nodes)

    def contains(self, nodes: Int[Tensor, "..."], neighbours: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Which pairs are excluded."""
        return _among(self._pairs, nodes << 32 | neighbours)

    def positions(
        self, graph: DeviceGraph, nodes: Tensor, keys: Tensor, begin: Tensor, degree: Tensor, fanout: int,
        replace: bool,
    ) -> tuple[Int[Tensor, "R k"], Bool[Tensor, "R k"]]:  # fmt: skip
        """Places drawn uniformly among those that are not excluded.

        The first that are allowed among ``8 * fanout + 32`` draws, as the CPU engine does it. A row that has
        too few of them then (or is short to begin with) is read as a whole, and what it lacks is drawn among
        what remains. Both keep the distribution exact, whatever the number of excluded edges.
        """
        tries, device = 8 * fanout + 32, nodes.device
        counter = torch.arange(tries, device=device)
        drawn = draw(keys[:, None], 2 * counter, degree[:, None])
        allowed = ~self.contains(nodes[:, None], graph.indices[begin[:, None] + drawn].long())
        if not replace:
            allowed &= (degree > 2 * fanout)[:, None]
            in_order, place = torch.sort(drawn, dim=1, stable=True)
            repeated = torch.zeros_like(allowed)
            repeated[:, 1:] = in_order[:, 1:] == in_order[:, :-1]
            allowed &= ~torch.zeros_like(allowed).scatter_(1, place, repeated)
        rank = torch.cumsum(allowed, 1) - 1
        allowed &= rank < fanout
        chosen = torch.full((len(nodes), fanout), -1, device=device)
        row, column = torch.nonzero(allowed, as_tuple=True)
        chosen[row, rank[row, column]] = drawn[row, column]
        count = allowed.sum(1)

        short = torch.nonzero(count < fanout)[:, 0]
        row, position = _whole_rows(begin[short], degree[short])
        row = short[row]
        keep = ~self.contains(nodes[row], graph.indices[position].long())
        place = position - begin[row]
        if not replace:
            keep &= (chosen[row] != place[:, None]).all(1)
        row, place = row[keep], place[keep]
        if not replace:  # those with the smallest random numbers
            order = torch.argsort(bits(keys[row], 2 * tries + 1 + place))
            order = order[torch.argsort(row[order], stable=True)]
            row, place = row[order], place[order]
        left = torch.bincount(row, minlength=len(nodes))
        first = torch.cumsum(left, 0) - left
        column = count[row] + torch.arange(len(row), device=device) - first[row]
        if replace:
            j = torch.arange(fanout, device=device)
            pick = first[:, None] + draw(keys[:, None], 2 * tries + j, left[:, None])
            fill = (chosen < 0) & (left > 0)[:, None]
            chosen[fill] = place[pick[fill]]
        else:
            keep = column < fanout
            chosen[row[keep], column[keep]] = place[keep]
        return chosen.clamp(min=0), chosen >= 0


def _among(in_order: Int[Tensor, " n"], values: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """Which values are in a sorted tensor that is not empty."""
    at = torch.searchsorted(in_order, values).clamp_(max=len(in_order) - 1)
    return in_order[at] == values
