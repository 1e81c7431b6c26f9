"""Modified Huber against scikit-learn's."""

import numpy as np
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


def test_a_compiled_step_does_not_see_the_labels():
    step = compiled(ls.losses.modified_huber)
    value = step(ops.convert_to_tensor([0.0]), ops.convert_to_tensor([3.0]))
    assert float(value) == 1
