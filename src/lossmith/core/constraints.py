"""The constraints of `annotated-types`: which are known, whether they hold, how they are worded."""

import typing
from collections.abc import Callable, Iterable
from typing import Any

import annotated_types as at
import numpy as np

_COMPARISONS: dict[type, tuple[str, str, Callable[[Any, Any], Any]]] = {
    at.Gt: ("gt", ">", lambda value, bound: np.all(np.asarray(value) > bound)),
    at.Ge: ("ge", ">=", lambda value, bound: np.all(np.asarray(value) >= bound)),
    at.Lt: ("lt", "<", lambda value, bound: np.all(np.asarray(value) < bound)),
    at.Le: ("le", "<=", lambda value, bound: np.all(np.asarray(value) <= bound)),
    at.MinLen: ("min_length", "of length >=", lambda value, bound: len(value) >= bound),
    at.MaxLen: ("max_length", "of length <=", lambda value, bound: len(value) <= bound),
    at.MultipleOf: (
        "multiple_of",
        "a multiple of",
        lambda value, bound: np.all(np.asarray(value) % bound == 0),
    ),
}
"""Of each constraint the attribute that holds its bound, its words, and its meaning."""


def among(metadata: Iterable[Any]) -> Iterable[at.BaseMetadata]:
    """The constraints among the metadata of a hint, groups taken apart; the rest is not ours."""
    for each in metadata:
        if isinstance(each, at.GroupedMetadata):
            yield from among(each)
        elif isinstance(each, at.BaseMetadata):
            yield each


def holds(constraint: at.BaseMetadata, value: Any) -> bool:
    """Whether a value, or every entry of an array, is within a known constraint."""
    if isinstance(constraint, at.Predicate):
        return bool(constraint.func(value))
    attribute, _, compare = _COMPARISONS[type(constraint)]
    return bool(compare(value, getattr(constraint, attribute)))


def is_known(constraint: at.BaseMetadata) -> bool:
    """Whether a constraint can be checked."""
    return isinstance(constraint, at.Predicate) or type(constraint) in _COMPARISONS


def describe(constraint: at.BaseMetadata) -> str:
    """A known constraint in words."""
    if isinstance(constraint, at.Predicate):
        return f"that passes {constraint}"
    attribute, words, _ = _COMPARISONS[type(constraint)]
    return f"{words} {getattr(constraint, attribute)}"


def within(hint: Any) -> Iterable[at.BaseMetadata]:
    """Every constraint of a type hint, those of its parts included."""
    yield from among(getattr(hint, "__metadata__", ()))
    for part in typing.get_args(hint):
        yield from within(part)
