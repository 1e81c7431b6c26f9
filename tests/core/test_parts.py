"""The parts of a sum in the logs, at each step with the values that it was taken with."""

import keras
import numpy as np
import pytest
from core.training import X, Y, doubling, sequential
from gradients import to_numpy

import lossmith as ls

losses = ls.losses
huber, log_cosh = losses.huber, losses.log_cosh


@ls.schedule
def leaving(step):
    return 1.0 - step


def rewarded():
    """Both a weight and, within two weights, a hyperparameter change."""
    weighted = np.float32(1.5) * (ls.adjustable(2.0) * huber(threshold=doubling))
    return weighted + ls.adjustable(3.0) * log_cosh


def test_parts_whose_weights_are_learned_are_logged():
    total = ls.uncertainty_weighted(huber) + 2 * ls.uncertainty_weighted(log_cosh)
    model = sequential(total, metrics=total.parts)
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[ls.LogHyperparameters()]).history
    scales = history["huber.loss.scale"], history["log_cosh.loss.scale"]
    assert all(scale[0] != scale[1] for scale in scales)
    figures = model.evaluate(X, Y, verbose=0, return_dict=True)
    for part in (huber, log_cosh):
        expected = np.mean(to_numpy(part(Y, model.predict(X, verbose=0))))
        assert figures[part.name] == pytest.approx(expected, rel=1e-5)


def test_parts_that_change_are_logged():
    total = rewarded()
    model = sequential(total, metrics=total.parts)
    history = model.fit(X, Y, batch_size=2, epochs=2, verbose=0).history
    assert set(history) == {"loss", "huber", "log_cosh"}
    now = ls.get_hyperparameters(model)
    figures = model.evaluate(X, Y, verbose=0, return_dict=True)
    predictions = model.predict(X, verbose=0)
    for part in total.parts:
        values = {
            name: next(value for key, value in now.items()
                       if key.startswith(f"{part.name}.") and key.endswith(f".{name}"))
            for name in part.changing
        }  # fmt: skip
        expected = np.mean(to_numpy(part(**values)(Y, predictions)))
        assert figures[part.name] == pytest.approx(expected, rel=1e-5)
    assert all(type(part).__name__ != "Weighted" for part in total.parts)


def test_a_part_in_the_logs_of_a_training_has_the_values_of_each_step(backend):
    """Without learning the predictions stay, and batches of 3, 3 and 2 have thresholds 1, 2, 4."""
    total = rewarded()
    model = sequential(total)
    model.compile(
        optimizer=keras.optimizers.SGD(0.0), loss=total, weighted_metrics=total.parts,
        steps_per_execution=1 if backend == "torch" else 2,  # Keras has no more there
    )  # fmt: skip
    weights = np.arange(8, dtype="float32")
    history = model.fit(
        X, 4 * Y, sample_weight=weights, batch_size=3, epochs=2, shuffle=False, verbose=0
    ).history
    predictions = model.predict(X, verbose=0)
    for epoch, steps in enumerate([(0, 1, 2), (3, 4, 5)]):
        thresholds = np.repeat([2.0**step for step in steps], [3, 3, 2])
        values = [
            to_numpy(huber(threshold=threshold).values(4 * Y, predictions))[sample]
            for sample, threshold in enumerate(thresholds)
        ]
        expected = np.average(values, weights=weights)
        assert history["huber"][epoch] == pytest.approx(expected, rel=1e-5)


class Wrapped(keras.layers.Layer):
    """Keras counts the metrics of a layer within a layer twice."""

    def __init__(self, loss):
        super().__init__()
        self.dense, self.state = keras.layers.Dense(1), loss.state

    def call(self, inputs, training=False):
        return self.state(self.dense(inputs), training=training)


def test_parts_are_logged_where_the_state_is_within_a_layer():
    total = huber(threshold=doubling) + log_cosh
    model = keras.Sequential([keras.layers.Input((3,)), Wrapped(total)])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=total, metrics=total.parts)
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx(np.add(history["huber"], history["log_cosh"]))


def test_a_part_with_a_learned_matrix_is_logged():
    centres = ls.learned(shape=(4, 2))
    total = losses.ArcFace(centres=centres) + 0.1 * losses.ProxyNCA(centres=centres)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2), total.state])
    model.compile(optimizer="sgd", loss=total, metrics=total.parts)
    history = model.fit(X, np.arange(8) % 4, epochs=2, verbose=0).history
    mixed = np.array(history["arc_face"]) + 0.1 * np.array(history["proxy_nca"])
    assert history["loss"] == pytest.approx(mixed, rel=1e-5)
    assert history["loss"][0] != history["loss"][1]


def test_a_value_out_of_range_shows_in_the_part():
    total = huber(threshold=leaving) + log_cosh
    history = sequential(total, metrics=total.parts).fit(X, Y, batch_size=4, verbose=0).history
    assert np.isnan(history["huber"]).all()
    assert np.isfinite(history["log_cosh"]).all()


def test_a_metric_beside_another_loss(backend):
    loss = huber(threshold=doubling)
    model = sequential(loss)
    model.fit(X, Y, verbose=0)
    model.compile(optimizer="sgd", loss="mse", metrics=[loss(name="own")])
    if backend == "jax":  # whose trainer gives metrics copies of the predictions, without values
        with pytest.raises(ValueError, match="only where the model is trained with the same loss"):
            model.fit(X, Y, verbose=0)
    else:
        assert np.isfinite(model.fit(X, Y, verbose=0).history["own"]).all()


@pytest.mark.parametrize("starts", [(1.0, 1.0), (1.0, 2.0)], ids=["equal", "different"])
def test_metrics_of_two_outputs(backend, starts):
    both = {
        name: huber(threshold=ls.adjustable(each)) for name, each in zip("ab", starts, strict=True)
    }
    inputs = keras.layers.Input((3,))
    outputs = {name: keras.layers.Dense(1)(inputs) for name in both}
    model = ls.with_state(keras.Model(inputs, outputs), both)
    metrics = {name: [loss(reduction="none", name="own")] for name, loss in both.items()}
    model.compile(optimizer="sgd", loss=both, metrics=metrics)
    if backend == "jax" and len(set(starts)) == 1:
        with pytest.raises(ValueError, match="is there several times"):
            model.fit(X, dict.fromkeys(both, Y), verbose=0)
    else:
        history = model.fit(X, dict.fromkeys(both, Y), verbose=0).history
        for name in both:
            assert history[f"{name}_own"] == pytest.approx(history[f"{name}_loss"], rel=1e-5)


def test_equal_parts_are_told_apart_by_their_names():
    part = huber(threshold=ls.adjustable(1.0))
    total = part + 2 * part
    model = sequential(total, metrics=total.parts)
    ls.set_hyperparameters(model, {"huber_2.loss.threshold": 0.1})
    predictions = model.predict(X, verbose=0)
    history = model.fit(X, Y, verbose=0).history
    for name, threshold in {"huber": 1.0, "huber_2": 0.1}.items():
        expected = float(huber(threshold=threshold)(Y, predictions))
        assert history[name] == [pytest.approx(expected, rel=1e-5)]
    model = sequential(total, metrics=[part(name="other")])
    with pytest.raises(ValueError, match=r"several times.*`other` is that of none"):
        model.evaluate(X, Y, verbose=0)
