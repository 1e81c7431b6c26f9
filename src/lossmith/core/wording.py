"""How messages show the values that they are about."""

import math
import reprlib
from typing import Any


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, value: int, level: int) -> str:
        """All digits, or how many there are: Python does not even write down thousands."""
        digits = int(value.bit_length() * math.log10(2)) + 1
        return repr(value) if digits <= self.maxlong else f"an integer of about {digits} digits"


shown: Any = _Shown().repr
"""A value as `repr` gives it, cut where it is long."""
