"""Class ids that are shifted, and batches that are not of the kind that was declared."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.report import Finding
from lossmith.checker.settings import Settings

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.ones(4), 8).astype("float32")
SCORES = RNG.normal(size=(8, 4)).astype("float32")


def serious(loss: Any, *arguments: Any, **words: Any) -> list[Finding]:
    findings = inspect(loss, Settings(*arguments, time_limit=600, **words)).findings
    return [finding for finding in findings if finding.severity != "information"]


def ids_of(y_true):
    return ops.cast(ops.reshape(y_true, (-1,)), "int32")


def entropy_of(ids, y_pred):
    return -ops.log(ops.take_along_axis(y_pred, ids[:, None], axis=-1)[:, 0] + 1e-7)


def one_less(y_true, y_pred):
    return entropy_of(ids_of(y_true) - 1, y_pred)


def one_less_as_one_hot(y_true, y_pred):
    one_hot = ops.one_hot(ids_of(y_true) - 1, ops.shape(y_pred)[-1])
    return -ops.sum(one_hot * ops.log(y_pred + 1e-7), axis=-1)


def one_more(y_true, y_pred):
    return entropy_of((ids_of(y_true) + 1) % y_pred.shape[-1], y_pred)


def one_less_than_logits(y_true, y_pred):
    one_hot = ops.one_hot(ids_of(y_true) - 1, ops.shape(y_pred)[-1])
    return -ops.sum(one_hot * ops.log_softmax(y_pred, axis=-1), axis=-1)


def one_hot_rolled(y_true, y_pred):
    return keras.losses.categorical_crossentropy(ops.roll(y_true, 1, axis=-1), y_pred)


@pytest.mark.parametrize(
    ("loss", "target", "column"),
    [
        (one_less, "sparse_categorical", "for label 1 the loss is lowest where the"),
        (one_less_as_one_hot, "sparse_categorical", "is class 0"),
        (one_more, "sparse_categorical", "for label 0 the loss is lowest where the"),
        (one_less_than_logits, "sparse_categorical_logits", "is class 0"),
        (one_hot_rolled, "categorical", "is class 1"),
    ],
)  # fmt: skip
def test_labels_shifted_by_one_explain_what_follows(loss: Any, target: str, column: str) -> None:
    (finding,) = serious(loss, target)
    assert (finding.rule.code, finding.severity) == ("LSM704", "error")
    assert "shifted by one" in finding.message
    assert column in finding.message


def test_shifted_ids_are_named_where_the_id_at_the_end_raises() -> None:
    def strict(y_true, y_pred):
        ids = ids_of(y_true) - 1
        if int(ops.min(ids)) < 0:
            raise IndexError("Target -1 is out of bounds.")
        return entropy_of(ids, y_pred)

    (finding,) = serious(strict, "sparse_categorical")
    assert finding.rule.code == "LSM704"


def entropy(y_true, y_pred):
    return entropy_of(ids_of(y_true), y_pred)


def entropy_with_a_wrong_sign(y_true, y_pred):
    return -entropy_of(ids_of(y_true), y_pred)


@pytest.mark.parametrize(("loss", "right"), [(entropy, True), (entropy_with_a_wrong_sign, False)])
def test_a_wrong_sign_is_not_called_a_shift_of_labels(loss: Any, right: bool) -> None:
    found = {finding.rule.code for finding in serious(loss, "sparse_categorical")}
    assert "LSM704" not in found
    assert (not found) == right


def sparse(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def ordinal(y_true, y_pred):
    above = ops.arange(y_pred.shape[-1]) < ids_of(y_true)[:, None]
    return ops.sum(ops.softplus(y_pred) - ops.cast(above, "float32") * y_pred, axis=-1)


def squares(y_true, y_pred):
    return ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred), axis=-1)


FROM_ONE = np.asarray([1, 2, 3, 4, 1, 2, 3, 4])
LEVELS = np.asarray([0, 1, 2, 3, 4, 2, 3, 4])
CONTRADICTED = [
    (sparse, FROM_ONE, SHARES, "sparse_categorical", "the class id 4, and the 4 columns"),
    (one_less, FROM_ONE, SHARES, "sparse_categorical", "of the ids 0 to 3"),
    (ordinal, LEVELS, SCORES, "sparse_categorical_logits", "the class id 4, and the 4 columns"),
    (squares, LEVELS[:, None], SHARES[:, :1], "binary", "y_true holds 2, and its labels are 0"),
    (squares, LEVELS[:, None] % 2, SCORES[:, :1], "binary", "its predictions are probabilities"),
    (squares, np.sign(LEVELS[:, None] - 1) * 3, SCORES[:, :1], "plus_minus", "labels are -1 and 1"),
    (squares, LEVELS % 2, SHARES[:, 0], "categorical", "a number for each row"),
    (
        keras.losses.CategoricalCrossentropy(),
        np.float32(LEVELS[:, None] > np.arange(4)),
        SHARES,
        "categorical",
        "has 4 ones",
    ),
]


@pytest.mark.parametrize(("loss", "y_true", "y_pred", "target", "words"), CONTRADICTED)
def test_a_batch_that_is_not_of_the_declared_kind_is_said_to_be_none(
    loss: Any, y_true: np.ndarray, y_pred: np.ndarray, target: str, words: str
) -> None:
    first, *others = serious(loss, target, y_true, y_pred)
    assert (first.rule.code, first.severity) == ("LSM902", "error")
    assert words in first.message
    assert not [finding for finding in others if finding.rule.code.startswith(("LSM2", "LSM7"))]


class WithoutUnknown(keras.losses.Loss):
    """Leaves out the rows of unknown labels, -1, without a word for it."""

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        known = ops.cast(y_true >= 0, y_pred.dtype)
        return ops.mean(known * ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "target"),
    [
        (WithoutUnknown(), np.float32([[0], [1], [-1], [1]]), SHARES[:4, :1], "binary"),
        (keras.losses.SparseCategoricalCrossentropy(ignore_class=9), np.asarray([0, 1, 9, 3]),
         SHARES[:4], "sparse_categorical"),
        (sparse, np.asarray([1, 2, 3, 1]), SHARES[:4], "sparse_categorical"),
        (keras.losses.Hinge(), np.float32([[0], [1], [0], [1]]), SCORES[:4, :1], "plus_minus"),
        (ordinal, LEVELS, SCORES, "regression"),
    ],
)  # fmt: skip
def test_a_batch_with_labels_that_are_left_out_contradicts_nothing(
    loss: Any, y_true: np.ndarray, y_pred: np.ndarray, target: str
) -> None:
    assert "LSM902" not in [finding.rule.code for finding in serious(loss, target, y_true, y_pred)]


def test_a_loss_that_raises_on_the_batch_of_its_user_is_said_to() -> None:
    def refuses_eight(y_true, y_pred):
        if y_pred.shape[-1] == 4 and y_pred.shape[0] == 8:
            raise ValueError("eight rows")
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    found = serious(refuses_eight, "regression", SCORES, SCORES + 1)
    assert found[0].rule.code == "LSM901"
    assert "your own batch (y_true (8, 4) and y_pred (8, 4))" in found[0].message


def test_a_label_without_a_column_is_told_from_one_without_a_term() -> None:
    def dropped(y_true, y_pred):
        one_hot = ids_of(y_true)[:, None] == ops.arange(y_pred.shape[-1])
        return -ops.sum(ops.cast(one_hot, "float32") * ops.log(y_pred + 1e-7), axis=-1)

    (finding,) = serious(dropped, "sparse_categorical", LEVELS, SHARES)
    assert finding.rule.code == "LSM202"
    assert "the 4 columns of y_pred are of the class ids 0 to 3" in finding.remedy
