"""Calls that a type checker accepts, and wrong ones that it refuses; read, never run."""

from typing import Any, assert_type

import numpy as np
from keras import ops

import lossmith as ls
from lossmith.losses import Contrastive, Huber, contrastive, huber

y_true = np.zeros(3)
y_pred = np.ones(3)

assert_type(huber(threshold=2.0), Huber)
assert_type(huber(threshold=2.0, reduction="sum", name="mine", dtype="float32"), Huber)
assert_type(huber(), Huber)
value: float = float(huber(y_true, y_pred))
weighted: float = float(huber(y_true, y_pred, np.ones(3)))
masked: Any = huber(y_true, y_pred, mask=np.ones(3, bool))
values: Any = huber.values(y_true, y_pred, sample_weight=np.ones(3))

made: Huber = Huber(threshold=2.0)
threshold: float = made.threshold
pairs: Contrastive = contrastive(margin=0.5, same=0, distance="cosine")
again: Contrastive = Contrastive(margin=0.5, same=0, factor=0.5, distance="manhattan")
distance: Any = ls.distances.euclidean(y_true, y_pred)

Huber(threshold="a")  # type: ignore[arg-type]
Huber(treshold=2.0)  # type: ignore[call-arg]
Huber(2.0)  # type: ignore[call-arg, arg-type]
Contrastive(same=2)  # type: ignore[arg-type]
Contrastive(distance="hamming")  # type: ignore[arg-type]
huber(y_true)  # type: ignore[call-overload]


@ls.loss
def asymmetric(y_true: Any, y_pred: Any, *, late: ls.Positive = 3.0) -> Any:
    return ops.where(y_true > y_pred, late, 1.0) * ops.square(y_true - y_pred)


@ls.loss(targets="pair", name="pairs")
def of_pairs(y_true: Any, y_pred: Any) -> Any:
    return y_true * y_pred


assert_type(asymmetric, ls.Loss)
assert_type(asymmetric(late=2.0), ls.Loss)
assert_type(of_pairs, ls.Loss)
another: float = float(asymmetric(y_true, y_pred))


class Fields(ls.Loss):
    threshold: ls.Positive = 1.0
    flag: bool = False

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.threshold * (y_true - y_pred)


class Classic(ls.Loss):
    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__()
        self.threshold = threshold

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.threshold * (y_true - y_pred)


assert_type(Fields(threshold=2.0, flag=True), Fields)
assert_type(Fields()(threshold=2.0), Fields)
assert_type(Classic(2.0), Classic)
assert_type(Classic(threshold=2.0), Classic)
Fields(flag="yes")  # type: ignore[arg-type]
Classic("a")  # type: ignore[arg-type]
