"""Losses of a score and a class."""

from typing import Any

import numpy as np

from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.core.numerics import hinge

ops = keras.ops


class ModifiedHuber(Loss):
    """Huber's loss for classification: `max(0, 1 - y f)^2` where `y f >= -1`, else `-4 y f`.

    A squared hinge whose price for confidently wrong scores grows only linearly, so that wrong
    labels do not rule the fit. The minimiser of its mean gives class probabilities as
    `(clip(f, -1, 1) + 1) / 2`.

    Shapes: y_true -1 or 1 and y_pred real scores (no sigmoid), of one shape. A label 0 stands for
    -1, so that labels 0 and 1 mean the same as with Keras' hinge losses; others are refused where
    they can be seen. Convex, once differentiable.

    Relations: `keras.losses.SquaredHinge` where `y f >= -1`; scikit-learn's
    `SGDClassifier(loss="modified_huber")`.

    Reference: Zhang, "Solving Large Scale Linear Prediction Problems Using Stochastic Gradient
    Descent Algorithms", ICML 2004.

    >>> import lossmith as ls
    >>> [float(v) for v in ls.losses.modified_huber.values([1.0, 1.0, -1.0], [0.5, -2.0, -3.0])]
    [0.25, 8.0, 0.0]
    """

    by_entry = True

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The squared hinge of each entry, linear beyond `y f = -1`."""
        margin = ops.where(ops.equal(y_true, 0), -y_pred, y_true * y_pred)
        return ops.where(margin >= -1.0, ops.square(hinge(1.0 - margin)), -4.0 * margin)

    def check_targets(self, y_true: np.ndarray) -> None:
        """Refuse labels other than -1 and 1, or 0 and 1.

        Raises:
            ValueError: naming what was found.
        """
        if not any(np.all((y_true == 1) | (y_true == negative)) for negative in (-1, 0)):
            shown = ", ".join(f"{label:g}" for label in np.unique(y_true)[:5])
            raise ValueError(f"{self.name}: labels must be -1 or 1, or else 0 or 1; got {shown}.")


modified_huber = ModifiedHuber()
