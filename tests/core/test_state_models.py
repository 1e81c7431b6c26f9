"""The state put into models of several outputs, with steps of their own, and made of parts."""

import keras
import numpy as np
import pytest
from core.training import X, Y, doubling, level, sequential
from keras import ops

import lossmith as ls

huber = ls.losses.huber
ADJUSTABLE = level(height=ls.adjustable(3.0))


def bare(kind=keras.Model):
    inputs = keras.layers.Input((3,))
    return kind(inputs, keras.layers.Dense(1)(inputs))


class OwnTrainStep(keras.Sequential):
    def train_step(self, *args):
        return super().train_step(*args)


class OwnTestStep(keras.Model):
    def call(self, inputs):
        return inputs

    def test_step(self, *args):
        return super().test_step(*args)


class OwnLoss(keras.Model):
    def compute_loss(self, **kwargs):
        return super().compute_loss(**kwargs)


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (OwnTrainStep, "train_step"),
        (OwnTestStep, "test_step"),
        (lambda: bare(OwnLoss), "compute_loss"),
    ],
)
@pytest.mark.parametrize("losses", [ADJUSTABLE, [ADJUSTABLE]], ids=["one", "several"])
def test_steps_of_ones_own_are_not_lost_in_silence(make, step, losses):
    with pytest.raises(TypeError, match=f"has a {step} of its own.*loss.state into the model"):
        ls.with_state(make(), losses)


def test_losses_by_the_names_of_the_outputs():
    inputs = keras.layers.Input((3,))
    outputs = [keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")]
    losses = {"b": level(height=doubling), "a": ADJUSTABLE}
    model = ls.with_state(keras.Model(inputs, outputs), losses)
    model.compile(optimizer="sgd", loss=losses)
    targets = {"a": Y, "b": Y}
    model.fit(X, targets, batch_size=4, verbose=0)
    figures = model.evaluate(X, targets, verbose=0, return_dict=True)
    assert figures["loss"] == 3 + 4
    assert figures["b_loss"] == 4
    with pytest.raises(ValueError, match=r"losses for \['c'\], but the outputs are \['a', 'b'\]"):
        ls.with_state(keras.Model(inputs, outputs), {"c": ADJUSTABLE})


def test_a_second_state_of_a_loss_is_refused():
    model = ls.with_state(bare(), ADJUSTABLE)
    for losses in (ADJUSTABLE, [ADJUSTABLE]):
        with pytest.raises(ValueError, match=r"has a state of .* already, `loss_state"):
            ls.with_state(model, losses)
    other = huber(threshold=ls.adjustable(2.0))
    assert len(ls.get_hyperparameters(ls.with_state(model, other))) == 2


def part(loss, name):
    inputs = keras.layers.Input((3,))
    outputs = ls.core.state.LossState(loss, name="kept")(keras.layers.Dense(1)(inputs))
    return keras.Model(inputs, outputs, name=name)


def test_states_of_one_name_in_the_parts_of_a_model():
    inputs = keras.layers.Input((3,))
    losses = [level(height=ls.adjustable(value)) for value in (3.0, 5.0)]
    parts = [part(loss, name) for loss, name in zip(losses, ("first", "second"), strict=True)]
    model = keras.Model(inputs, [each(inputs) for each in parts])
    model.compile(loss=losses)
    values = {"first/kept.height": 3.0, "second/kept.height": 5.0}
    assert ls.get_hyperparameters(model) == values
    ls.set_hyperparameters(model, {"second/kept.height": 7.0})
    assert ls.get_hyperparameters(model) == {**values, "second/kept.height": 7.0}
    assert model.evaluate(X, [Y, Y], verbose=0, return_dict=True)["loss"] == 3 + 7


class Shown(keras.callbacks.Callback):
    """What a callback after the others sees of an evaluation."""

    def on_test_end(self, logs=None):
        self.logs = logs


def test_an_evaluation_says_which_value_it_used():
    model, shown = sequential(ADJUSTABLE), Shown()
    ls.set_hyperparameters(model, height=4.0)
    model.evaluate(X, Y, verbose=0, callbacks=[ls.LogHyperparameters(), shown])
    assert shown.logs == {"loss": 4.0, "height": 4.0}


class Scaled(ls.Loss):
    """Classic style, with arithmetic of Python in `__init__`."""

    def __init__(self, factor=1.0):
        super().__init__()
        if not isinstance(factor, float):
            raise TypeError("factor must be a float")
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * ops.square(y_true - y_pred)


def test_what_an_init_makes_of_tensors_is_explained():
    model = sequential(Scaled(factor=ls.adjustable(2.0)))
    with pytest.raises(TypeError, match="factor must be a float") as caught:
        model.layers[-1].loss(np.zeros(2), model.layers[-1](np.ones(2)))
    assert any("with tensors where hyperparameters change" in each
               for each in caught.value.__notes__)  # fmt: skip


def test_the_input_of_a_sequential_model_keeps_dtype_and_name():
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="int32", name="tokens"),
            keras.layers.Embedding(5, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    (found,) = ls.with_state(model, ADJUSTABLE).inputs
    assert (found.dtype, found.name, found.shape) == ("int32", "tokens", (None, 2))


def test_the_hyperparameters_of_a_model_that_is_not_built():
    model = keras.Sequential([keras.layers.Dense(1), ADJUSTABLE.state])
    with pytest.raises(ValueError, match=r"not there before it is built.*keras\.Input"):
        ls.get_hyperparameters(model)
    with pytest.raises(ValueError, match="not there before it is built"):
        ls.set_hyperparameters(model, height=2.0)
    model(X)
    assert ls.get_hyperparameters(model) == {"height": 3.0}
