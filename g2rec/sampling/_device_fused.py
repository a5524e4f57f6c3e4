"""One batch in two dozen kernels, recorded as a CUDA graph: the host waits once, to learn the sizes."""

import threading
from typing import Any

import torch

from g2rec.sampling import _device_triton as kernels
from g2rec.sampling._device_graph import DeviceGraph
from g2rec.sampling._device_random import signed
from g2rec.sampling._neighbor import check_seeds
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Bool, Int, Tensor

MOST = 32
"""Largest fan-out of the kernels, which keep a row's draws in registers."""
_ROWS = 1024
_SEEDS = 512
_TILE = 512
_SMALL = 1 << 20
"""Edges up to which a batch is also written down within the recording, and then copied."""
_RECORDED = 4
"""Numbers of seeds whose buffers and recordings are kept."""


def choose(
    keys: Int[Tensor, " R"], degree: Int[Tensor, " R"], fanout: int, replace: bool
) -> tuple[Int[Tensor, "R k"], Bool[Tensor, "R k"]]:
    """`_device_torch.choose` in one kernel, for fan-outs from 1 to 32 and degrees below 2^31."""
    out = torch.empty(len(keys), fanout, dtype=torch.int64, device=keys.device)
    with torch.cuda.device(keys.device):
        kernels.choose_places[(max(1, -(-len(keys) // 128)),)](
            keys, degree, out, len(keys), K=fanout, REPLACE=replace, BLOCK=128
        )
    if replace:
        return out, (degree > 0)[:, None].repeat(1, fanout)
    return out, torch.arange(fanout, device=keys.device) < degree[:, None]


class FusedSampler:
    """Uniform sampling with the kernels of `_device_triton`; one batch at a time.

    Args:
        graph: The graph, on a GPU.
        fanouts: From 1 to 32 each.
        replace: Draw with replacement.
        degrees: Also look up the degrees.
    """

    def __init__(self, graph: DeviceGraph, fanouts: tuple[int, ...], *, replace: bool, degrees: bool) -> None:
        self.graph, self.fanouts, self.replace, self.degrees = graph, fanouts, replace, degrees
        self._plans: dict[int, _Plan] = {}
        self._lock = threading.Lock()
        self.num_words = -(-graph.num_nodes // 512) * 16  # so that threads read 16 bytes at once
        self.block = 512 if self.num_words <= 1 << 21 else 2048  # words a program; each adds up all before it
        device = graph.device
        self.bitmap = torch.zeros(self.num_words, dtype=torch.int32, device=device)
        self.known = torch.empty(self.num_words, dtype=torch.int32, device=device)
        self.tables = torch.empty(len(fanouts) + 1, self.num_words, dtype=torch.int64, device=device)
        self.sums = torch.empty(-(-self.num_words // self.block), dtype=torch.int32, device=device)
        # which blocks of each table, and of what is known, are not all zero
        self.used = torch.ones(len(fanouts) + 2, len(self.sums), dtype=torch.int32, device=device)
        self._stream: Any = None

    @staticmethod
    def applies(graph: DeviceGraph, fanouts: tuple[int, ...]) -> bool:
        """Whether the kernels can sample this graph with these fan-outs."""
        return graph.num_edges > 0 and all(0 < k <= MOST for k in fanouts) and graph.max_degree < 2**31

    def sample(self, seeds: Int[Tensor, " S"], keys: list[int]) -> SampledSubgraph | None:
        """Sample around seeds; None where a batch might not fit 32-bit numbers."""
        with self._lock, torch.cuda.device(self.graph.device):
            size = len(seeds)
            plan = self._plans.get(size)
            if plan is None:
                if max(_largest(self.graph.num_nodes, self.fanouts, size)) >= 2**31:
                    return None
                if len(self._plans) >= _RECORDED:  # the oldest makes room
                    torch.cuda.synchronize()
                    self._plans.pop(next(iter(self._plans)))
                plan = self._plans[size] = _Plan(self, size)
            stream = torch.cuda.current_stream()
            if self._stream is not None and self._stream != stream:
                self._stream.synchronize()  # the last batch may still be being written down there
            self._stream = stream
            return plan.run(seeds, keys, stream)


def _largest(num_nodes: int, fanouts: tuple[int, ...], size: int) -> tuple[int, int]:
    """Most nodes and edges of a batch."""
    rows = nodes = min(size, num_nodes)
    edges = 0
    for fanout in fanouts:
        edges += rows * fanout
        rows = min(rows * fanout, num_nodes)
        nodes += rows
    return min(nodes, num_nodes), edges


class _Plan:
    """Buffers for the largest batch of a number of seeds, and its recording."""

    def __init__(self, owner: FusedSampler, size: int) -> None:
        self.owner, self.size = owner, size
        graph, fanouts = owner.graph, owner.fanouts
        num_hops = len(fanouts)
        most_nodes, most_edges = _largest(graph.num_nodes, fanouts, size)
        self.rows = [min(size, graph.num_nodes)]  # most rows of each hop
        for fanout in fanouts[:-1]:
            self.rows.append(min(self.rows[-1] * fanout, graph.num_nodes))
        most_rows = min(sum(self.rows), graph.num_nodes)

        def buffer(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=graph.device)

        self.seeds, self.keys = buffer(size, dtype=torch.int64), buffer(num_hops, dtype=torch.int64)
        self.ranks, self.firsts, self.numbers = buffer(size), buffer(size), buffer(size)
        self.nodes, self.neighbours = buffer(most_nodes), buffer(most_edges)
        self.begins, self.degrees = buffer(most_rows, dtype=torch.int64), buffer(most_rows)
        self.offsets = buffer(most_rows + 1)
        self.sums = buffer(max(-(-rows // _ROWS) for rows in self.rows) + -(-size // _SEEDS))
        # nodes after each hop [H + 1], edges before each hop and at the end [H + 1], seeds out of range [1]
        self.meta = buffer(2 * num_hops + 3, dtype=torch.int64)
        self.written = None
        if most_edges <= _SMALL:
            self.written = (
                buffer(most_nodes, dtype=torch.int64),
                buffer(most_nodes if owner.degrees else 0, dtype=torch.int64),
                buffer(2, most_edges, dtype=torch.int64),
                buffer(size, dtype=torch.int64),
            )
        self.sizes = torch.empty(2 * num_hops + 3, dtype=torch.int64, pin_memory=True)
        self.keys_here = torch.empty(num_hops, dtype=torch.int64, pin_memory=True)
        self.seeds_here = torch.empty(size, dtype=torch.int64, pin_memory=True)
        self.recording: Any = None
        self.runs = 0

    def run(self, seeds: Tensor, keys: list[int], stream: Any) -> SampledSubgraph:
        """One batch."""
        self.keys_here.numpy()[:] = [signed(key) for key in keys]
        if not seeds.is_cuda:
            self.seeds_here.copy_(seeds)
        self.seeds.copy_(seeds if seeds.is_cuda else self.seeds_here, non_blocking=True)
        self.runs += 1
        if self.recording is not None:
            self.recording.replay()
        else:
            self._launch()
            if self.runs == 2:  # by now every kernel is compiled
                torch.cuda.synchronize()
                recording = torch.cuda.CUDAGraph()
                with torch.cuda.graph(recording, capture_error_mode="thread_local"):
                    self._launch()
                self.recording = recording
        stream.synchronize()
        return self._deliver(seeds, self.sizes.tolist())

    def _launch(self) -> None:
        """All that needs no size on the host."""
        owner, num_hops, size = self.owner, len(self.owner.fanouts), self.size
        graph, table = owner.graph, owner.tables[0]
        seeds = (-(-size // _SEEDS),)
        self.keys.copy_(self.keys_here, non_blocking=True)
        self.meta.zero_()
        kernels.enter_seeds[seeds](
            self.seeds, owner.bitmap, self.firsts, self.meta, size, graph.num_nodes, 2 * num_hops + 2,
            BLOCK=_SEEDS,
        )  # fmt: skip
        self._number(0)
        kernels.rank_seeds[seeds](table, self.seeds, self.ranks, self.firsts, size, BLOCK=_SEEDS)
        kernels.count_seeds[seeds](self.ranks, self.firsts, self.sums, size, BLOCK=_SEEDS)
        kernels.number_seeds[seeds](
            self.seeds, self.ranks, self.firsts, self.sums, self.numbers, self.nodes, size, BLOCK=_SEEDS
        )
        for hop, fanout in enumerate(owner.fanouts):
            blocks = (-(-self.rows[hop] // _ROWS),)
            how = {"K": fanout, "REPLACE": owner.replace}
            kernels.count_rows[blocks](
                self.nodes, graph.indptr, self.begins, self.degrees, self.sums, self.meta, hop,
                BLOCK=_ROWS, **how,
            )  # fmt: skip
            kernels.place_rows[blocks](
                self.degrees, self.sums, self.offsets, self.meta, hop, num_hops, BLOCK=_ROWS, **how
            )
            rows, warps = (128, 4) if self.rows[hop] > 1 << 16 else (32, 1)
            kernels.draw_rows[(-(-self.rows[hop] // rows),)](
                self.nodes, self.begins, self.degrees, self.offsets, graph.indices, self.keys, owner.bitmap,
                self.neighbours, self.meta, hop, BLOCK=rows, num_warps=warps, **how,
            )  # fmt: skip
            self._number(hop + 1)
        if self.written is not None:
            self._write(*self.written, self.rows, len(self.nodes))
        self.sizes.copy_(self.meta, non_blocking=True)

    def _number(self, hop: int) -> None:
        """Number the nodes that are marked."""
        owner = self.owner
        words, how = (len(owner.sums),), {"FIRST": hop == 0, "BLOCK": owner.block}
        kernels.count_new[words](owner.bitmap, owner.known, owner.sums, owner.num_words, **how)
        kernels.number_new[words](
            owner.bitmap, owner.known, owner.sums, owner.tables[hop], owner.used[hop], owner.used[-1],
            self.nodes, self.meta, hop, owner.num_words, **how,
        )  # fmt: skip

    def _write(
        self,
        nodes: Tensor,
        degrees: Tensor,
        edge_index: Tensor,
        seed_index: Tensor,
        rows: list[int],
        num_nodes: int,
    ) -> None:
        """Write the batch down, given the most rows of each hop and the most nodes."""
        owner, num_hops = self.owner, len(self.owner.fanouts)
        kernels.deliver_nodes[(-(-max(num_nodes, self.size) // 512),)](
            self.nodes, owner.graph.indptr, self.ranks, self.numbers, nodes, degrees, seed_index, self.meta,
            num_hops, self.size, DEGREES=owner.degrees, BLOCK=512,
        )  # fmt: skip
        for hop, fanout in enumerate(owner.fanouts):
            padded = 1 << (fanout - 1).bit_length()
            block = _TILE // padded
            if rows[hop]:
                kernels.number_edges[(-(-rows[hop] // block),)](
                    self.neighbours, self.offsets, owner.tables, self.numbers, edge_index, self.meta,
                    edge_index.shape[1], owner.num_words, hop, LEVELS=num_hops + 1, KP=padded, BLOCK=block,
                )  # fmt: skip

    def _deliver(self, seeds: Tensor, sizes: list[int]) -> SampledSubgraph:
        """The batch in tensors of its own."""
        owner, num_hops = self.owner, len(self.owner.fanouts)
        if sizes[-1]:
            check_seeds(seeds, owner.graph.num_nodes)
        nodes_per_hop, edges_per_hop = sizes[: num_hops + 1], sizes[num_hops + 2 : -1]
        num_nodes, num_edges = nodes_per_hop[-1], edges_per_hop[-1]
        if self.written is not None:
            all_nodes, all_degrees, all_edges, all_seeds = self.written
            nodes, degrees = all_nodes[:num_nodes].clone(), all_degrees[:num_nodes].clone()
            edge_index, seed_index = (
                all_edges[:, :num_edges].clone(memory_format=torch.contiguous_format),
                all_seeds.clone(),
            )
        else:
            nodes = torch.empty(num_nodes, dtype=torch.int64, device=owner.graph.device)
            degrees = nodes.new_empty(num_nodes if owner.degrees else 0)
            edge_index, seed_index = nodes.new_empty(2, num_edges), nodes.new_empty(self.size)
            rows = [b - a for a, b in zip([0, *nodes_per_hop], nodes_per_hop[:-1], strict=False)]
            self._write(nodes, degrees, edge_index, seed_index, rows, num_nodes)
        return SampledSubgraph(
            nodes=nodes,
            num_seeds=nodes_per_hop[0],
            nodes_per_hop=tuple(nodes_per_hop),
            edge_index=edge_index,
            edges_per_hop=tuple(edges_per_hop),
            seed_index=seed_index,
            degrees=degrees,
        )
