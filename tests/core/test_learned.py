"""Learned hyperparameters: trained by the model's optimizer, inside their range, saved with it."""

import copy
from typing import Annotated

import annotated_types as at
import keras
import numpy as np
import pytest
from core.training import X, Y, sequential, take_steps
from gradients import double_precision
from keras import ops

import lossmith as ls
from lossmith.core.ranges import Range, range_of

losses = ls.losses
ADAPTIVE = losses.general_adaptive(alpha=ls.learned(1.0), scale=ls.learned(2.0))


def model_with(loss, optimizer=None, outputs=1, seed=0, **dense):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(outputs, **dense), loss.state]
    )
    model.compile(optimizer=optimizer or keras.optimizers.Adam(0.05), loss=loss)
    return model


@pytest.fixture(scope="module")
def trained():
    model = model_with(ADAPTIVE)
    model.fit(X, Y, epochs=20, batch_size=8, verbose=0)
    return model


def figures(model):
    return [model.evaluate(X, Y, verbose=0), *ls.get_hyperparameters(model).values()]


RANGES = [Range(), Range(0.0), Range(-3.0), Range(upper=5.0), Range(0, 1), Range(-2, 7),
          Range(1e6, lower_open=True), Range(0, 2, False, False)]  # fmt: skip


@pytest.mark.parametrize("limits", RANGES, ids=str)
def test_no_step_leaves_the_range(limits):
    initial = np.asarray(np.clip(0.25, limits.lower + 0.5, limits.upper - 0.5))
    for free in (-1e30, -1e4, -120.0, -20.0, -1.0, 0.0, 1.0, 20.0, 120.0, 1e4):
        value = limits.from_free(ops.convert_to_tensor(free, "float32"), initial)
        assert limits.lower < float(value) < limits.upper
        assert bool(limits.contains(value))


@pytest.mark.parametrize("limits", RANGES, ids=str)
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_the_maps_are_inverse(limits, share):
    low, high = max(limits.lower, -9.0), min(limits.upper, low_to_high(limits))
    initial, value = np.asarray(low + 0.5 * (high - low)), np.asarray(low + share * (high - low))
    with double_precision():
        free = ops.convert_to_tensor(limits.to_free(initial), "float64")
        assert float(limits.from_free(free, initial)) == pytest.approx(initial, rel=1e-12)
        free = ops.convert_to_tensor(limits.free_of(value, initial), "float64")
        assert float(limits.from_free(free, initial)) == pytest.approx(value, rel=1e-12)


def low_to_high(limits):
    return max(limits.lower, -9.0) + 18.0


def test_the_ranges_of_declarations():
    assert range_of(ls.Positive) == Range(0.0)
    assert range_of(ls.Fraction) == Range(0, 1)
    assert range_of(ls.UnitInterval) == Range(0, 1, False, False)
    assert range_of(Annotated[float, at.Interval(gt=-1, le=4)]) == Range(-1, 4, True, False)
    assert range_of(float) == Range()


def test_training_moves_them_and_the_loss_falls(trained):
    untrained = model_with(ADAPTIVE)
    assert figures(untrained)[1:] == pytest.approx([1, 2])
    assert figures(trained)[0] < figures(untrained)[0]
    alpha, scale = figures(trained)[1:]
    assert 0 < alpha < 2
    assert alpha != pytest.approx(1, abs=0.05)
    assert scale != pytest.approx(2, abs=0.05)
    assert len(trained.trainable_variables) == 4


def test_one_step_of_gradient_descent_follows_the_gradient():
    """The step that `fit` makes is the one that finite differences of the loss ask for."""
    rate = 0.1
    model = model_with(ADAPTIVE, keras.optimizers.SGD(rate), kernel_initializer="zeros")
    before = ls.get_hyperparameters(model)
    model.fit(X, Y, batch_size=8, verbose=0)
    after = ls.get_hyperparameters(model)
    limits = {name: model.layers[-1].range_of(name) for name in before}
    for name, initial in before.items():
        slope = sum(
            sign * float(ADAPTIVE(**{**before, name: initial + sign * 1e-3})(Y, 0 * Y))
            for sign in (1, -1)
        ) / 2e-3  # fmt: skip
        free, moved = (
            limits[name].free_of(np.asarray(each), np.asarray(initial))
            for each in (initial, after[name])
        )
        nearby = [
            float(limits[name].from_free(ops.convert_to_tensor(free + d), np.asarray(initial)))
            for d in (1e-2, -1e-2)
        ]
        expected = free - rate * slope * (nearby[0] - nearby[1]) / 2e-2
        assert moved == pytest.approx(expected, abs=2e-4)


def test_the_summary_and_the_weights_show_them(trained):
    lines = []
    trained.summary(print_fn=lines.append)
    assert "loss_state" in "".join(lines)
    assert trained.layers[-1].count_params() == 2
    assert [each.path.split("/")[-1] for each in trained.layers[-1].weights] == ["alpha", "scale"]


def test_they_can_be_set_and_frozen(trained):
    model = copy.deepcopy(trained)
    ls.set_hyperparameters(model, alpha=0.5, scale=3.0)
    assert ls.get_hyperparameters(model) == pytest.approx({"alpha": 0.5, "scale": 3.0}, rel=1e-5)
    with pytest.raises(ValueError, match="on the edge of its range"):
        ls.set_hyperparameters(model, alpha=2.0)
    model.layers[-1].trainable = False
    model.compile(optimizer="adam", loss=ADAPTIVE)
    model.fit(X, Y, verbose=0)
    assert ls.get_hyperparameters(model) == pytest.approx({"alpha": 0.5, "scale": 3.0}, rel=1e-5)


def test_mixed_precision():
    model = model_with(ADAPTIVE, dtype="mixed_float16")
    model.fit(X, Y, epochs=5, batch_size=4, verbose=0)
    value, alpha, scale = figures(model)
    assert np.isfinite(value)
    assert (alpha, scale) != pytest.approx((1, 2))
    assert model.layers[-1].weights[0].dtype == "float32"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: losses.huber(threshold=ls.learned(1.0)), TypeError, "general_adaptive"),
        (lambda: losses.contrastive(margin=ls.learned(1.0)), TypeError, "`margin` cannot be learn"),
        (lambda: losses.quantile(q=ls.learned(0.5)), TypeError, "makes all errors cheap"),
        (
            lambda: losses.ArcFace(centres=np.eye(2), margin=ls.learned(0.5)),
            TypeError,
            "can learn centres",
        ),
        (lambda: losses.general_adaptive(scale=ls.learned(-1.0)), ValueError, "> 0; got -1.0"),
        (lambda: losses.general_adaptive(alpha=ls.learned(2.0)), ValueError, "not on its edge"),
        (lambda: losses.general_adaptive(alpha=ls.learned(np.eye(2))), TypeError, "finite number"),
        (
            lambda: losses.ArcFace(centres=ls.learned(1.0)),
            TypeError,
            r"`centres` is a matrix: learned\(shape=\(classes, dimensions\)\)",
        ),
        (lambda: losses.ArcFace(centres=ls.adjustable(1.0)), TypeError, "only real numbers can"),
        (lambda: losses.ArcFace(centres=ls.learned(shape=(3,))), ValueError, "must be a matrix"),
        (lambda: ls.learned("1"), TypeError, "takes a number"),
        (lambda: ls.learned([1.0, float("nan")]), ValueError, "takes finite numbers"),
        (lambda: ls.learned((10, 8)), TypeError, r"Did you mean learned\(shape=\(10, 8\)\)\?"),
        (lambda: ls.learned(), TypeError, "takes the first value"),
        (lambda: ls.learned(1.0, shape=(2, 2)), TypeError, "takes the first value"),
        (lambda: ls.learned(1.0, initializer="zeros"), TypeError, "takes the first value"),
        (lambda: ls.learned(shape=(2, 0)), ValueError, "positive integers"),
        (lambda: ls.learned(shape=(2, 2), initializer="nothing"), ValueError, "nothing"),
        (lambda: ls.learned(shape=5), TypeError, "a tuple of positive integers; got 5"),
        (lambda: ls.learned(shape=(2.5, 2)), TypeError, "a tuple of positive integers"),
        (
            lambda: ls.learned(shape=(2, 2), initializer=lambda shape, dtype: ops.ones(shape)),
            TypeError,
            "must be a Keras initializer",
        ),
    ],
)
def test_bad_declarations_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_formula_of_ones_own_may_say_that_it_is_a_likelihood():
    @ls.loss(learnable=("rate",))
    def exponential_likelihood(y_true, y_pred, *, rate: ls.Positive = 1.0):
        """The errors' sizes are exponential: `rate * |e| - log(rate)`."""
        return rate * ops.abs(y_true - y_pred) - ops.log(rate)

    loss = exponential_likelihood(rate=ls.learned(1.0))
    model = keras.Sequential([keras.layers.Input((1,)), loss.state])
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=loss)
    errors = np.random.default_rng(0).exponential(0.5, size=(64, 1))
    take_steps(model, errors, 0 * errors, 150)
    assert ls.get_hyperparameters(model)["rate"] == pytest.approx(1 / errors.mean(), rel=1e-2)


def test_centres_are_learned_with_the_model(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    inputs = (np.eye(3)[labels] + rng.normal(scale=0.1, size=(24, 3))).astype("float32")
    loss = losses.CosFace(centres=ls.learned(shape=(3, 4)), margin=0.1, scale=8.0)
    model = model_with(loss, outputs=4)
    start = ls.get_hyperparameters(model)["centres"]
    before = model.evaluate(inputs, labels, verbose=0)
    take_steps(model, inputs, labels, 100)
    centres = ls.get_hyperparameters(model)["centres"]
    assert start.shape == centres.shape == (3, 4)
    assert model.evaluate(inputs, labels, verbose=0) < 0.5 * before
    assert not np.allclose(start, centres, atol=0.05)
    directions = model.predict(inputs, verbose=0) @ centres.T / np.linalg.norm(centres, axis=1)
    np.testing.assert_array_equal(directions.argmax(axis=1), labels)
    model.save(tmp_path / "centres.keras")
    loaded = keras.models.load_model(tmp_path / "centres.keras")
    np.testing.assert_array_equal(ls.get_hyperparameters(loaded)["centres"], centres)
    assert loaded.loss == loss
    ls.set_hyperparameters(loaded, centres=np.eye(3, 4))
    np.testing.assert_array_equal(ls.get_hyperparameters(loaded)["centres"], np.eye(3, 4))


def test_a_shape_of_numpy_integers():
    labels = np.arange(24) % 3
    centres = ls.learned(shape=(labels.max() + 1, np.int64(4)))
    assert centres == ls.learned(shape=(3, 4))
    assert centres.initial.shape == (3, 4)


def test_models_of_one_loss_start_at_centres_of_their_own():
    loss = losses.CosFace(centres=ls.learned(shape=(3, 4)))
    starts = [ls.get_hyperparameters(sequential(loss))["centres"] for _ in range(2)]
    assert not np.allclose(*starts)
    seeded = losses.CosFace(
        centres=ls.learned(shape=(3, 4), initializer=keras.initializers.RandomNormal(seed=1))
    )
    starts = [ls.get_hyperparameters(sequential(seeded))["centres"] for _ in range(2)]
    np.testing.assert_array_equal(*starts)


def test_centres_that_became_nan_are_named():
    model = sequential(losses.CosFace(centres=ls.learned(np.eye(3))))
    model.layers[-1].weights[0].assign(np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="`centres` is not finite at this step"):
        ls.get_hyperparameters(model)


def test_a_matrix_of_another_shape_is_refused_and_nothing_is_set():
    model = sequential(losses.CosFace(centres=ls.learned(np.eye(3)), margin=ls.adjustable(0.1)))
    with pytest.raises(ValueError, match=r"`centres` has shape \(3, 3\); got shape \(2, 3\)"):
        ls.set_hyperparameters(model, margin=0.2, centres=np.eye(2, 3))
    assert ls.get_hyperparameters(model)["margin"] == pytest.approx(0.1)


def test_double_precision_starts_at_the_very_value():
    limits = Range(0.0)
    with double_precision():
        free = ops.convert_to_tensor(0.0, "float64")
        assert float(limits.from_free(free, np.asarray(0.1))) == pytest.approx(0.1, rel=1e-15)
