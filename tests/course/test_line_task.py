"""The course's line task: 500 steps of plain SGD on six points, then the prediction at x = 10.

The oracle is a NumPy simulation of those steps, from the kernel that the model started with: the
full batch makes every step deterministic, so the initial kernel is all that a run depends on.
"""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls

XS = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
YS = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0])
STEPS = 500
LEARNING_RATE = 0.01
GLOROT_LIMIT = np.sqrt(6 / (1 + 1))  # uniform in +-limit for one input and one unit


@ls.loss
def my_huber(y_true, y_pred, *, threshold: ls.Positive = 1.0):
    """The lab's function, its threshold a keyword."""
    error = y_true - y_pred
    small = ops.square(error) / 2
    large = threshold * (ops.abs(error) - 0.5 * threshold)
    return ops.where(ops.abs(error) <= threshold, small, large)


class DeclaredHuber(ls.Loss):
    """The lab's class, the threshold a declared field."""

    threshold: ls.Positive = 1.0

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        small = ops.square(error) / 2
        large = self.threshold * (ops.abs(error) - 0.5 * self.threshold)
        return ops.where(ops.abs(error) <= self.threshold, small, large)


class ClassicHuber(ls.Loss):
    """The lab's class as it stands: no ``**kwargs``, no ``get_config``."""

    def __init__(self, threshold=1):
        super().__init__()
        self.threshold = threshold

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        is_small_error = ops.abs(error) <= self.threshold
        small_error_loss = ops.square(error) / 2
        big_error_loss = self.threshold * (ops.abs(error) - (0.5 * self.threshold))
        return ops.where(is_small_error, small_error_loss, big_error_loss)


@ls.loss(batchwise=True)
def my_rmse(y_true, y_pred):
    """The assignment's function."""
    return ops.sqrt(ops.mean(ops.square(y_pred - y_true)))


# A slope is the derivative of the batch's loss in each of the six predictions (columns: runs).
Slope = Callable[[np.ndarray], np.ndarray]


def squared_slope(error):
    return 2 * error / 6


def huber_slope(threshold) -> Slope:
    return lambda error: np.clip(error, -threshold, threshold) / 6


def rmse_slope(error):
    return error / (6 * np.sqrt(np.mean(error**2, axis=0)))


def simulate(slope: Slope, initial_kernels, steps: int = STEPS) -> np.ndarray:
    """Return the prediction at x = 10 after gradient descent from each initial kernel."""
    kernel = np.atleast_1d(np.asarray(initial_kernels, dtype="float64"))
    bias = np.zeros_like(kernel)
    x, y = XS[:, None], YS[:, None]
    for _ in range(steps):
        pull = slope(kernel * x + bias - y)
        kernel = kernel - LEARNING_RATE * (pull * x).sum(axis=0)
        bias = bias - LEARNING_RATE * pull.sum(axis=0)
    return kernel * 10 + bias


LOSSES = {
    "mean_squared_error": (ls.losses.mean_squared_error, squared_slope),
    "huber": (ls.losses.huber, huber_slope(1)),
    "huber(threshold=1.2)": (ls.losses.huber(threshold=1.2), huber_slope(1.2)),
    "Huber(threshold=1.02)": (ls.losses.Huber(threshold=1.02), huber_slope(1.02)),
    "my_huber": (my_huber, huber_slope(1)),
    "my_huber(threshold=1.2)": (my_huber(threshold=1.2), huber_slope(1.2)),
    "DeclaredHuber(threshold=1.02)": (DeclaredHuber(threshold=1.02), huber_slope(1.02)),
    "ClassicHuber(threshold=1.02)": (ClassicHuber(threshold=1.02), huber_slope(1.02)),
    "root_mean_squared_error": (ls.losses.root_mean_squared_error, rmse_slope),
    "my_rmse": (my_rmse, rmse_slope),
}
TOLERANCE = {squared_slope: 1e-3, rmse_slope: 1e-2}  # RMSE ends in a 2-cycle
HUBER_TOLERANCE = 1e-3


def line_model(loss, initial_kernel=None) -> keras.Sequential:
    """Return the lab's model; its kernel starts where given, or as Keras draws it."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    if initial_kernel is not None:
        model.set_weights([np.array([[initial_kernel]]), np.zeros(1)])
    model.compile(optimizer="sgd", loss=loss)
    return model


def prediction_at_10(model: keras.Sequential) -> float:
    return float(model.predict_on_batch(np.array([[10.0]]))[0, 0])


def initial_kernel(model: keras.Sequential) -> float:
    return float(model.get_weights()[0][0, 0])


def assert_as_simulated(model, start, slope):
    expected = simulate(slope, start)[0]
    tolerance = TOLERANCE.get(slope, HUBER_TOLERANCE)
    assert prediction_at_10(model) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    ("seed", "targets"),
    [(None, YS), (1, YS[:, None]), (2, YS)],
    ids=["kernel-0-targets-6", "seed-1-targets-6x1", "seed-2-targets-6"],
)
@pytest.mark.parametrize("name", LOSSES)
def test_500_steps(name, seed, targets):
    loss, slope = LOSSES[name]
    if seed is None:
        model = line_model(loss, initial_kernel=0.0)
    else:
        keras.utils.set_random_seed(seed)
        model = line_model(loss)
    start = initial_kernel(model)
    for _ in range(STEPS):
        model.train_on_batch(XS[:, None], targets)
    assert_as_simulated(model, start, slope)


@pytest.mark.parametrize("shape", [(6,), (6, 1)], ids=str)
@pytest.mark.parametrize("name", ["huber(threshold=1.2)", "ClassicHuber(threshold=1.02)"])
def test_fit(name, shape):
    """The same steps by `fit`: one epoch over the six points repeated 500 times, in order.

    500 epochs of one batch are the same arithmetic and take 20 s on TensorFlow.
    """
    loss, slope = LOSSES[name]
    model = line_model(loss)
    start = initial_kernel(model)
    x, y = np.tile(XS[:, None], (STEPS, 1)), np.tile(YS.reshape(shape), [STEPS, *shape[1:]])
    model.fit(x, y, batch_size=6, shuffle=False, verbose=0)
    assert_as_simulated(model, start, slope)


def test_fit_epochs_as_in_the_lab():
    """`fit` with epochs, targets (6,) and the default batch of 32, for fewer epochs."""
    model = line_model(ls.losses.huber, initial_kernel=0.0)
    history = model.fit(XS, YS, epochs=20, verbose=0).history["loss"]
    assert len(history) == 20
    expected = simulate(huber_slope(1), 0.0, steps=20)[0]
    assert prediction_at_10(model) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("slope", "after_500", "after_1000"),
    [
        (squared_slope, 18.9815, 18.9999),
        (huber_slope(1), 18.6621, 18.9746),
        (rmse_slope, 19.1826, 19.1826),
    ],
    ids=["mean squared error", "Huber", "RMSE"],
)
def test_simulation_from_kernel_0(slope, after_500, after_1000):
    """The oracle itself gives the known figures."""
    assert simulate(slope, 0.0)[0] == pytest.approx(after_500, abs=1e-4)
    assert simulate(slope, 0.0, steps=1000)[0] == pytest.approx(after_1000, abs=1e-4)


@pytest.mark.parametrize(
    ("slope", "lowest", "highest", "tolerance"),
    [
        (squared_slope, 18.9752, 18.9878, 1e-4),
        (huber_slope(1), 18.2757, 18.8325, 1e-4),
        (huber_slope(1.2), 18.4241, 18.8351, 1e-4),
        (huber_slope(1.02), 18.2961, 18.8329, 1e-4),
        (rmse_slope, 18.7785, 19.2216, 2e-3),
    ],
    ids=["mean squared error", "Huber 1", "Huber 1.2", "Huber 1.02", "RMSE"],
)
def test_simulation_over_all_initial_kernels(slope, lowest, highest, tolerance):
    predictions = simulate(slope, np.linspace(-GLOROT_LIMIT, GLOROT_LIMIT, 2001))
    assert predictions.min() == pytest.approx(lowest, abs=tolerance)
    assert predictions.max() == pytest.approx(highest, abs=tolerance)


@pytest.mark.parametrize("loss", [ls.losses.root_mean_squared_error, my_rmse], ids=lambda x: x.name)
@pytest.mark.parametrize("shape", [(6,), (6, 1)], ids=str)
def test_rmse_value_of_the_assignment(loss, shape, backend):
    """sqrt(19 / 6), to the last bits of the precision that the backend computes in."""
    y_true = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    y_pred = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0])
    value = loss.values(y_true, y_pred.reshape(shape))
    assert keras.backend.standardize_dtype(value.dtype) == (
        "float32" if backend == "jax" else "float64"  # JAX knows no float64 unless asked to
    )
    tolerance = 1.2e-7 if backend == "jax" else 2.3e-16
    expected = 1.7795130420052185
    np.testing.assert_allclose(ops.convert_to_numpy(value), expected, rtol=tolerance)
