"""Every right answer of the course's quiz, as running code."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls

Y_TRUE = np.array([0.0, 1.0, 2.0, 3.0], dtype="float32")
Y_PRED = np.array([[0.5], [1.0], [4.0], [0.0]], dtype="float32")
ERRORS = np.array([0.5, 0.0, 2.0, 3.0])


def huber_of(errors, threshold):
    """Huber's loss in NumPy, per error."""
    large = threshold * (errors - threshold / 2)
    return np.where(errors <= threshold, errors**2 / 2, large)


def compiled_value(loss):
    """Return what a compiled model reports for `Y_PRED`, which its one layer passes through."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Activation("linear")])
    model.compile(loss=loss)
    return model.evaluate(Y_PRED, Y_TRUE, verbose=0)


def number(value):
    return float(ops.convert_to_numpy(value))


class TestDeclaringALoss:
    """1. Import the object and pass it to `compile(loss=...)`."""

    def test_import_from_lossmith(self):
        from lossmith.losses import mean_squared_error

        assert compiled_value(mean_squared_error) == pytest.approx(np.mean(ERRORS**2))

    def test_import_from_keras(self):
        from keras.losses import mean_squared_error

        assert compiled_value(mean_squared_error) == pytest.approx(np.mean(ERRORS**2))


class TestParametersOnTheLossObject:
    """2. `compile(loss=mean_squared_error(param=value))`, as the quiz writes it."""

    def test_mean_squared_error_with_a_parameter(self):
        from lossmith.losses import mean_squared_error

        loss = mean_squared_error(reduction="sum")
        assert compiled_value(loss) == pytest.approx(np.sum(ERRORS**2))

    @pytest.mark.parametrize("threshold", [0.25, 1.0, 2.5])
    def test_huber_with_a_threshold(self, threshold):
        loss = ls.losses.huber(threshold=threshold)
        expected = huber_of(ERRORS, threshold).mean()
        assert compiled_value(loss) == pytest.approx(expected, rel=1e-6)


def three_argument_huber(y_true, y_pred, threshold):
    """What the quiz asks about: a third parameter that nobody passes."""
    error = ops.abs(y_true - y_pred)
    large = threshold * (error - threshold / 2)
    return ops.where(error <= threshold, ops.square(error) / 2, large)


class TestWhyAWrapper:
    """3. A loss is called with exactly `y_true` and `y_pred`: a third one has to be bound first."""

    def test_keras_passes_two_tensors_only(self):
        with pytest.raises(TypeError, match="threshold"):
            compiled_value(three_argument_huber)

    def test_lossmith_says_so_when_the_loss_is_made(self):
        with pytest.raises((TypeError, ValueError), match="threshold"):
            ls.loss(three_argument_huber)

    def test_binding_the_threshold_leaves_a_function_of_two_tensors(self):
        bound = ls.losses.huber(threshold=1.2)
        expected = huber_of(ERRORS, 1.2).mean()
        assert number(bound(Y_TRUE, Y_PRED)) == pytest.approx(expected, rel=1e-6)
        assert compiled_value(bound) == pytest.approx(expected, rel=1e-6)


class ClassHuber(ls.Loss):
    """The quiz's class: the threshold goes to `__init__`, the tensors go to `call`."""

    def __init__(self, threshold=1):
        super().__init__()
        self.threshold = threshold

    def call(self, y_true, y_pred):
        return three_argument_huber(y_true, y_pred, self.threshold)


class TestLossAsAClass:
    """4. The hyperparameter to `__init__`, `y_true` and `y_pred` to `call`."""

    def test_init_takes_the_threshold_and_call_the_tensors(self):
        assert list(inspect.signature(ClassHuber.__init__).parameters) == ["self", "threshold"]
        assert list(inspect.signature(ClassHuber.call).parameters) == ["self", "y_true", "y_pred"]

    def test_init_keeps_the_threshold(self):
        assert ClassHuber(threshold=1.02).threshold == 1.02
        assert ClassHuber().threshold == 1

    def test_call_returns_the_loss(self):
        loss = ClassHuber(threshold=1.02)
        expected = huber_of(ERRORS, 1.02)
        called = ops.convert_to_numpy(loss.call(ops.array(Y_TRUE)[:, None], ops.array(Y_PRED)))
        np.testing.assert_allclose(called[:, 0], expected, rtol=1e-6)
        assert number(loss(Y_TRUE, Y_PRED)) == pytest.approx(expected.mean(), rel=1e-6)
        assert compiled_value(loss) == pytest.approx(expected.mean(), rel=1e-6)

    def test_the_threshold_given_is_the_one_used(self):
        values = [number(ClassHuber(threshold=t)(Y_TRUE, Y_PRED)) for t in (0.5, 1.0, 2.0)]
        np.testing.assert_allclose(
            values, [huber_of(ERRORS, t).mean() for t in (0.5, 1.0, 2.0)], rtol=1e-6
        )


DISTANCES = np.array([0.0, 0.25, 0.5, 0.99, 1.0, 1.01, 2.0, 7.5], dtype="float32")
SIMILAR = np.ones_like(DISTANCES)
DISSIMILAR = np.zeros_like(DISTANCES)


def contrastive_values(labels, distances, margin=1.0):
    loss = ls.losses.contrastive(margin=margin)
    return ops.convert_to_numpy(loss.values(labels, distances))


class TestContrastiveLoss:
    """5. Y * D^2 + (1 - Y) * max(margin - D, 0)^2."""

    @pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
    def test_formula(self, margin):
        labels = np.array([1, 0, 1, 0, 1, 0, 1, 0], dtype="float32")
        hinge = np.maximum(margin - DISTANCES, 0)
        expected = labels * DISTANCES**2 + (1 - labels) * hinge**2
        np.testing.assert_allclose(
            contrastive_values(labels, DISTANCES, margin), expected, rtol=1e-6, atol=1e-12
        )

    def test_y_is_the_tensor_of_details_about_similarity(self):
        """The same distances are judged differently, pair by pair, only because Y says so."""
        labels = np.array([1.0, 0.0, 0.0, 1.0], dtype="float32")
        distances = np.full(4, 0.25, dtype="float32")
        np.testing.assert_allclose(
            contrastive_values(labels, distances), [0.0625, 0.5625, 0.5625, 0.0625], rtol=1e-6
        )

    def test_a_low_distance_means_similar(self):
        """Low D costs nothing for similar pairs and most for dissimilar ones."""
        similar = contrastive_values(SIMILAR, DISTANCES)
        assert similar[0] == 0
        assert (np.diff(similar) > 0).all()
        dissimilar = contrastive_values(DISSIMILAR, DISTANCES)
        assert dissimilar.argmax() == 0
        assert (np.diff(dissimilar) <= 0).all()

    def test_d_is_a_distance_and_not_a_label(self):
        """Any non-negative distance is judged, also those far above 1."""
        distances = np.array([1.5, 3.7, 42.0], dtype="float32")
        np.testing.assert_allclose(
            contrastive_values(np.ones(3, "float32"), distances), distances**2, rtol=1e-6
        )
        np.testing.assert_allclose(
            contrastive_values(np.zeros(3, "float32"), distances, margin=5.0),
            [3.5**2, 1.3**2, 0.0],
            rtol=1e-5,
        )

    def test_the_margin_is_a_minimum_distance_between_dissimilar_images(self):
        values = contrastive_values(DISSIMILAR, DISTANCES, margin=1.0)
        np.testing.assert_array_equal(values > 0, DISTANCES < 1.0)

    def test_the_margin_is_not_a_maximum_distance(self):
        """Dissimilar pairs may be as far apart as they like; similar ones never see the margin."""
        far = np.array([1.0, 10.0, 1e6], dtype="float32")
        np.testing.assert_array_equal(contrastive_values(np.zeros(3, "float32"), far), 0)
        np.testing.assert_array_equal(
            contrastive_values(SIMILAR, DISTANCES, margin=0.1),
            contrastive_values(SIMILAR, DISTANCES, margin=5.0),
        )
