"""Exact inference: every node from all its neighbours, layer by layer, in memory or streamed to disk."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import disk_error, fingerprint, read_json, replace_path, to_plain, write_json
from g2rec.graph import InteractionGraph
from g2rec.sampling import sum_neighbors
from g2rec.shapes import Float, Tensor

if TYPE_CHECKING:
    from g2rec.encoders._base import GraphEncoder

Progress = Callable[[str, int, int], None]
Array = NDArray[np.float32]
_ROWS = 1 << 18
"""Nodes handled at a time."""


@torch.no_grad()
def infer(
    encoder: "GraphEncoder",
    graph: InteractionGraph,
    content: Float[Tensor, "I F"] | Array | None,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    items_only: bool = False,
) -> tuple[Array | None, Array]:
    """Embeddings of users and items from all neighbours.

    A layer is two passes: users from the items' states, items from the users'. Without a user table the
    users' input is zero and is not even stored. A pass reads the graph once, in order, adds up rows of the
    other side's states (`sum_neighbors`), and keeps a bounded number of rows in memory. With a folder, states
    are files there, written in order and then mapped: graph and states may both be larger than memory. A
    file that an earlier call finished, with the same weights, content and graph, is used again.

    Args:
        encoder: In evaluation mode or not: its layers have no dropout. May be on a GPU; sums are the CPU's.
        graph: May be memory-mapped.
        content: [I, F] features of all items.
        folder: For the states; they are removed when the embeddings are there.
        progress: Told of a pass: its name, nodes done, nodes in all.
        items_only: Leave out the users' last layer; users are then None.

    Returns:
        [U, D] and [I, D]; memory-mapped with a folder.

    Raises:
        ArtifactError: If the disk refuses a write.
    """
    say = progress or (lambda step, done, total: None)
    features = torch.from_numpy(np.array(content)) if isinstance(content, np.ndarray) else content
    store = _Store(folder, encoder, graph, features)
    device = encoder.features.item.weight.device
    if features is not None:
        features = features.to(device)
    U, N = graph.num_users, graph.num_nodes
    degrees = graph.degrees()

    def inputs(first: int, last: int) -> Iterator[Tensor]:
        for low in range(first, last, _ROWS):
            nodes = torch.arange(low, min(low + _ROWS, last), device=device)
            degree = torch.from_numpy(degrees[low : low + len(nodes)]).to(device)
            yield encoder.features(nodes, degree, features).float()

    def layer(depth: int, first: int, last: int, own: Array | None, other: Array | None) -> Iterator[Tensor]:
        side = slice(U, N) if last <= U else slice(0, U)  # the neighbours'
        scale = None if other is None else encoder.neighbour_scale(torch.from_numpy(degrees[side]))
        factors = None if scale is None else scale.numpy().astype(np.float32)
        for low in range(first, last, _ROWS):
            high = min(low + _ROWS, last)
            degree = torch.from_numpy(degrees[low:high]).to(device)
            shape = (high - low, encoder.features.embedding_dim)
            x = (
                torch.zeros(shape, device=device)
                if own is None
                else _rows(own, low - first, high - first, device)
            )
            total = torch.zeros(shape, device=device)
            if other is not None:
                threads = torch.get_num_threads()
                sums = sum_neighbors(graph, other, low, high, scale=factors, num_threads=threads)
                total = torch.from_numpy(sums).to(device)
            yield encoder.update(depth, total, degree, x, degree).float()

    def readout(states: list[Array | None], size: int) -> Iterator[Tensor]:
        for low in range(0, size, _ROWS):
            high = min(low + _ROWS, size)
            zero = torch.zeros((high - low, encoder.features.embedding_dim), device=device)
            yield encoder.readout([zero if x is None else _rows(x, low, high, device) for x in states])

    def with_new(blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        """Items without events are what their content says."""
        low = 0
        for block in blocks:
            if features is not None and encoder.features.content is not None:
                new = torch.from_numpy(np.flatnonzero(degrees[U + low : U + low + len(block)] == 0)).to(
                    device
                )
                block[new] = encoder.embed_new(features[low + new])
            low += len(block)
            yield block

    known_items, known_users = store.finished("items"), store.finished("users")
    if known_items is not None and (items_only or known_users is not None):
        return (None if items_only else known_users), known_items
    users: list[Array | None] = [None]
    if encoder.features.user is not None:
        users = [store.keep("users-0", U, inputs(0, U), say)]
    items: list[Array | None] = [store.keep("items-0", N - U, inputs(U, N), say)]
    for depth in range(encoder.num_layers):
        x_users, x_items = users[-1], items[-1]
        if not (items_only and depth == encoder.num_layers - 1):
            made = layer(depth, 0, U, x_users, x_items)
            users.append(store.keep(f"users-{depth + 1}", U, made, say))
        items.append(store.keep(f"items-{depth + 1}", N - U, layer(depth, U, N, x_items, x_users), say))
    every_item = store.keep("items", N - U, with_new(readout(items, N - U)), say)
    every_user = None if items_only else store.keep("users", U, readout(users, U), say)
    store.close()
    return every_user, every_item


def _rows(array: Array, first: int, last: int, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(array[first:last])).to(device)


class _Store:
    """Where states are kept: in memory, or as files of a folder."""

    def __init__(
        self, folder: Path | None, encoder: "GraphEncoder", graph: InteractionGraph, content: Tensor | None
    ) -> None:
        self.folder, self.dim = folder, encoder.features.embedding_dim
        if folder is None:
            return
        key = _key(encoder, graph, content)
        file = folder / "key.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not file.is_file() or read_json(file) != key:
                self._remove("*.npy")
                write_json(file, key)
        except OSError as error:
            raise disk_error(folder, error) from error

    def finished(self, name: str) -> Array | None:
        """A file that an earlier call left whole."""
        file = None if self.folder is None else self.folder / f"{name}.npy"
        if file is None or not file.is_file():
            return None
        mapped: Array = np.load(file, mmap_mode="r", allow_pickle=False)
        return mapped

    def keep(self, name: str, size: int, parts: Iterator[Tensor], say: Progress) -> Array:
        """Put the parts one after the other, and give them as one array [size, D]."""
        if self.folder is None:
            out = np.empty((size, self.dim), np.float32)
            done = 0
            for part in parts:
                out[done : done + len(part)] = part.cpu().numpy()
                done += len(part)
                say(name, done, size)
            return out
        found = self.finished(name)
        if found is None:
            file = self.folder / f"{name}.npy"
            temporary = file.with_suffix(".tmp")
            try:
                with temporary.open("wb") as handle:
                    header: dict[str, Any] = {
                        "descr": "<f4",
                        "fortran_order": False,
                        "shape": (size, self.dim),
                    }
                    np.lib.format.write_array_header_1_0(handle, header)
                    done = 0
                    for part in parts:
                        handle.write(np.ascontiguousarray(part.cpu().numpy(), dtype="<f4").data)
                        done += len(part)
                        say(name, done, size)
                replace_path(temporary, file)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise disk_error(file, error) from error
            found = self.finished(name)
            assert found is not None
        return found

    def close(self) -> None:
        """Remove the layers' states; the embeddings stay."""
        self._remove("*-[0-9]*.npy")

    def _remove(self, pattern: str) -> None:
        """Remove files of ours."""
        for file in self.folder.glob(pattern) if self.folder is not None else ():
            if file.stem.partition("-")[0] in ("users", "items"):
                file.unlink()


def _key(encoder: "GraphEncoder", graph: InteractionGraph, content: Tensor | None) -> str:
    """Of the encoder, the content and the graph: all its offsets, and a million of its neighbours."""
    tensors = [*encoder.state_dict().values(), *([] if content is None else [content])]
    arrays = [tensor.detach().cpu().contiguous().numpy() for tensor in tensors]
    step = max(1, graph.num_edges >> 20)
    arrays += [np.ascontiguousarray(graph.indptr), np.ascontiguousarray(graph.indices[::step])]
    hashes = [hashlib.sha256(array.data).hexdigest() for array in arrays]
    return fingerprint(to_plain(encoder.config), hashes, graph.num_users, graph.num_items, graph.num_edges)
