"""What came of a check, in one line."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossmith.checker.report import Finding, Report


def sentence(report: "Report") -> str:
    """The outcome of a check with what was found, and what to write if the kind was guessed."""
    result = f"{outcome(report)}: {counted(report.findings)}"
    if not report.ok or not report.target_inferred:
        return result
    doubt = on_doubt(report.undecided)
    if report.batch_given:
        return (
            f"{result}; checked on your batch as {report.target}, which its shapes and values "
            f"suggest{doubt}. What depends on the kind was not decided by it: write "
            f"target={report.target!r} if it is right, or the right kind; where none fits, take "
            "what depends on it (LSM1, LSM2, LSM3, LSM5, LSM7) for a hint, and keep to the rest"
        )
    weakly = "weakly " if report.target_weak else ""
    right = "" if report.decided else " if it is right"
    return (
        f"{result}; the kind of target was {weakly}guessed, {report.target}{doubt}: write "
        f"target={report.target!r}{right}, or the right kind"
    )


def outcome(report: "Report") -> str:
    """`failed`, `not decided` or `ok`."""
    if not report.ok:
        return "failed"
    return "ok" if report.decided else "not decided"


def on_doubt(undecided: Iterable["Finding"]) -> str:
    """Which findings are errors if the guess of a kind is right; nothing if none is."""
    codes = list(dict.fromkeys(finding.rule.code for finding in undecided))
    if not codes:
        return ""
    count = "errors" if len(codes) > 1 else "an error"
    return f", and {', '.join(codes)} would be {count} if that is right"


def counted(findings: Iterable["Finding"]) -> str:
    """How many findings of each severity are not waived, in words."""
    found = [finding.severity for finding in findings if finding.waived is None]
    words = [
        f"{found.count(level)} {one if found.count(level) == 1 else many}"
        for level, (one, many) in _NAMES.items()
        if level in found
    ]
    return ", ".join(words) or "no findings"


_NAMES = {
    "error": ("error", "errors"),
    "warning": ("warning", "warnings"),
    "information": ("for information", "for information"),
}
