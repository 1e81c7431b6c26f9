"""The course's line task: 500 steps of plain SGD on six points, then the prediction at x = 10.

The oracle is a NumPy simulation of those steps, from the kernel that the model started with: the
full batch makes every step deterministic, so the initial kernel is all that a run depends on.

RMSE is the exception. Its gradient does not shrink near the exact fit, and the steps back and forth
across it double rounding errors again and again: the last bit of a float64 decides where the run
ends. So its steps are checked one by one, each from the weights that the model had before it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

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


def step(slope: Slope, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias after one step of gradient descent on the six points."""
    x, y = XS[:, None], YS[:, None]
    pull = slope(kernel * x + bias - y)
    return (
        kernel - LEARNING_RATE * (pull * x).sum(axis=0),
        bias - LEARNING_RATE * pull.sum(axis=0),
    )


def simulate(slope: Slope, initial_kernels, steps: int = STEPS) -> np.ndarray:
    """Return the prediction at x = 10 after gradient descent from each initial kernel."""
    kernel = np.atleast_1d(np.asarray(initial_kernels, dtype="float64"))
    bias = np.zeros_like(kernel)
    for _ in range(steps):
        kernel, bias = step(slope, kernel, bias)
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
}
RMSES = [ls.losses.root_mean_squared_error, my_rmse]
RMSE_RANGE = 18.7785, 19.2216  # of the prediction, over all initial kernels


def line_model(loss, initial_kernel=None) -> keras.Sequential:
    """Return the lab's model; its kernel starts where given, or as Keras draws it."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    if initial_kernel is not None:
        model.set_weights([np.array([[initial_kernel]]), np.zeros(1)])
    model.compile(optimizer="sgd", loss=loss)
    return model


def drawn_line_model(loss, seed: int) -> keras.Sequential:
    """Return the lab's model with the kernel that Keras draws for `seed`."""
    keras.utils.set_random_seed(seed)
    return line_model(loss)


def prediction_at_10(model: keras.Sequential) -> float:
    return float(model.predict_on_batch(np.array([[10.0]]))[0, 0])


def kernel_and_bias(model: keras.Sequential) -> tuple[np.ndarray, np.ndarray]:
    kernel, bias = model.get_weights()
    return kernel[0].astype("float64"), bias.astype("float64")


@pytest.mark.parametrize(
    ("make_model", "targets"),
    [
        (partial(line_model, initial_kernel=0.0), YS),
        (partial(drawn_line_model, seed=1), YS[:, None]),
    ],
    ids=["kernel-0-targets-6", "seed-1-targets-6x1"],
)
class TestFiveHundredSteps:
    @pytest.mark.parametrize("name", LOSSES)
    def test_prediction(self, name, make_model, targets):
        loss, slope = LOSSES[name]
        model = make_model(loss)
        start, _ = kernel_and_bias(model)
        for _ in range(STEPS):
            model.train_on_batch(XS[:, None], targets)
        assert prediction_at_10(model) == pytest.approx(simulate(slope, start)[0], abs=1e-3)

    @pytest.mark.parametrize("loss", RMSES, ids=lambda loss: loss.name)
    def test_rmse(self, loss, make_model, targets):
        """Each step as simulated, the approach as a whole, and a 2-cycle in the known range."""
        model = make_model(loss)
        kernel, bias = kernel_and_bias(model)
        path = kernel, bias
        losses, predictions = [], []
        for _ in range(STEPS):
            expected_kernel, expected_bias = step(rmse_slope, kernel, bias)
            losses.append(float(model.train_on_batch(XS[:, None], targets)))
            kernel, bias = kernel_and_bias(model)
            np.testing.assert_allclose(kernel, expected_kernel, rtol=0, atol=1e-5)
            np.testing.assert_allclose(bias, expected_bias, rtol=0, atol=1e-5)
            predictions.append((10 * kernel + bias)[0])
            path = step(rmse_slope, *path)
            if min(losses) > 0.1:
                assert predictions[-1] == pytest.approx((10 * path[0] + path[1])[0], abs=1e-3)
        assert losses[0] > 0.1
        assert losses[-1] > 1e-3
        np.testing.assert_allclose(losses[-2:], losses[-4:-2], rtol=1e-2)
        assert RMSE_RANGE[0] - 0.01 < min(predictions[-2:])
        assert max(predictions[-2:]) < RMSE_RANGE[1] + 0.01


@pytest.mark.parametrize("shape", [(6,), (6, 1)], ids=str)
@pytest.mark.parametrize("name", ["huber(threshold=1.2)", "ClassicHuber(threshold=1.02)"])
def test_fit(name, shape):
    """The same steps by `fit`: one epoch over the six points repeated 500 times, in order.

    500 epochs of one batch are the same arithmetic and take 20 s on TensorFlow.
    """
    loss, slope = LOSSES[name]
    model = drawn_line_model(loss, seed=2)
    start, _ = kernel_and_bias(model)
    x, y = np.tile(XS[:, None], (STEPS, 1)), np.tile(YS.reshape(shape), [STEPS, *shape[1:]])
    model.fit(x, y, batch_size=6, shuffle=False, verbose=0)
    assert prediction_at_10(model) == pytest.approx(simulate(slope, start)[0], abs=1e-3)


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
    """The oracle itself gives the known figures, for RMSE as float64 rounds."""
    assert simulate(slope, 0.0)[0] == pytest.approx(after_500, abs=1e-4)
    assert simulate(slope, 0.0, steps=1000)[0] == pytest.approx(after_1000, abs=1e-4)


@pytest.mark.parametrize(
    ("slope", "lowest", "highest", "tolerance"),
    [
        (squared_slope, 18.9752, 18.9878, 1e-4),
        (huber_slope(1), 18.2757, 18.8325, 1e-4),
        (huber_slope(1.2), 18.4241, 18.8351, 1e-4),
        (huber_slope(1.02), 18.2961, 18.8329, 1e-4),
        (rmse_slope, *RMSE_RANGE, 2e-3),
    ],
    ids=["mean squared error", "Huber 1", "Huber 1.2", "Huber 1.02", "RMSE"],
)
def test_simulation_over_all_initial_kernels(slope, lowest, highest, tolerance):
    predictions = simulate(slope, np.linspace(-GLOROT_LIMIT, GLOROT_LIMIT, 2001))
    assert predictions.min() == pytest.approx(lowest, abs=tolerance)
    assert predictions.max() == pytest.approx(highest, abs=tolerance)


def test_rmse_run_depends_on_the_last_bits():
    """Why no run is compared with the simulation as a whole: 1e-12 in the kernel moves it by .1."""
    predictions = simulate(rmse_slope, np.linspace(0, 1e-12, 101))
    assert np.ptp(predictions) > 0.1


def float64_enabled(backend: str) -> AbstractContextManager[object]:
    """JAX makes float64 tensors only where it is told to."""
    if backend != "jax":
        return nullcontext()
    import jax

    return jax.enable_x64(True)


@pytest.mark.parametrize("shape", [(6,), (6, 1)], ids=str)
class TestRmseOfTheAssignment:
    """sqrt(19 / 6) on the assignment's six numbers."""

    value = 1.7795130420052185
    y_true = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    y_pred = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0])

    @pytest.mark.parametrize("loss", RMSES, ids=lambda loss: loss.name)
    def test_float32(self, shape, loss):
        value = loss(self.y_true.astype("float32"), self.y_pred.astype("float32").reshape(shape))
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        np.testing.assert_allclose(ops.convert_to_numpy(value), self.value, rtol=1.2e-7)

    def test_float64_to_the_last_bit(self, shape, backend):
        with float64_enabled(backend):
            y_pred = self.y_pred.reshape(shape)
            value = ls.losses.root_mean_squared_error(self.y_true, y_pred)
            assert keras.backend.standardize_dtype(value.dtype) == "float64"
            np.testing.assert_allclose(ops.convert_to_numpy(value), self.value, rtol=2.3e-16)
