"""Ranges of real hyperparameters: their bounds, and smooth maps that never leave them."""

import math
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Union

import annotated_types as at
import numpy as np

from lossmith.core import backend
from lossmith.core.backend import keras

ops = keras.ops
_INVERSE_SOFTPLUS_OF_1 = math.log(math.expm1(1.0))


class Range(NamedTuple):
    """An interval of the real line, with what is needed to stay inside of it."""

    lower: float = -math.inf
    upper: float = math.inf
    lower_open: bool = True
    upper_open: bool = True

    def contains(self, value: Any) -> Any:
        """Whether every entry of a tensor or number is finite and inside."""
        return ops.all(ops.logical_and(*self._within(value)))

    def holds(self, value: np.ndarray) -> bool:
        """Whether every entry of an array is finite and inside; no trace changes the answer."""
        return bool(np.all(np.logical_and(*self._within(value))))

    def _within(self, value: Any) -> tuple[Any, Any]:
        above = value > self.lower if self.lower_open else value >= self.lower
        below = value < self.upper if self.upper_open else value <= self.upper
        return above, below

    def nearest_inside(self, value: np.ndarray) -> np.ndarray:
        """The number of the array's dtype strictly between the bounds that is nearest to it."""
        return np.clip(value, *self._representable(value.dtype))

    def has_inside(self, value: Any) -> bool:
        """Whether a number or array is finite and strictly between the bounds."""
        array = np.asarray(value, "float64")
        return bool(np.all((array > self.lower) & (array < self.upper)))

    def to_free(self, value: np.ndarray) -> np.ndarray:
        """Where a free variable starts, so that `from_free` gives `value`."""
        if self._has_two_ends:
            share = (value - self.lower) / (self.upper - self.lower)
            return np.log(share) - np.log1p(-share)
        return np.zeros_like(value) if self._has_one_end else value

    def from_free(self, free: Any, initial: np.ndarray) -> Any:
        """Map a free tensor into the range: a sigmoid between two bounds, a softplus beyond one.

        Beyond one bound `free` is measured in units of the initial value's distance to it, so that
        a step of an optimizer means the same share of a small scale and of a large one.
        """
        if self._has_two_ends:
            value = self.lower + (self.upper - self.lower) * ops.sigmoid(free)
        elif self._has_one_end:
            bound = self.lower if math.isfinite(self.lower) else self.upper
            reach = backend.like(initial - bound, free)
            value = bound + reach * ops.softplus(free + _INVERSE_SOFTPLUS_OF_1)
        else:
            return free
        return ops.clip(value, *self._representable(free.dtype))

    def free_of(self, value: np.ndarray, initial: np.ndarray) -> np.ndarray:
        """The inverse of `from_free`."""
        if not self._has_one_end:
            return self.to_free(value)
        bound = self.lower if math.isfinite(self.lower) else self.upper
        share = (value - bound) / (initial - bound)
        return share + np.log(-np.expm1(-share)) - _INVERSE_SOFTPLUS_OF_1

    @property
    def _has_two_ends(self) -> bool:
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    @property
    def _has_one_end(self) -> bool:
        return math.isfinite(self.lower) != math.isfinite(self.upper)

    def _representable(self, dtype: Any) -> tuple[float, float]:
        """The smallest and the largest number of a dtype that lie strictly inside."""
        kind = np.dtype(keras.backend.standardize_dtype(dtype)).type
        tiny = float(np.finfo(kind).tiny)
        lower = float(np.nextafter(kind(self.lower), kind(np.inf)))
        upper = float(np.nextafter(kind(self.upper), kind(-np.inf)))
        # A compiler may flush numbers below the smallest normal one to 0.
        return tiny if self.lower == 0 else lower, -tiny if self.upper == 0 else upper


def real_arm(hint: Any) -> Any:
    """The part of a type hint that real numbers satisfy, `None` if there is none."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return next((arm for arm in map(real_arm, typing.get_args(hint)) if arm is not None), None)
    base = typing.get_args(hint)[0] if origin is Annotated else hint
    return hint if base is float else None


def range_of(hint: Any) -> Range:
    """The range that a type hint declares for a real number; all finite numbers if none.

    Of several bounds on a side the tightest counts.
    """
    constraints = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    lower, upper = (-math.inf, True), (math.inf, False)
    for constraint in _flat(constraints):
        if isinstance(constraint, at.Gt):
            lower = max(lower, (float(constraint.gt), True))  # type: ignore[arg-type]
        elif isinstance(constraint, at.Ge):
            lower = max(lower, (float(constraint.ge), False))  # type: ignore[arg-type]
        elif isinstance(constraint, at.Lt):
            upper = min(upper, (float(constraint.lt), False))  # type: ignore[arg-type]
        elif isinstance(constraint, at.Le):
            upper = min(upper, (float(constraint.le), True))  # type: ignore[arg-type]
    # Of two ends at one bound the open one is the tighter.
    return Range(lower[0], upper[0], lower_open=lower[1], upper_open=not upper[1])


def no_bounds(hint: Any) -> list[Any]:
    """The constraints of a real number's hint that are no bounds, which no range can keep to."""
    constraints = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    bounds = at.Gt | at.Ge | at.Lt | at.Le
    return [
        each
        for each in _flat(constraints)
        if isinstance(each, at.BaseMetadata) and not isinstance(each, bounds)
    ]


def _flat(constraints: Iterable[Any]) -> Iterator[Any]:
    for constraint in constraints:
        if isinstance(constraint, at.GroupedMetadata):
            yield from _flat(constraint)
        else:
            yield constraint
