"""What a check made of a case of the corpus."""

from collections.abc import Iterable
from typing import Literal

from checker.corpus.case import Case
from lossmith.checker.report import Finding

Verdict = Literal["caught", "other cause", "missed", "clean", "warned", "known defect", "alarm"]


def of_wrong(case: Case, findings: Iterable[Finding]) -> Verdict:
    """Whether the bug was found, and under the right name."""
    serious = [finding.rule.code for finding in findings if finding.severity != "information"]
    if any(code.startswith(case.expected) for code in serious):
        return "caught"
    return "other cause" if serious else "missed"


def of_correct(case: Case, findings: Iterable[Finding]) -> Verdict:
    """Whether a correct loss was left alone; a warning that it deserves does not count."""
    known = tuple(case.known_defects)
    findings = tuple(findings)
    errors = [f.rule.code for f in findings if f.severity == "error"]
    if any(not code.startswith(known) for code in errors):
        return "alarm"
    if errors:
        return "known defect"
    warnings = [f.rule.code for f in findings if f.severity == "warning"]
    undeserved = [code for code in warnings if not code.startswith((*known, *case.tolerated))]
    return "warned" if undeserved else "clean"
