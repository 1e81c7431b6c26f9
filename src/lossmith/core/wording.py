"""How messages name what they are about, and show its values."""

import math
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def named(name: str) -> Iterator[None]:
    """Let a `ValueError` begin with the name of what it is about.

    Raises:
        ValueError: as it was raised inside, with the name.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
