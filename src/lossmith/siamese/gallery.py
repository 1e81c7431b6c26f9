"""A gallery: known items, embedded, and the search for those nearest to another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lossmith import distances
from lossmith.core.backend import keras
from lossmith.files import moved_into_place
from lossmith.siamese._ranking import FloatArray, directions

_SPARE = 8
"""Neighbours looked at beyond those asked for: the index rounds otherwise than the distance."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The items of a gallery that are nearest to some queries, the nearest first.

    Attributes:
        indices: `(Q, k)`, positions in the gallery.
        distances: `(Q, k)`, increasing.
    """

    indices: npt.NDArray[np.intp]
    distances: FloatArray


@dataclass(frozen=True, eq=False)
class Gallery:
    """Embedded items with the name of each and that of its class.

    The search is exact: usearch compares a query with every item, which takes milliseconds for a
    hundred thousand, and the distances are those of `lossmith.distances`. usearch has no Manhattan
    distance, so that one is computed without it.

    Args:
        embeddings: `(N, D)`, finite floating numbers.
        names: What people call each item, such as the path of a file.
        classes: The name of each item's class.
        distance: The name of a distance of `lossmith.distances`.
        made_with: What identifies the encoder and the items; a text that is kept as it is.

    Raises:
        ValueError: If there are no items, their parts differ in number, or an embedding is not
            finite.

    Example:
    >>> import numpy as np
    >>> embeddings = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]], dtype="float32")
    >>> gallery = Gallery(embeddings, ("a.png", "b.png", "c.png"), ("cat", "dog", "cat"))
    >>> found = gallery.search(np.zeros((1, 2), dtype="float32"), k=2)
    >>> [gallery.names[index] for index in found.indices[0]], found.distances[0].tolist()
    (['a.png', 'c.png'], [0.0, 1.0])
    """

    embeddings: FloatArray
    names: Sequence[str]
    classes: Sequence[str]
    distance: distances.Name = "euclidean"
    made_with: str = ""

    def __post_init__(self) -> None:
        """Refuses parts that do not fit each other."""
        distances.get(self.distance)
        shape = self.embeddings.shape
        if self.embeddings.dtype.kind != "f" or len(shape) != 2 or 0 in shape:
            raise ValueError(
                "A gallery needs embeddings (N, D) of floating numbers, and at least one; got "
                f"shape {shape}, dtype {self.embeddings.dtype}."
            )
        if not len(self.names) == len(self.classes) == len(self.embeddings):
            raise ValueError(
                f"Every item of a gallery needs a name and a class; got {len(self.embeddings)} "
                f"embeddings, {len(self.names)} names and {len(self.classes)} classes."
            )
        if not np.isfinite(self.embeddings).all():
            raise ValueError("The embeddings of a gallery must be finite; got NaN or infinity.")

    def __len__(self) -> int:
        """The number of items."""
        return len(self.embeddings)

    def search(self, queries: FloatArray, k: int = 5) -> Neighbours:
        """The items nearest to each query.

        Args:
            queries: `(Q, D)` embeddings.
            k: How many; all of them if the gallery has fewer.

        Raises:
            ValueError: If the queries do not fit the gallery, or `k` is less than 1.
            ModuleNotFoundError: If usearch is not installed.
        """
        if k < 1:
            raise ValueError(f"k is the number of neighbours, from 1 on; got {k}.")
        if queries.ndim != 2 or queries.shape[1] != self.embeddings.shape[1]:
            raise ValueError(
                f"This gallery takes queries of shape (Q, {self.embeddings.shape[1]}); got "
                f"{queries.shape}."
            )
        if not np.isfinite(queries).all():
            raise ValueError("Queries must be finite; got NaN or infinity.")
        found = [self._search_one(query, min(k, len(self))) for query in queries]
        return Neighbours(
            np.array([indices for indices, _ in found], dtype=np.intp).reshape(len(queries), -1),
            np.array([measured for _, measured in found]).reshape(len(queries), -1),
        )

    def _search_one(self, query: FloatArray, k: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
        candidates = self._candidates(query, min(k + _SPARE, len(self)))
        items = self.embeddings[candidates]
        measured = keras.ops.convert_to_numpy(
            distances.get(self.distance)(np.broadcast_to(query, items.shape), items)
        )
        nearest = np.lexsort([candidates, measured])[:k]
        return candidates[nearest], measured[nearest]

    def _candidates(self, query: FloatArray, count: int) -> npt.NDArray[np.intp]:
        """Positions of the nearest items, as far as float32 can tell, in no special order."""
        if self.distance == "manhattan":
            spans = np.abs(self.embeddings - query).sum(axis=1)
            return np.argpartition(spans, count - 1)[:count]
        index = usearch_index()
        items, query = self.embeddings, query[np.newaxis]
        if self.distance == "cosine":
            # The squared distance of unit vectors is twice this one, without its cancellation.
            items, query = directions(items), directions(query)
        matches = index.search(
            np.ascontiguousarray(items, dtype=np.float32),
            np.ascontiguousarray(query[0], dtype=np.float32),
            count,
            index.MetricKind.L2sq,
            exact=True,
        )
        return np.asarray(matches.keys, dtype=np.intp)

    def save(self, path: Path) -> None:
        """Writes the gallery to an `.npz` file, whole or not at all, in place of one there.

        Raises:
            ValueError: If the path has another ending.
        """
        if path.suffix != ".npz":
            raise ValueError(f"A gallery is saved as an .npz file; got {str(path)!r}.")
        with moved_into_place(path) as temporary:
            np.savez(
                temporary,
                embeddings=self.embeddings,
                names=np.array(self.names, dtype=np.str_),
                classes=np.array(self.classes, dtype=np.str_),
                distance=np.array(self.distance),
                made_with=np.array(self.made_with),
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a gallery that `save` wrote; nothing in the file can run code.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds no gallery; the message names it.
        """
        if not path.is_file():
            raise FileNotFoundError(f"There is no gallery at {path}.")
        try:
            with np.load(path, allow_pickle=False) as archive:
                return cls(
                    embeddings=archive["embeddings"],
                    names=_texts(archive["names"]),
                    classes=_texts(archive["classes"]),
                    distance=str(archive["distance"]),  # type: ignore[arg-type]  # __post_init__ checks it
                    made_with=str(archive["made_with"]),
                )
        except Exception as error:  # zipfile and decompressors raise nearly anything
            raise ValueError(
                f"{path} cannot be read as a gallery: {error}. Remove it; it is made again when "
                "it is needed."
            ) from error


def _texts(values: npt.NDArray[Any]) -> tuple[str, ...]:
    if values.ndim != 1 or values.dtype.kind != "U":
        raise ValueError(f"expected texts (N,), got shape {values.shape}, dtype {values.dtype}")
    return tuple(values.tolist())


def usearch_index() -> Any:
    """The module of usearch that searches.

    Raises:
        ModuleNotFoundError: If usearch is not installed; the message says how to install it.
    """
    try:
        import usearch.index
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Searching a gallery needs the usearch package, which is not installed: "
            "pip install 'lossmith[search]'."
        ) from error
    return usearch.index
