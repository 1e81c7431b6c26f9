"""One small loss for each property: broken on purpose, or odd and correct."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker.context import Context
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.inspection import inspect
from lossmith.checker.probes import execution
from lossmith.checker.settings import Settings
from lossmith.checker.targets import build

WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {}
CORRECT: dict[str, tuple[Any, dict[str, Any]]] = {}


def wrong(code: str, target: str, **settings: Any) -> Any:
    def put(function: Any) -> Any:
        WRONG[function.__name__] = (function, {"target": target, **settings}, code)
        return function

    return put


def correct(target: str, **settings: Any) -> Any:
    def put(function: Any) -> Any:
        CORRECT[function.__name__] = (function, {"target": target, **settings})
        return function

    return put


@wrong("LSM102", "regression")
def root_of_the_row(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square(y_true - y_pred), axis=-1))


@wrong("LSM101", "binary")
def logarithm_unguarded(y_true, y_pred):
    return -ops.mean(y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred), axis=-1)


@wrong("LSM201", "regression")
def whole_numbers(y_true, y_pred):
    return ops.mean(ops.abs(y_true - ops.floor(y_pred)), axis=-1)


@wrong("LSM202", "binary")
def only_the_positive(y_true, y_pred):
    return -ops.mean(y_true * ops.log(y_pred + 1e-7), axis=-1)


@wrong("LSM204", "binary")
def clipped_early(y_true, y_pred):
    p = ops.clip(y_pred, 0.01, 0.99)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


@wrong("LSM205", "regression")
def branches_apart(y_true, y_pred):
    size = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(size < 2.0, 0.5 * size**2, 2.0 * size - 0.5), axis=-1)


@wrong("LSM205", "regression")
def branches_apart_elsewhere(y_true, y_pred, threshold=1.0):
    size = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(size < threshold, 0.5 * size**2, threshold * size - 0.5), axis=-1)


@wrong("LSM206", "distance")
def margin_without_hinge(y_true, y_pred):
    return ops.mean(y_true * y_pred**2 + (1 - y_true) * (1.0 - y_pred) ** 2, axis=-1)


@wrong("LSM703", "distance", same=1)
def labels_turned(y_true, y_pred):
    far = ops.square(ops.maximum(1.0 - y_pred, 0.0))
    return ops.mean((1 - y_true) * ops.square(y_pred) + y_true * far, axis=-1)


@wrong("LSM207", "categorical")
def likelihood_with_a_plus(y_true, y_pred):
    return ops.sum(y_true * ops.log(y_pred + 1e-7), axis=-1)


@wrong("LSM2", "regression")
def square_of_the_mean(y_true, y_pred):
    return ops.square(ops.mean(y_true - y_pred))


@wrong("LSM302", "regression")
def mean_of_everything(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred))


@wrong("LSM305", "regression")
def over_the_samples(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=0)


@wrong("LSM207", "binary")
def negatives_of_every_label(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.mean(5.0 * y_true * ops.log(p) + (1 + y_true) * ops.log(1 - p), axis=-1)


@wrong("LSM207", "plus_minus")
def square_of_the_margin(y_true, y_pred):
    return ops.mean(ops.square(ops.maximum(y_true * y_pred - 1.0, 0.0)), axis=-1)


@wrong("LSM209", "plus_minus")
def hinge_without_its_floor(y_true, y_pred):
    return ops.mean(1.0 - y_true * y_pred, axis=-1)


@wrong("LSM206", "pair")
def margin_of_pairs_without_hinge(y_true, y_pred):
    same = ops.reshape(y_true, (-1,))
    d = ops.sqrt(ops.sum(ops.square(y_pred[:, 0] - y_pred[:, 1]), axis=-1) + 1e-6)
    return same * ops.square(d) + (1 - same) * ops.square(1.0 - d)


def _squares_and_same(y_true, y_pred):
    labels = ops.reshape(y_true, (-1,))
    square = ops.sum(ops.square(y_pred[:, None] - y_pred[None, :]), axis=-1)
    return square, ops.cast(labels[:, None] == labels[None, :], "float32")


@wrong("LSM207", "embedding")
def others_rewarded_nearby(y_true, y_pred):
    square, same = _squares_and_same(y_true, y_pred)
    far = ops.square(ops.relu(1.0 - ops.sqrt(square + 1e-6)))
    return ops.mean(same * square - (1.0 - same) * far, axis=-1)


@wrong("LSM210", "embedding")
def left_out_with_the_wrong_sign(y_true, y_pred):
    square, same = _squares_and_same(y_true, y_pred)
    itself = ops.eye(ops.shape(square)[0])
    log_share = -square - ops.logsumexp(-square + 1e9 * itself, axis=-1, keepdims=True)
    return -ops.sum((same - itself) * log_share, axis=-1)


@wrong("LSM308", "survival")
def running_total(y_true, y_pred):
    risk = ops.reshape(y_pred, (-1,))
    return -ops.mean(y_true[:, 1] * (risk - ops.log(ops.cumsum(ops.exp(risk)))))


@wrong("LSM401", "regression")
def noisy(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1) * float(np.random.uniform(1, 2))


@wrong("LSM501", "regression")
def shadowed(y_true, y_pred, threshold=2.0):
    threshold = 1.0
    size = ops.abs(y_true - y_pred)
    linear = threshold * (size - 0.5 * threshold)
    return ops.mean(ops.where(size < threshold, 0.5 * size**2, linear), axis=-1)


@wrong("LSM503", "regression", family="pinball")
def pinball_of_sizes(y_true, y_pred, q=0.8):
    size = ops.abs(y_true - y_pred)
    return ops.mean(ops.maximum(q * size, (q - 1) * size), axis=-1)


@wrong("LSM701", "categorical")
def softmax_again(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)


@wrong("LSM701", "binary")
def sigmoid_again(y_true, y_pred):
    return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


@wrong("LSM702", "categorical")
def arguments_swapped(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_pred, y_true)


@wrong("LSM705", "binary_logits")
def no_sigmoid(y_true, y_pred):
    return keras.losses.binary_crossentropy(y_true, y_pred)


@wrong("LSM801", "distance", activation="sigmoid")
def margin_of_two(y_true, y_pred):
    far = ops.square(ops.maximum(2.0 - y_pred, 0.0))
    return ops.mean(y_true * ops.square(y_pred) + (1 - y_true) * far, axis=-1)


@wrong("LSM103", "embedding")
def positives_averaged(y_true, y_pred):
    labels = ops.reshape(y_true, (-1, 1))
    others = 1.0 - ops.eye(6)
    same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32") * others
    logits = ops.matmul(y_pred, ops.transpose(y_pred))
    log_p = logits - ops.log(ops.sum(ops.exp(logits) * others, axis=1, keepdims=True))
    return -ops.sum(same * log_p, axis=1) / ops.sum(same, axis=1)


@correct("regression")
def huber(y_true, y_pred, threshold=1.5):
    size = ops.abs(y_true - y_pred)
    linear = threshold * (size - 0.5 * threshold)
    return ops.mean(ops.where(size < threshold, 0.5 * ops.square(size), linear), axis=-1)


@correct("regression")
def pinball(y_true, y_pred, q=0.9):
    error = y_true - y_pred
    return ops.mean(ops.maximum(q * error, (q - 1) * error), axis=-1)


@correct("regression", redescending=True)
def welsch(y_true, y_pred):
    return ops.mean(1 - ops.exp(-0.5 * ops.square(y_true - y_pred)), axis=-1)


@correct("regression")
def deaf_to_small_errors(y_true, y_pred):
    return ops.mean(ops.relu(ops.abs(y_true - y_pred) - 0.3), axis=-1)


@correct("binary")
def smoothed(y_true, y_pred):
    return keras.losses.binary_crossentropy(y_true, y_pred, label_smoothing=0.2)


@correct("distance", same=1)
def contrastive(y_true, y_pred):
    far = ops.square(ops.relu(0.7 - y_pred))
    return ops.mean(y_true * ops.square(y_pred) + (1 - y_true) * far, axis=-1)


@correct("plus_minus", adversarial=True)
def critic(y_true, y_pred):
    return -ops.mean(y_true * y_pred, axis=-1)


@correct("regression")
def rounded_quantile(y_true, y_pred, level=0.9, width=0.02):
    error = y_true - y_pred
    return ops.mean(level * error + width * ops.softplus(-error / width), axis=-1)


@correct("regression")
def widely_rounded_quantile(y_true, y_pred, level=0.9, width=0.5):
    return rounded_quantile(y_true, y_pred, level, width)


@pytest.mark.parametrize("name", list(WRONG))
def test_a_broken_property_is_found(name: str) -> None:
    loss, settings, code = WRONG[name]
    found = {f.rule.code for f in inspect(loss, Settings(**settings, time_limit=600)).findings}
    assert any(each.startswith(code) for each in found), found


@pytest.mark.parametrize("name", list(CORRECT))
def test_a_correct_loss_is_left_alone(name: str) -> None:
    loss, settings = CORRECT[name]
    findings = inspect(loss, Settings(**settings, time_limit=600)).findings
    assert [f for f in findings if f.severity != "information"] == []


def poisson_of_log_rates(y_true, y_pred):
    return ops.mean(ops.exp(y_pred) - y_true * y_pred, axis=-1)


def exponential_of_log_rates(y_true, y_pred):
    return ops.mean(ops.exp(y_pred) * y_true - y_pred, axis=-1)


@pytest.mark.parametrize(
    ("loss", "best"),
    [
        (poisson_of_log_rates, "the logarithm of the target"),
        (exponential_of_log_rates, "minus the logarithm of the target"),
    ],
)
def test_a_likelihood_of_log_rates_is_tried_on_positive_targets(loss: Any, best: str) -> None:
    result = inspect(loss, Settings("regression", time_limit=600))
    assert [f for f in result.findings if f.severity != "information"] == []
    assert result.card.rows["best prediction"].value == best


def test_a_loss_of_log_rates_with_a_wrong_sign_is_found() -> None:
    def turned(y_true, y_pred):
        return ops.mean(ops.exp(y_pred) + y_true * y_pred, axis=-1)

    findings = inspect(turned, Settings("regression", time_limit=600)).findings
    assert any(f.severity == "error" and f.rule.code.startswith("LSM20") for f in findings)


class SumOfAMask(keras.losses.Loss):
    """In float16 the sum over an image of realistic size is infinite; small images hide it."""

    def call(self, y_true, y_pred):
        both = ops.sum(y_true * y_pred, axis=(1, 2, 3))
        either = ops.sum(y_true + y_pred, axis=(1, 2, 3))
        return 1.0 - (2.0 * both + 1.0) / (either + 1.0)


@pytest.mark.parametrize(("dtype", "found"), [("float16", True), ("float32", False)])
def test_half_precision_is_tried_at_a_realistic_size(dtype: str, found: bool) -> None:
    loss = SumOfAMask(dtype=dtype)
    settings = Settings("segmentation")
    context = Context(Evaluator(loss), build("segmentation"), settings)
    assert [f.rule.code for f in execution.probe_half(context)] == ["LSM406"] * found


def test_a_loss_that_needs_another_kind_of_target_is_told_which() -> None:
    def of_pairs(y_true, y_pred):
        if len(y_pred.shape) != 3:
            raise ValueError("pairs, please")
        return ops.sum(ops.square(y_pred[:, 0] - y_pred[:, 1]), axis=-1)

    (finding,) = inspect(of_pairs, Settings("regression")).findings
    assert finding.rule.code == "LSM902"
    assert "'pair'" in finding.remedy


def test_swapped_arguments_are_not_a_second_activation_too() -> None:
    def swapped(y_true, y_pred):
        p = ops.clip(y_true, 1e-7, 1 - 1e-7)
        return -ops.mean(y_pred * ops.log(p) + (1 - y_pred) * ops.log(1 - p), axis=-1)

    found = {f.rule.code for f in inspect(swapped, Settings("binary", time_limit=600)).findings}
    assert "LSM702" in found
    assert "LSM701" not in found


def test_labels_broadcast_by_accident_are_no_batch_size() -> None:
    (finding,) = inspect(keras.losses.Huber(), Settings("sparse_categorical")).findings
    assert finding.rule.code == "LSM902"
    assert "'regression'" in finding.remedy


def test_a_loss_of_entries_is_no_loss_of_embeddings() -> None:
    found = inspect(lambda y_true, y_pred: ops.square(y_true - y_pred), Settings("embedding"))
    assert [finding.rule.code for finding in found.findings] == ["LSM902"]


def test_a_loss_that_raises_on_everything_is_not_blamed_on_the_last_kind_tried() -> None:
    def broken(y_true, y_pred):
        raise KeyError("my own words")

    (finding,) = inspect(broken, Settings()).findings
    assert finding.rule.code == "LSM901"
    assert "no kind of target" in finding.message
    assert "my own words" in finding.message


@pytest.mark.parametrize("returned", [None, "text"])
def test_a_loss_that_returns_no_tensor_is_told_what_it_returns(returned) -> None:
    (finding,) = inspect(lambda y_true, y_pred: returned, Settings("regression")).findings
    assert f"returns {returned!r}" in finding.message


@pytest.mark.parametrize(("sign", "meaning"), [(1, "an earlier event"), (-1, "a later event")])
def test_the_card_says_what_a_higher_score_of_survival_means(sign, meaning) -> None:
    def ranking(y_true, y_pred):
        time, event, risk = y_true[:, 0], y_true[:, 1], sign * ops.reshape(y_pred, (-1,))
        later = ops.cast(time[None, :] > time[:, None], "float32") * event[:, None]
        return ops.sum(ops.softplus(risk[None, :] - risk[:, None]) * later, axis=1)

    card = inspect(ranking, Settings("survival")).card
    assert card.rows["a higher score means"].value == meaning


def test_a_batch_tells_the_kind_of_target() -> None:
    y = np.asarray([[0.0], [1.0], [1.0], [0.0]])
    p = np.asarray([[0.2], [0.7], [0.6], [0.1]])
    result = inspect(keras.losses.binary_crossentropy, Settings(y_true=y, y_pred=p))
    assert (result.target, result.target_inferred) == ("binary", True)
    assert [f for f in result.findings if f.severity == "error"] == []
