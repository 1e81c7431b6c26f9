"""One JSON document for programs."""

import json
from collections.abc import Mapping, Sequence

from lossmith.checker.report import Report

FORMAT_VERSION = 1


def render(reports: Sequence[Report], refused: Mapping[str, str]) -> str:
    """All reports, and what could not be checked with the reason."""
    document = {
        "version": FORMAT_VERSION,
        "ok": not refused and all(report.ok for report in reports),
        "reports": [report.to_dict() for report in reports],
        "not_checked": [{"loss": name, "reason": reason} for name, reason in refused.items()],
    }
    return json.dumps(document, indent=2, allow_nan=False)
