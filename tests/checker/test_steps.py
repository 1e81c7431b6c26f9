"""Losses of several classes at once in a row, and of overlaps and classes that cost too much."""

from typing import Any

import numpy as np
import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.report import Finding
from lossmith.checker.settings import Settings

_DRAWN = np.random.default_rng(0)
SCORES = _DRAWN.normal(size=(6, 5, 4)).astype("float32")
IDS = _DRAWN.integers(0, 4, (6, 5))


def serious(loss: Any, target: Any = None, **settings: Any) -> list[Finding]:
    found = inspect(loss, Settings(target, **settings)).findings
    return [finding for finding in found if finding.severity != "information"]


def over(axis: int, *, numbers: bool) -> Any:
    def cross_entropy(y_true, y_pred):
        labels = ops.one_hot(ops.cast(y_true, "int32"), 4) if numbers else y_true
        each = -ops.sum(labels * ops.log_softmax(y_pred, axis=axis), axis=-1)
        return each if len(each.shape) == 1 else ops.mean(each, axis=-1)

    return cross_entropy


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize(("axis", "words"), [(1, "over the steps of a sample"), (0, "samples")])
def test_a_softmax_over_steps_or_samples_is_named(numbers: bool, axis: int, words: str) -> None:
    batch = {"y_true": IDS if numbers else np.eye(4, dtype="float32")[IDS], "y_pred": SCORES}
    right, wrong = (serious(over(each, numbers=numbers), **batch) for each in (-1, axis))
    assert "LSM305" not in {each.rule.code for each in right}
    (finding,) = [each for each in wrong if each.rule.code == "LSM305"]
    assert words in finding.message


def over_the_third_axis(y_true, y_pred):
    labels = y_true
    if len(y_true.shape) < len(y_pred.shape):
        labels = ops.one_hot(ops.cast(y_true, "int32"), 4)
    return -ops.mean(ops.sum(labels * ops.log_softmax(y_pred, axis=2), axis=2), axis=1)


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        (IDS, None),
        (IDS, "sparse_categorical_logits"),
        (np.eye(4, dtype="float32")[IDS], None),
        (np.eye(4, dtype="float32")[IDS], "categorical_logits"),
    ],
)
def test_a_loss_of_steps_is_checked_on_the_batch_where_it_takes_no_rows(
    labels: np.ndarray, target: str | None
) -> None:
    assert serious(over_the_third_axis, target, y_true=labels, y_pred=SCORES) == []


def overlap(factor: float, union: bool) -> Any:
    def loss(y_true, y_pred):
        both = ops.sum(y_true * y_pred, axis=(1, 2, 3))
        areas = ops.sum(y_true, axis=(1, 2, 3)) + ops.sum(y_pred, axis=(1, 2, 3))
        below = areas - both if union else areas
        return 1.0 - (factor * both + 1e-3) / (below + 1e-3)

    return loss


def test_a_full_overlap_costs_nothing() -> None:
    assert serious(overlap(1.0, union=True), "segmentation", family="iou") == []
    assert serious(overlap(2.0, union=False), "segmentation", family="dice") == []
    (finding,) = serious(overlap(1.0, union=False), "segmentation", family="iou")
    assert finding.rule.code == "LSM503"
    assert "overlaps in full" in finding.message


def distance_beside_the_overlap(y_true, y_pred):
    low, high = ops.maximum(y_true[:, :2], y_pred[:, :2]), ops.minimum(y_true[:, 2:], y_pred[:, 2:])
    both = ops.prod(ops.relu(high - low), axis=-1)
    areas = [ops.prod(ops.relu(box[:, 2:] - box[:, :2]), axis=-1) for box in (y_true, y_pred)]
    outer = ops.sum(ops.square(ops.maximum(y_true[:, 2:], y_pred[:, 2:])
                               - ops.minimum(y_true[:, :2], y_pred[:, :2])), axis=-1)  # fmt: skip
    apart = ops.sum(ops.square(y_true - y_pred), axis=-1) / 2
    return 1.0 - both / (areas[0] + areas[1] - both + 1e-7) + apart / (outer + 1e-7)


def test_boxes_may_cost_more_than_the_overlap_that_they_lack() -> None:
    codes = {each.rule.code for each in serious(distance_beside_the_overlap, "boxes", family="iou")}
    assert "LSM503" not in codes


def triplet(masked: Any) -> Any:
    def loss(y_true, y_pred):
        labels = ops.reshape(y_true, (-1,))
        between = ops.sum(ops.square(y_pred[:, None] - y_pred[None]), axis=-1)
        same = ops.cast(ops.equal(labels[:, None], labels[None]), "float32")
        furthest = ops.max(between * same, axis=1)
        return ops.relu(furthest - ops.min(masked(between, same), axis=1) + 1.0)

    return loss


def centers(y_true, y_pred):
    ids = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), 6)
    sizes = ops.maximum(ops.sum(ids, axis=0)[:, None], 1.0)
    means = ops.matmul(ops.transpose(ids), y_pred) / sizes
    return ops.sum(ops.square(y_pred - ops.matmul(ids, means)), axis=-1)


def test_what_pushes_no_classes_apart_is_told_from_what_only_pulls() -> None:
    found = serious(triplet(lambda d, same: d * (1 - same)), "embedding", batchwise=True)
    assert [f.rule.code for f in found] == ["LSM207"]
    assert "nothing pushes classes apart" in found[0].message
    assert serious(triplet(lambda d, same: d + 1e3 * same), "embedding", batchwise=True) == []
    assert "LSM207" not in {f.rule.code for f in serious(centers, "embedding", batchwise=True)}


@pytest.mark.parametrize("shortest", [0, 1])
def test_a_mean_over_the_steps_that_count_is_no_fault_where_a_row_has_none(shortest: int) -> None:
    def over_what_counts(y_true, y_pred):
        ids = ops.cast(y_true, "int32")
        counts = ops.cast(ids != 0, "float32")
        each = -ops.sum(ops.one_hot(ids, 4) * ops.log_softmax(y_pred, axis=-1), axis=-1)
        return ops.sum(each * counts) / ops.maximum(ops.sum(counts), 1.0)

    lengths = np.asarray([5, 3, shortest, 4, 2, 5])[:, None]
    padded = np.where(np.arange(5) < lengths, np.maximum(IDS, 1), 0)
    assert not serious(over_what_counts, y_true=padded, y_pred=SCORES)
