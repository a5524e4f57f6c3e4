"""From sorted, counted pairs to the arrays of a co-engagement graph, in memory or in files."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import adopt_folder
from g2rec.graph._coengagement import KIND, CoEngagementGraph
from g2rec.graph._pairs_kernels import finish_records


class GraphInMemory:
    """Arrays whose size is known."""

    def __init__(self, num_items: int, num_edges: int) -> None:
        self.degrees = np.zeros(num_items, dtype=np.int64)
        self.indices = np.empty(num_edges, dtype=np.int32)
        self.weights = np.empty(num_edges, dtype=np.float32)
        self.fill = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def append(
        self,
        keys: NDArray[np.uint64],
        values: NDArray[np.uint64],
        weighting: int,
        popularity: NDArray[np.int64],
    ) -> None:
        """Add edges behind those that are there; see `finish_records`."""
        here = slice(self.fill, self.fill + len(keys))
        finish_records(
            keys, values, len(self.degrees), weighting, popularity, self.degrees,
            self.indices[here], self.weights[here],
        )  # fmt: skip
        self.fill = here.stop

    def finish(self) -> CoEngagementGraph:
        """The graph."""
        return CoEngagementGraph(len(self.degrees), _offsets(self.degrees), self.indices, self.weights)


class GraphFiles:
    """Files in ``folder``, whose length is known at the end; it then becomes the graph's folder ``out``."""

    def __init__(
        self, num_items: int, folder: Path, out: Path, *, config: Any, made_from: Mapping[str, str] | None
    ) -> None:
        self.degrees = np.zeros(num_items, dtype=np.int64)
        self.folder, self.out = folder, out
        self._config, self._made_from = config, made_from
        self._files: dict[str, tuple[BinaryIO, np.dtype[Any]]] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        for name, kind in (("indices", np.dtype(np.int32)), ("weights", np.dtype(np.float32))):
            file = self._open.enter_context((self.folder / f"{name}.npy").open("wb"))
            file.write(_header(0, kind))
            self._files[name] = file, kind
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.nullcontext() if kind is None else contextlib.suppress(OSError):
            self._open.close()

    def append(
        self,
        keys: NDArray[np.uint64],
        values: NDArray[np.uint64],
        weighting: int,
        popularity: NDArray[np.int64],
    ) -> None:
        """Add edges behind those that are there; see `finish_records`."""
        arrays = {name: np.empty(len(keys), kind) for name, (_, kind) in self._files.items()}
        finish_records(
            keys, values, len(self.degrees), weighting, popularity, self.degrees,
            arrays["indices"], arrays["weights"],
        )  # fmt: skip
        for name, array in arrays.items():
            if len(array):  # an empty view cannot be cast
                self._files[name][0].write(array.data.cast("B"))

    def finish(self) -> CoEngagementGraph:
        """The graph, mapped from ``out``."""
        indptr = _offsets(self.degrees)
        for file, kind in self._files.values():
            file.seek(0)
            file.write(_header(int(indptr[-1]), kind))
        self._open.close()
        np.save(self.folder / "indptr.npy", indptr)
        meta = {"num_items": len(self.degrees)}
        folder = adopt_folder(
            self.folder, self.out, KIND, config=self._config, made_from=self._made_from, meta=meta
        )
        return CoEngagementGraph.of_folder(folder)


def _offsets(degrees: NDArray[np.int64]) -> NDArray[np.int64]:
    indptr = np.zeros(len(degrees) + 1, dtype=np.int64)
    np.cumsum(degrees, out=indptr[1:])
    return indptr


def _header(length: int, dtype: np.dtype[Any]) -> bytes:
    """What numpy.save writes before the values of a vector: 128 bytes for any length below 10^50."""
    buffer = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()
