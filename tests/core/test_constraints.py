"""Constraints of annotated-types: each is checked and worded, or refused when it is declared."""

import math
from typing import Annotated

import annotated_types as at
import numpy as np
import pytest

import lossmith as ls
from lossmith.core.ranges import Range, range_of


def is_even(value):
    return value % 2 == 0


class Constrained(ls.Loss):
    """One hyperparameter for each sort of constraint."""

    step: Annotated[int, at.MultipleOf(4)] = 8
    even: Annotated[int, at.Ge(0), at.Predicate(is_even)] = 2
    finite: at.IsFinite[float] = 1.0
    weights: Annotated[ls.Array, at.Gt(0), at.Len(2, 3)] = (1.0, 2.0)
    multiples: Annotated[ls.Array, at.MultipleOf(0.5)] = (0.5, 1.0)
    noted: Annotated[float, "in seconds", at.Interval(gt=0, le=9)] = 1.0

    def call(self, y_true, y_pred):
        return y_true - y_pred


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", -4), ("even", 6), ("finite", -1e9), ("weights", [1, 2, 3]), ("multiples", [4, 1.5]),
     ("noted", 9)],
)  # fmt: skip
def test_what_is_within(name, value):
    np.testing.assert_array_equal(Constrained(**{name: value}).hyperparameters[name], value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("step", 2, "an integer a multiple of 4"),
        ("even", 3, r"an integer >= 0 and that passes Predicate\(is_even\)"),
        ("finite", math.inf, r"a finite number that passes Predicate\(math.isfinite\)"),
        ("weights", [1.0, 0.0], "an array of finite numbers > 0"),
        ("weights", [1.0], "of length >= 2"),
        ("multiples", [0.5, 0.7], "a multiple of 0.5"),
        ("noted", 0.0, "a finite number > 0 and <= 9"),
    ],
)
def test_what_is_outside_is_refused_in_words(name, value, expected):
    with pytest.raises(ValueError, match=f"`{name}` must be {expected}.*; got|{expected}.*; got"):
        Constrained(**{name: value})


@pytest.mark.parametrize(
    "hint",
    [
        Annotated[float, at.Timezone("UTC")],
        Annotated[float, at.Timezone(None)] | None,
    ],
)
def test_a_constraint_that_cannot_be_checked_is_refused_when_it_is_declared(hint):
    def formula(y_true, y_pred, *, scale=1.0):
        return scale * (y_true - y_pred)

    formula.__annotations__["scale"] = hint
    with pytest.raises(TypeError, match=r"`scale` is declared with Timezone.*cannot be checked"):
        ls.loss(formula)


@ls.loss
def twice_bounded(
    y_true,
    y_pred,
    *,
    low: Annotated[float, at.Gt(1), at.Gt(0), at.Ge(1)] = 2.0,
    high: Annotated[float, at.Le(3), at.Lt(3), at.Le(9)] = 2.0,
):
    """An error with two numbers that several bounds hold."""
    return low * high * (y_true - y_pred)


@pytest.mark.parametrize(("name", "bound"), [("low", 1.0), ("high", 3.0)])
def test_the_tightest_of_several_bounds_holds_what_changes(name, bound):
    assert range_of(twice_bounded.declared["low"].kind) == Range(lower=1.0)
    assert range_of(twice_bounded.declared["high"].kind) == Range(upper=3.0)
    with pytest.raises(ValueError, match=name):
        twice_bounded(**{name: ls.learned(bound)})


@pytest.mark.parametrize("value", [ls.learned(2.0), ls.adjustable(2.0)])
@pytest.mark.parametrize("constraint", [at.MultipleOf(2), at.Predicate(is_even)])
def test_what_changes_has_bounds_only(value, constraint):
    @ls.loss(name="stepped")
    def stepped(y_true, y_pred, *, size: Annotated[float, at.Gt(0), constraint] = 2.0):
        return size * (y_true - y_pred)

    assert stepped(size=4.0).size == 4.0
    with pytest.raises(TypeError, match=r"`size` must be .*only bounds"):
        stepped(size=value)
