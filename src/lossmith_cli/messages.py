"""What the command line says: notes and errors."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import track
from rich.status import Status
from rich.text import Text

from lossmith_cli.start_up import INTERRUPTED

BAD_INPUT = 2

_Step = TypeVar("_Step")

# Wrapping is left to the terminal, so that lines in a log or a pipe stay whole; paths may have
# brackets and colons in them, which are no markup.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def note(text: str) -> None:
    """Says something that is worth knowing and no error."""
    err.print(Text("Note:", "yellow"), text)


def busy_with(text: str) -> Status:
    """Says what is being waited for; on a terminal, as long as the block runs."""
    if not err.is_terminal:
        err.print(f"{text} ...")
    return err.status(f"{text} ...")


def tracked(steps: Iterable[_Step], total: int, text: str) -> Iterable[_Step]:
    """Goes through steps and says what is being done; on a terminal, also how far it has come."""
    if not err.is_terminal:
        err.print(f"{text} ...")
    return track(steps, text, total, console=err, transient=True, disable=not err.is_terminal)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns what bad input raises into a message and exit code 2, and warnings into notes."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except (ValueError, OSError, ImportError) as error:
            err.print(Text("Error:", "bold red"), str(error))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as interrupt:
            err.print("Interrupted.")
            raise typer.Exit(INTERRUPTED) from interrupt


def _show_warning(message: Any, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
    """Those of other libraries are for whoever writes programs with them."""
    if issubclass(category, UserWarning) and _is_own(Path(filename)):
        note(str(message))


def _is_own(file: Path) -> bool:
    here = Path(__file__).parent
    return any(file.is_relative_to(package) for package in (here, here.with_name("lossmith")))
