"""Targets that a loss refuses where it can see their values."""

import numpy as np
import pytest
from gradients import to_numpy
from keras import ops

import lossmith as ls


def test_labels_of_pairs_are_seen_when_they_can_be():
    with pytest.raises(ValueError, match=r"must be 0 or 1; got 0.3"):
        ls.losses.contrastive([0.0, 0.3], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"must be 0 or 1; got -1"):
        ls.losses.contrastive.values([1, -1], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"between 0 and 1; got 2"):
        ls.losses.contrastive(graded=True)([0.3, 2.0], [0.5, 0.5])


class CrossEntropy(ls.Loss):
    """With a domain of its own, as the docstring of `check_targets` advises."""

    targets = "class"
    classes: int = 3

    def check_targets(self, y_true):
        if not np.all((y_true >= 0) & (y_true < self.classes)):
            raise ValueError(f"{self.name}: ids must be below {self.classes}; got {y_true.max()}.")

    def call(self, y_true, y_pred):
        own = ops.equal(ops.expand_dims(y_true, -1), ops.arange(self.classes, dtype=y_true.dtype))
        return -ops.sum(ops.cast(own, y_pred.dtype) * ops.log_softmax(y_pred), axis=-1)


def test_class_ids_that_a_formula_does_not_know_are_refused_where_it_says_so():
    scores = np.zeros((2, 3), "float32")
    with pytest.raises(ValueError, match="ids must be below 3; got 7"):
        CrossEntropy()(np.array([0, 7]), scores)
    assert to_numpy(CrossEntropy()(np.array([0, 2]), scores)) == pytest.approx(np.log(3))
