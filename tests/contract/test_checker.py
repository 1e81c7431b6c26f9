"""The checker, which knows nothing of the oracles, finds no fault in the catalogue."""

import numpy as np

from contract import cases
from contract.cases import CASES, Case, each
from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings

KINDS = {
    cases.real_numbers: "regression",
    cases.signs_and_scores: "plus_minus",
    cases.classes_and_vectors: "embedding",
    cases.classes_and_views: "views",
    cases.labels_and_distances: "distance",
}
CATALOGUE = [
    case
    for case in CASES
    if type(case.loss).__module__.startswith("lossmith.") and case.inputs in KINDS
]


@each(CATALOGUE)
def test_the_checker_finds_no_fault(case: Case) -> None:
    same = getattr(case.loss, "same", None)
    loss = case.loss
    if "centres" in loss.hyperparameters:  # for the classes and dimensions of the checker's inputs
        loss = loss(centres=np.random.default_rng(0).normal(size=(6, 5)))
    findings = inspect(loss, Settings(KINDS[case.inputs], same=same, time_limit=600)).findings
    assert [str(finding) for finding in findings if finding.severity != "information"] == []


def test_every_kind_of_input_is_checked() -> None:
    assert {case.inputs for case in CASES} <= set(KINDS)
