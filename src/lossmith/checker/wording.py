"""The parts of a report as lines of plain text."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossmith.checker.report import Card, Evidence, Finding

_SHOWN_BY_NO_INPUT = ("LSM50", "LSM60")
"""Rules of hyperparameters and files: the inputs they were tried on say nothing of the fault."""


def paragraph(finding: "Finding") -> str:
    """What was found, what follows in training and how to mend it, as sentences."""
    parts = (finding.message, finding.consequence, finding.remedy)
    return " ".join(_sentence(part) for part in parts if part)


def _sentence(text: str) -> str:
    """The text with a capital, unless code begins it, and a full stop."""
    begins_with_code = not text.split()[0].rstrip(",:").isalpha()
    start = text[0] if begins_with_code else text[0].upper()
    return f"{start}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def proof(finding: "Finding") -> list[tuple[str, Any]]:
    """The inputs that show a finding, and what the loss gives for them."""
    if finding.evidence is None or finding.rule.code.startswith(_SHOWN_BY_NO_INPUT):
        return []
    named = ((n, getattr(finding.evidence, n)) for n in ("y_true", "y_pred", "value", "gradient"))
    return [(name, value) for name, value in named if value is not None]


def finding_lines(finding: "Finding") -> list[str]:
    """A finding with its proof, consequence and remedy."""
    where = f" [{', '.join(finding.backends)}]" if finding.backends else ""
    head = f"{finding.rule.code} {finding.severity} {finding.rule.name}{where}: {finding.message}"
    lines = [head]
    if finding.waived is not None:
        lines.append(f"  waived: {finding.waived}")
    lines += [f"  {name} = {_short(value)}" for name, value in proof(finding)]
    if finding.evidence is not None:
        lines.append(_how(finding.evidence))
    if finding.consequence:
        lines.append(f"  in training: {finding.consequence}")
    if finding.remedy:
        lines.append(f"  mend: {finding.remedy}")
    return lines


def _how(evidence: "Evidence") -> str:
    return f"  ({evidence.backend}, {evidence.mode}) {evidence.note}".rstrip()


def _short(value: Any, width: int = 160) -> str:
    text = json.dumps(_rounded(value)).replace('"', "")
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def card_lines(card: "Card") -> list[str]:
    """The measured properties, a line each."""
    width = max((len(name) for name in card.rows), default=0)
    lines = []
    for shared, rows in card.by_ground():
        lines += [f"  on {shared}:"] if shared else []
        for name, row in rows:
            ground = f"  [{row.measured_on}]" if row.measured_on and not shared else ""
            note = f"  {row.note}" if row.note else ""
            lines.append(f"  {name:<{width}}  {_short(row.value)}{ground}{note}")
    return lines
