"""Which framework's own operations a loss is written with.

A loss that calls TensorFlow's operations is one for TensorFlow: that it fails on PyTorch says
nothing of it. A loss written with Keras' operations, or NumPy's, is one for every backend.
"""

import dis
import functools
import inspect
import types
from collections.abc import Iterator, Sequence
from typing import Any

from lossmith.checker.source import written_by_author

_BACKEND_OF = {
    "tensorflow": "tensorflow",
    "tensorflow_probability": "tensorflow",
    "tensorflow_addons": "tensorflow",
    "torch": "torch",
    "torchvision": "torch",
    "jax": "jax",
    "optax": "jax",
}
_NOT_FOLLOWED = ("keras", "lossmith", "numpy", "scipy", *_BACKEND_OF)


def fitting(loss: Any, backends: Sequence[str]) -> dict[str, str]:
    """The framework that stands against each of these backends on which `loss` cannot be judged.

    It is empty if none of the backends is one that the loss is written for.
    """
    used = sorted(frameworks(loss))
    if not set(used) & set(backends):
        return {}
    return {name: " and ".join(used) for name in backends if name not in used}


def frameworks(loss: Any) -> frozenset[str]:
    """The backends whose own operations the formula of `loss` calls, with its helpers."""
    return frozenset(_used(_formula(loss), set()))


def _formula(loss: Any) -> list[types.FunctionType]:
    written = written_by_author(loss)
    if not inspect.isclass(written):
        found = inspect.unwrap(written)
        return [found] if isinstance(found, types.FunctionType) else []
    own = [cls for cls in written.__mro__ if _root(cls.__module__) not in _NOT_FOLLOWED]
    methods = [value for cls in own for value in vars(cls).values()]
    return [method for method in methods if isinstance(method, types.FunctionType)]


def _used(functions: list[types.FunctionType], seen: set[int]) -> Iterator[str]:
    for function in functions:
        if id(function) in seen:
            continue
        seen.add(id(function))
        for value in _values(function):
            root = _root(getattr(value, "__module__", None) or "")
            root = _root(value.__name__) if isinstance(value, types.ModuleType) else root
            if root in _BACKEND_OF:
                yield _BACKEND_OF[root]
            elif isinstance(value, types.FunctionType) and root not in _NOT_FOLLOWED:
                yield from _used([value], seen)


def _values(function: types.FunctionType) -> Iterator[Any]:
    """What a function reads from its module and from the functions around it, and imports."""
    for cell in function.__closure__ or ():
        try:
            yield _plain(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                yield _plain(function.__globals__.get(step.argval))
            elif step.opname == "IMPORT_NAME":
                yield types.ModuleType(step.argval)


def _plain(value: Any) -> Any:
    return value.func if isinstance(value, functools.partial) else value


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _root(module: str) -> str:
    return module.partition(".")[0]
