"""Constraints of annotated-types: each is checked and worded, or refused when it is declared."""

import math
from typing import Annotated

import annotated_types as at
import numpy as np
import pytest

import lossmith as ls


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
