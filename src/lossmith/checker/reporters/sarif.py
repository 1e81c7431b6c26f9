"""SARIF 2.1.0, the format in which code hosts and editors take findings.

The standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossmith.checker.report import Finding, Report, Rule
from lossmith.checker.reporters.links import rule_page, shown_path
from lossmith.checker.rules import RULES
from lossmith.checker.wording import paragraph

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "information": "note"}


def render(reports: Sequence[Report], refused: Mapping[str, str]) -> str:
    """One run: every rule, and a result for each finding; waived ones are suppressed."""
    rules = list(RULES.values())
    codes = [rule.code for rule in rules]
    run = {
        "tool": {
            "driver": {
                "name": "lossmith",
                "version": sys.modules["lossmith"].__version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not refused,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": f"{name} was not checked: {reason}"}}
                    for name, reason in refused.items()
                ],
            }
        ],
        "results": [
            _result(report, finding, codes.index(finding.rule.code))
            for report in reports
            for finding in report.findings
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "help": {"text": f"{rule.summary} See {rule_page(rule)}."},
        "defaultConfiguration": {"level": _LEVELS[rule.default_severity]},
    }


def _result(report: Report, finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{report.loss}: {paragraph(finding)}"},
        "properties": {"loss": report.loss, "backends": list(finding.backends)},
    }
    if report.location is not None:
        result["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(report.location.file)},
                    "region": {"startLine": report.location.line},
                }
            }
        ]
    if finding.waived is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.waived}]
    return result


def _uri(file: str) -> str:
    shown = shown_path(file)
    path = Path(shown)
    return path.as_uri() if path.is_absolute() else shown.replace(" ", "%20")
