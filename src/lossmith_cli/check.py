"""`lossmith check`; registered with `app.command()(check)`."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossmith_cli.start_up import start_up, tensorflow_silent

if TYPE_CHECKING:
    from lossmith.checker.report import Report
    from lossmith.checker.subject import Subject

_FOUND, _COULD_NOT_RUN = 1, 2
_KNOWN = "What a machine cannot know"


def _explain(code: str | None) -> None:
    if code is None:
        return
    from lossmith.checker.pages import page

    try:
        typer.echo(page(code))
    except (ValueError, FileNotFoundError) as error:
        _say(f"Error: {error}")
        raise typer.Exit(_COULD_NOT_RUN) from error
    raise typer.Exit


def check(
    losses: Annotated[
        list[str],
        typer.Argument(
            metavar="LOSS...",
            help="my_losses.py:huber, my_losses.py (every loss in it), package.module:name, "
            "keras:Huber, or a call with plain values: 'my_losses.py:make_huber(threshold=2.0)'.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            help="What y_true and y_pred are: regression, binary, binary_logits, plus_minus, "
            "categorical, categorical_logits, sparse_categorical, sparse_categorical_logits, "
            "distance, pair, embedding, views, segmentation, boxes, survival or sequence. Inferred "
            "if not given, and said."
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="tensorflow, jax or torch; repeatable. All that are installed."),
    ] = None,
    output: Annotated[
        str, typer.Option("--format", metavar="text|json|sarif|github", help="Of the report.")
    ] = "text",
    select: Annotated[
        list[str] | None, typer.Option(help="Only rules whose code starts so, as LSM3; repeatable.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not those rules; repeatable.")] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            help="Seconds for the probes of a loss on one backend; imports do not count, and one "
            "that hangs is ended a quarter and 5 s later.",
            min=1.0,
            max=86400.0,
        ),
    ] = 60.0,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="The loss is called in a loop of one's own, not compiled."),
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(
            help="pinball (quantile), huber, focal, crossentropy, dice, iou (jaccard) or tversky: "
            "its identities.",
            rich_help_panel=_KNOWN,
        ),
    ] = None,
    same: Annotated[
        int | None,
        typer.Option(help="The pair label that means the same.", rich_help_panel=_KNOWN),
    ] = None,
    domain: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="The lowest and highest target of a regression; --domain 0 inf is open above.",
            rich_help_panel=_KNOWN,
        ),
    ] = None,
    redescending: Annotated[
        bool,
        typer.Option("--redescending", help="Outliers get no gradient.", rich_help_panel=_KNOWN),
    ] = False,
    adversarial: Annotated[
        bool, typer.Option("--adversarial", help="It has no floor.", rich_help_panel=_KNOWN)
    ] = False,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Two calls may differ.", rich_help_panel=_KNOWN)
    ] = False,
    batchwise: Annotated[
        bool,
        typer.Option("--batchwise", help="A property of the batch.", rich_help_panel=_KNOWN),
    ] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Draw every loss, those without a fault too.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            callback=_explain,
            is_eager=True,
            help="Show the page of a rule, as LSM302, and leave.",
        ),
    ] = None,
) -> None:
    """Find out whether losses are broken, before training.

    Each loss runs in a child process for each installed backend, with a time limit: one that hangs
    or crashes harms nothing. The exit code is 0 if no error was found, 1 if there were (a loss that
    raises, hangs or ends its process has one), 2 if what was named could not be found or imported.

    A finding is waived by a comment in the loss: # lossmith: ignore[LSM301] the reason

    **Examples**

        lossmith check my_losses.py:huber --target regression

        lossmith check my_losses.py --format sarif > findings.sarif
    """
    _refuse_bad_arguments(output, curves, target, family, same, domain, backend,
                          [*(select or ()), *(ignore or ())])  # fmt: skip
    with start_up():
        from lossmith.checker.reporters import reporter, text
    options = {
        "target": target,
        "backends": tuple(backend or ()) or None,
        "select": tuple(select or ()),
        "ignore": tuple(ignore or ()),
        "time_limit": time_limit,
        "entry": "direct" if direct else "compile",
        "family": family,
        "same": same,
        "domain": domain,
        "redescending": redescending,
        "adversarial": adversarial,
        "stochastic": stochastic,
        "batchwise": batchwise or None,
    }
    if output == "text":
        outcome = _check_all(
            losses, options, lambda report: _put(text.render_report(report, curves=curves))
        )
        _put(text.render_end(outcome.reports, outcome.refused))
    else:
        outcome = _check_all(losses, options)
        _put(reporter(output)(outcome.reports, outcome.refused))
    if outcome.refused:
        raise typer.Exit(_COULD_NOT_RUN)
    if not all(report.ok for report in outcome.reports):
        raise typer.Exit(_FOUND)


@dataclass
class _Outcome:
    reports: list[Any] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def _check_all(
    losses: Sequence[str],
    options: dict[str, Any],
    on_report: "Callable[[Report], None]" = lambda report: None,
) -> _Outcome:
    """Check what is named; `on_report` is called with each report as soon as it is there."""
    from lossmith.checker.api import check as check_loss
    from lossmith.checker.children import children_kept
    from lossmith.checker.subject import SubjectError, parse
    from lossmith.checker.verdict import outcome as came

    outcome = _Outcome()
    subjects: list[tuple[Subject, str]] = []
    with children_kept():
        for text in losses:
            with _noting(outcome, text, SubjectError):
                subjects += _subjects(parse(text), options["time_limit"])
        for number, (subject, declared) in enumerate(subjects, 1):
            result = "not checked"
            with _noting(outcome, subject.name, SubjectError, ValueError):
                report = check_loss(subject, **_fitting(subject.name, declared, options))
                outcome.reports.append(report)
                on_report(report)
                result = came(report)
            if len(subjects) > 1:
                _say(f"Checked {number} of {len(subjects)}: {subject.name}, {result}.")
    return outcome


def _fitting(name: str, declared: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options for a loss, without a kind of target that its own declaration rules out."""
    from lossmith.checker.settings import FITTING

    target = options["target"]
    if target is None or target in FITTING.get(declared, (target,)):
        return options
    _say(
        f"Note: {name} declares targets={declared!r}, which cannot be --target {target}: it is "
        "checked as what it declares."
    )
    return {**options, "target": None}


@contextlib.contextmanager
def _noting(outcome: _Outcome, name: str, *expected: type[Exception]) -> Iterator[None]:
    """Keep the message of what could not be checked, and go on with the rest."""
    try:
        yield
    except expected as error:
        outcome.refused[name] = str(error)


def _subjects(subject: "Subject", time_limit: float) -> "list[tuple[Subject, str]]":
    """The losses that are named: the one, or all of a file with what each declares of targets."""
    from lossmith.checker.processes import find_losses
    from lossmith.checker.settings import Settings
    from lossmith.checker.subject import SubjectError

    if subject.expression or subject.kind == "identifier":
        return [(subject, "")]
    found = find_losses(subject, Settings(time_limit=time_limit))
    for entry in found:
        if entry["left_out"]:
            _say(f"Note: {subject.name}:{entry['expression']} is left out: {entry['left_out']}.")
    chosen = [
        (subject.at(entry["expression"]), entry["targets"])
        for entry in found
        if not entry["left_out"]
    ]
    if not chosen:
        raise SubjectError(
            f"No loss was found in {subject.name}. A loss is a function (y_true, y_pred), a "
            "keras.losses.Loss, or a factory without required arguments; name any other, "
            f"{subject.name}:NAME."
        )
    return chosen


def _refuse_bad_arguments(
    output: str,
    curves: bool,
    target: str | None,
    family: str | None,
    same: int | None,
    domain: tuple[float, float] | None,
    backends: Sequence[str] | None,
    codes: Sequence[str],
) -> None:
    """Leave with a message before any backend is started, which takes seconds."""
    with start_up(), tensorflow_silent():
        from lossmith.checker import rules
        from lossmith.checker.reporters import FORMATS
        from lossmith.checker.settings import FAMILIES, TARGETS
        from lossmith.core import installed_backends
    try:
        _refuse_unknown("--format", [output], FORMATS)
        _refuse_unknown("--target", [target] if target else [], TARGETS)
        _refuse_unknown("--family", [family.lower()] if family else [], FAMILIES)
        _refuse_unknown("--same", [] if same is None else [str(same)], ("0", "1"))
        _refuse_unknown("--backend", backends or [], installed_backends())
        if domain is not None and not domain[0] < domain[1]:
            raise ValueError(
                f"--domain needs a lower and a higher number, such as --domain 0 inf; got "
                f"{domain[0]:g} {domain[1]:g}."
            )
        rules.validate(codes)
        if curves and output != "text":
            raise ValueError(f"--curves needs --format text; got {output}.")
    except ValueError as error:
        _say(f"Error: {error}")
        raise typer.Exit(_COULD_NOT_RUN) from error


def _refuse_unknown(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for value in given:
        if value not in known:
            kind = "installed here" if option == "--backend" else "known"
            raise ValueError(f"{option} {value} is not {kind}: choose from {', '.join(known)}.")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _put(text: str) -> None:
    """Write to the standard output at once, a pipe or a file too."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
