"""Sweeps give what separate trainings give."""

import keras
import numpy as np
import pytest
from sweeping.candidates import (
    THRESHOLDS,
    VALIDATION,
    X,
    Y,
    fit,
    linear,
    raised,
    sweep,
    with_everything,
)

import lossmith as ls
from lossmith.sweeping import Run

huber = ls.losses.huber


def check_equals_fit(result, make_model, loss, epochs, rtol, atol=0.0, callbacks=list, rows=32):
    for row in result.rows:
        fixed = loss(**row.hyperparameters)
        for run, outcome in row.runs:
            model, history = fit(make_model, fixed, run, epochs, callbacks(), rows)
            assert outcome.history.keys() == history.keys()
            for name, expected in history.items():
                np.testing.assert_allclose(outcome.history[name], expected, rtol=rtol, atol=atol)
        if len(row.runs) == 1:
            weights = result.model(row).get_weights()
            for found, expected in zip(weights, model.get_weights(), strict=True):
                np.testing.assert_allclose(found, expected, rtol=10 * rtol, atol=10 * rtol)


def test_equals_separate_fits():
    result = sweep(with_everything, values={"threshold": [0.1, 3.0]})
    check_equals_fit(result, with_everything, huber, epochs=2, rtol=1e-4)


def test_a_last_shorter_batch():
    result = sweep(rows=29, values={"threshold": [0.5]})
    check_equals_fit(result, linear, huber, epochs=2, rtol=1e-4, rows=29)


def test_equals_separate_fits_in_double_precision(double_precision_models):
    result = sweep(with_everything, epochs=5, values={"threshold": [0.1, 3.0]})
    check_equals_fit(result, with_everything, huber, epochs=5, rtol=1e-9)


@pytest.mark.parametrize("same_start", [True, False])
def test_seeds(same_start):
    result = sweep(values={"threshold": [0.5, 2.0]}, seeds=(3, 5), same_start=same_start)
    check_equals_fit(result, linear, huber, epochs=2, rtol=1e-4)
    starts = {run.start_seed for row in result.rows for run, _ in row.runs}
    assert len(starts) == (2 if same_start else 4)
    row = result.rows[0]
    metrics = [outcome.metric for _, outcome in row.runs]
    assert row.metric == pytest.approx(np.mean(metrics))
    assert row.spread == pytest.approx(np.std(metrics, ddof=1))


def test_early_stopping_is_that_of_keras():
    def callbacks():
        return [keras.callbacks.EarlyStopping("val_mae", patience=1, restore_best_weights=True)]

    def fast():
        model = linear()
        model.compile(keras.optimizers.SGD(0.9))
        return model

    result = sweep(fast, epochs=12, patience=1)
    assert {row.status for row in result.rows} >= {"stopped early"}
    check_equals_fit(result, fast, huber, epochs=12, rtol=1e-3, atol=1e-4, callbacks=callbacks)
    for row in result.rows:
        (_, outcome), name = row.runs[0], f"val_{result.metric_name}"
        assert outcome.metric == min(outcome.history[name])


def test_memory_limit_changes_nothing():
    at_once, one_by_one = (sweep(seeds=(0, 1), memory_limit=limit) for limit in (2**30, 1))
    np.testing.assert_allclose(
        [row.metric for row in at_once.rows], [row.metric for row in one_by_one.rows], rtol=1e-5
    )


def test_best_model_is_ready_to_use_and_to_save(tmp_path):
    result = sweep(epochs=4)
    best = min(result.rows, key=lambda row: row.metric)
    assert result.best is best
    model = result.best_model
    assert model.loss == huber(**best.hyperparameters) == result.best_loss
    found = model.evaluate(*VALIDATION, return_dict=True, verbose=0)
    assert found[result.metric_name] == pytest.approx(best.metric, rel=1e-5)
    model.save(tmp_path / "best.keras")
    loaded = keras.models.load_model(tmp_path / "best.keras")
    assert loaded.loss == model.loss
    assert loaded.evaluate(*VALIDATION, return_dict=True, verbose=0) == pytest.approx(found)
    model.fit(X, Y, verbose=0)


formula_runs = []


@ls.loss
def counted(y_true, y_pred, *, threshold: ls.Positive = 1.0):
    """A Huber loss that tells how often Python runs its formula."""
    formula_runs.append(threshold)
    error = keras.ops.abs(y_true - y_pred)
    return keras.ops.where(error < threshold, 0.5 * error**2, threshold * (error - threshold / 2))


def test_more_values_are_not_traced_again(backend):
    counts = []
    for values in ([0.5, 1.0], [0.5, 1.0, 2.0, 3.0]):
        formula_runs.clear()
        sweep(loss=counted, values={"threshold": values})
        counts.append(len(formula_runs))
    if backend == "torch":  # it traces nothing: each step runs the formula
        assert counts[1] == pytest.approx(2 * counts[0], abs=8)
    else:
        assert counts[1] == counts[0]


def test_values_that_are_no_tensors_are_swept_too():
    values = {"base.threshold": [0.5, 2.0], "power": [1, 2]}
    result = sweep(loss=raised, values=values)
    for row in result.rows:
        base = huber(threshold=row.hyperparameters["base.threshold"])
        fixed = raised(base=base, power=row.hyperparameters["power"])
        _, history = fit(linear, fixed, row.runs[0][0], 2)
        np.testing.assert_allclose(row.runs[0][1].history["loss"], history["loss"], rtol=1e-4)


def test_learned_hyperparameters_beside_swept_ones():
    likelihood = ls.losses.general_adaptive(scale=ls.learned(1.0))

    def make_model(loss):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), loss.state])
        model.compile("adam")
        return model

    result = sweep(make_model, likelihood, {"alpha": [0.0, 2.0]}, metric="loss")
    assert result.metric_name == "loss"
    for row in result.rows:
        fixed = likelihood(**row.hyperparameters)
        model, history = fit(lambda loss=fixed: make_model(loss), fixed, row.runs[0][0], epochs=2)
        assert row.metric == pytest.approx(history["val_loss"][-1], rel=1e-4)
        scale = ls.get_hyperparameters(model)["scale"]
        assert ls.get_hyperparameters(result.model(row))["scale"] == pytest.approx(scale, rel=1e-4)


def test_weights_count_in_training_and_validation():
    weights = np.linspace(0, 2, 32).astype("float32")
    result = sweep(
        values={"threshold": [1.0]}, sample_weight=weights, shuffle=False, epochs=3,
        validation_data=(*VALIDATION, weights[:16]),
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    model = linear()
    model.compile(model.optimizer, huber, weighted_metrics=["mae"])
    model.fit(X, Y, batch_size=16, sample_weight=weights, shuffle=False, epochs=3, verbose=0)
    expected = model.evaluate(
        *VALIDATION, sample_weight=weights[:16], return_dict=True, batch_size=16, verbose=0
    )
    assert result.best.metric == pytest.approx(expected["mae"], rel=1e-4)


def test_a_metric_of_which_more_is_better():
    def closeness(y_true, y_pred):
        return -keras.ops.abs(y_true - y_pred[:, 0])

    result = sweep(metric=closeness, mode="max")
    assert result.best.metric == max(row.metric for row in result.rows)
    assert result.table[0]["status"] == "finished"


def test_a_loss_with_fixed_hyperparameters_is_a_metric():
    result = sweep(metric=huber(threshold=0.5))
    for row in result.rows:
        predicted = result.model(row).predict(VALIDATION[0], verbose=0)
        expected = huber(threshold=0.5)(VALIDATION[1], predicted)
        assert row.metric == pytest.approx(float(expected), rel=1e-5)


def test_table_and_plot():
    result = sweep(values={"threshold": THRESHOLDS}, seeds=(0, 1))
    assert [row["threshold"] for row in result.table] == [
        row.hyperparameters["threshold"] for row in sorted(result.rows, key=lambda r: r.metric)
    ]
    assert str(result).splitlines()[0].split() == [
        "threshold", result.metric_name, "spread", "epochs", "status",
    ]  # fmt: skip
    (axes,) = result.plot().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("threshold", result.metric_name)
    np.testing.assert_allclose(
        axes.lines[0].get_ydata().astype(float), [row.metric for row in result.rows]
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.arange(2000.0), np.where(np.arange(2000) == 700, -1.0, np.arange(2000.0))),
        (np.array([1.0]), np.array([1.0 + 1e-12])),
        (np.zeros((1, 2)), np.zeros((2, 1))),
    ],
)
def test_runs_with_different_arrays_are_kept_apart(first, second):
    def address(value):
        return Run({"costs": value}, 0, 0).address()

    assert address(first) == address(first.copy()) != address(second)
    assert address(losses_of(first)) == address(losses_of(first)) != address(losses_of(second))


def losses_of(array):
    return weighed(factors=array)


@ls.loss
def weighed(y_true, y_pred, *, factors: ls.Array = (1.0,)):
    """An error times numbers."""
    return keras.ops.mean(factors) * keras.ops.abs(y_true - y_pred)


def test_a_hyperparameter_that_could_change_is_fixed_where_it_is_swept():
    likelihood = ls.losses.general_adaptive(alpha=ls.learned(1.0), scale=ls.learned(1.0))

    def make_model(loss):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), loss.state])
        model.compile("adam")
        return model

    result = sweep(make_model, likelihood, {"alpha": [0.5, 1.5]}, metric="loss")
    for row in result.rows:
        fixed = likelihood(**row.hyperparameters)
        _, history = fit(lambda loss=fixed: make_model(loss), fixed, row.runs[0][0], epochs=2)
        assert row.metric == pytest.approx(history["val_loss"][-1], rel=1e-4)
    model = result.best_model
    assert list(ls.get_hyperparameters(model)) == ["scale"]
    found = model.evaluate(*VALIDATION, return_dict=True, verbose=0)
    assert found["loss"] == pytest.approx(result.best.metric, rel=1e-4)


def with_loss(loss):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), loss.state])
    model.compile("sgd")
    return model


def with_state_after(loss):
    model = ls.with_state(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), loss)
    model.compile("sgd")
    return model


@pytest.mark.parametrize("make_model", [with_loss, with_state_after])
def test_one_make_model_serves_whether_or_not_all_that_changes_is_swept(make_model):
    result = sweep(make_model, huber(threshold=ls.adjustable(1.0)), epochs=1)
    assert result.best_model.loss == huber(**result.best.hyperparameters)
    assert ls.get_hyperparameters(result.best_model) == {}


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16"])
def test_half_precision_in_a_folder(tmp_path, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        result = sweep(folder=tmp_path, epochs=1, values={"threshold": [1.0]})
        found = result.best_model.evaluate(*VALIDATION, return_dict=True, verbose=0)
    finally:
        keras.config.set_dtype_policy(before)
    assert found["mae"] == pytest.approx(result.best.metric, rel=0.05)
