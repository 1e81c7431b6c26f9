"""A loss is as right with the other values of its flags and choices."""

from typing import Any, Literal

import pytest
from keras import ops

import lossmith as ls
from lossmith.checker.context import Context
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.hyperparameters import choices
from lossmith.checker.probes.choices import probe_choices
from lossmith.checker.report import Finding
from lossmith.checker.settings import Settings, Target
from lossmith.checker.targets import build


class Power(ls.Loss):
    kind: Literal["abs", "square", "signed"] = "abs"

    def call(self, y_true: Any, y_pred: Any) -> Any:
        error = y_pred - y_true
        return {"abs": ops.abs(error), "square": error**2, "signed": error}[self.kind]


def flagged(y_true: Any, y_pred: Any, rooted: bool = False) -> Any:
    error = ops.square(y_true - y_pred)
    return ops.mean(ops.sqrt(error) if rooted else error, axis=-1)


def shares_or_logits(y_true: Any, y_pred: Any, raw: bool = False) -> Any:
    p = ops.sigmoid(y_pred) if raw else ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


def probed(loss: Any, target: Target) -> list[Finding]:
    context = Context(Evaluator(loss), build(target), Settings(target))
    return list(probe_choices(context))


def test_the_choices_of_a_loss_are_its_flags_and_literals() -> None:
    assert choices(Power()) == {"kind": ["square", "signed"]}
    assert choices(Power(kind="signed")) == {"kind": ["abs", "square"]}
    assert choices(flagged) == {"rooted": [True]}


@pytest.mark.parametrize(
    ("loss", "words", "codes"),
    [
        (Power(), "With kind='signed': ", ("LSM207", "LSM209")),
        (flagged, "With rooted=True: ", ("LSM102",)),
    ],
)
def test_a_fault_of_another_choice_is_found_and_the_choice_named(
    loss: Any, words: str, codes: tuple[str, ...]
) -> None:
    found = probed(loss, "regression")
    assert found
    assert all(finding.message.startswith(words) for finding in found)
    assert {finding.rule.code for finding in found} & set(codes)


def test_a_fault_that_every_choice_has_is_told_once_and_not_again() -> None:
    assert probed(Power(kind="signed"), "regression") == []


def test_a_choice_of_other_predictions_is_no_fault() -> None:
    assert probed(shares_or_logits, "binary") == []
