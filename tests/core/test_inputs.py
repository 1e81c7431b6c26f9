"""Inputs that no loss can take: the error names what came and says what to do."""

import numpy as np
import pytest
from contract import user_losses

import lossmith as ls

huber, contrastive = ls.losses.huber, ls.losses.contrastive
LABELS = np.array([0, 1, 1, 0])
D = np.array([0.5, 0.25, 2.0, 0.125], "float32")
A, B = np.zeros((4, 3), "float32"), np.ones((4, 3), "float32")
ONE_HOT = np.eye(3, dtype="float32")[[0, 1, 2, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: huber(["a", "b"], [1.0, 2.0]), "y_true must hold numbers; got 'a'.*np.unique"),
        (lambda: huber(np.array(["a"]), np.zeros(1)), "array of <U1 of shape"),
        (lambda: huber(np.zeros(1), np.array([None])), "y_pred must hold.*array of object"),
        (lambda: huber(np.array([1j]), np.zeros(1)), "y_true must hold real numbers; got complex"),
        (lambda: huber([0.0], [1 + 1j]), "y_pred must hold real numbers; got complex"),
        (lambda: huber(D, D, ["a"] * 4), "huber: sample_weight must hold numbers; got 'a'.$"),
        (lambda: huber(D, D, np.array([None] * 4)), "sample_weight must hold.*array of object"),
        (lambda: huber(D, D, D + 1j), "sample_weight must hold real numbers; got complex ones.$"),
        (lambda: huber(D, D, mask=["a"] * 4), "huber: mask must hold numbers; got 'a'.$"),
        (lambda: huber.values(D, D, mask=np.array([None] * 4)), "mask must hold.*array of object"),
        (lambda: huber({"a": A}, A), "y_true is a dict of 1. y_pred is a single.*a loss each"),
        (lambda: contrastive(LABELS, (A, B)), r"y_pred is a tuple of 2.*ops.stack\(\[a, b\]"),
        (lambda: user_losses.cross_entropy(LABELS, {"a": A}), "y_pred is a dict.*a loss each"),
        (lambda: user_losses.cross_entropy(ONE_HOT[:, 0], A), "integer class ids; got float32"),
    ],
)
def test_other_types(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: user_losses.cross_entropy(ONE_HOT, A), r"has shape \(4, 3\).*ops.argmax"),
        (lambda: contrastive(LABELS, A), "one distance per pair.*SiameseNetwork"),
        (lambda: contrastive(D, LABELS), r"0 or 1; got 0.5.*come first: contrastive\(y_true"),
        (lambda: contrastive(np.stack([A, B], 1), LABELS), r"come first: contrastive\(y_true"),
    ],
)
def test_other_shapes_and_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()
