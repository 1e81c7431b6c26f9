"""A loss may not write into the tensors that it is given."""

import keras
import numpy as np
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def squared_in_place(y_true, y_pred):
    y_true -= y_pred
    return ops.mean(ops.square(y_true), axis=-1)


def squared(y_true, y_pred):
    y_true = y_true - y_pred
    return ops.mean(ops.square(y_true), axis=-1)


def codes(loss: object, **batch: object) -> set[str]:
    return {each.rule.code for each in inspect(loss, Settings("regression", **batch)).findings}


def test_a_loss_that_writes_into_its_targets_is_not_pure_where_tensors_can_change() -> None:
    assert ("LSM401" in codes(squared_in_place)) == (keras.backend.backend() == "torch")
    assert "LSM401" not in codes(squared)


def test_the_batch_that_was_given_stays_as_it_is() -> None:
    y, p = np.ones((6, 3), "float32"), np.zeros((6, 3), "float32")
    codes(squared_in_place, y_true=y, y_pred=p)
    assert y.min() == 1
