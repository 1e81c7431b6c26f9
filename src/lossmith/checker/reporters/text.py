"""The report for people, in a terminal or a log."""

import io
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lossmith.checker.report import SEVERITIES, Curve, Finding, Report
from lossmith.checker.reporters.drawing import drawn
from lossmith.checker.reporters.links import shown_path
from lossmith.checker.verdict import counted, on_doubt, outcome
from lossmith.checker.wording import proof

_STYLES = {"error": "bold red", "warning": "bold yellow", "information": "bold blue"}
_OUTCOMES = {"failed": "bold red", "not decided": "bold yellow", "ok": "bold green"}
_SHAPE_RULES = ("LSM2", "LSM1", "LSM7")
_LONGEST = 200
_WIDTH = 100


def render(reports: Sequence[Report], refused: Mapping[str, str], *, curves: bool = False) -> str:
    """Every report, then the end.

    Args:
        reports: the reports.
        refused: the reason for each loss that could not be checked.
        curves: draw all losses, and not only those with a fault that a picture explains.
    """
    parts = [render_report(report, curves=curves) for report in reports]
    return "\n".join([*parts, render_end(reports, refused)])


def render_report(report: Report, *, curves: bool = False) -> str:
    """One report, which ends with an empty line."""
    return _printed(_report(report, curves))


def render_end(reports: Sequence[Report], refused: Mapping[str, str]) -> str:
    """What could not be checked, a table of several losses, and one line of counts."""
    return _printed(_end(reports, refused))


def _printed(parts: Iterable[RenderableType]) -> str:
    buffer = io.StringIO()
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
    console = Console(
        file=buffer, width=width, highlight=False, force_terminal=coloured, no_color=not coloured
    )
    console.print(Group(*parts))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def _end(reports: Sequence[Report], refused: Mapping[str, str]) -> Iterator[RenderableType]:
    for name, reason in refused.items():
        yield Text.assemble((f"{name}: not checked. ", "bold red"), reason)
    if len(reports) + len(refused) > 1:
        yield Text()
        yield _overview(reports, refused)
        yield Text()
    yield _summary(reports, refused)


def _overview(reports: Sequence[Report], refused: Mapping[str, str]) -> Table:
    """A line for each loss: its name, what came of it, the codes of its errors and warnings."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for report in reports:
        found = [each for each in report.findings if each.waived is None]
        codes = (f.rule.code for f in found if f.severity in ("error", "warning"))
        came = outcome(report)
        table.add_row(
            Text(report.loss), Text(came, _OUTCOMES[came]), " ".join(dict.fromkeys(codes))
        )
    for name in refused:
        table.add_row(Text(name), Text("not checked", "bold red"), "")
    return table


def _report(report: Report, curves: bool) -> Iterator[RenderableType]:
    where = report.location
    place = f"  {shown_path(where.file)}:{where.line}" if where else ""
    seen = ", ".join(report.backends_seen) or "no backend"
    yield Text.assemble((report.loss, "bold"), f"  {report.kind}  on {seen}", (place, "dim"))
    for backend, why in report.backends_missing.items():
        yield Text(f"  not seen on {backend}: {why}", "yellow")
    for severity in SEVERITIES:
        for finding in report.of(severity):
            yield Text()
            yield from _finding(finding)
    if curves or any(f.rule.code.startswith(_SHAPE_RULES) for f in report.findings):
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
    for name, value in proof(finding):
        yield name, _short(value)
    evidence = finding.evidence
    if evidence is not None:
        yield "run", ", ".join(filter(None, (evidence.backend, evidence.mode, evidence.note)))
    if finding.consequence:
        yield "in training", finding.consequence
    if finding.remedy:
        yield "mend", finding.remedy
    yield "more", f"lossmith check --explain {finding.rule.code}"


def _short(value: Any) -> str:
    text = _numbers(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_numbers(item) for item in value)}]"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _curve(curve: Curve) -> Iterator[RenderableType]:
    title, *rows, axis = drawn(curve)
    yield Text(title, "bold")
    yield from map(Text, rows)
    yield Text(axis, "dim")


def _card(report: Report) -> Group:
    """The measured properties; what several of them were measured on is said once."""
    width = max(len(name) for name in report.card.rows)
    parts: list[RenderableType] = []
    for shared, rows in report.card.by_ground():
        if shared:
            parts.append(Text(f"on {shared}:", "dim"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", min_width=width)
        for style in ("", "dim"):
            table.add_column(style=style, overflow="fold")
        for name, row in rows:
            note = "; ".join(part for part in ("" if shared else row.measured_on, row.note) if part)
            table.add_row(name.replace("_", " "), Text(_short(row.value)), Text(note))
        parts.append(table)
    return Group(*parts)


def _summary(reports: Sequence[Report], refused: Mapping[str, str]) -> Text:
    failed = sum(not report.ok for report in reports)
    undecided = sum(not report.decided for report in reports)
    losses = f"{len(reports)} loss{'es' if len(reports) != 1 else ''} checked"
    verdicts = [f"{failed} failed"] if failed else []
    verdicts += [f"{undecided} not decided"] if undecided else []
    verdicts += ["ok"] if reports and not verdicts else []
    verdicts += [f"{len(refused)} not checked"] if refused else []
    style = "bold red" if failed or refused else "bold yellow" if undecided else "bold green"
    findings = [finding for report in reports for finding in report.findings]
    found = f" ({counted(findings)})" if reports else ""
    return Text.assemble(f"{losses}: ", (", ".join(verdicts), style), found, _on_guesses(reports))


def _on_guesses(reports: Sequence[Report]) -> str:
    """What to write where kinds of target were guessed; nothing where all were given."""
    guessed = [each for each in reports if each.target_inferred and each.target != "unknown"]
    if not guessed:
        return ""
    kinds = ", ".join(dict.fromkeys(report.target for report in guessed))
    doubt = on_doubt(finding for report in guessed for finding in report.undecided)
    weakly = "weakly " if any(report.target_weak for report in guessed) else ""
    unsure = next((report for report in guessed if not report.decided), guessed[0])
    advice = f"{unsure.loss} --target KIND" if len(reports) > 1 else "--target KIND"
    each = "for each loss, as " if len(reports) > 1 else ""
    return f". The kind of target was {weakly}guessed ({kinds}){doubt}: write {each}{advice}"
