"""The graph in the memory of an accelerator."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.shapes import Int, Tensor

logger = logging.getLogger(__name__)
_CHUNK = 1 << 24
"""Values copied at once: two page-locked buffers of 64 or 128 MB."""
_SPARE = 2 << 30
"""Bytes of device memory left for batches and models when a graph is placed there."""


@dataclass(frozen=True)
class DeviceGraph:
    """An `InteractionGraph` as tensors: the same numbers of nodes, the same rows in the same order.

    Where the neighbours do not fit in the memory of the GPU they stay in page-locked memory of the host,
    which the GPU reads over the bus: the same samples, slower by the ratio of the bus to the device memory.
    """

    num_users: int
    """U."""
    num_items: int
    """I."""
    indptr: Int[Tensor, " N+1"]
    """int64 offsets of the rows."""
    indices: Int[Tensor, " E"]
    """int32 neighbours, as nodes."""
    times: Int[Tensor, " E"] | None = None
    """int32 or int64 seconds, rising within a row; None where the events have no times."""
    max_degree: int = 0
    """Neighbours of the node that has most."""
    on_host: bool = False
    """Whether ``indices`` and ``times`` are views of page-locked memory of the host."""

    @classmethod
    def from_graph(
        cls,
        graph: InteractionGraph,
        device: torch.device | str | None = None,
        *,
        times: bool = True,
        spare: int = _SPARE,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Copy a graph, mapped or not, to a device; a mapped one is read in order, a chunk at a time.

        Args:
            graph: The graph.
            device: The GPU if there is one, else the CPU.
            times: Copy the times too, where there are any.
            spare: Bytes of the GPU's memory to leave free. A graph for which no more than this would be left
                keeps its neighbours on the host, and one line of the log says so.
            progress: Called with the values copied and their number.

        Raises:
            DataError: If the graph fits neither on the GPU nor in page-locked memory of the host.
        """
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        when = graph.times if times else None
        wanted = graph.indptr.nbytes + graph.indices.nbytes + (0 if when is None else when.nbytes)
        on_host = False
        if where.type == "cuda":
            free, _ = torch.cuda.mem_get_info(where)
            on_host = wanted + spare > free
            if on_host:
                logger.warning(
                    "graph of %.1f GB: %.1f GB of the GPU are free, so the neighbours stay in page-locked "
                    "host memory; sampling is limited by the bus",
                    wanted / 1e9,
                    free / 1e9,
                )
        total = len(graph.indptr) + len(graph.indices) + (0 if when is None else len(when))
        done = 0

        def placed(array: NDArray[Any], here: bool) -> Tensor:
            nonlocal done
            target = _pinned_view(len(array), array.dtype, where) if here else None
            result = target[1] if target else torch.empty(len(array), dtype=_dtype(array), device=where)
            for chunk in _chunks(array, result if target is None else target[0], where.type == "cuda"):
                done += chunk
                if progress is not None:
                    progress(done, total)
            return result

        try:
            indptr = placed(graph.indptr, False)
            indices = placed(graph.indices, on_host)
            seconds = None if when is None else placed(when, on_host)
        except RuntimeError as error:
            raise DataError(
                f"the graph takes {wanted / 1e9:.1f} GB, which neither {where} nor page-locked host memory "
                f"could hold ({str(error).splitlines()[0]}); sample with NeighborSampler on the CPU"
            ) from error
        sizes = int(graph.num_users), int(graph.num_items)
        return cls(*sizes, indptr, indices, seconds, _longest(indptr), on_host)

    @classmethod
    def generate(
        cls,
        num_users: int,
        num_items: int,
        degree: int,
        *,
        num_interests: int = 1,
        noise: float = 0.0,
        skew: float = 0.0,
        seed: int = 0,
        device: torch.device | str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Make a graph of ``num_users * degree`` events on the device, both directions, without a sort.

        Every user has ``degree`` events. The events are numbered; a keyed permutation pi sends event e to
        place pi(e) in the items' rows, and place p there is event pi^-1(p). So each direction is computed by
        itself, a chunk at a time, and the two are each other's transposes exactly. See `_device_generate`.

        Args:
            num_users: U, a multiple of ``num_interests``.
            num_items: I, a multiple of ``num_interests``.
            degree: Events of a user.
            num_interests: C planted interests: users and items are cut into C equal ranges.
            noise: Share of a user's events that go to items of any range, rounded to whole events.
            skew: Exponent of the items' popularity within a range, rank^-skew; 0 for items that are alike.
            seed: Part of every random number.
            device: The GPU if there is one, else the CPU.
            progress: Called with the neighbours made and their number.

        Raises:
            ConfigError: If a number is out of range.
        """
        from g2rec.sampling import _device_generate

        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if min(num_users, num_items, degree, num_interests) < 1 or not 0 <= noise <= 1 or skew < 0:
            raise ConfigError(
                "num_users, num_items, degree and num_interests must be at least 1, noise in [0, 1] and skew "
                f"at least 0, got {num_users}, {num_items}, {degree}, {num_interests}, {noise} and {skew}"
            )
        if num_users % num_interests or num_items % num_interests or num_users + num_items > 2**31 - 1:
            raise ConfigError(
                f"num_users and num_items must be multiples of num_interests and at most {2**31 - 1} "
                f"together, got {num_users}, {num_items} and {num_interests}; change one of them"
            )
        indptr, indices = _device_generate.generate(
            num_users, num_items, degree, num_interests, noise, skew, seed, where, progress
        )
        return cls(num_users, num_items, indptr, indices, None, _longest(indptr))

    @property
    def num_nodes(self) -> int:
        """N = U + I."""
        return self.num_users + self.num_items

    @property
    def num_edges(self) -> int:
        """E: both directions, twice the number of events."""
        return len(self.indices)

    @property
    def device(self) -> torch.device:
        """Where the graph is sampled."""
        return self.indptr.device

    def item_node(self, item_index: Any) -> Any:
        """The node of an item, or of a tensor of items."""
        return item_index + self.num_users

    def to_graph(self) -> InteractionGraph:
        """The same graph for the CPU."""
        times = None if self.times is None else self.times.cpu().numpy()
        return InteractionGraph(
            self.num_users, self.num_items, self.indptr.cpu().numpy(), self.indices.cpu().numpy(), times
        )


def _dtype(array: NDArray[Any]) -> torch.dtype:
    return {"int32": torch.int32, "int64": torch.int64}[array.dtype.name]


def _chunks(array: NDArray[Any], target: Tensor, through_buffer: bool) -> Any:
    """Copy an array in order, yielding the sizes of its chunks; reading and sending overlap."""
    through_buffer = through_buffer and target.is_cuda
    buffers = [
        torch.empty(min(_CHUNK, len(array)), dtype=target.dtype, pin_memory=True)
        for _ in range(2 if through_buffer else 0)
    ]
    sent = [torch.cuda.Event() for _ in buffers]  # type: ignore[no-untyped-call]
    for number, start in enumerate(range(0, len(array), _CHUNK)):
        part = np.asarray(array[start : start + _CHUNK])
        if through_buffer:
            buffer, event = buffers[number % 2][: len(part)], sent[number % 2]
            event.synchronize()
            buffer.numpy()[:] = part
            target[start : start + len(part)].copy_(buffer, non_blocking=True)
            event.record()
        else:
            target.numpy()[start : start + len(part)] = part
        yield len(part)
    for event in sent:
        event.synchronize()


class _HostMemory:
    """Page-locked memory as the CUDA array interface describes it: one address for the host and the GPU."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        kind = {torch.int32: "<i4", torch.int64: "<i8"}[tensor.dtype]
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape),
            "typestr": kind,
            "data": (tensor.data_ptr(), False),
            "strides": None,
            "version": 3,
        }


def _pinned_view(size: int, dtype: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Page-locked memory as a tensor of the CPU, and the same memory as one of the GPU."""
    host = torch.empty(
        size, dtype=torch.int32 if np.dtype(dtype) == np.int32 else torch.int64, pin_memory=True
    )
    return host, torch.as_tensor(_HostMemory(host), device=device)


def _longest(indptr: Tensor) -> int:
    """The largest degree, found a chunk at a time."""
    longest = 0
    for start in range(0, len(indptr) - 1, 1 << 26):
        part = indptr[start : start + (1 << 26) + 1]
        longest = max(longest, int((part[1:] - part[:-1]).max()))
    return longest
