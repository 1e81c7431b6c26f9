"""The report for people, in a terminal or a log."""

import io
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lossmith.checker.report import SEVERITIES, Curve, Finding, Report
from lossmith.checker.reporters.drawing import area
from lossmith.checker.reporters.links import rule_page, shown_path

_STYLES = {"error": "bold red", "warning": "bold yellow", "information": "bold blue"}
_SHAPE_RULES = ("LSM2", "LSM1", "LSM7")
_LONGEST = 200
_WIDTH = 100


def render(reports: Sequence[Report], refused: Mapping[str, str]) -> str:
    """Every report, then what could not be checked, then one line of counts."""
    buffer = io.StringIO()
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
    console = Console(
        file=buffer, width=width, highlight=False, force_terminal=coloured, no_color=not coloured
    )
    for report in reports:
        console.print(Group(*_report(report)))
    for name, reason in refused.items():
        console.print(Text.assemble((f"{name}: not checked. ", "bold red"), reason))
    console.print(_summary(reports, refused))
    lines = (line.rstrip() for line in buffer.getvalue().splitlines())
    return "\n".join(lines)


def _report(report: Report) -> Iterator[RenderableType]:
    where = report.location
    place = f"  {shown_path(where.file)}:{where.line}" if where else ""
    kind = f"{report.target}{' (inferred)' if report.target_inferred else ''}"
    seen = ", ".join(report.backends_seen) or "no backend"
    yield Text.assemble((report.loss, "bold"), f"  {kind}  on {seen}", (place, "dim"))
    for backend, why in report.backends_missing.items():
        yield Text(f"  not seen on {backend}: {why}", "yellow")
    for severity in SEVERITIES:
        for finding in report.of(severity):
            yield Text()
            yield from _finding(finding)
    if any(f.rule.code.startswith(_SHAPE_RULES) for f in report.findings):
        for curve in report.curves:
            yield Text()
            yield from _curve(curve)
    if report.card.rows:
        yield Text()
        yield Padding(_card(report), (0, 0, 0, 2))
    yield Text()


def _finding(finding: Finding) -> Iterator[RenderableType]:
    style = "dim" if finding.waived is not None else _STYLES[finding.severity]
    backends = f"  [{', '.join(finding.backends)}]" if finding.backends else ""
    yield Padding(
        Text.assemble(
            (f"{finding.rule.code} {finding.severity}", style),
            (f" {finding.rule.name}{backends}", "dim"),
        ),
        (0, 0, 0, 2),
    )
    yield Padding(Text(finding.message), (0, 0, 0, 4))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(finding):
        table.add_row(name, Text(value))
    yield Padding(table, (0, 0, 0, 4))


def _rows(finding: Finding) -> Iterator[tuple[str, str]]:
    if finding.waived is not None:
        yield "waived", finding.waived
        return
    evidence = finding.evidence
    if evidence is not None:
        for name in ("y_true", "y_pred", "value", "gradient"):
            value = getattr(evidence, name)
            if value is not None:
                yield name, _short(value)
        yield "run", " ".join((f"{evidence.backend}, {evidence.mode}", evidence.note)).strip()
    if finding.consequence:
        yield "in training", finding.consequence
    if finding.remedy:
        yield "mend", finding.remedy
    yield "more", rule_page(finding.rule)


def _short(value: Any) -> str:
    text = _numbers(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_numbers(item) for item in value)}]"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _curve(curve: Curve) -> Iterator[RenderableType]:
    yield Text(f"  {curve.title}", "bold")
    for name, values in (("loss", curve.values), ("slope", curve.slopes)):
        rows = area(values)
        finite = [value for value in values if abs(value) < float("inf")]
        ends = (f"{max(finite):.3g}", f"{min(finite):.3g}") if finite else ("", "")
        for number, row in enumerate(rows):
            edge = ends[0] if number == 0 else ends[1] if number == len(rows) - 1 else ""
            label = name if number == 0 else ""
            yield Text(f"  {label:>6} {edge:>9} {row}")
    first, last = f"{curve.at[0]:g}", f"{curve.at[-1]:g}"
    axis = f"{first}{last:>{max(1, len(curve.at) - len(first))}}"
    yield Text(f"  {'':>6} {'':>9} {axis}", "dim")


def _card(report: Report) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for style in ("dim", "", "dim"):
        table.add_column(style=style, overflow="fold")
    for name, row in report.card.rows.items():
        note = "; ".join(part for part in (row.measured_on, row.note) if part)
        table.add_row(name.replace("_", " "), Text(_short(row.value)), Text(note))
    return table


def _summary(reports: Sequence[Report], refused: Mapping[str, str]) -> Text:
    counts = {
        level: sum(f.waived is None for report in reports for f in report.of(level))
        for level in SEVERITIES
    }
    words = [
        f"{count} {level}{'s' if count != 1 and level != 'information' else ''}"
        for level, count in counts.items()
        if count
    ]
    failed = sum(not report.ok for report in reports)
    losses = f"{len(reports)} loss{'es' if len(reports) != 1 else ''} checked"
    verdicts = [f"{failed} failed"] if failed else ["ok"] if reports else []
    verdicts += [f"{len(refused)} not checked"] if refused else []
    style = "bold red" if failed or refused else "bold green"
    found = f" ({', '.join(words) or 'no findings'})" if reports else ""
    return Text.assemble(f"{losses}: ", (", ".join(verdicts), style), found)
