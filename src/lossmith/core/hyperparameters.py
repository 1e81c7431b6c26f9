"""Hyperparameters: how they are declared, validated, frozen, compared and saved.

A declaration is a type hint. `Positive`, `NonNegative`, `Fraction` and `UnitInterval` are ranges
(`typing.Annotated` with `annotated-types`, so any range can be written the same way), a
`typing.Literal` is a choice, `bool` a flag, `Array` an array and `Loss` another loss.
"""

import difflib
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union

import annotated_types as at
import numpy as np

from lossmith.core import backend, registry
from lossmith.core.backend import keras
from lossmith.core.changing import Changing

Positive: TypeAlias = Annotated[float, at.Gt(0)]
"""A finite number greater than 0."""
NonNegative: TypeAlias = Annotated[float, at.Ge(0)]
"""A finite number, 0 or greater."""
Fraction: TypeAlias = Annotated[float, at.Gt(0), at.Lt(1)]
"""A number strictly between 0 and 1."""
UnitInterval: TypeAlias = Annotated[float, at.Ge(0), at.Le(1)]
"""A number from 0 to 1, both included."""
Array: TypeAlias = np.ndarray
"""An array of finite numbers, given as anything `numpy.asarray` takes; read-only once bound."""

RESERVED = ("y_true", "y_pred", "sample_weight", "mask", "name", "reduction", "dtype")
"""Names that mean something else in a loss, so that no hyperparameter can bear them."""

REQUIRED = inspect.Parameter.empty
"""Stands for the default of a hyperparameter that has none."""


class _RefusedError(Exception):
    """Carries what was expected from the place that refuses a value to the one that words it."""


@dataclass(frozen=True)
class Hyperparameter:
    """The declaration of one hyperparameter: its name, its type hint and its default."""

    name: str
    hint: Any
    default: Any = REQUIRED

    def bind(self, loss: str, value: Any) -> Any:
        """Return `value` validated and frozen.

        Args:
            loss: the name of the loss, for the error message.
            value: what the user gave.

        Raises:
            ValueError: if the value is of the right type and outside the range.
            TypeError: if the value is of another type.
        """
        if isinstance(value, Changing):
            return value.bound(loss, self)
        try:
            return _convert(value, self._effective_hint())
        except _RefusedError as refused:
            wrong_type = not isinstance(value, numbers.Real | str) or isinstance(value, bool)
            wrong_type = wrong_type or (isinstance(value, str) and "one of" not in str(refused))
            error = TypeError if wrong_type else ValueError
            raise error(
                f"{loss}: hyperparameter `{self.name}` must be {refused}; "
                f"got {value!r} ({type(value).__name__})."
            ) from None

    def describe(self) -> str:
        """The range in words, as error messages and `lossmith list` show it."""
        return _describe(self._effective_hint())

    @property
    def kind(self) -> Any:
        """The type hint, or what the default stands for where there is none."""
        return self._effective_hint()

    def _effective_hint(self) -> Any:
        if self.hint is not REQUIRED and self.hint is not Any:
            return self.hint
        if self.default is REQUIRED or self.default is None:
            return _ANYTHING_SAVEABLE
        if isinstance(self.default, bool):
            return bool
        if isinstance(self.default, numbers.Integral):
            return _NUMBER
        if isinstance(self.default, numbers.Real):
            return float
        if isinstance(self.default, str | keras.losses.Loss):
            return type(self.default) if isinstance(self.default, str) else keras.losses.Loss
        return np.ndarray


_NUMBER = int | float
_ANYTHING_SAVEABLE = Union[None, bool, int, float, str, keras.losses.Loss, np.ndarray]  # noqa: UP007


def _convert(value: Any, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *constraints = typing.get_args(hint)
        converted = _convert_annotated(value, base, hint)
        if not all(_holds(constraint, converted) for constraint in constraints):
            raise _RefusedError(_describe(hint))
        return converted
    if origin in (Union, types.UnionType):
        return _convert_union(value, hint)
    if origin is Literal:
        value = value.item() if isinstance(value, np.generic) else value
        for choice in typing.get_args(hint) if isinstance(value, bool | int | float | str) else ():
            if choice == value and isinstance(value, bool) == isinstance(choice, bool):
                return choice
        raise _RefusedError(_describe(hint))
    return _convert_plain(value, hint)


def _convert_annotated(value: Any, base: Any, hint: Any) -> Any:
    try:
        return _convert(value, base)
    except _RefusedError:
        raise _RefusedError(_describe(hint)) from None


def _convert_union(value: Any, hint: Any) -> Any:
    for arm in typing.get_args(hint):
        try:
            return _convert(value, arm)
        except _RefusedError:
            continue
    raise _RefusedError(_describe(hint))


def _convert_plain(value: Any, hint: Any) -> Any:
    if hint is type(None):
        if value is None:
            return None
    elif hint in (bool, str):
        if isinstance(value, np.bool_):
            value = bool(value)
        if isinstance(value, hint):
            return value
    elif hint in (float, int):
        return _convert_number(value, hint)
    elif hint is np.ndarray or typing.get_origin(hint) is np.ndarray:
        return _freeze_array(value)
    elif inspect.isclass(hint) and issubclass(hint, keras.losses.Loss):
        return _convert_loss(value, hint)
    else:
        raise _RefusedError(
            f"of a kind that can be saved (the declared type {hint!r} cannot: declare a number, a "
            "Literal of words, bool, str, lossmith.Array or lossmith.Loss)"
        )
    raise _RefusedError(_describe(hint))


def _convert_number(value: Any, kind: type) -> float | int:
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0:
        value = value.item()
    wanted = numbers.Integral if kind is int else numbers.Real
    try:
        if not isinstance(value, bool) and isinstance(value, wanted) and math.isfinite(value):
            return kind(value)
    except OverflowError:
        pass
    raise _RefusedError(_describe(kind))


def _freeze_array(value: Any) -> np.ndarray:
    try:
        array = np.array(value)
    except (TypeError, ValueError):
        raise _RefusedError(_describe(np.ndarray)) from None
    if array.ndim == 0 or array.dtype.kind not in "biuf" or not np.all(np.isfinite(array)):
        raise _RefusedError(_describe(np.ndarray))
    array.setflags(write=False)
    return array


def _convert_loss(value: Any, kind: type) -> Any:
    if inspect.isclass(value) and issubclass(value, keras.losses.Loss):
        raise _RefusedError(f"a loss, not its class: write {value.__name__}()")
    if isinstance(value, str):
        try:
            value = registry.get(value)
        except ValueError:
            raise _RefusedError(_describe(kind)) from None
    if isinstance(value, keras.losses.Loss) and not hasattr(value, "hyperparameters"):
        raise _RefusedError(
            "a loss of lossmith (Keras' own do not keep their arguments through save and load)"
        )
    if not isinstance(value, kind):
        raise _RefusedError(_describe(kind))
    return value


def _holds(constraint: Any, value: Any) -> bool:
    if isinstance(constraint, at.GroupedMetadata):
        return all(_holds(part, value) for part in constraint)
    for kind, attribute, compare in _COMPARISONS:
        if isinstance(constraint, kind):
            return bool(compare(value, getattr(constraint, attribute)))
    if isinstance(constraint, at.Predicate):
        return bool(constraint.func(value))
    return True


_COMPARISONS: tuple[tuple[type, str, Callable[[Any, Any], Any]], ...] = (
    (at.Gt, "gt", lambda value, bound: np.all(np.asarray(value) > bound)),
    (at.Ge, "ge", lambda value, bound: np.all(np.asarray(value) >= bound)),
    (at.Lt, "lt", lambda value, bound: np.all(np.asarray(value) < bound)),
    (at.Le, "le", lambda value, bound: np.all(np.asarray(value) <= bound)),
    (at.MinLen, "min_length", lambda value, bound: len(value) >= bound),
    (at.MaxLen, "max_length", lambda value, bound: len(value) <= bound),
    (at.MultipleOf, "multiple_of", lambda value, bound: value % bound == 0),
)
_SYMBOLS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "of length >=",
            "max_length": "of length <=", "multiple_of": "a multiple of"}  # fmt: skip
_PLAIN_WORDS = {float: "a finite number", int: "an integer", bool: "True or False", str: "a string"}


def _describe(hint: Any) -> str:
    if hint == _NUMBER:
        return _PLAIN_WORDS[float]
    if hint is _ANYTHING_SAVEABLE:
        return "a finite number, a flag, a string, an array of finite numbers, a loss or None"
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *constraints = typing.get_args(hint)
        return " ".join([_describe(base), " and ".join(_describe_all(constraints))]).strip()
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(arm) for arm in typing.get_args(hint))
    if hint is type(None):
        return "None"
    if inspect.isclass(hint) and issubclass(hint, keras.losses.Loss):
        return "a loss"
    return _PLAIN_WORDS.get(hint, "an array of finite numbers")


def _describe_all(constraints: Iterable[Any]) -> Iterable[str]:
    for constraint in constraints:
        if isinstance(constraint, at.GroupedMetadata):
            yield from _describe_all(constraint)
            continue
        for kind, attribute, _ in _COMPARISONS:
            if isinstance(constraint, kind):
                yield f"{_SYMBOLS[attribute]} {getattr(constraint, attribute)}"


def resolve_hints(
    hints: Mapping[str, Any], namespace: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """Turn hints written as strings (`from __future__ import annotations`) into types.

    Raises:
        TypeError: if a name in a hint cannot be found from `namespace`.
    """
    holder = types.SimpleNamespace(__annotations__=dict(hints))
    try:
        return typing.get_type_hints(holder, globalns=dict(namespace), include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{owner}: a hyperparameter's type hint cannot be resolved ({error}). "
            "Import the name at the top of the module that defines the loss."
        ) from None


def refuse_reserved(owner: str, names: Iterable[str]) -> None:
    """Raise if a hyperparameter bears a name that means something else in a loss.

    Raises:
        TypeError: naming the hyperparameter.
    """
    for name in names:
        if name in RESERVED or name.startswith("_"):
            raise TypeError(
                f"{owner}: `{name}` cannot be the name of a hyperparameter: "
                f"{', '.join(RESERVED)} mean something else in every loss, and a leading "
                "underscore is lossmith's own. Choose another name."
            )


def bind_all(
    loss: str, declared: Mapping[str, Hyperparameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return every declared hyperparameter, validated, from what was given and the defaults.

    Raises:
        TypeError: if a hyperparameter is unknown or misses its value.
        ValueError: if one is outside its range.
    """
    for name in given:
        if name not in declared:
            raise TypeError(f"{loss}: no hyperparameter `{name}`. {_advice(name, declared)}")
    bound = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.default)
        if value is REQUIRED:
            raise TypeError(
                f"{loss}: hyperparameter `{name}` ({declaration.describe()}) needs a value: "
                f"write {loss}({name}=...)."
            )
        bound[name] = declaration.bind(loss, value)
    return bound


def _advice(name: str, declared: Mapping[str, Hyperparameter]) -> str:
    close = difflib.get_close_matches(name, declared, n=1)
    if close:
        return f"Did you mean `{close[0]}`?"
    if not declared:
        return "This loss has none; name, reduction and dtype can be set."
    return f"It has {', '.join(f'`{known}`' for known in declared)}, and name, reduction, dtype."


def as_operand(value: Any) -> Any:
    """A bound value as a formula computes with it: floating arrays meet tensors of any dtype.

    Integer arrays stay NumPy's, so that they can be axes and indices. A changing hyperparameter is
    at its first value until a step puts a tensor in its place.
    """
    if isinstance(value, Changing):
        value = value.initial
    is_floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return backend.operand(value) if is_floating else value


def comparable(value: Any) -> Any:
    """A hashable stand-in for a bound value: equal exactly when the values are."""
    if isinstance(value, bool):
        return ("flag", value)
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    return value


def to_config(value: Any) -> Any:
    """A bound value as JSON can hold it; arrays and losses in the form Keras gives them."""
    if isinstance(value, np.ndarray | keras.losses.Loss | Changing):
        return keras.saving.serialize_keras_object(value)
    return value


def from_config(value: Any) -> Any:
    """The inverse of `to_config`."""
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return value
