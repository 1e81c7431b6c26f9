"""Annotations that GitHub Actions shows beside the code."""

from collections.abc import Iterator, Mapping, Sequence

from lossmith.checker.report import Finding, Report
from lossmith.checker.reporters.links import shown_path
from lossmith.checker.wording import paragraph

_COMMANDS = {"error": "error", "warning": "warning", "information": "notice"}


def render(reports: Sequence[Report], refused: Mapping[str, str]) -> str:
    """A workflow command for each finding that is not waived, and for each loss not checked."""
    lines = [_annotation(report, finding) for report, finding in _open_findings(reports)]
    lines += [
        f"::error title=lossmith::{_data(f'{name} was not checked: {reason}')}"
        for name, reason in refused.items()
    ]
    return "\n".join(lines)


def _open_findings(reports: Sequence[Report]) -> Iterator[tuple[Report, Finding]]:
    for report in reports:
        for finding in report.findings:
            if finding.waived is None:
                yield report, finding


def _annotation(report: Report, finding: Finding) -> str:
    properties = {"title": f"{finding.rule.code} {finding.rule.name}"}
    if report.location is not None:
        properties = {
            "file": shown_path(report.location.file),
            "line": str(report.location.line),
            **properties,
        }
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    text = f"{report.loss}: {paragraph(finding)}"
    return f"::{_COMMANDS[finding.severity]} {shown}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
