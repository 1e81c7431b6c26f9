"""Modified Huber against scikit-learn's."""

import numpy as np
import pytest
from gradients import compiled, to_numpy, value_and_gradient
from keras import ops
from sklearn.linear_model._sgd_fast import ModifiedHuber

import lossmith as ls

SCORES = np.array([-5, -1.5, -1, -0.999, -0.3, 0, 0.4, 0.999, 1, 1.001, 4], "float32")


def test_modified_huber_is_that_of_scikit_learn():
    oracle = ModifiedHuber()
    for sign in (-1.0, 1.0):
        labels = np.full_like(SCORES, sign)
        value, gradient = value_and_gradient(
            lambda p, y=labels: ls.losses.modified_huber(reduction="sum")(y, p), SCORES
        )
        values = to_numpy(ls.losses.modified_huber.values(labels, SCORES))
        expected = [oracle.py_loss(float(score), sign) for score in SCORES]
        slopes = [oracle.py_dloss(float(score), sign) for score in SCORES]
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-6)
        assert value == np.float32(values.sum()) or abs(value - values.sum()) < 1e-4


def test_labels_0_and_1_are_those_of_signs_in_every_form():
    labels = (np.arange(SCORES.size) % 2).astype("float32")
    loss = ls.losses.modified_huber(reduction="sum")
    steps = (loss, compiled(loss))
    for step in steps:
        zeros, signs = (
            value_and_gradient(lambda p, y=y, s=step: s(ops.convert_to_tensor(y), p), SCORES)
            for y in (labels, 2 * labels - 1)
        )
        np.testing.assert_allclose(zeros[0], signs[0], rtol=1e-6)
        np.testing.assert_array_equal(zeros[1], signs[1])


@pytest.mark.parametrize(
    ("labels", "shown"), [([1.0, 0.5], "0.5, 1"), ([-1.0, 0.0, 1.0], "-1, 0, 1"), ([2, 0], "0, 2")]
)
def test_other_labels_are_refused_where_they_can_be_seen(labels, shown):
    with pytest.raises(ValueError, match=f"labels must be -1 or 1, or else 0 or 1; got {shown}"):
        ls.losses.modified_huber(labels, np.zeros(len(labels)))
