"""What the command line says: notes, errors, figures."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lossmith.siamese.figures import Estimate, VerificationReport

BAD_INPUT = 2
INTERRUPTED = 130

# Wrapping is left to the terminal, so that lines in a log or a pipe stay whole.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Says something that is worth knowing and no error."""
    err.print("[yellow]Note:[/]", _plain(text))


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns what bad input raises into a message and exit code 2, and warnings into notes."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except (ValueError, OSError, ModuleNotFoundError) as error:
            err.print("[bold red]Error:[/]", _plain(str(error)))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as interrupt:
            err.print("Interrupted.")
            raise typer.Exit(INTERRUPTED) from interrupt


def print_report(report: VerificationReport) -> None:
    """The figures of an evaluation as a table."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{report.same_pairs:,} same, {report.different_pairs:,} different pairs")
    table.add_column("", justify="right")
    table.add_column(f"{report.confidence:.0%} interval", justify="right")
    for name, figure in headline(report).items():
        table.add_row(name, f"{figure.value:.4f}", f"{figure.low:.4f} - {figure.high:.4f}")
    out.print(table, soft_wrap=False)


def headline(report: VerificationReport) -> dict[str, Estimate]:
    """The figures that matter, most important first.

    Raises:
        ValueError: If the report is not about a given threshold.
    """
    if report.given is None:
        raise ValueError("A headline needs a report on a threshold chosen elsewhere.")
    return {
        "Accuracy at the threshold": report.given.accuracy,
        "Same pairs accepted": report.given.true_accept_rate,
        "Different pairs accepted": report.given.false_accept_rate,
        "Area under the ROC curve": report.auc,
        "Equal error rate": report.equal_error_rate,
    }


def _plain(text: str) -> Text:
    return Text(text)


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        note(str(message))
