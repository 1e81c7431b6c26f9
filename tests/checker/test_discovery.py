from pathlib import Path

import pytest

from lossmith.checker.discovery import discover
from lossmith.checker.subject import parse

pytestmark = [pytest.mark.backend_free, pytest.mark.usefixtures("imports_forgotten")]

SOURCE = """
from functools import cache, partial

import keras
from keras.losses import Huber, huber
import lossmith as ls


def squared(y_true, y_pred):
    return keras.ops.square(y_true - y_pred)


def helper(a, b):
    return a - b


def _private(y_true, y_pred):
    return y_true


def swapped(predictions, targets):
    return predictions - targets


def top_accuracy(y_true, y_pred):
    return y_true


def accuracy_loss(y_true, y_pred):
    return y_true


def contrastive(y_true, distances, margin=1.0):
    return y_true * distances


def make(threshold=1.0):
    def inner(y_true, y_pred):
        return threshold * squared(y_true, y_pred)

    return inner


def make_required(threshold):
    return lambda y, p: threshold * squared(y, p)


def builds_a_number(x=1):
    return x


class Own(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return squared(y_true, y_pred)


class Needs(keras.losses.Loss):
    def __init__(self, margin):
        super().__init__()

    def call(self, y_true, y_pred):
        return squared(y_true, y_pred)


wide = Huber(delta=3.0)
narrow = partial(huber, delta=0.3)
unnamed = partial(lambda scale, a, b: scale * (a - b), 2.0)
ready = partial(print, "no loss")


@cache
def remembered(y_true, y_pred):
    return y_true - y_pred


@ls.loss
def forged(y_true, y_pred):
    return keras.ops.square(y_true - y_pred)
"""


def test_the_losses_of_a_file_are_found_in_order(tmp_path: Path) -> None:
    file = tmp_path / "many_losses.py"
    file.write_text(SOURCE, encoding="utf-8")
    found = discover(parse(str(file)))
    assert [entry.expression for entry in found if not entry.left_out] == [
        "squared",
        "swapped",
        "accuracy_loss",
        "contrastive",
        "make()",
        "Own",
        "wide",
        "narrow",
        "remembered",
        "forged",
    ]
    left_out = {entry.expression: entry.left_out for entry in found if entry.left_out}
    assert left_out.keys() == {"top_accuracy", "make_required", "Needs", "unnamed"}
    assert "make_required(threshold=...)" in left_out["make_required"]
    assert "Needs(margin=...)" in left_out["Needs"]
    assert "(a, b) are not called like a target" in left_out["unnamed"]
    lines = SOURCE.splitlines()
    assert "def squared" in lines[found[0].line - 1]
