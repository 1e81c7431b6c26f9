"""Operators of losses: `0.7 * huber + 0.3 * log_cosh` is a loss."""

import numbers
from typing import Any

import numpy as np

from lossmith.core.changing import Changing, advice_on_schedule


class Arithmetic:
    """Lets losses be added, and multiplied by a number.

    The operators are apart from what they make, which is itself a loss.
    """

    # NumPy's numbers leave the product to the loss.
    __array_ufunc__ = None

    def __mul__(self, factor: Any) -> Any:
        """A loss with a weight.

        Raises:
            TypeError: if a schedule is given as it is.
        """
        from lossmith.core import composed

        if advice := advice_on_schedule(factor):
            raise TypeError(f"A loss is multiplied by a number; got {factor!r}.{advice}")
        if not isinstance(factor, numbers.Real | np.ndarray | Changing):
            return NotImplemented
        if isinstance(factor, np.ndarray | np.generic) and np.ndim(factor) == 0:
            factor = factor.item()
        return composed.weighted(self, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Any:
        """A loss with the inverse of a number as its weight."""
        if isinstance(divisor, np.ndarray) and np.ndim(divisor) == 0:
            divisor = divisor.item()
        if not isinstance(divisor, numbers.Real):
            return NotImplemented
        return self * (1.0 / float(divisor))

    def __add__(self, other: Any) -> Any:
        """The sum of two losses; `sum` begins with 0."""
        from lossmith.core import composed

        if isinstance(other, numbers.Real) and not isinstance(other, bool) and other == 0:
            return self
        if not hasattr(other, "reduction"):
            return NotImplemented
        return composed.total(self, other)

    __radd__ = __add__
