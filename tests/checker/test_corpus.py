"""The corpus is what it says, and the checker finds in it what it should.

Every bug shows without the checker, every oracle agrees; then the losses go through the probes of
the current backend. This is done with all of them on PyTorch, where it takes seconds, and with one
of each kind on the others, which have to compile. `benchmarks/checker.py` runs the whole corpus on
all three, with saving and compiling, in children.
"""

from collections.abc import Sequence

import keras
import numpy as np
import pytest
from gradients import as_one_program

from checker.corpus import Case, correct_losses, verdict, wrong_losses
from lossmith.checker import static
from lossmith.checker.inspection import inspect
from lossmith.checker.report import Finding
from lossmith.checker.rules import RULES
from lossmith.checker.settings import TARGETS, Settings
from lossmith.checker.source import source_of
from lossmith.checker.targets import build

WRONG = {case.id: case for case in wrong_losses()}
CORRECT = {case.id: case for case in correct_losses()}
CAUGHT_ON_EVERY_BACKEND = (
    "B03", "B05", "B21", "B24", "B37", "B40", "B45", "B62-random", "B65", "B67-tensorforce",
    "B68-softmax", "B81", "B89-shadowed", "W03", "W20", "W32", "W50", "W60", "W78", "W80",
    "U31", "U37", "U39",
)  # fmt: skip
LEFT_ALONE = (
    "keras-mse", "keras-bce-logits", "keras-cce-smoothed", "keras-sparse", "dice-batch",
    "tukey", "asymmetric-mse", "gaussian-nll", "contrastive-of-distances", "cox-breslow", "giou",
    "wasserstein", "triplet-batch-hard", "flsd-53", "smape-of-any-target",
)  # fmt: skip
NOT_IN_A_PROBE = ("saving", "compiling", "model")
"""Classes of bugs that take a child, another backend or a model to show."""
EVERYTHING = keras.backend.backend() == "torch"


def to_be_caught() -> list[str]:
    sure = (case for case in WRONG.values() if case.confidence == "high")
    seen_here = [case.id for case in sure if case.bug not in NOT_IN_A_PROBE]
    return seen_here if EVERYTHING else [*CAUGHT_ON_EVERY_BACKEND]


def to_be_left_alone() -> list[str]:
    return [*CORRECT] if EVERYTHING else [*LEFT_ALONE]


def settings_of(case: Case) -> Settings:
    y_true, y_pred = case.batch or (None, None)
    if y_true is not None:
        y_true, y_pred = np.float32(y_true), np.float32(y_pred)
    return Settings(case.target, y_true, y_pred, entry=case.entry, **case.declared)


def findings_of(case: Case) -> list[Finding]:
    loss = keras.losses.get(case.loss) if isinstance(case.loss, str) else case.loss
    found = inspect(loss, settings_of(case)).findings
    source = source_of(loss)
    return [*found, *(static.read(source, loss, found) if source else ())]


def inputs_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    if case.batch is not None:
        return tuple(np.float32(array) for array in case.batch)
    domain = case.declared.get("domain")
    if case.target != "regression" and domain is not None:
        problem = build(case.target)
        return problem.y_true, np.tanh(problem.y_pred)
    problem = build(case.target, domain=domain)
    return problem.y_true, problem.y_pred


def having(attribute: str, cases: dict[str, Case], names: Sequence[str]) -> list[str]:
    names = [*cases] if EVERYTHING else names
    return [name for name in names if getattr(cases[name], attribute) is not None]


def test_the_corpus_is_as_large_and_as_well_described_as_promised() -> None:
    beyond = [case for case in WRONG.values() if case.id.startswith("W")]
    by_hand = [case for case in CORRECT.values() if not case.id.startswith(("keras-", "lossmith-"))]
    assert len(beyond) >= 40
    assert len(by_hand) >= 40
    assert {case.target for case in (*WRONG.values(), *CORRECT.values())} == set(TARGETS)
    for case in WRONG.values():
        assert case.source, case.id
        assert case.bug, case.id
        assert all(any(code.startswith(e) for code in RULES) for e in case.expected), case.id


@pytest.mark.parametrize("name", having("witness", WRONG, CAUGHT_ON_EVERY_BACKEND))
def test_a_wrong_loss_shows_its_bug_without_the_checker(name: str) -> None:
    case = WRONG[name]
    assert case.witness is not None
    assert case.witness(case.loss)


@pytest.mark.parametrize("name", having("oracle", CORRECT, LEFT_ALONE))
def test_a_correct_loss_has_the_value_of_its_oracle(name: str) -> None:
    case = CORRECT[name]
    y_true, y_pred = inputs_of(case)
    formula = case.loss.call if isinstance(case.loss, keras.losses.Loss) else case.loss
    tensors = [keras.ops.convert_to_tensor(array) for array in (y_true, y_pred)]
    values = keras.ops.convert_to_numpy(as_one_program(formula)(*tensors))
    assert case.oracle is not None
    np.testing.assert_allclose(values, case.oracle(y_true, y_pred), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", to_be_caught())
def test_the_checker_names_the_cause_of_a_bug(name: str) -> None:
    case = WRONG[name]
    found = findings_of(case)
    assert verdict.of_wrong(case, found) == "caught", [str(each) for each in found]


@pytest.mark.parametrize("name", to_be_left_alone())
def test_the_checker_leaves_a_correct_loss_alone(name: str) -> None:
    case = CORRECT[name]
    found = findings_of(case)
    expected = ("clean", "known defect") if case.known_defects else ("clean",)
    assert verdict.of_correct(case, found) in expected, [str(each) for each in found]
