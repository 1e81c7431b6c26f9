"""The losses of a file or a module: what the command line checks when no name is given."""

import ast
import functools
import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lossmith.checker.static import takes_tensors
from lossmith.checker.subject import Subject, import_place, required_arguments
from lossmith.core import Loss
from lossmith.core.backend import keras

_METRIC_WORDS = frozenset(
    {"accuracy", "acc", "auc", "metric", "precision", "recall", "f1", "fbeta", "score"}
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Found:
    """Something in a module that is a loss or makes one.

    `expression` is how to name it; `left_out` says why it is not checked unasked, empty if it is;
    `targets` is what a loss made with lossmith declares of its targets, empty for any other.
    """

    expression: str
    line: int
    left_out: str = ""
    targets: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain data."""
        return asdict(self)


def discover(subject: Subject) -> list[Found]:
    """Import the place of `subject` and return its losses in the order they are written.

    Taken are functions, partials and other callables whose first arguments are called like a
    target and a prediction, classes derived from `keras.losses.Loss`, instances of one, and calls
    of factories that need no arguments. What a module imports from elsewhere is not its own.

    Raises:
        lossmith.checker.subject.SubjectError: if the import fails.
    """
    module = import_place(subject)
    file = inspect.getsourcefile(module)
    if file is None:
        return []
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    entries = (entry for name, node in _bindings(tree) for entry in _entries(module, name, node))
    return list({entry.expression: entry for entry in entries}.values())


def _bindings(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """The names that the module's own statements bind."""
    for node in tree.body:
        if isinstance(node, _Function | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def _entries(module: ModuleType, name: str, node: ast.stmt) -> Iterator[Found]:
    value = getattr(module, name, None)
    if name.startswith("_") or value is None:
        return
    line = getattr(node, "lineno", 1)
    if inspect.isclass(value):
        yield from _class_entry(value, name, line)
    elif isinstance(value, keras.losses.Loss):
        yield Found(name, line, targets=_declared(value))
    elif inspect.isfunction(value) and isinstance(node, _Function):
        yield from _function_entry(value, name, node)
    elif callable(value):
        yield from _callable_entry(value, name, line)


def _callable_entry(value: Any, name: str, line: int) -> Iterator[Found]:
    """A partial, a wrapped function or another object that is called like a loss."""
    if takes_tensors(_names(value)):
        yield Found(name, line, _as_a_metric(name))
    elif isinstance(value, functools.partial):
        required = required_arguments(value) or []
        if len(required) == 2:
            called = ", ".join(required)
            yield Found(name, line, f"its arguments ({called}) are not called like a target and a "
                        "prediction: name it if it is a loss")  # fmt: skip


def _as_a_metric(name: str) -> str:
    """Why a function of that name is left out, empty if it is not."""
    words = set(name.lower().split("_"))
    return "its name is that of a metric" if words & _METRIC_WORDS and "loss" not in words else ""


def _class_entry(cls: type, name: str, line: int) -> Iterator[Found]:
    if not issubclass(cls, keras.losses.Loss) or inspect.isabstract(cls):
        return
    required = required_arguments(cls) or []
    example = f"{name}({', '.join(f'{word}=...' for word in required)})"
    left_out = f"it needs arguments: name {example}" if required else ""
    yield Found(name, line, left_out, _declared(cls))


def _declared(loss: Any) -> str:
    """What a loss, or a class of them, declares of its targets."""
    cls = loss if inspect.isclass(loss) else type(loss)
    return str(loss.targets) if issubclass(cls, Loss) else ""


def _function_entry(function: Any, name: str, node: _Function) -> Iterator[Found]:
    if takes_tensors(_names(function)):
        yield Found(name, node.lineno, _as_a_metric(name))
    elif returns_loss(node):
        required = required_arguments(function) or []
        if required:
            example = f"{name}({', '.join(f'{word}=...' for word in required)})"
            yield Found(name, node.lineno, f"it is a factory that needs arguments: name {example}")
        else:
            yield Found(f"{name}()", node.lineno)


def returns_loss(factory: _Function) -> bool:
    """Whether a function defines a function of a target and a prediction, and returns it."""
    inner = {
        node.name
        for node in ast.walk(factory)
        if isinstance(node, _Function) and node is not factory and takes_tensors(_written(node))
    }
    returned = [node.value for node in ast.walk(factory) if isinstance(node, ast.Return)]
    return any(
        (isinstance(value, ast.Name) and value.id in inner)
        or (isinstance(value, ast.Lambda) and takes_tensors(_written(value)))
        for value in returned
    )


def _written(node: _Function | ast.Lambda) -> list[str]:
    return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]


def _names(function: Any) -> list[str]:
    """The arguments of a callable; none where its signature is not known."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
