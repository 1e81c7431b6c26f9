"""What a loss computes is a plain function that the process which loads it finds again."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

_ADVICE_ON_CLOSURES = (
    "Make it a keyword of the formula instead, `def formula(y_true, y_pred, *, threshold=1.0)`, "
    "and write `loss(threshold=...)` where you called the factory."
)
_ADVICE_ON_CLASSES = "Make it an argument of __init__, or a field of the class."


def check_function(owner: str, function: Callable[..., Any]) -> None:
    """Refuse a function that gives no tensor, or that a saved model could not find again.

    Raises:
        TypeError: for a generator, a coroutine, a lambda or a function with free variables,
            saying what to write.
    """
    if function.__name__ == "<lambda>":
        raise TypeError(f"{owner}: a lambda cannot be saved with a model. Write it with `def`.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{owner}: `{function.__name__}` yields its values, so that calling it gives a "
            "generator: collect them, keras.ops.stack(...), and `return` one tensor."
        )
    if inspect.iscoroutinefunction(function):
        raise TypeError(
            f"{owner}: `{function.__name__}` is a coroutine, and a training step awaits nothing: "
            "write `def` in the place of `async def`."
        )
    _refuse_closure(owner, function, _ADVICE_ON_CLOSURES)


def check_methods(cls: Any) -> None:
    """Refuse a class with a method, property or helper that a saved model could not find again.

    Raises:
        TypeError: naming the method and the variables that it reads.
    """
    for attribute in vars(cls).values():
        for function in _functions_in(attribute):
            _refuse_closure(cls.__name__, function, _ADVICE_ON_CLASSES)


def _functions_in(attribute: Any) -> Iterator[Callable[..., Any]]:
    if isinstance(attribute, property):
        parts = [attribute.fget, attribute.fset]
    elif isinstance(attribute, functools.cached_property):
        parts = [attribute.func]
    else:
        parts = [getattr(attribute, "__func__", attribute)]  # of a static or class method
    yield from filter(inspect.isfunction, parts)


def _refuse_closure(owner: str, function: Any, advice: str) -> None:
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    free = [
        name
        for name, cell in zip(names, cells, strict=True)
        # A class that is being made is not yet in the cell that `super()` and its own name read.
        if name not in ("__class__", owner) and not _is_found_again(cell, function)
    ]
    if free:
        raise TypeError(
            f"{owner}: `{function.__name__}` reads {', '.join(f'`{name}`' for name in free)} from "
            f"the function around it, which is lost by save and load. {advice}"
        )
    if hasattr(function, "__wrapped__") and inspect.isfunction(function.__wrapped__):
        _refuse_closure(owner, function.__wrapped__, advice)


def _is_found_again(cell: Any, function: Any) -> bool:
    """Whether a cell holds a module, or the function that a decorator has wrapped."""
    try:
        content = cell.cell_contents
    except ValueError:
        return False
    is_wrapped = inspect.isfunction(content) and content is getattr(function, "__wrapped__", None)
    return is_wrapped or isinstance(content, types.ModuleType)
