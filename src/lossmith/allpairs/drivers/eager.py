"""What backends that run line by line have in common: Python's own loop, choice and slices."""

from collections.abc import Callable
from typing import Any


def loop(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """`carry = body(i, carry)` for `i` from 0 to `count`."""
    for i in range(int(count)):
        carry = body(i, carry)
    return carry


def switch(index: Any, branches: list[Callable[[Any], Any]], operand: Any) -> Any:
    """The result of the branch that is chosen."""
    return branches[int(index)](operand)


def take_items(array: Any, start: Any, offsets: Any) -> Any:
    """What the items along the last axis have from `start` on, as many as there are offsets."""
    return array[..., start : start + len(offsets)]
