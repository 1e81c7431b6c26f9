"""A curve in a few lines of a terminal."""

import math
from collections.abc import Sequence

from lossmith.checker.report import Curve

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


def drawn(curve: Curve) -> list[str]:
    """A title, the loss, its slope, and the axis below them."""
    lines = [f"  {curve.title}"]
    for name, values in (("loss", curve.values), ("slope", curve.slopes)):
        rows = area(values)
        finite = [value for value in values if math.isfinite(value)]
        ends = (f"{max(finite):.3g}", f"{min(finite):.3g}") if finite else ("", "")
        for number, row in enumerate(rows):
            edge = ends[0] if number == 0 else ends[1] if number == len(rows) - 1 else ""
            lines.append(f"  {name if number == 0 else '':>6} {edge:>9} {row}")
    first, last = f"{curve.at[0]:g}", f"{curve.at[-1]:g}"
    axis = f"{first}{last:>{max(1, len(curve.at) - len(first))}}"
    return [*lines, f"  {'':>6} {'':>9} {axis}"]


def _cell(level: int | None, row: int, is_lowest: bool) -> str:
    if level is None:
        return _NOT_FINITE if is_lowest else " "
    return _BLOCKS[min(8, max(0, level - 8 * row))]
