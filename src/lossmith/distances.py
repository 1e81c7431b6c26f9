"""Distances between embeddings: for aligned pairs, and for all pairs of a batch.

Every distance is exactly 0 between equal inputs, has a finite gradient there (and at zero
vectors), is computed in float32 for half precision, and knows how large it can become, so that a
margin no pair can reach is an error and not a loss that never vanishes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lossmith.core import backend
from lossmith.core.backend import absolute, keras
from lossmith.core.numerics import computing, directions, floating, hinge, square_root
from lossmith.core.shapes import may_equal, shape_of

ops = keras.ops
Name = Literal["euclidean", "squared_euclidean", "manhattan", "cosine"]


@dataclass(frozen=True)
class Distance:
    """A distance between vectors, over the last axis.

    Called with `a` and `b` of shape `(..., D)`, it gives the distances of aligned pairs, `(...)`.

    Attributes:
        name: its name, as `get` takes it.
        formula: the distance of aligned pairs.
        upper: the largest distance of any two vectors; `inf` if there is none.
        upper_on_sphere: the largest distance of two vectors of length 1 in D dimensions.

    Example:
    >>> import lossmith as ls
    >>> float(ls.distances.euclidean([[0.0, 0.0]], [[3.0, 4.0]])[0])
    5.0
    """

    name: str
    formula: Callable[[Any, Any], Any]
    upper: float
    upper_on_sphere: Callable[[int], float]

    def __call__(self, a: Any, b: Any) -> Any:
        """The distance of each pair, `(...)`, from vectors `(..., D)`; integers become floating.

        Raises:
            ValueError: if the two are not of one shape.
        """
        a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
        first, second = shape_of(a), shape_of(b)
        if not first or not may_equal(first, second):
            raise ValueError(
                f"{self.name} distance: expected two tensors of one shape, a vector of each pair "
                f"over the last axis; got shapes {first} and {second}. "
                "`pairwise` gives the distances of all pairs of two sets."
            )
        if None in (*first, *second):
            message = f"{self.name} distance: a and b differ in shape"
            backend.check_shapes_equal(ops.shape(a), ops.shape(b), message)
        return self._over_last_axis(a, b)

    def __reduce__(self) -> str:
        """Copies and pickles are the distance itself, found again by its name."""
        return self.name

    def pairwise(self, a: Any, b: Any = None) -> Any:
        """The distances of all pairs, `(N, M)`, from `(N, D)` and `(M, D)` (`a` again if `None`).

        The differences are formed one by one, so that close pairs keep all their digits, at the
        price of N x M x D numbers.

        Raises:
            ValueError: if the two are not sets of vectors of one length.
        """
        a = ops.convert_to_tensor(a)
        b = a if b is None else ops.convert_to_tensor(b)
        first, second = shape_of(a), shape_of(b)
        if len(first) != 2 or len(second) != 2 or not may_equal(first[1:], second[1:]):
            raise ValueError(
                f"{self.name} distance: expected two sets of vectors of one length, (N, D) and "
                f"(M, D); got shapes {first} and {second}."
            )
        return self._over_last_axis(ops.expand_dims(a, 1), ops.expand_dims(b, 0))

    def _over_last_axis(self, a: Any, b: Any) -> Any:
        dtype = floating(keras.backend.result_type(a.dtype, b.dtype))
        compute = computing(dtype)
        return ops.cast(self.formula(ops.cast(a, compute), ops.cast(b, compute)), dtype)

    def check_margin(self, margin: float, unit_length: int | None = None) -> None:
        """Refuse a margin that this distance can never reach.

        Args:
            margin: the distance that dissimilar pairs are pushed beyond.
            unit_length: the number of dimensions if the embeddings have length 1, else `None`.

        Raises:
            ValueError: if no pair can be that far apart, naming the largest distance.
        """
        largest = self.upper if unit_length is None else self.upper_on_sphere(unit_length)
        if margin > largest:
            between = "any two vectors" if unit_length is None else "two vectors of length 1"
            raise ValueError(
                f"margin {margin:g} can never be reached: the "
                f"{self.name} distance of {between} is at most {largest:g}, so dissimilar pairs "
                "would be pushed for ever. Choose a smaller margin or another distance."
            )


def _squared_euclidean(a: Any, b: Any) -> Any:
    return ops.sum(ops.square(a - b), axis=-1)


def _euclidean(a: Any, b: Any) -> Any:
    return square_root(_squared_euclidean(a, b))


def _manhattan(a: Any, b: Any) -> Any:
    return ops.sum(absolute(a - b), axis=-1)


def _cosine(a: Any, b: Any) -> Any:
    # Half the squared distance of the unit vectors is 1 - cos without its cancellation; a zero
    # vector is at right angles to every other vector, and at distance 0 from itself. A compiler
    # may round the two directions of equal vectors differently, so these are picked out.
    (unit_a, has_a), (unit_b, has_b) = directions(a), directions(b)
    value = 0.5 * (_squared_euclidean(unit_a, unit_b) + ops.abs(has_a - has_b))
    value = value - ops.stop_gradient(hinge(value - 2.0))
    return ops.where(ops.all(ops.equal(a, b), axis=-1), ops.zeros_like(value), value)


euclidean = Distance("euclidean", _euclidean, math.inf, lambda dim: 2.0)
"""`||a - b||_2`, from 0 to infinity; at most 2 between unit vectors.

The squares have to stay within range: in float32, distances below 1e-19 may come out as 0 and those
beyond 1e19 as infinite. (Scaling first, as `cosine` does, takes twice the time in a compiled step.)
"""

squared_euclidean = Distance("squared_euclidean", _squared_euclidean, math.inf, lambda dim: 4.0)
"""`||a - b||_2^2`, from 0 to infinity; at most 4 between unit vectors."""

manhattan = Distance("manhattan", _manhattan, math.inf, lambda dim: 2.0 * math.sqrt(dim))
"""`sum |a - b|`, from 0 to infinity; at most `2 sqrt(D)` between unit vectors."""

cosine = Distance("cosine", _cosine, 2.0, lambda dim: 2.0)
"""`1 - cos(a, b)`, from 0 to 2; 1 between a zero vector and any other."""

_ALL = {each.name: each for each in (euclidean, squared_euclidean, manhattan, cosine)}


def get(identifier: str | Distance) -> Distance:
    """Return a distance by its name.

    Raises:
        ValueError: if no distance is called so.

    >>> import lossmith as ls
    >>> ls.distances.get("cosine").upper
    2.0
    """
    if isinstance(identifier, Distance) and _ALL.get(identifier.name) is identifier:
        return identifier
    if not isinstance(identifier, str) or identifier not in _ALL:
        raise ValueError(f"distance must be one of {', '.join(_ALL)}; got {identifier!r}.")
    return _ALL[identifier]
