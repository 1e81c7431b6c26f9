from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossmith.checker import rules, static
from lossmith.checker.report import Finding, Rule
from lossmith.checker.source import Source, source_of
from lossmith.checker.subject import load, parse

pytestmark = [pytest.mark.backend_free, pytest.mark.usefixtures("imports_forgotten")]

HEADER = """
import numpy as np
from keras import ops
import keras
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Finding]]:
    """The findings of reading a loss written in a file, given the rules that probes found."""

    def run(source: str, name: str = "loss", *found: Rule) -> list[Finding]:
        file = tmp_path / "read_losses.py"
        file.write_text(HEADER + source, encoding="utf-8")
        loss = load(parse(f"{file}:{name}"))
        text = source_of(loss)
        assert text is not None
        return static.read(text, loss, [rules.finding(rule, "") for rule in found])

    return run


def codes(findings: list[Finding]) -> set[str]:
    return {finding.rule.code for finding in findings}


def test_a_clean_loss_has_no_findings(read: Callable[..., Any]) -> None:
    source = """
def loss(y_true, y_pred, delta=1.0):
    error = ops.abs(y_true - y_pred)
    error = ops.clip(error, 0.0, delta)
    return ops.mean(error, axis=-1)
"""
    assert read(source, "loss", rules.RAISES, rules.BATCH_COUPLED, rules.NO_GRADIENT) == []


def test_a_discarded_result_is_found_at_its_line(read: Callable[..., Any]) -> None:
    source = """
def loss(y_true, y_pred):
    ops.clip(y_pred, 1e-7, 1.0)
    return -ops.mean(y_true * ops.log(y_pred), axis=-1)
"""
    (finding,) = read(source)
    assert finding.rule is rules.RESULT_DISCARDED
    assert finding.evidence is not None
    assert finding.evidence.note.endswith("read_losses.py:7")


@pytest.mark.parametrize(
    ("source", "name", "word"),
    [
        (
            """
def make(threshold=2.0):
    def loss(y_true, y_pred):
        threshold = 1.0
        return threshold * ops.square(y_true - y_pred)
    return loss
""",
            "make()",
            "threshold",
        ),
        (
            """
def make(scale=2.0, gamma=1.0):
    def loss(y_true, y_pred):
        return scale * ops.square(y_true - y_pred)
    return loss
""",
            "make()",
            "gamma",
        ),
        (
            """
class loss(keras.losses.Loss):
    def __init__(self, margin=1.0):
        super().__init__()
    def call(self, y_true, y_pred):
        return ops.square(y_true - y_pred)
""",
            "loss",
            "margin",
        ),
    ],
)
def test_an_argument_that_nothing_reads_is_found(
    read: Callable[..., Any], source: str, name: str, word: str
) -> None:
    (finding,) = read(source, name)
    assert finding.rule is rules.NO_EFFECT
    assert f"`{word}`" in finding.message


def test_an_argument_that_is_read_is_no_finding(read: Callable[..., Any]) -> None:
    source = """
class loss(keras.losses.Loss):
    def __init__(self, margin=1.0, name="loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.margin = margin
    def call(self, y_true, y_pred):
        return self.margin * ops.square(y_true - y_pred)
"""
    assert read(source) == []


def test_swapped_names_warn_and_are_an_error_when_something_is_wrong(
    read: Callable[..., Any],
) -> None:
    source = """
def loss(y_pred, y_true):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)
"""
    assert [finding.severity for finding in read(source)] == ["warning"]
    found = read(source, "loss", rules.VALUE_NOT_FINITE)
    assert [finding.severity for finding in found] == ["error"]


def test_state_in_attributes_is_found_unless_a_probe_saw_it(read: Callable[..., Any]) -> None:
    source = """
class loss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        self.last = y_pred
        return ops.square(y_true - y_pred)
"""
    assert codes(read(source)) == {rules.KEEPS_STATE.code}
    assert read(source, "loss", rules.CHANGES_ITSELF) == []


@pytest.mark.parametrize(
    ("line", "cause", "expected"),
    [
        ("ops.max(1.0 - y_true * y_pred, 0)", rules.BATCH_COUPLED, rules.MAX_FOR_MAXIMUM),
        ("max(0.0, 1.0 - y_true * y_pred)", rules.NOT_COMPILABLE, rules.MAX_FOR_MAXIMUM),
        ("np.square(y_true - y_pred)", rules.NO_GRADIENT, rules.NUMPY_INSIDE),
    ],
)
def test_a_reading_explains_what_a_probe_found(
    read: Callable[..., Any], line: str, cause: Rule, expected: Rule
) -> None:
    source = f"\ndef loss(y_true, y_pred):\n    return {line}\n"
    assert read(source) == []
    assert codes(read(source, "loss", cause)) == {expected.code}


@pytest.mark.parametrize(
    ("name", "advice"),
    [("square", "Use keras.ops.square."), ("asarray", "Compute with the tensors themselves")],
)
def test_a_function_of_numpy_is_replaced_by_one_that_there_is(
    read: Callable[..., Any], name: str, advice: str
) -> None:
    source = f"\ndef loss(y_true, y_pred):\n    return y_true - np.{name}(y_pred)\n"
    (found,) = read(source, "loss", rules.NO_GRADIENT)
    assert found.remedy.startswith(advice)


def test_an_array_of_the_training_set_explains_a_failing_last_batch(
    read: Callable[..., Any],
) -> None:
    source = """
def make(x=np.zeros((100, 1), "float32")):
    def loss(y_true, y_pred):
        return ops.square(y_true - y_pred) * x
    return loss
"""
    assert read(source, "make()") == []
    found = read(source, "make()", rules.LAST_BATCH)
    assert codes(found) == {rules.CLOSES_OVER_DATA.code}
    assert "(100, 1)" in found[0].message


def test_waivers_are_read_with_their_reasons() -> None:
    text = "def f(y, p):  # lossmith: ignore[LSM309, LSM302] the whole batch on purpose\n    pass"
    assert Source("f.py", 1, text).waivers == {
        "LSM309": "the whole batch on purpose",
        "LSM302": "the whole batch on purpose",
    }


def test_what_stands_in_the_next_line_is_no_reason() -> None:
    text = "def f(y, p):\n    # lossmith: ignore[LSM302]\n    return ops.mean(y - p)\n"
    assert Source("f.py", 1, text).waivers == {"LSM302": ""}


def test_the_source_of_a_builtin_is_unknown() -> None:
    assert source_of(np.add) is None


def test_a_module_of_another_framework_may_set_attributes_where_it_is_made(
    read: Callable[..., Any],
) -> None:
    source = """
class Loss:
    def __init__(self, delta):
        self.delta = delta

    def __call__(self, *tensors):
        return self.forward(*tensors)

    def forward(self, y_true, y_pred):
        {}
        return ops.mean(self.delta * ops.abs(y_true - y_pred), axis=-1)

loss = Loss(2.0)
"""
    assert read(source.format("pass")) == []
    (finding,) = read(source.format("self.delta = 1.0"))
    assert finding.rule is rules.KEEPS_STATE
