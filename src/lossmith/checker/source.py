"""Where a loss is written, and what its author noted there."""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from lossmith.checker.report import Location

_WAIVER = re.compile(r"#\s*lossmith:[ \t]*ignore\[(?P<codes>[\w ,]+)\](?P<reason>.*)")


@dataclass(frozen=True)
class Source:
    """The text of a loss, dedented, with its file and the line the text starts at.

    `factory` is the text of the function that the loss is defined in, empty if there is none.
    """

    file: str
    line: int
    text: str
    factory: str = ""

    @property
    def location(self) -> Location:
        """Where the text starts."""
        return Location(self.file, self.line)

    @property
    def waivers(self) -> Mapping[str, str]:
        """The reason of each waived code: `# lossmith: ignore[LSM301, LSM302] reason`.

        A reason that is empty waives nothing.
        """
        return {
            code.strip(): found["reason"].strip()
            for found in _WAIVER.finditer(self.factory or self.text)
            for code in found["codes"].split(",")
        }

    def to_dict(self) -> dict[str, Any]:
        """The source as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Self | None:
        """Make the source that `to_dict` described."""
        return None if data is None else cls(**data)


def source_of(loss: Any) -> Source | None:
    """The source of a loss' own formula or class, `None` where there is none to read."""
    written = written_by_author(loss)
    try:
        lines, start = inspect.getsourcelines(written)
        file = inspect.getsourcefile(written) or "<unknown>"
    except (OSError, TypeError, IndexError):
        return None
    text = textwrap.dedent("".join(lines))
    return Source(file, max(start, 1), text, _factory_text(written, max(start, 1)))


def source_in_file(file: str, name: str) -> Source | None:
    """The source of what a file defines under a name, for one that no process could import or run.

    `None` if the file cannot be read, or defines nothing of the name by itself.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines(keepends=True)
        tree = ast.parse("".join(lines))
    except (OSError, ValueError, SyntaxError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return Source(file, node.lineno, "".join(lines[node.lineno - 1 : node.end_lineno]))
    return None


def _factory_text(written: Any, line: int) -> str:
    """The outermost function around the definition at `line`."""
    if "<locals>" not in written.__qualname__:
        return ""
    lines, _ = inspect.findsource(written)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.lineno < line <= (node.end_lineno or 0):
            return "".join(lines[node.lineno - 1 : node.end_lineno])
    return ""


def written_by_author(loss: Any) -> Callable[..., Any] | type:
    """The function or class that holds the formula of `loss`."""
    while isinstance(loss, functools.partial):
        loss = loss.func
    if inspect.isfunction(loss) or inspect.isclass(loss):
        return inspect.unwrap(loss) if inspect.isfunction(loss) else loss
    if inspect.ismethod(loss):
        return loss.__func__
    formula = getattr(type(loss), "formula", None) or getattr(loss, "fn", None)
    own_call = "call" in vars(type(loss))
    if inspect.isfunction(formula) and not (own_call and hasattr(loss, "fn")):
        return inspect.unwrap(formula)
    return type(loss)
