"""Changing hyperparameters in training: seen by the next step, compiled once, kept by one model."""

import keras
import numpy as np
import pytest
from core.training import (
    SetAt,
    X,
    Y,
    doubling,
    halving,
    level,
    losses_of_steps,
    sequential,
    traces,
    value_of,
)
from keras import ops

import lossmith as ls
from lossmith.core import traced

huber = ls.losses.huber
ADJUSTABLE = level(height=ls.adjustable(3.0))


def counted(model, **arguments):
    """The losses of the steps, and how often the formula was traced after the first epoch."""
    losses = losses_of_steps(model, **arguments)
    before = len(traces)
    return losses, lambda: len(traces) - before


def test_a_schedule_is_seen_by_every_step_and_compiled_once(backend):
    model = sequential(level(height=doubling))
    losses, traced_since = counted(model)
    assert losses == pytest.approx([1, 2, 4, 8])
    assert losses_of_steps(model, epochs=2) == pytest.approx(
        [16, 32, 64, 128, 256, 512, 1024, 2048]
    )
    assert traced_since() == 0 or backend == "torch"
    assert value_of(model) == pytest.approx(4096)
    assert value_of(model) == pytest.approx(4096), "evaluation is no step"
    model.predict(X, verbose=0)
    assert ls.get_hyperparameters(model) == {"height": 4096}


def test_a_state_that_is_called_twice_counts_the_step_once():
    inputs = keras.layers.Input((3,))
    loss = level(height=doubling)
    state = loss.state
    outputs = [state(keras.layers.Dense(1)(inputs)) for _ in range(2)]
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=[loss, loss])
    assert model.fit(X, [Y, Y], batch_size=4, verbose=0).history["loss"] == [2 * (1 + 2) / 2]
    assert ls.get_hyperparameters(model) == {"height": 4}


def test_a_schedule_of_epochs():
    model = sequential(level(height=halving))
    assert losses_of_steps(model, epochs=3) == pytest.approx([8] * 4 + [4] * 4 + [2] * 4)


def test_a_schedule_of_keras():
    decay = keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [5.0, 4.0, 3.0])
    model = sequential(level(height=ls.schedule(decay)))
    assert losses_of_steps(model, epochs=2) == pytest.approx([5, 5, 4, 4, 3, 3, 3, 3])


def test_several_steps_per_execution(backend):
    steps = 1 if backend == "torch" else 2
    model = sequential(level(height=doubling), steps_per_execution=steps)
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0)
    assert ls.get_hyperparameters(model) == {"height": 2.0**8}
    model = sequential(ADJUSTABLE, steps_per_execution=steps)
    setter = SetAt("end", {1: 7.0})
    history = model.fit(X, Y, batch_size=2, verbose=0, callbacks=[setter])
    assert history.history["loss"] == pytest.approx([(3 + 3 + 7 + 7) / 4])


@pytest.mark.parametrize(("hook", "first_new"), [("begin", 2), ("end", 3)])
def test_set_in_the_middle_of_an_epoch(backend, hook, first_new):
    model = sequential(ADJUSTABLE)
    losses, traced_since = counted(model)
    assert losses == pytest.approx([3] * 4)
    losses = losses_of_steps(model, callbacks=[SetAt(hook, {2: 9.0})])
    assert losses == pytest.approx([3] * first_new + [9] * (4 - first_new))
    assert traced_since() == 0 or backend == "torch"
    ls.set_hyperparameters(model, height=5)
    assert losses_of_steps(model) == pytest.approx([5] * 4)
    assert traced_since() == 0 or backend == "torch"
    assert value_of(model) == 5


def test_setting_in_an_epoch_keeps_what_was_trained():
    loss = huber(threshold=ls.adjustable(0.5))
    weights = []
    for callbacks in ([], [SetAt("end", {0: 0.5, 2: 0.5}, "threshold")]):
        keras.utils.set_random_seed(0)
        model = sequential(loss)
        model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss=loss)
        model.fit(X, Y, batch_size=2, shuffle=False, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights()[0])
    np.testing.assert_allclose(*weights, rtol=1e-6)


def test_the_logs_and_the_validation():
    model = sequential(level(height=halving))
    history = model.fit(
        X, Y, batch_size=2, epochs=2, verbose=0, validation_data=(X, Y),
        callbacks=[ls.LogHyperparameters()],
    ).history  # fmt: skip
    assert history["loss"] == pytest.approx([8, 4])
    assert history["height"] == history["val_loss"] == pytest.approx([4, 2])


def functional(loss):
    inputs = keras.layers.Input((3,))
    return keras.Model(inputs, loss.state(keras.layers.Dense(1)(inputs)))


class Subclassed(keras.Model):
    def __init__(self, loss, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1)
        self.state = loss.state

    def call(self, inputs, training=False):
        return self.state(self.dense(inputs), training=training)


class Bare(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


class Untold(Subclassed):
    def call(self, inputs):
        return self.state(self.dense(inputs))


class NotHandedOn(Subclassed):
    def call(self, inputs, training=False):
        return self.state(self.dense(inputs))


@pytest.mark.parametrize("kind", [Untold, NotHandedOn])
def test_a_schedule_counts_steps_or_says_that_it_cannot(kind, backend):
    loss = level(height=doubling)
    model = kind(loss)
    model.compile(optimizer="sgd", loss=loss)
    if kind is NotHandedOn and backend != "jax":  # there Keras hands it on by itself
        assert losses_of_steps(model) == pytest.approx([1, 2, 4, 8])
    else:
        with pytest.raises(ValueError, match="not told whether this is one"):
            model.fit(X, Y, verbose=0)


def test_a_value_set_by_hand_needs_no_count():
    model = Untold(ADJUSTABLE)
    model.compile(optimizer="sgd", loss=ADJUSTABLE)
    assert losses_of_steps(model, callbacks=[SetAt("end", {1: 9.0})]) == pytest.approx([3, 3, 9, 9])


def bare_functional():
    inputs = keras.layers.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


BUILDERS = {
    "functional": functional,
    "subclassed": Subclassed,
    "with_state of sequential": lambda loss: ls.with_state(
        keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)]), loss
    ),
    "with_state of deferred": lambda loss: ls.with_state(
        keras.Sequential([keras.layers.Dense(1)]), loss
    ),
    "with_state of functional": lambda loss: ls.with_state(bare_functional(), loss),
    "with_state of subclassed": lambda loss: ls.with_state(Bare(), loss),
    "nested": lambda loss: keras.Sequential([keras.layers.Input((3,)), functional(loss)]),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
def test_every_kind_of_model(build):
    loss = level(height=doubling)
    model = build(loss)
    model.compile(optimizer="sgd", loss=loss)
    assert losses_of_steps(model, epochs=2) == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128])
    assert ls.get_hyperparameters(model) == {"height": 256}


def test_several_outputs():
    inputs = keras.layers.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b", "c")}
    losses = {
        "a": level(height=ls.adjustable(3.0)),
        "b": level(height=doubling),
        "c": level(height=5.0),
    }
    model = ls.with_state(keras.Model(inputs, outputs), losses)
    model.compile(optimizer="sgd", loss=losses)
    targets = dict.fromkeys(outputs, Y)
    model.fit(X, targets, batch_size=4, verbose=0)
    assert model.evaluate(X, targets, verbose=0, return_dict=True)["loss"] == 3 + 4 + 5
    first, second = ls.get_hyperparameters(model)
    ls.set_hyperparameters(model, {first: 10.0})
    assert ls.get_hyperparameters(model) == {first: 10.0, second: 4.0}
    assert model.evaluate(X, targets, verbose=0, return_dict=True)["loss"] == 10 + 4 + 5


def test_models_that_share_a_loss_share_no_value():
    first, second = sequential(ADJUSTABLE), sequential(ADJUSTABLE)
    ls.set_hyperparameters(first, height=9.0)
    assert (value_of(first), value_of(second)) == (9, 3)


def test_without_its_state_the_loss_says_so():
    loss = huber(threshold=doubling)
    for act in ("fit", "evaluate"):
        model = bare_functional()
        model.compile(optimizer="sgd", loss=loss)
        with pytest.raises(ValueError, match="`threshold`: the state of this loss is not where"):
            getattr(model, act)(X, Y, verbose=0)


def test_outside_of_a_model_it_has_no_value():
    with pytest.raises(
        ValueError, match=r"Without a model.*no value.*fix it: loss\(threshold=...\)"
    ):
        huber(threshold=doubling)([0.0], [1.0])
    total = huber(threshold=doubling) + ls.losses.log_cosh
    with pytest.raises(ValueError, match=r"`huber.loss.threshold` in a new `huber`: loss\(huber="):
        total(Y, Y)


def test_the_state_of_another_loss_is_named():
    model = functional(ADJUSTABLE)
    model.compile(optimizer="sgd", loss=huber(threshold=ls.adjustable(2.0)))
    with pytest.raises(ValueError, match=r"another loss, level\(height=adjustable\(3.0\)\)"):
        model.fit(X, Y, verbose=0)


def test_a_state_before_the_last_layer_is_missed():
    model = keras.Sequential([keras.layers.Input((3,)), ADJUSTABLE.state, keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss=ADJUSTABLE)
    with pytest.raises(ValueError, match="not where they leave the model"):
        model.fit(X, Y, verbose=0)


def test_a_fixed_yardstick_beside_a_loss_that_changes():
    model = sequential(level(height=doubling), metrics=[level(height=6.0)])
    history = model.fit(X, Y, batch_size=4, verbose=0).history
    assert history["level"] == [6]


@pytest.mark.parametrize("values", [{"height": -1.0}, {"height": "2"}, {"depth": 2.0},
                                    {"height": float("nan")}, {"height": [1.0, 2.0]}])  # fmt: skip
def test_a_bad_value_is_refused_and_nothing_is_set(values):
    model = sequential(ADJUSTABLE)
    with pytest.raises((TypeError, ValueError), match=r"height"):
        ls.set_hyperparameters(model, **values)
    assert ls.get_hyperparameters(model) == {"height": 3}


@pytest.mark.parametrize("name", ["huber.threshold", "threshold"])
def test_a_name_that_misses_a_step_is_completed(name):
    loss = huber(threshold=ls.adjustable(3.0)) + 0.3 * ls.losses.log_cosh
    with pytest.raises(TypeError, match=r"Did you mean `huber\.loss\.threshold`\?"):
        ls.set_hyperparameters(sequential(loss), {name: 2.0})
    with pytest.raises(TypeError, match=r"huber: no .*Did you mean `loss\.threshold`\?"):
        traced(loss, {"huber.threshold": ops.convert_to_tensor(2.0)})


def test_a_tensor_of_a_number_is_a_number():
    model = sequential(ADJUSTABLE)
    ls.set_hyperparameters(model, height=ops.convert_to_tensor(0.25))
    assert ls.get_hyperparameters(model) == {"height": 0.25}


@pytest.mark.parametrize("second", [ls.adjustable(2.0), None, "2", -1.0])
def test_of_two_values_none_is_set_if_one_is_bad(second):
    model = sequential(ls.adjustable(0.5) * huber(threshold=ls.adjustable(3.0)))
    with pytest.raises((TypeError, ValueError), match="threshold"):
        ls.set_hyperparameters(model, {"weight": 1.0, "loss.threshold": second})
    assert ls.get_hyperparameters(model) == {"weight": 0.5, "loss.threshold": 3}


class SetInner(keras.callbacks.Callback):
    """Sets by the part of the model that holds the state, while the whole is trained."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def on_train_batch_end(self, batch, logs=None):
        ls.set_hyperparameters(self.inner, height=2.0)


def test_the_model_to_give_is_the_one_whose_fit_runs(backend):
    inner = functional(ADJUSTABLE)
    model = keras.Sequential([keras.layers.Input((3,)), inner])
    model.compile(optimizer="sgd", loss=ADJUSTABLE)
    if backend == "jax":
        with pytest.raises(ValueError, match="give the model whose `fit` runs"):
            model.fit(X, Y, verbose=0, callbacks=[SetInner(inner)])
    else:
        model.fit(X, Y, verbose=0, callbacks=[SetInner(inner)])
        assert ls.get_hyperparameters(model) == {"height": 2}


def test_a_schedule_cannot_be_set():
    with pytest.raises(ValueError, match=r"follows schedule\(doubling\)"):
        ls.set_hyperparameters(sequential(level(height=doubling)), height=2.0)


def test_nothing_changes_in_a_fixed_model():
    model = bare_functional()
    assert ls.get_hyperparameters(model) == {}
    with pytest.raises(TypeError, match="there is none"):
        ls.set_hyperparameters(model, height=2.0)
    assert ls.get_hyperparameters(ls.with_state(model, huber)) == {}
    with pytest.raises(ValueError, match="none of the losses"):
        ls.with_state(model, [huber])


def falling(step):
    return 3.0 - step


def lost(step):
    return ops.where(step < 2.0, 1.0, float("nan"))


@pytest.mark.parametrize(("source", "good_steps"), [(falling, 3), (lost, 2)])
def test_a_schedule_that_leaves_the_range_shows_and_spoils_nothing(source, good_steps):
    loss = huber(threshold=ls.schedule(source))
    model = sequential(loss)
    losses_of_steps(model, callbacks=[keras.callbacks.TerminateOnNaN()])
    model = sequential(loss)
    model.fit(X[:1], Y[:1], batch_size=1, epochs=good_steps, verbose=0)
    weights = model.get_weights()[0]
    assert np.isfinite(model.optimizer.iterations)
    assert np.isnan(model.fit(X, Y, batch_size=8, verbose=0).history["loss"])
    np.testing.assert_array_equal(model.get_weights()[0], weights)
    with pytest.raises(ValueError, match=r"`threshold` is .* at this step, out of its range"):
        ls.get_hyperparameters(model)
    with pytest.raises(ValueError, match="out of its range"):
        model.fit(X, Y, verbose=0, callbacks=[ls.LogHyperparameters()])


def test_masks_weights_and_half_precision_pass_the_state():
    inputs = keras.layers.Input((3, 1))
    masked = keras.layers.Masking(mask_value=-9.0)(inputs)
    loss = huber(threshold=ls.adjustable(0.5))
    state = loss.state
    outputs = state(keras.layers.Activation("linear", dtype="mixed_bfloat16")(masked))
    model = keras.Model(inputs, outputs)
    model.compile(loss=loss)
    x = np.array([[[1.0], [2.0], [-9.0]], [[3.0], [-9.0], [-9.0]]], "float32")
    y = np.array([[[0.0], [0.0], [np.nan]], [[0.0], [50.0], [np.inf]]], "float32")
    assert model.evaluate(x, y, verbose=0) == pytest.approx((0.375 + 0.875 + 1.375) / 3)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert state.variable_dtype == "float32"
