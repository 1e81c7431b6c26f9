"""A curve in a few lines of a terminal."""

import math
from collections.abc import Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"
_NOT_FINITE = "x"


def area(values: Sequence[float], height: int = 4) -> list[str]:
    """Rows of block characters, the largest value on top; what is not finite is an x.

    >>> print("|".join(area([0.0, 1.0, 2.0, float("nan")], height=1)))
    ▁▄█x
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    span = high - low or 1.0
    levels = [
        max(1, round((value - low) / span * 8 * height)) if math.isfinite(value) else None
        for value in values
    ]
    return [
        "".join(_cell(level, row, row == 0) for level in levels) for row in reversed(range(height))
    ]


def _cell(level: int | None, row: int, is_lowest: bool) -> str:
    if level is None:
        return _NOT_FINITE if is_lowest else " "
    return _BLOCKS[min(8, max(0, level - 8 * row))]
