"""Reports for readers of several kinds: people, programs, code hosts.

Each module has one function, `render(reports, refused) -> str`; `refused` maps the name of a loss
that could not be checked to the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from lossmith.checker.report import Report

FORMATS = ("text", "json", "sarif", "github")
Reporter = Callable[[Sequence[Report], Mapping[str, str]], str]


def reporter(name: str) -> Reporter:
    """The function that renders the format `name`, one of `FORMATS`.

    Raises:
        ValueError: for another name.
    """
    if name not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}; got {name!r}.")
    return import_module(f"lossmith.checker.reporters.{name}").render
