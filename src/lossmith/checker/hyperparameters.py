"""The hyperparameters that any kind of loss has, and the same loss with other ones.

A loss made with lossmith declares them. Elsewhere they are keyword arguments with a default, the
variables that a closure reads from its factory, or the arguments of a class' `__init__`.
"""

import copy
import functools
import inspect
import numbers
import types
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from lossmith.checker import factories
from lossmith.core import Loss
from lossmith.core.backend import keras

_NOT_HYPERPARAMETERS = ("name", "reduction", "dtype", "fn", "self", "sample_weight", "mask")
_LARGEST_ARRAY = 4096


def hyperparameters(loss: Any) -> dict[str, Any]:
    """The hyperparameters of `loss` and their values, in the order they are written."""
    if isinstance(loss, Loss):
        return dict(loss.hyperparameters)
    if isinstance(loss, functools.partial):
        return {**hyperparameters(loss.func), **_values(loss.keywords)}
    if inspect.isfunction(loss):
        return {**_keywords(loss), **_values(_given_to_the_factory(loss))}
    if inspect.ismethod(loss) or inspect.isclass(loss) or inspect.isbuiltin(loss):
        return {}
    return _attributes(loss)


def ignored_label(loss: Any) -> Any:
    """The label whose rows the loss leaves out, if one of its hyperparameters names it."""
    found = hyperparameters(loss)
    return found.get("ignore_class", found.get("ignore_index"))


def choices(loss: Any) -> dict[str, list[Any]]:
    """The other values of each hyperparameter that is a flag or declared as a `Literal`."""
    declared = _annotations(loss)
    found: dict[str, list[Any]] = {}
    for name, value in hyperparameters(loss).items():
        if isinstance(value, bool):
            found[name] = [not value]
        elif get_origin(declared.get(name)) is Literal:
            found[name] = [other for other in get_args(declared[name]) if other != value]
    return found


def _annotations(loss: Any) -> dict[str, Any]:
    """What the arguments of a function, or of a class' `__init__`, are declared to be."""
    if isinstance(loss, functools.partial):
        return _annotations(loss.func)
    holders: tuple[Any, ...] = (type(loss), type(loss).__init__)
    if inspect.isfunction(loss):
        holders = (*filter(None, (factories.factory_of(loss),)), loss)
    found: dict[str, Any] = {}
    for holder in holders:
        try:
            found.update(get_type_hints(holder))
        except Exception:  # a name that is imported for type checkers only, for one
            continue
    return found


def rebuild(loss: Any, **changes: Any) -> Any:
    """Return a loss like `loss` with some hyperparameters changed; `loss` stays as it is.

    A class is constructed anew, so that what it checks or derives in `__init__` happens.

    Raises:
        KeyError: for a hyperparameter that the loss does not have.
        Exception: whatever the loss raises for a value that it refuses.
    """
    unknown = changes.keys() - hyperparameters(loss).keys()
    if unknown:
        raise KeyError(f"no hyperparameter {min(unknown)!r}")
    if isinstance(loss, Loss):
        return loss(**changes)
    if isinstance(loss, functools.partial):
        return functools.partial(loss.func, *loss.args, **{**loss.keywords, **changes})
    if inspect.isfunction(loss):
        return _changed_function(loss, changes)
    return _changed_object(loss, changes)


def closure(function: types.FunctionType) -> dict[str, Any]:
    """The variables that a function reads from the function around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}


def _given_to_the_factory(function: types.FunctionType) -> dict[str, Any]:
    """What a closure reads of what its factory was given.

    Where the factory computed numbers of its own and cannot be called again, none can be changed
    without the others.
    """
    cells = closure(function)
    known = factories.parameters(function)
    if known is None:
        return cells
    computed = _values({name: value for name, value in cells.items() if name not in known})
    given = {name: value for name, value in cells.items() if name in known}
    if computed and factories.remade(function, given, {}) is None:
        return {}
    return given


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in found.items()
        if name not in _NOT_HYPERPARAMETERS and _can_be_one(value)
    }


def _can_be_one(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return 0 < len(value) <= _LARGEST_ARRAY and all(
            isinstance(item, numbers.Number) for item in value
        )
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf" and value.size <= _LARGEST_ARRAY
    return isinstance(value, numbers.Number | str | np.generic | keras.losses.Loss)


def _keywords(function: Any) -> dict[str, Any]:
    parameters = list(inspect.signature(function).parameters.values())[2:]
    return _values({p.name: p.default for p in parameters if p.default is not p.empty})


def _changed_function(function: Any, changes: Mapping[str, Any]) -> Any:
    """The function with other defaults, and what its factory makes of other arguments."""
    outer = {name: changes[name] for name in closure(function) if name in changes}
    if outer:
        made = factories.remade(function, closure(function), outer)
        if made is not None:
            return _with(made, {k: v for k, v in changes.items() if k not in outer})
    return _with(function, changes)


def _with(function: Any, changes: Mapping[str, Any]) -> Any:
    """The function with other defaults and other variables of the function around it."""
    cells = tuple(
        types.CellType(changes[name]) if name in changes else cell
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        )
    )
    changed = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, None, cells
    )
    functools.update_wrapper(changed, function)
    del changed.__wrapped__  # type: ignore[attr-defined]
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    with_default = [p for p in positional if p.default is not p.empty]
    changed.__defaults__ = tuple(changes.get(p.name, p.default) for p in with_default) or None
    keyword_only = function.__kwdefaults__ or {}
    changed.__kwdefaults__ = {
        name: changes.get(name, value) for name, value in keyword_only.items()
    } or None
    return changed


def _attributes(loss: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _init_parameters(type(loss)):
        for holder in (vars(loss), vars(loss).get("_fn_kwargs", {})):
            for spelling in (name, f"_{name}"):
                if spelling in holder:
                    found.setdefault(name, holder[spelling])
        if name not in found:
            found.update(_kept_otherwise(loss, name))
    return _values({**found, **vars(loss).get("_fn_kwargs", {})})


def _kept_otherwise(loss: Any, name: str) -> dict[str, Any]:
    """A number that `__init__` keeps under another name, or nowhere as it was given.

    It is found by making the class with another value and looking where that ends up. One that
    ends up nowhere is known only if all that follows from it is as the default makes it.
    """
    cls = type(loss)
    default = inspect.signature(cls.__init__).parameters[name].default
    if isinstance(default, bool) or not isinstance(default, int | float):
        return {}
    try:
        usual, other = cls(), cls(**{name: default / 2 + 0.217})
    except Exception:  # a loss refuses a value as it likes
        return {}
    before, after, here = _numbers(usual), _numbers(other), _numbers(loss)
    follows = [key for key in after if after[key] != before.get(key)]
    for key in follows:
        if after[key] == default / 2 + 0.217 and key in here:
            return {name: here[key]}
    return {name: default} if all(here.get(key) == before.get(key) for key in follows) else {}


def _numbers(loss: Any) -> dict[str, Any]:
    return {k: v for k, v in vars(loss).items() if isinstance(v, int | float | np.number)}


def _init_parameters(cls: Any) -> list[str]:
    try:
        parameters = inspect.signature(cls.__init__).parameters.values()
    except (TypeError, ValueError):
        return []
    named = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return [name for name in named if name not in _NOT_HYPERPARAMETERS]


def _changed_object(loss: Any, changes: Mapping[str, Any]) -> Any:
    accepted = _init_parameters(type(loss))
    if changes.keys() <= set(accepted):
        current = {k: v for k, v in hyperparameters(loss).items() if k in accepted}
        others = set(accepted) - current.keys()
        if not (others and _required(type(loss)) & others):
            return type(loss)(**{**current, **_settings(loss), **changes})
    changed = copy.copy(loss)
    arguments = vars(changed).get("_fn_kwargs", {})
    if changes.keys() <= arguments.keys():
        changed._fn_kwargs = {**arguments, **changes}
        return changed
    for name, value in changes.items():
        attribute = name if name in vars(changed) else f"_{name}"
        vars(changed)[attribute] = value
    return changed


def _required(cls: Any) -> set[str]:
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name for p in parameters if p.default is p.empty}


def _settings(loss: Any) -> dict[str, Any]:
    """Name and reduction, if the class takes them and the loss has them."""
    parameters = inspect.signature(type(loss).__init__).parameters
    return {
        name: getattr(loss, name)
        for name in ("name", "reduction")
        if name in parameters and hasattr(loss, name)
    }
