"""Hyperparameters: numbers, choices, flags, arrays and losses; validated, frozen, compared."""

import copy
import pickle
from typing import Annotated, Literal

import annotated_types as at
import keras
import numpy as np
import numpy.typing as npt
import pytest
from contract import user_losses
from gradients import to_numpy
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import lossmith as ls
from lossmith.core import traced

huber = ls.losses.huber


class Everything(ls.Loss):
    """One hyperparameter of each kind."""

    number: float = 1.0
    positive: ls.Positive = 1.0
    not_negative: ls.NonNegative = 0.0
    fraction: ls.Fraction = 0.5
    unit: ls.UnitInterval = 0.5
    count: Annotated[int, at.Interval(ge=1, le=9)] = 3
    choice: Literal["a", "b"] = "a"
    choice_or_none: Literal["a", None] = None
    flag: bool = False
    word: str = "word"
    array: ls.Array = (1.0, 2.0)
    maybe: ls.Positive | None = None
    loss: ls.Loss = huber

    def call(self, y_true, y_pred):
        return self.number * (y_true - y_pred)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", np.float32(0.5)), ("number", -3), ("number", np.array(2.0)),
        ("positive", 1e-30), ("not_negative", 0), ("fraction", 0.999), ("unit", 0), ("unit", 1),
        ("count", np.int64(9)), ("choice", "b"), ("flag", True), ("flag", np.bool_(True)),
        ("word", "other"), ("array", [1, 2, 3]), ("array", np.eye(2)), ("maybe", None),
        ("choice_or_none", "a"), ("choice_or_none", None),
        ("maybe", 2.0), ("loss", ls.losses.log_cosh), ("loss", "huber"),
    ],
)  # fmt: skip
def test_values_inside_the_range(name, value):
    loss = Everything(**{name: value})
    bound = loss.hyperparameters[name]
    if name == "loss":
        assert bound == ls.get(value)
    else:
        np.testing.assert_array_equal(bound, value)
    assert Everything.from_config(loss.get_config()) == loss


@pytest.mark.parametrize(
    ("name", "value", "error", "expected"),
    [
        ("number", float("nan"), ValueError, "a finite number"),
        ("number", float("inf"), ValueError, "a finite number"),
        ("number", "1", TypeError, "a finite number"),
        ("number", True, TypeError, "a finite number"),
        ("number", None, TypeError, "a finite number"),
        ("number", 1j, TypeError, "a finite number"),
        ("number", [1.0], TypeError, "a finite number"),
        ("positive", 0, ValueError, "a finite number > 0"),
        ("positive", -1.0, ValueError, "a finite number > 0"),
        ("not_negative", -1e-9, ValueError, "a finite number >= 0"),
        ("fraction", 0.0, ValueError, "a finite number > 0 and < 1"),
        ("fraction", 1.0, ValueError, "a finite number > 0 and < 1"),
        ("unit", 1.01, ValueError, "a finite number >= 0 and <= 1"),
        ("count", 0, ValueError, "an integer >= 1 and <= 9"),
        ("count", 2.5, ValueError, "an integer"),
        ("choice", "c", ValueError, "one of 'a', 'b'"),
        ("choice", 1, (TypeError, ValueError), "one of 'a', 'b'"),
        ("flag", 1, (TypeError, ValueError), "True or False"),
        ("flag", "yes", TypeError, "True or False"),
        ("word", 3, (TypeError, ValueError), "a string"),
        ("positive", 1e-50, ValueError, "float32 can hold, 1.2e-38 to 3.4e[+]38"),
        ("number", -1e300, ValueError, "float32 can hold"),
        ("number", 10**400, ValueError, "a finite number"),
        ("array", [1.0, float("nan")], ValueError, "an array of finite numbers"),
        ("array", [1.0, 1e-50], ValueError, "float32 can hold"),
        ("array", ["a"], TypeError, "an array of finite numbers"),
        ("array", [[1], [1, 2]], TypeError, "an array of finite numbers"),
        ("maybe", -1.0, ValueError, "a finite number > 0 or None"),
        ("loss", ls.losses.Huber, TypeError, r"write Huber\(\)"),
        ("loss", "no such loss", TypeError, "a loss"),
        ("loss", 3.0, (TypeError, ValueError), "a loss"),
    ],
)
def test_values_outside_the_range(name, value, error, expected):
    with pytest.raises(error, match=f"Everything: hyperparameter `{name}` must be .*{expected}"):
        Everything(**{name: value})


def test_the_message_names_loss_hyperparameter_range_and_value():
    with pytest.raises(ValueError, match="Huber") as refused:
        huber(threshold=-2.5)
    assert str(refused.value) == (
        "Huber: hyperparameter `threshold` must be a finite number > 0; got -2.5 (float)."
    )


def test_arrays_are_frozen_copies():
    scale = np.array([1.0, 2.0, 4.0])
    loss = user_losses.scaled_outputs(scale=scale)
    scale[:] = 0
    np.testing.assert_array_equal(loss.hyperparameters["scale"], [1, 2, 4])
    with pytest.raises(ValueError, match="read-only"):
        loss.hyperparameters["scale"][0] = 5
    assert loss == user_losses.scaled_outputs(scale=[1.0, 2.0, 4.0])
    assert loss != user_losses.scaled_outputs(scale=[1.0, 2.0, 5.0])


seen = []


def in_place(y_true, y_pred, *, scale: ls.Array = (1.0, 2.0)):
    """What a formula on PyTorch may do to its arguments, and on JAX with another name only."""
    seen.append(keras.backend.standardize_dtype(scale.dtype))
    scale *= 2
    return scale * ops.square(y_true - y_pred)


class Stored(ls.Loss):
    """Classic, with an array that it stores and computes with in place."""

    def __init__(self, scale=(1.0, 2.0)):
        super().__init__()
        self.scale = scale

    def call(self, y_true, y_pred):
        return in_place(y_true, y_pred, scale=self.scale)


@pytest.mark.parametrize("loss", [ls.loss(in_place), Stored()], ids=str)
def test_arrays_reach_the_formula_as_tensors_of_its_dtype_that_are_its_own(loss):
    for dtype, computed in (("float32", "float32"), ("bfloat16", "float32")):
        seen.clear()
        predictions = ops.zeros((1, 2), dtype=dtype)
        values = [float(loss(np.ones((1, 2)), predictions)) for _ in range(3)]
        assert values == [3.0] * 3
        assert set(seen) == {computed}


def test_the_array_of_a_loss_cannot_be_changed_from_outside():
    loss = user_losses.ScaledOutputs()
    with pytest.raises(ValueError, match="read-only"):
        loss.scale *= 3
    np.testing.assert_array_equal(loss.scale, [1.0, 2.0, 4.0])


@ls.loss
def declared_arrays(
    y_true,
    y_pred,
    *,
    axes: npt.NDArray[np.integer] = (0,),
    rates: npt.NDArray[np.floating] = (1.0,),
):
    """Arrays with a declared kind of number."""
    return y_true - y_pred


def test_arrays_are_of_the_declared_kind_and_of_one_width():
    with pytest.raises(TypeError, match=r"`axes` must be an array of integers; got \[1\.5"):
        declared_arrays(axes=[1.5])
    with pytest.raises(TypeError, match="`axes` must be an array of finite numbers"):
        declared_arrays(axes=[True])
    narrow, wide = (declared_arrays(axes=np.array([200], d)) for d in ("uint8", "int64"))
    assert narrow == wide
    assert narrow.hyperparameters["axes"].dtype == wide.hyperparameters["axes"].dtype == "int64"
    assert declared_arrays(rates=[2]).hyperparameters["rates"].dtype == "float64"


def test_an_integer_that_float32_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="size that float32 can hold"):
        user_losses.ClassicHuber(10**50)


@pytest.mark.parametrize("make", [user_losses.scaled_outputs, user_losses.ScaledOutputs()], ids=str)
def test_arrays_of_integers_are_those_of_floats(make):
    integers, floats = make(scale=[1, 2, 3]), make(scale=np.array([1, 2, 3], "float32"))
    assert integers == floats
    assert hash(integers) == hash(floats)
    values = [to_numpy(loss(np.zeros((1, 3)), np.ones((1, 3)))) for loss in (integers, floats)]
    assert values[0] == values[1] == 2


class Axes(ls.Loss):
    """Integers that have to stay ones, declared or by their default; and flags."""

    axes: npt.NDArray[np.int64] = (1, 2)
    used: ls.Array = (True, False)

    def __init__(self, axes: npt.NDArray[np.int64] = (1, 2), used=(True, False), order=(1, 0)):
        super().__init__()
        self.axes, self.used, self.order = axes, used, order

    def call(self, y_true, y_pred):
        squares = ops.square(y_true - y_pred)
        return ops.sum(squares, axis=tuple(self.axes.tolist()))


def test_arrays_that_are_axes_keep_their_integers():
    assert Axes().hyperparameters["axes"].dtype.kind == "i"
    assert Axes().hyperparameters["order"].dtype.kind == "i"
    assert Axes().hyperparameters["used"].dtype.kind == "b"
    assert Axes() == Axes(axes=np.array([1, 2], "int8"), order=[1, 0])
    assert Axes() != Axes(used=[1, 0])
    assert Axes.from_config(Axes().get_config()) == Axes()
    assert to_numpy(Axes()(np.zeros((2, 3, 4)), np.ones((2, 3, 4)))) == 12


@pytest.mark.parametrize("attribute", ["threshold", "reduction", "name", "dtype", "state"])
def test_losses_are_immutable(attribute):
    loss = huber(threshold=2.0)
    with pytest.raises(AttributeError, match="immutable"):
        setattr(loss, attribute, 3.0)
    with pytest.raises(AttributeError, match="immutable"):
        delattr(loss, attribute)
    with pytest.raises(TypeError):
        loss.hyperparameters["threshold"] = 3.0
    assert loss == huber(threshold=2.0)


def test_integers_without_a_hint_stay_integers():
    loss = user_losses.AxisNorm(axis=0)
    assert isinstance(loss.axis, int)
    assert user_losses.ClassicHuber(2) == user_losses.ClassicHuber(2.0)
    assert user_losses.ClassicHuber(2.5).threshold == 2.5


THRESHOLDS = st.floats(1e-3, 1e3)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "threshold": THRESHOLDS,
        "reduction": st.sampled_from(["sum", "mean", "none", None, "mean_with_sample_weight"]),
        "dtype": st.sampled_from([None, "float32", "bfloat16"]),
        "name": st.sampled_from(["one", "two"]),
    },
)
CANONICAL = {"mean": "sum_over_batch_size", None: "none"}


def what_counts(settings):
    reduction = settings.get("reduction", "mean")
    return (
        settings.get("threshold", 1.0),
        CANONICAL.get(reduction, reduction),
        settings.get("dtype"),
    )


@given(SETTINGS, SETTINGS)
def test_equal_exactly_when_they_compute_the_same(first, second):
    one, other = huber(**first), huber(**second)
    assert (one == other) == (what_counts(first) == what_counts(second))
    if one == other:
        assert hash(one) == hash(other)
    assert huber(**first) == one
    assert ls.losses.Huber(**first) == one
    assert eval(repr(one), {"Huber": ls.losses.Huber}) == one
    assert ls.losses.Huber.from_config(one.get_config()) == one


def test_losses_of_two_classes_differ():
    assert huber != ls.losses.pseudo_huber
    assert huber != user_losses.FieldHuber()
    assert huber != keras.losses.Huber()
    assert huber != "huber"
    assert len({huber, huber(), huber(threshold=1), huber(threshold=2.0)}) == 2


def test_a_hash_is_made_once_and_is_no_part_of_what_is_saved_or_traced():
    loss = user_losses.Combined(base=huber(threshold=2.0))
    first = hash(loss)
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), loss(), loss(name="x")):
        assert other == loss
        assert hash(other) == first
    assert loss(base=huber(threshold=3.0)) != loss
    assert loss._key is loss._key
    changed = traced(loss(base=huber), {"base.threshold": ops.convert_to_tensor(3.0)})
    assert changed != loss(base=huber)


def test_losses_in_losses_compare_by_value():
    combined = user_losses.Combined(base=ls.losses.quantile(q=0.2))
    assert combined == user_losses.Combined(base=ls.losses.quantile(q=0.2))
    assert combined != user_losses.Combined(base=ls.losses.quantile(q=0.3))
    value = to_numpy(combined([0.0], [1.0]))
    assert value == pytest.approx(2 * 0.8)


@given(THRESHOLDS, st.floats(-1e3, 1e3))
def test_the_value_follows_the_hyperparameter(threshold, error):
    value = float(huber(threshold=threshold)([error], [0.0]))
    size = abs(np.float32(error))
    exact = size**2 / 2 if size <= threshold else threshold * (size - threshold / 2)
    assert value == pytest.approx(exact, rel=1e-4, abs=1e-30)


def test_a_word_of_numpy_is_a_plain_word():
    loss = Everything(word=np.str_("other"))
    assert type(loss.hyperparameters["word"]) is str
    assert "word='other'" in repr(loss)
