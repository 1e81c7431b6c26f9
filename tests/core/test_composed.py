"""Sums of losses: what their reductions and weights mean, their parts, and what is refused."""

import keras
import numpy as np
import pytest
from core.training import SetAt, X, Y, doubling, sequential, take_steps
from gradients import compiled, to_numpy
from keras import ops

import lossmith as ls

losses = ls.losses
huber, log_cosh, rmse = losses.huber, losses.log_cosh, losses.root_mean_squared_error
likelihood, uncertain = losses.gaussian_likelihood, ls.uncertainty_weighted(losses.huber)
TOTAL = 0.7 * huber(threshold=0.5) + 0.3 * log_cosh
WEIGHTS = np.array([2.0, 0.0, 1.0, 0.5], "float32")
MASK = np.array([True, True, False, True])
Y_TRUE = np.array([0.0, 1.0, -2.0, 4.0], "float32")
Y_PRED = np.array([0.3, np.nan, 1.0, 2.0], "float32")
REDUCTIONS = ["sum", "sum_over_batch_size", "mean_with_sample_weight", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_the_value_is_the_weighted_sum_of_the_values_of_the_parts(reduction, mask):
    parts = [huber(threshold=0.5, reduction=reduction), rmse(reduction=reduction)]
    total = 0.7 * parts[0] + 2 * parts[1]
    first, second = (to_numpy(each(Y_TRUE, Y_PRED, WEIGHTS, mask=mask)) for each in parts)
    expected = 0.7 * first + 2 * second
    value = total(Y_TRUE, Y_PRED, WEIGHTS, mask=mask)
    np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-6)
    assert total.reduction == reduction
    assert total.batchwise
    again = (0.7 * huber(threshold=0.5) + 2 * rmse)(reduction=reduction)
    np.testing.assert_allclose(
        to_numpy(again(Y_TRUE, Y_PRED, WEIGHTS, mask=mask)), expected, rtol=1e-6
    )
    assert again == total


def test_ways_to_write_a_sum():
    expected = 0.7 * huber + 0.3 * log_cosh
    weights = np.array([0.7, 0.3])
    for total in (
        huber * 0.7 + log_cosh * 0.3,
        sum([0.7 * huber, 0.3 * log_cosh]),
        weights[0] * huber + weights[1] * log_cosh,
        huber / (1 / 0.7) + 0.3 * log_cosh,
        huber / np.array(1 / 0.7) + log_cosh / np.float32(1 / 0.3),
    ):
        assert total.hyperparameters["huber"].weight == pytest.approx(0.7)
        np.testing.assert_allclose(
            to_numpy(total(Y_TRUE, Y_TRUE + 1)), to_numpy(expected(Y_TRUE, Y_TRUE + 1)), rtol=1e-6
        )
    assert 0.5 * (2 * huber) == 1 * huber
    assert 2 * (huber + log_cosh) == 2 * huber + 2 * log_cosh
    assert sum([huber, log_cosh, rmse]) == huber + (log_cosh + rmse)
    assert hash(huber + log_cosh) == hash(huber + log_cosh)
    assert huber + log_cosh != huber + 2 * log_cosh
    assert repr(TOTAL) == "0.7 * Huber(threshold=0.5) + 0.3 * LogCosh()"


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_a_sum_keeps_its_settings(reduction, dtype):
    settings = {"reduction": reduction, "dtype": dtype}
    total = huber(**settings) + log_cosh(**settings)
    half = 0.5 * huber(**settings) + 0.5 * log_cosh(**settings)
    assert 0.5 * total == total / 2 == half
    assert 0.5 * total(name="mixed") == half
    assert (0.5 * total(name="mixed")).name == total(name="mixed").name == "mixed"
    assert total(name="mixed") == total
    again = (huber + log_cosh)(reduction=reduction)(dtype=dtype)
    assert again == (huber + log_cosh)(dtype=dtype)(reduction=reduction) == total


@pytest.mark.parametrize("number", [np.float32(2), np.int64(2), np.array(2.0)], ids=repr)
def test_numbers_of_numpy_are_numbers(number):
    assert number * (0.5 * huber) == 1 * huber
    assert type((number * huber).weight) is float


def test_a_part_is_replaced_by_a_loss_with_or_without_a_weight():
    total = 0.7 * huber + 0.3 * log_cosh
    assert total(huber=huber(threshold=2.0)) == huber(threshold=2.0) + 0.3 * log_cosh
    assert total(huber=0.5 * rmse) == ls.get({**keras.saving.serialize_keras_object(total)})(
        huber=0.5 * rmse
    )
    with pytest.raises(TypeError, match="must be a loss; got 'much'"):
        total(huber="much")


def test_names_of_the_parts():
    total = huber + 2 * huber(threshold=3.0) + log_cosh(name="near")
    assert list(total.hyperparameters) == ["huber", "huber_2", "near"]
    assert [part.name for part in total.parts] == ["huber", "huber_2", "near"]
    assert total.parts[1] == huber(threshold=3.0, reduction="none")
    renamed = (0.5 * huber)(name="far") + log_cosh
    assert list(renamed.hyperparameters) == ["far", "log_cosh"]
    assert repr(renamed) == "(0.5 * Huber(threshold=1.0))(name='far') + 1.0 * LogCosh()"
    assert repr(total(name="all")).endswith("(name='all')")


def test_a_sum_of_many():
    total = sum([huber] * 105)
    assert list(total.hyperparameters)[-1] == "huber_105"
    assert float(total([0.0], [1.0])) == pytest.approx(105 / 2)


def bare():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])


def test_training_logs_the_parts_and_saves_the_whole(tmp_path):
    model = bare()
    model.compile(optimizer="sgd", loss=TOTAL, metrics=TOTAL.parts)
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0).history
    mixed = 0.7 * np.array(history["huber"]) + 0.3 * np.array(history["log_cosh"])
    assert set(history) == {"loss", "huber", "log_cosh"}
    np.testing.assert_allclose(history["loss"], mixed, rtol=0.3)
    figures = model.evaluate(X, Y, verbose=0)
    assert figures[0] == pytest.approx(0.7 * figures[1] + 0.3 * figures[2], rel=1e-5)
    model.save(tmp_path / "total.keras")
    loaded = keras.models.load_model(tmp_path / "total.keras")
    assert loaded.loss == TOTAL
    assert loaded.evaluate(X, Y, verbose=0) == pytest.approx(figures, rel=1e-5)


def test_a_compiled_step_and_sample_weights_through_fit():
    labels, predictions = ops.convert_to_tensor(Y_TRUE), ops.convert_to_tensor(Y_TRUE + 0.7)
    step = compiled(TOTAL)
    np.testing.assert_allclose(
        to_numpy(step(labels, predictions)), to_numpy(TOTAL(labels, predictions)), rtol=1e-6
    )
    targets = Y.copy()
    targets[2] = np.nan
    keep = np.ones(8)
    keep[2] = 0
    model = bare()
    model.compile(optimizer="sgd", loss=TOTAL)
    model.fit(X, targets, sample_weight=keep, verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize(
    "weights", [None, np.arange(8, dtype="float32")], ids=["equal", "weighted"]
)
def test_parts_are_exact_over_unequal_batches(weights):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    metrics = {"metrics" if weights is None else "weighted_metrics": TOTAL.parts}
    model.compile(optimizer="sgd", loss=TOTAL, **metrics)
    logs = model.evaluate(X, Y, sample_weight=weights, batch_size=5, return_dict=True, verbose=0)
    error = Y - to_numpy(model(X))[:, 0]
    near = np.abs(error) < 0.5
    for name, values in {
        "huber": np.where(near, error**2 / 2, 0.5 * (np.abs(error) - 0.25)),
        "log_cosh": np.log(np.cosh(error)),
    }.items():
        assert logs[name] == pytest.approx(np.average(values, weights=weights), rel=1e-5)


def test_weights_and_hyperparameters_of_parts_change():
    total = ls.adjustable(0.5) * huber(threshold=doubling) + ls.adjustable(2.0) * log_cosh
    assert set(total.changing) == {"huber.weight", "huber.loss.threshold", "log_cosh.weight"}
    model = sequential(total)
    assert ls.get_hyperparameters(model) == {
        "huber.weight": 0.5, "huber.loss.threshold": 1, "log_cosh.weight": 2}  # fmt: skip
    setter = SetAt("end", {1: 0.0}, "huber.weight")
    model.fit(X, Y, batch_size=2, verbose=0, callbacks=[setter])
    ls.set_hyperparameters(model, {"log_cosh.weight": 3.0})
    fixed = 0.0 * huber + 3.0 * log_cosh
    value = model.evaluate(X, Y, verbose=0)
    assert value == pytest.approx(float(fixed(Y, model.predict(X, verbose=0))), rel=1e-5)
    assert ls.get_hyperparameters(model)["huber.loss.threshold"] == 16


def test_a_part_that_a_sum_does_not_have():
    total = 0.7 * ls.losses.huber + 0.3 * ls.losses.log_cosh
    with pytest.raises(TypeError, match=r"no part `hubr`. Did you mean `huber`"):
        total(hubr=ls.losses.huber)
    assert repr(total(huber=0.5 * ls.losses.huber)).startswith("0.5 * Huber")


def test_the_state_of_a_sum_is_that_of_its_other_reductions():
    total = ls.adjustable(2.0) * huber + 1 * log_cosh
    model = sequential(total)
    model.compile(loss=total(reduction="sum"), metrics=[total(reduction="none", name="mean")])
    figures = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert figures["loss"] == pytest.approx(8 * figures["mean"], rel=1e-5)
    fixed = 2 * huber + 1 * log_cosh
    expected = float(fixed(Y, model.predict(X, verbose=0)))
    assert figures["mean"] == pytest.approx(expected, rel=1e-5)


def test_uncertainty_weighting_finds_the_size_of_each_loss():
    """Two outputs with errors of size 0.1 and 2: the learned scales are these sizes."""
    rng = np.random.default_rng(0)
    errors = {"small": 0.1 * rng.normal(size=(64, 1)), "large": 2 * rng.normal(size=(64, 1))}
    both = {name: ls.uncertainty_weighted(losses.mean_squared_error) for name in errors}
    inputs = {name: keras.layers.Input((1,), name=name) for name in errors}
    model = ls.with_state(keras.Model(inputs, inputs), both)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=both)
    targets = {name: np.zeros((64, 1)) for name in errors}
    take_steps(model, errors, targets, 150)
    sizes = [np.sqrt(np.mean(np.square(each))) for each in errors.values()]
    np.testing.assert_allclose(sorted(ls.get_hyperparameters(model).values()), sizes, rtol=0.02)


def test_uncertainty_weighting_is_its_formula_and_adds_up():
    loss = ls.uncertainty_weighted(log_cosh, scale=2.0)
    values = to_numpy(log_cosh.values(Y_TRUE, Y_TRUE + 1))
    np.testing.assert_allclose(
        to_numpy(loss.values(Y_TRUE, Y_TRUE + 1)), values / 8 + np.log(2), rtol=1e-6
    )
    assert ls.uncertainty_weighted(log_cosh(dtype="float64")).requested_dtype == "float64"
    total = ls.uncertainty_weighted(huber) + ls.uncertainty_weighted(log_cosh)
    assert set(total.changing) == {"huber.loss.scale", "log_cosh.loss.scale"}
    model = sequential(total)
    model.fit(X, Y, batch_size=2, verbose=0)
    assert all(value != 1 for value in ls.get_hyperparameters(model).values())


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: -1 * huber, ValueError, "must be a finite number >= 0; got -1"),
        (lambda: float("nan") * huber, ValueError, "a finite number >= 0"),
        (lambda: np.array([1.0, 2.0]) * huber, TypeError, "a finite number >= 0"),
        (lambda: ls.learned(1.0) * huber, TypeError, "uncertainty_weighted"),
        (lambda: huber * log_cosh, TypeError, "unsupported operand"),
        (lambda: huber + 1, TypeError, "unsupported operand"),
        (lambda: huber + "mse", TypeError, "unsupported operand"),
        (lambda: huber + keras.losses.MeanSquaredError(), TypeError, "a loss of lossmith"),
        (lambda: huber + log_cosh(reduction="sum"), ValueError, "must have one reduction"),
        (lambda: huber + losses.contrastive, ValueError, "belong to another output"),
        (lambda: huber + log_cosh(dtype="float64"), ValueError, "must have one requested_dtype"),
        (lambda: type(TOTAL)(a=1 * huber, b=1 * huber, reduction="sum"), ValueError, "its parts"),
        (lambda: ls.uncertainty_weighted(rmse), ValueError, "value per sample"),
        (lambda: ls.uncertainty_weighted(likelihood), ValueError, "a loss of 0 or greater"),
        (lambda: ls.uncertainty_weighted(2 * likelihood), ValueError, "a loss of 0 or greater"),
        (lambda: ls.uncertainty_weighted(uncertain), ValueError, "a loss of 0 or greater"),
        (lambda: huber + log_cosh(name="mask"), TypeError, "cannot be the name"),
        (lambda: huber(name="name") + log_cosh, TypeError, "`name` cannot be the name"),
        (lambda: huber(name="dtype") + log_cosh, TypeError, "`dtype` cannot be the name"),
        (lambda: huber(name="a.b") + log_cosh, TypeError, r"a dot.*loss\(name='a_b'\)"),
    ],
)
def test_what_cannot_be_composed(make, error, words):
    with pytest.raises(error, match=words):
        make()


class Endpoint(keras.layers.Layer):
    """A part that needs more than (y_true, y_pred): two embeddings and the label as an input."""

    def __init__(self, loss, **kwargs):
        super().__init__(**kwargs)
        self.loss = loss

    def call(self, inputs):
        first, second, label = inputs
        self.add_loss(self.loss(label, ls.distances.euclidean(first, second)))
        return first

    def get_config(self):
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


def test_a_part_that_needs_more_than_targets_and_predictions(tmp_path):
    inputs = [keras.layers.Input(shape) for shape in ((3,), (3,), ())]
    dense = keras.layers.Dense(2)
    part = Endpoint(0.5 * losses.contrastive(margin=2.0))
    outputs = part([dense(inputs[0]), dense(inputs[1]), inputs[2]])
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="sgd", loss=0.1 * losses.mean_squared_error)
    labels = np.array([0, 1] * 4, "float32")
    data, targets = [X, X[::-1].copy(), labels], np.zeros((8, 2), "float32")
    history = model.fit(data, targets, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "endpoint.keras")
    loaded = keras.models.load_model(tmp_path / "endpoint.keras", {"Endpoint": Endpoint})
    assert loaded.evaluate(data, targets, verbose=0) == pytest.approx(
        model.evaluate(data, targets, verbose=0)
    )
