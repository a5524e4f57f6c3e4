"""One batch in a dozen kernels, recorded as a CUDA graph: the host waits once, to learn the sizes."""

import threading
from typing import Any

import torch

from g2rec.sampling import _device_triton as kernels
from g2rec.sampling._device_graph import DeviceGraph
from g2rec.sampling._device_random import signed
from g2rec.sampling._neighbor import check_seeds
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor

_MOST = 32
"""Largest fan-out of the kernels, which keep a row's draws in registers."""
_WORDS = 2048
"""Words of 32 nodes a program; threads take 16 each."""
_ROWS = 1024
_RECORDED = 4
"""Numbers of seeds for which the batch is recorded; beyond them its kernels are launched one by one."""


class FusedSampler:
    """Uniform sampling with the kernels of `_device_triton`; one batch at a time.

    Args:
        graph: The graph, on a GPU.
        fanouts: From 1 to 32 each.
        replace: Draw with replacement.
        degrees: Also look up the degrees.
        record: Replay recorded batches.
        check: Look at a bit before setting it; one choice a hop.
    """

    def __init__(
        self,
        graph: DeviceGraph,
        fanouts: tuple[int, ...],
        *,
        replace: bool,
        degrees: bool,
        record: bool = True,
        check: bool = True,
    ) -> None:
        self.graph, self.fanouts, self.replace, self.degrees = graph, fanouts, replace, degrees
        self.record, self.check = record, check
        self._plans: dict[int, _Plan] = {}
        self._lock = threading.Lock()
        num_words = (graph.num_nodes + 31) // 32
        device = graph.device
        self.bitmap = torch.zeros(num_words, dtype=torch.int32, device=device)
        self.known = torch.zeros(num_words, dtype=torch.int32, device=device)
        self.tables = torch.empty(len(fanouts) + 1, num_words, dtype=torch.int64, device=device)
        self.sums = torch.empty(-(-num_words // _WORDS), dtype=torch.int32, device=device)

    @staticmethod
    def applies(graph: DeviceGraph, fanouts: tuple[int, ...]) -> bool:
        """Whether the kernels can sample this graph with these fan-outs."""
        return graph.num_edges > 0 and all(0 < k <= _MOST for k in fanouts) and graph.max_degree < 2**31

    def sample(self, seeds: Int[Tensor, " S"], keys: list[int]) -> SampledSubgraph | None:
        """Sample around seeds; None where a batch might not fit 32-bit numbers."""
        with self._lock, torch.cuda.device(self.graph.device):
            size = len(seeds)
            plan = self._plans.get(size)
            if plan is None:
                if max(_largest(self.graph.num_nodes, self.fanouts, size)) >= 2**31:
                    return None
                if len(self._plans) >= _RECORDED:  # the oldest makes room
                    self._plans.pop(next(iter(self._plans)))
                plan = self._plans[size] = _Plan(self, size)
            return plan.run(seeds, keys)


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
        device = graph.device
        most_nodes, most_edges = _largest(graph.num_nodes, fanouts, size)
        self.rows = [min(size, graph.num_nodes)]  # most rows of each hop
        for fanout in fanouts[:-1]:
            self.rows.append(min(self.rows[-1] * fanout, graph.num_nodes))
        most_rows = min(sum(self.rows), graph.num_nodes)

        def buffer(count: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(count, dtype=dtype, device=device)

        num_hops = len(fanouts)
        self.seeds, self.keys = buffer(size, torch.int64), buffer(num_hops, torch.int64)
        self.nodes, self.neighbours = buffer(most_nodes, torch.int32), buffer(most_edges, torch.int32)
        self.begins, self.degrees = buffer(most_rows, torch.int64), buffer(most_rows, torch.int32)
        self.offsets = buffer(most_rows + 1, torch.int32)
        self.sums = buffer(max(-(-rows // _ROWS) for rows in self.rows), torch.int32)
        self.ranks, self.perm = buffer(size, torch.int64), buffer(size, torch.int64)
        self.seed_index = buffer(size, torch.int64)
        self.counting = torch.arange(size, device=device)
        # nodes after each hop [H + 1], edges before each hop and at the end [H + 1], seeds out of range [1]
        self.meta = torch.zeros(2 * num_hops + 3, dtype=torch.int64, device=device)
        self.sizes = torch.empty(2 * num_hops + 3, dtype=torch.int64, pin_memory=True)
        self.keys_here = torch.empty(num_hops, dtype=torch.int64, pin_memory=True)
        self.seeds_here = torch.empty(size, dtype=torch.int64, pin_memory=True)
        self.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.recording: Any = None
        self.runs = 0

    def run(self, seeds: Tensor, keys: list[int]) -> SampledSubgraph:
        """One batch."""
        for hop, key in enumerate(keys):
            self.keys_here[hop] = signed(key)
        self.keys.copy_(self.keys_here, non_blocking=True)
        if seeds.is_cuda:
            self.seeds.copy_(seeds, non_blocking=True)
        else:
            self.seeds_here.copy_(seeds)
            self.seeds.copy_(self.seeds_here, non_blocking=True)
        self.runs += 1
        if self.recording is not None:
            self.recording.replay()
        else:
            self._launch()
            if self.owner.record and self.runs == 2:
                torch.cuda.synchronize()
                recording = torch.cuda.CUDAGraph()
                with torch.cuda.graph(recording):
                    self._launch()
                self.recording = recording
        self.copied.record()
        self.copied.synchronize()
        sizes = self.sizes.tolist()
        return self._deliver(seeds, sizes)

    def _launch(self) -> None:
        """All that needs no size on the host."""
        owner, num_hops = self.owner, len(self.owner.fanouts)
        graph = owner.graph
        num_words = len(owner.bitmap)
        words = (-(-num_words // _WORDS),)
        self.meta.zero_()
        owner.known.zero_()
        nodes = self.seeds.clamp(0, graph.num_nodes - 1)
        self.meta[-1:] = (nodes != self.seeds).sum()
        kernels.mark[(-(-self.size // 256),)](owner.bitmap, nodes, self.size, BLOCK=256)
        self._number(0, words, num_words)
        kernels.rank_seeds[(-(-self.size // 256),)](owner.tables, nodes, self.ranks, self.size, BLOCK=256)
        first = torch.full_like(self.ranks, self.size)
        first.scatter_reduce_(0, self.ranks, self.counting, "amin")  # where each distinct seed comes first
        number = torch.cumsum(first[self.ranks] == self.counting, 0) - 1
        self.perm.copy_(number[first.clamp_(max=self.size - 1)])
        torch.gather(self.perm, 0, self.ranks, out=self.seed_index)
        self.nodes.scatter_(0, self.seed_index, nodes.to(torch.int32))
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
                self.neighbours, self.meta, hop, CHECK=owner.check, BLOCK=rows, num_warps=warps, **how,
            )  # fmt: skip
            self._number(hop + 1, words, num_words)
        self.sizes.copy_(self.meta, non_blocking=True)

    def _number(self, hop: int, words: tuple[int], num_words: int) -> None:
        owner = self.owner
        kernels.count_new[words](owner.bitmap, owner.known, owner.sums, num_words, BLOCK=_WORDS)
        kernels.number_new[words](
            owner.bitmap, owner.known, owner.sums, owner.tables[hop], self.nodes, self.meta, hop, num_words,
            EMIT=hop > 0, BLOCK=_WORDS,
        )  # fmt: skip

    def _deliver(self, seeds: Tensor, sizes: list[int]) -> SampledSubgraph:
        """The batch in tensors of its own."""
        owner, num_hops = self.owner, len(self.owner.fanouts)
        graph = owner.graph
        if sizes[-1]:
            check_seeds(seeds, graph.num_nodes)
        nodes_per_hop, edges_per_hop = sizes[: num_hops + 1], sizes[num_hops + 2 : -1]
        num_nodes, num_edges = nodes_per_hop[-1], edges_per_hop[-1]
        device = graph.device
        nodes = torch.empty(num_nodes, dtype=torch.int64, device=device)
        degrees = torch.empty(num_nodes if owner.degrees else 0, dtype=torch.int64, device=device)
        edge_index = torch.empty(2, num_edges, dtype=torch.int64, device=device)
        kernels.deliver_nodes[(-(-num_nodes // 512),)](
            self.nodes, graph.indptr, nodes, degrees, num_nodes, DEGREES=owner.degrees, BLOCK=512
        )
        first = 0
        for hop, (fanout, last) in enumerate(zip(owner.fanouts, nodes_per_hop[:-1], strict=True)):
            if last > first:
                padded = 1 << (fanout - 1).bit_length()
                rows = max(1, 1024 // padded)
                kernels.number_edges[(-(-(last - first) // rows),)](
                    self.neighbours, self.offsets, owner.tables, self.perm, edge_index, first, last,
                    num_edges, len(owner.bitmap), hop, LEVELS=num_hops + 1, KP=padded, BLOCK=rows,
                )  # fmt: skip
            first = last
        return SampledSubgraph(
            nodes=nodes,
            num_seeds=nodes_per_hop[0],
            nodes_per_hop=tuple(nodes_per_hop),
            edge_index=edge_index,
            edges_per_hop=tuple(edges_per_hop),
            seed_index=self.seed_index.clone(),
            degrees=degrees,
        )
