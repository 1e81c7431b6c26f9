"""The function that a closure was made in, and the closure it makes of other arguments."""

import ast
import inspect
import linecache
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Origin:
    """Where a function comes from: its factory, if within reach, what that was given, its file."""

    factory: types.FunctionType | None
    parameters: frozenset[str] | None
    file: str
    lines: list[str]


_SENT: dict[types.CodeType, Origin] = {}
"""The origins of functions that came from another process, where their source can be read."""


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
    factory = factory_of(function)
    if factory is not None:
        return frozenset(inspect.signature(factory).parameters)
    try:
        lines, _ = inspect.findsource(function)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        return None
    around = list(_around(tree, function.__code__.co_firstlineno))
    return frozenset(argument.arg for node in around for argument in _arguments(node)) or None


def remade(
    function: types.FunctionType, known: Mapping[str, Any], changes: Mapping[str, Any]
) -> types.FunctionType | None:
    """What the factory makes of other arguments; `None` if it is not within reach.

    It is trusted only if it makes `function` again of what is `known` of its arguments.
    """
    factory = factory_of(function)
    if factory is None:
        return None
    wanted = inspect.signature(factory).parameters
    arguments = {name: value for name, value in known.items() if name in wanted}
    if not changes.keys() <= wanted.keys():
        return None
    try:
        again = factory(**arguments)
    except Exception:  # a factory is anybody's code
        return None
    if not isinstance(again, types.FunctionType) or again.__code__ != function.__code__:
        return None
    if _numbers(again) != _numbers(function):
        return None
    made: types.FunctionType = factory(**{**arguments, **changes})
    return made


def factory_of(function: types.FunctionType) -> types.FunctionType | None:
    """The function of the module whose own code holds that of `function`."""
    if function.__code__ in _SENT:
        return _SENT[function.__code__].factory
    name, separator, rest = function.__qualname__.partition(".<locals>.")
    if not separator or "." in name or "." in rest:
        return None
    found = function.__globals__.get(name)
    if not inspect.isfunction(found) or function.__code__ not in found.__code__.co_consts:
        return None
    return found


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
