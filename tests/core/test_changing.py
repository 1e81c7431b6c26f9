"""Scheduled and adjustable hyperparameters as they are declared, and what is refused."""

import functools
import pickle
from typing import Annotated, Literal

import annotated_types as at
import keras
import numpy as np
import pytest
from core.training import doubling, halving
from keras import ops

import lossmith as ls

huber = ls.losses.huber
EXPONENTIAL = keras.optimizers.schedules.ExponentialDecay(4.0, 10, 0.5)


@pytest.mark.parametrize(
    "threshold",
    [doubling, halving, ls.schedule(EXPONENTIAL),
     ls.adjustable(2), ls.adjustable(np.float32(0.5))],
    ids=repr,
)  # fmt: skip
def test_a_changing_loss_is_a_value(threshold):
    loss = huber(threshold=threshold, reduction="sum")
    for other in (
        type(loss).from_config(loss.get_config()),
        keras.losses.deserialize(keras.losses.serialize(loss)),
        pickle.loads(pickle.dumps(loss)),
    ):
        assert other == loss
        assert hash(other) == hash(loss)
        assert other.hyperparameters["threshold"] == threshold
    assert loss != huber(reduction="sum")
    assert loss(threshold=2.0) == huber(threshold=2.0, reduction="sum")
    assert repr(threshold) in repr(loss)
    assert dict(loss.changing) == {"threshold": threshold}


def test_schedules_differ_by_all_that_they_compute():
    same = ls.schedule(keras.optimizers.schedules.ExponentialDecay(4.0, 10, 0.5))
    different = [
        ls.schedule(keras.optimizers.schedules.ExponentialDecay(4.0, 10, 0.6)),
        doubling,
        ls.schedule(halving.source),
        ls.schedule(doubling.source, steps_per_epoch=3),
        ls.adjustable(4.0),
        ls.adjustable(4.5),
    ]
    assert same == ls.schedule(EXPONENTIAL)
    assert len({same, ls.schedule(EXPONENTIAL), *different}) == 7


def test_names_of_nested_ones_have_dots():
    class Outer(ls.Loss):
        base: ls.Loss = huber
        factor: ls.Positive = 1.0

        def call(self, y_true, y_pred):
            return self.factor * self.base.values(y_true, y_pred)

    inner = huber(threshold=ls.adjustable(2.0))
    loss = Outer(base=inner, factor=ls.adjustable(3.0))
    assert set(loss.changing) == {"base.threshold", "factor"}
    model = ls.with_state(keras.Sequential([keras.layers.Input((1,))]), loss)
    model.compile(loss=loss)
    x = np.array([[5.0]])
    assert model.evaluate(x, 0 * x, verbose=0) == pytest.approx(3 * 2 * (5 - 1))
    ls.set_hyperparameters(model, {"base.threshold": 1.0, "factor": 2.0})
    assert ls.get_hyperparameters(model) == {"base.threshold": 1.0, "factor": 2.0}
    assert model.evaluate(x, 0 * x, verbose=0) == pytest.approx(2 * 1 * (5 - 0.5))


def reads_a_variable():
    limit = 3.0

    def inner(step):
        return limit + step

    return inner


def below_zero(step):
    return -1.0 + 0.0 * step


def two_numbers(step):
    return ops.stack([step + 1.0, step + 2.0])


def undefined_at_0(step):
    return ops.log(step)


@ls.loss
def below_one(y_true, y_pred, *, share: ls.Fraction = 0.5):
    """A formula that is infinite at both ends of the range."""
    return ops.abs(y_true - y_pred) - ops.log(share) - ops.log(1 - share)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ls.schedule(lambda step: 1.0), TypeError, "write a function with `def`"),
        (lambda: ls.schedule(reads_a_variable()), TypeError, "reads no variables"),
        (lambda: ls.schedule(doubling), TypeError, "changes already: give that"),
        (lambda: ls.schedule(2.0), TypeError, "function of the step or a Keras"),
        (
            lambda: ls.schedule(functools.partial(doubling.source)),
            TypeError,
            "function of the step",
        ),
        (lambda: ls.schedule(type(EXPONENTIAL)), TypeError, "function of the step"),
        (lambda: ls.schedule(doubling.source, steps_per_epoch=0), ValueError, "positive integer"),
        (lambda: ls.schedule(doubling.source, steps_per_epoch=2.5), ValueError, "positive integer"),
        (lambda: huber(threshold=ls.schedule(below_zero)), ValueError, "number > 0; got -1.0"),
        (lambda: huber(threshold=ls.schedule(two_numbers)), ValueError, r"gave shape \(2,\)"),
        (lambda: huber(threshold=ls.schedule(undefined_at_0)), ValueError, "got -inf"),
        (lambda: huber(threshold=EXPONENTIAL), TypeError, r"wrap it: lossmith\.schedule\(\.\.\.\)"),
        (lambda: huber(threshold=below_zero), TypeError, r"wrap it: lossmith\.schedule"),
        (lambda: EXPONENTIAL * huber, TypeError, r"wrap it: lossmith\.schedule"),
        (lambda: huber * below_zero, TypeError, r"wrap it: lossmith\.schedule"),
        (lambda: ls.adjustable("2"), TypeError, "takes a number; got '2'"),
        (lambda: ls.adjustable(True), TypeError, "takes a number; got True"),
        (lambda: huber(threshold=ls.adjustable(0.0)), ValueError, "number > 0; got 0.0"),
        (lambda: huber(threshold=ls.adjustable(float("nan"))), ValueError, "finite number"),
        (lambda: ls.losses.contrastive(same=ls.adjustable(1)), TypeError, "only real numbers"),
        (lambda: ls.losses.contrastive(distance=ls.adjustable(1)), TypeError, "one of 'eucl"),
        (lambda: ls.losses.contrastive(graded=doubling), TypeError, "True or False"),
        (
            lambda: ls.losses.contrastive(distance="cosine", margin=ls.adjustable(2.5)),
            ValueError,
            "can never be reached",
        ),
        (
            lambda: below_one(share=ls.adjustable(1 - 1e-9)),
            ValueError,
            "is 1.0 in float32.*nearest inside is 0.99999994",
        ),
    ],
)
def test_bad_declarations_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


class Kinds(ls.Loss):
    """Which declarations may change."""

    plain: float = 1.0
    maybe: ls.Positive | None = 1.0
    within: Annotated[float, at.Interval(ge=-1, lt=4)] = 0.0
    count: int = 3
    choice: Literal[1, 2] = 1

    def call(self, y_true, y_pred):
        return self.plain * self.maybe * self.within + 0.0 * y_pred


@pytest.mark.parametrize("name", ["plain", "maybe", "within"])
def test_real_numbers_may_change(name):
    assert set(Kinds(**{name: ls.adjustable(2.5)}).changing) == {name}


@pytest.mark.parametrize("name", ["count", "choice"])
def test_others_may_not(name):
    with pytest.raises(TypeError, match="only real numbers can"):
        Kinds(**{name: ls.adjustable(2)})


def test_a_function_that_was_not_imported_is_named():
    config = huber(threshold=doubling).get_config()
    config["threshold"]["config"]["source"] = "their_module>cooling"
    with pytest.raises(ValueError, match="import `their_module`"):
        ls.losses.Huber.from_config(config)


@ls.schedule
def worded(step):
    return "large"


@ls.schedule
def forgetful(step):
    step + 1.0


@ls.schedule
def branching(step):
    raise TypeError("A step that is traced has no truth. As backends say of an `if`.")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (worded, r"schedule\(worded\) must return a number; it returned 'large'"),
        (forgetful, r"schedule\(forgetful\) must return a number; it returned None"),
        (branching, r"schedule\(branching\) cannot be computed from a tensor.*ops\.where"),
    ],
)
def test_schedules_that_give_no_number(source, words):
    with pytest.raises(TypeError, match=words):
        huber(threshold=source)


def called_again(text):
    """A schedule of the name `again`, as two cells of a notebook may define it."""
    namespace = {"__name__": "notebook"}
    exec(f"def again(step):\n    return {text}", namespace)
    return ls.schedule(namespace["again"])


def test_two_schedules_of_one_name_are_not_saved_as_one():
    first = huber(threshold=called_again("1.0 + step"))
    same = huber(threshold=called_again("1.0 + step"))
    assert ls.get(keras.saving.serialize_keras_object(first)) == same
    last = huber(threshold=called_again("2.0 + step"))
    with pytest.raises(ValueError, match="Two functions are called `notebook>again`"):
        keras.saving.serialize_keras_object(first)
    assert ls.get(keras.saving.serialize_keras_object(last)) == last


def test_a_value_set_by_hand_stays_inside_of_its_range_in_float32():
    loss = below_one(share=ls.adjustable(0.5))
    model = keras.Sequential([keras.layers.Input((1,)), loss.state])
    with pytest.raises(ValueError, match=r"`share` cannot be set.*is 1\.0 in float32"):
        ls.set_hyperparameters(model, share=1 - 1e-9)
    ls.set_hyperparameters(model, share=0.99999994)
    model.compile(loss=loss)
    assert np.isfinite(model.evaluate(np.ones((1, 1)), np.ones((1, 1)), verbose=0))


def test_the_state_of_a_fixed_loss_keeps_nothing():
    model = keras.Sequential([keras.layers.Input((1,)), huber.state])
    model.compile(loss=huber)
    assert model.evaluate(np.ones((1, 1)), np.zeros((1, 1)), verbose=0) == pytest.approx(0.5)
    assert not model.weights
    with pytest.raises(TypeError, match="a loss of lossmith"):
        ls.with_state(model, keras.losses.Huber())
