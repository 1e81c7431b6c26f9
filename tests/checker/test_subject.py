from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import lossmith as ls
from lossmith.checker.subject import Subject, SubjectError, as_loss, describe, load, parse

pytestmark = [pytest.mark.backend_free, pytest.mark.usefixtures("imports_forgotten")]

SOURCE = """
import keras


def absolute(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


def make_scaled(scale):
    def scaled(y_true, y_pred):
        return scale * absolute(y_true, y_pred)

    return scaled


class Shifted(keras.losses.Loss):
    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def call(self, y_true, y_pred):
        return absolute(y_true, y_pred) + self.shift


class Plain(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return absolute(y_true, y_pred)


three = 3


def weighted(y_true, y_pred, weights):
    return weights * absolute(y_true, y_pred)
"""


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    file = tmp_path / "some_losses.py"
    file.write_text(SOURCE, encoding="utf-8")
    return file


def value(loss: Any) -> float:
    rows = (np.float32([[1.0, 2.0]]), np.float32([[3.0, 2.0]]))
    y_true, y_pred = (keras.ops.convert_to_tensor(row) for row in rows)
    return float(keras.ops.mean(loss(y_true, y_pred)))  # |1 - 3| and |2 - 2|: mean 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("absolute", 1.0),
        ("make_scaled(3.0)", 3.0),
        ("make_scaled(scale=0.5)", 0.5),
        ("Plain", 1.0),
        ("Shifted(shift=2)", 3.0),
    ],
)
def test_a_place_in_a_file_is_loaded(losses: Path, expression: str, expected: float) -> None:
    subject = parse(f"{losses}:{expression}")
    assert subject.name == f"some_losses.py:{expression}"
    assert value(load(Subject.from_dict(subject.to_dict()))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("absolut", "Did you mean absolute"),
        ("make_scaled", "make_scaled(scale=...)"),
        ("Shifted", "Shifted(shift=...)"),
        ("three", "is no loss: 3"),
        ("weighted", "give the others a default"),
        ("make_scaled(scale=keras)", "plain values"),
        ("make_scaled(size=1)", "raises TypeError"),
        ("", "name a loss in it"),
    ],
)
def test_what_is_no_loss_is_refused_with_advice(losses: Path, expression: str, words: str) -> None:
    with pytest.raises(SubjectError) as refusal:
        load(Subject("file", f"some_losses.py:{expression}", str(losses), expression))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import keras\nundefined\n", "NameError: name 'undefined' is not defined (line 2)"),
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit(4)\n", "SystemExit: 4"),
        ("import not_there_at_all\n", "ModuleNotFoundError"),
    ],
)
def test_a_file_that_does_not_import_says_why(tmp_path: Path, source: str, words: str) -> None:
    file = tmp_path / "broken_losses.py"
    file.write_text(source, encoding="utf-8")
    with pytest.raises(SubjectError) as refusal:
        load(parse(f"{file}:f"))
    assert words in str(refusal.value)


def test_a_file_in_a_package_keeps_its_relative_imports(tmp_path: Path) -> None:
    package = tmp_path / "a_package_of_losses"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "parts.py").write_text(SOURCE, encoding="utf-8")
    (package / "whole.py").write_text("from .parts import absolute\n", encoding="utf-8")
    assert value(load(parse(f"{package / 'whole.py'}:absolute"))) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["no_such_file.py", "no_such_file.py:huber", "hubber"])
def test_what_does_not_exist_is_named(text: str) -> None:
    with pytest.raises(SubjectError, match=text.partition(":")[0]):
        describe(text)


def test_names_of_keras_and_of_modules_are_loaded() -> None:
    assert isinstance(load(parse("keras:Huber")), keras.losses.Huber)
    assert load(parse("keras:huber")) is keras.losses.huber
    assert load(parse("mse")) is keras.losses.mean_squared_error
    assert load(parse("lossmith.losses:huber")) is ls.losses.huber


def test_an_object_travels_with_its_hyperparameters() -> None:
    loss = load(describe(keras.losses.Huber(delta=3.0)))
    # |e| = 2 is within delta = 3: 0.5 * 2^2, halved by the second entry
    assert value(loss) == pytest.approx(1.0)
    assert load(describe(ls.losses.huber(threshold=2.5))) == ls.losses.huber(threshold=2.5)


@pytest.mark.parametrize(
    ("loss", "words"),
    [(int, "is a class that is no loss"), (keras.metrics.Accuracy, "a metric"),
     (keras.metrics.MeanSquaredError(), "a metric")],
)  # fmt: skip
def test_what_looks_like_a_loss_and_is_none_is_refused(loss: object, words: str) -> None:
    with pytest.raises(SubjectError, match=words):
        as_loss(loss, "it")


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(SubjectError, match="got 3"):
        describe(3)
