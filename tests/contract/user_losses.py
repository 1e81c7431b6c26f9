"""A user's module: losses written in every style that lossmith takes."""

from typing import Any, Literal

import numpy as np
from keras import ops

import lossmith as ls


@ls.loss
def asymmetric(
    y_true: Any,
    y_pred: Any,
    *,
    late: ls.Positive = 3.0,
    power: Literal["square", "fourth"] = "square",
    doubled: bool = False,
) -> Any:
    """A number, a choice and a flag."""
    error = ops.square(y_true - y_pred)
    cost = error if power == "square" else ops.square(error)
    cost = ops.where(y_true > y_pred, late * cost, cost)
    return 2.0 * cost if doubled else cost


@ls.loss
def scaled_outputs(y_true: Any, y_pred: Any, *, scale: ls.Array = (1.0, 2.0, 4.0)) -> Any:  # type: ignore[assignment]
    """An array: one factor for each output."""
    return scale * ops.square(y_true - y_pred)


class ScaledOutputs(ls.Loss):
    """The same as a class."""

    scale: ls.Array = (1.0, 2.0, 4.0)

    def call(self, y_true, y_pred):
        return self.scale * ops.square(y_true - y_pred)


class Combined(ls.Loss):
    """A loss among the hyperparameters."""

    base: ls.Loss = ls.losses.huber
    factor: ls.Positive = 2.0

    def call(self, y_true, y_pred):
        return self.factor * self.base.values(y_true, y_pred)


class FieldHuber(ls.Loss):
    """Declared fields."""

    threshold: ls.Positive = 1.0

    def call(self, y_true, y_pred):
        return huber_formula(y_true, y_pred, self.threshold)


class ClassicHuber(ls.Loss):
    """The course's class: no **kwargs, no get_config."""

    def __init__(self, threshold=1):
        super().__init__()
        self.threshold = threshold

    def call(self, y_true, y_pred):
        return huber_formula(y_true, y_pred, self.threshold)


class KeywordHuber(ls.Loss):
    """Classic, handing Keras' arguments on, with a reduction of its own choice."""

    def __init__(self, threshold: ls.Positive = 1.0, reduction="sum", **kwargs):
        super().__init__(reduction=reduction, **kwargs)
        self.threshold = threshold

    def call(self, y_true, y_pred):
        return huber_formula(y_true, y_pred, self.threshold)


class KerasHuber(ls.Loss):
    """As Keras' own guide writes a loss."""

    def __init__(self, threshold=1.0, name="keras_huber", **kwargs):
        super().__init__(name=name, **kwargs)
        self.threshold = threshold

    def call(self, y_true, y_pred):
        return huber_formula(y_true, y_pred, self.threshold)

    def get_config(self):
        config = super().get_config()
        config.update({"threshold": self.threshold})
        return config


class AxisNorm(ls.Loss):
    """Classic, with an integer that has to stay one, and a value per sample."""

    def __init__(self, axis=-1, offset=1):
        super().__init__()
        self.axis = axis
        self.offset = offset

    def call(self, y_true, y_pred):
        return ops.sqrt(self.offset + ops.sum(ops.square(y_true - y_pred), axis=self.axis))


@ls.loss(targets="class")
def cross_entropy(y_true: Any, y_pred: Any, *, temperature: ls.Positive = 1.0) -> Any:
    """Integer classes against scores."""
    scores = ops.log_softmax(y_pred / temperature, axis=-1)
    return -ops.take_along_axis(scores, y_true[..., None], axis=-1)[..., 0]


class LogisticPairs(ls.Loss):
    """Pair labels against distances."""

    targets = "pair"
    offset: float = 1.0

    def call(self, y_true, y_pred):
        return ops.softplus((2.0 * y_true - 1.0) * (y_pred - self.offset))


@ls.loss(batchwise=True)
def relative_error(
    y_true: Any, y_pred: Any, sample_weight: Any = None, *, floor: ls.NonNegative = 1.0
) -> Any:
    """A property of the batch, which says what a weight means."""
    weights = ops.ones_like(y_true[:, :1])
    if sample_weight is not None:
        weights = sample_weight[:, None]
    return ops.sum(weights * ops.square(y_true - y_pred)) / (
        floor + ops.sum(weights * ops.square(y_true))
    )


def huber_formula(y_true: Any, y_pred: Any, threshold: float) -> Any:
    error = ops.abs(y_true - y_pred)
    linear = threshold * (error - 0.5 * threshold)
    return ops.where(error <= threshold, 0.5 * ops.square(error), linear)


def structured_formula(y_true: Any, y_pred: Any) -> Any:
    """A formula over a structure of predictions."""
    return ops.square(y_true["a"] - y_pred["a"]) + ops.square(y_true["b"] - y_pred["b"])


structured = ls.loss(structured_formula)
METRES = np.array([1.0, 2.0, 4.0])
