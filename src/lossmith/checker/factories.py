"""The function that a closure was made in, and the closure it makes of other arguments."""

import ast
import dis
import inspect
import linecache
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Origin:
    """Where a function comes from: its factory, if within reach, what that was given, its file."""

    factory: types.FunctionType | None
    parameters: frozenset[str] | None
    file: str
    lines: list[str]


class NestedCheckError(RuntimeError):
    """A loss is checked by the function that made it, which a check has called again."""


_CALLING = ContextVar("_CALLING", default=False)
"""Whether a factory is being called, to make a loss again."""
_CHECKING: set[types.CodeType] = set()
"""Functions that were called as factories and began a check of what they made."""
_SENT: dict[types.CodeType, Origin] = {}
"""The origins of functions that came from another process, where their source can be read."""


def refuse_nested() -> None:
    """Start no check in a function that a check has called: neither would ever end.

    Raises:
        NestedCheckError: if a factory is being called, to make a loss again.
    """
    if _CALLING.get():
        raise NestedCheckError("a check is started by the function that it makes a loss again with")


@contextmanager
def _calling() -> Iterator[None]:
    before = _CALLING.set(True)
    try:
        yield
    finally:
        _CALLING.reset(before)


def origin(function: types.FunctionType) -> Origin:
    """What is known of `function` and of the functions around it, to be sent along with it."""
    try:
        lines, _ = inspect.findsource(function)
    except (OSError, TypeError):
        lines = []
    file = function.__code__.co_filename
    return Origin(factory_of(function), parameters(function), file, lines)


def remember(function: types.FunctionType, sent: Origin) -> None:
    """Take the word of the process that `function` was sent from."""
    _SENT[function.__code__] = sent
    if function.__code__.co_filename != sent.file and sent.lines:
        function.__code__ = function.__code__.replace(co_filename=sent.file)
        size = sum(map(len, sent.lines))
        linecache.cache.setdefault(sent.file, (size, None, sent.lines, sent.file))


def parameters(function: types.FunctionType) -> frozenset[str] | None:
    """The names of all parameters of the functions around `function`; `None` if not known.

    What a closure reads and is not among them was computed in its factory.
    """
    if function.__code__ in _SENT:
        return _SENT[function.__code__].parameters
    around = _function_around(function)
    if around is not None:
        return frozenset(inspect.signature(around).parameters)
    try:
        lines, _ = inspect.findsource(function)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        return None
    nodes = _around(tree, function.__code__.co_firstlineno)
    return frozenset(argument.arg for node in nodes for argument in _arguments(node)) or None


def remade(
    function: types.FunctionType, known: Mapping[str, Any], changes: Mapping[str, Any]
) -> types.FunctionType | None:
    """What the factory makes of other arguments; `None` if it is not within reach.

    It is trusted only if it makes `function` again of what is `known` of its arguments.
    """
    factory = factory_of(function)
    if factory is None or factory.__code__ in _CHECKING:
        return None
    wanted = inspect.signature(factory).parameters
    arguments = {name: value for name, value in known.items() if name in wanted}
    if not changes.keys() <= wanted.keys():
        return None
    try:
        with _calling():
            again = factory(**arguments)
    except NestedCheckError:
        _CHECKING.add(factory.__code__)
        return None
    except Exception:  # a factory is anybody's code
        return None
    if not isinstance(again, types.FunctionType) or again.__code__ != function.__code__:
        return None
    if _numbers(again) != _numbers(function):
        return None
    with _calling():
        made: types.FunctionType = factory(**{**arguments, **changes})
    return made


def factory_of(function: types.FunctionType) -> types.FunctionType | None:
    """The function of the module that makes and returns `function`.

    One that returns nothing, such as a test, makes it for a use of its own.
    """
    if function.__code__ in _SENT:
        return _SENT[function.__code__].factory
    around = _function_around(function)
    return around if around is not None and _returns(around) else None


def _function_around(function: types.FunctionType) -> types.FunctionType | None:
    """The function of the module whose own code holds that of `function`."""
    name, separator, rest = function.__qualname__.partition(".<locals>.")
    if not separator or "." in name or "." in rest:
        return None
    found = function.__globals__.get(name)
    if not inspect.isfunction(found) or function.__code__ not in found.__code__.co_consts:
        return None
    return found


def _returns(function: types.FunctionType) -> bool:
    """Whether there is anything but nothing that a function may return."""
    steps = [step for step in dis.get_instructions(function) if step.opname != "NOP"]
    constants = [step.argval for step in steps if step.opname == "RETURN_CONST"]
    before = [last for last, step in pairwise(steps)
              if step.opname == "RETURN_VALUE"]  # fmt: skip
    return any(each is not None for each in constants) or any(
        not (last.opname == "LOAD_CONST" and last.argval is None) for last in before
    )


def _numbers(function: types.FunctionType) -> dict[str, Any]:
    known = inspect.getclosurevars(function).nonlocals
    return {name: value for name, value in known.items() if isinstance(value, int | float | str)}


def _around(tree: ast.AST, line: int) -> Iterator[_Function]:
    for node in ast.walk(tree):
        if isinstance(node, _Function) and node.lineno < line <= (node.end_lineno or 0):
            yield node


def _arguments(node: _Function) -> list[ast.arg]:
    spec = node.args
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
