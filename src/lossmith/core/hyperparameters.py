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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union

import annotated_types as at
import numpy as np

from lossmith.core import arrays, constraints, registry
from lossmith.core.backend import keras
from lossmith.core.changing import Changing, advice_on_schedule
from lossmith.core.ranges import real_arm
from lossmith.core.wording import shown

Positive: TypeAlias = Annotated[float, at.Gt(0)]
"""A finite number greater than 0."""
NonNegative: TypeAlias = Annotated[float, at.Ge(0)]
"""A finite number, 0 or greater."""
Fraction: TypeAlias = Annotated[float, at.Gt(0), at.Lt(1)]
"""A number strictly between 0 and 1."""
UnitInterval: TypeAlias = Annotated[float, at.Ge(0), at.Le(1)]
"""A number from 0 to 1, both included."""
Array: TypeAlias = np.ndarray
"""An array of finite numbers, given as anything `numpy.asarray` takes; read-only once bound.

Numbers are kept as float64 and reach the formula as a tensor of the dtype it computes in; flags
stay flags. `numpy.typing.NDArray[numpy.integer]` keeps integers, NumPy's, for axes and indices.
"""

RESERVED = ("y_true", "y_pred", "sample_weight", "mask", "name", "reduction", "dtype")
"""Names that mean something else in a loss, so that no hyperparameter can bear them."""

REQUIRED = inspect.Parameter.empty
"""Stands for the default of a hyperparameter that has none."""


class _RefusedError(Exception):
    """Carries what was expected from the place that refuses a value to the one that words it."""

    def __init__(self, expected: str, error: type[Exception] = TypeError) -> None:
        super().__init__(expected)
        self.error = error


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
            bound = _convert(value, self._effective_hint())
            _check_size(bound)
        except _RefusedError as refused:
            advice = advice_on_schedule(value) if real_arm(self.kind) is not None else ""
            raise refused.error(
                f"{loss}: hyperparameter `{self.name}` must be {refused}; "
                f"got {shown(value)} ({type(value).__name__}).{advice}"
            ) from None
        return bound

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
        if isinstance(self.default, str):
            return str
        if isinstance(self.default, keras.losses.Loss):
            return keras.losses.Loss
        if not _may_be_array(self.default):
            return type(self.default)
        return _ARRAY_AS_GIVEN if _holds_integers(self.default) else np.ndarray


_NUMBER = int | float
_ARRAY_AS_GIVEN = np.ndarray[Any, np.dtype[Any]]
_ANYTHING_SAVEABLE = Union[None, bool, int, float, str, keras.losses.Loss, np.ndarray]  # noqa: UP007


def _may_be_array(default: Any) -> bool:
    is_array = hasattr(default, "dtype") or isinstance(default, list | tuple)
    return is_array or np.asarray(default).dtype != np.object_


def _holds_integers(default: Any) -> bool:
    leaves = keras.tree.flatten(default)
    return all(np.issubdtype(np.asarray(leaf).dtype, np.integer) for leaf in leaves)


def _check_size(bound: Any) -> None:
    """Refuse what becomes 0 or infinite in float32, in which losses are computed."""
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.ndarray):
        return
    size, limits = np.abs(np.asarray(bound, "float64")), np.finfo(np.float32)
    if not np.all((size == 0) | ((size >= limits.tiny) & (size <= limits.max))):
        within = f"{limits.tiny:.1e} to {limits.max:.1e}"
        raise _RefusedError(f"0 or of a size that float32 can hold, {within}", ValueError)


def _convert(value: Any, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _convert_annotated(value, hint)
    if origin in (Union, types.UnionType):
        return _convert_union(value, hint)
    if origin is Literal:
        return _convert_choice(value, hint)
    return _convert_plain(value, hint)


def _convert_annotated(value: Any, hint: Any) -> Any:
    base, *metadata = typing.get_args(hint)
    try:
        converted = _convert(value, base)
    except _RefusedError as refused:
        raise _RefusedError(_describe(hint), refused.error) from None
    if not all(constraints.holds(each, converted) for each in constraints.among(metadata)):
        raise _RefusedError(_describe(hint), ValueError)
    return converted


def _convert_union(value: Any, hint: Any) -> Any:
    errors = []
    for arm in typing.get_args(hint):
        try:
            return _convert(value, arm)
        except _RefusedError as refused:
            errors.append(refused.error)
    raise _RefusedError(_describe(hint), ValueError if ValueError in errors else TypeError)


def _convert_choice(value: Any, hint: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, bool | int | float | str | None):
        raise _RefusedError(_describe(hint))
    for choice in typing.get_args(hint):
        if choice == value and isinstance(value, bool) == isinstance(choice, bool):
            return choice
    raise _RefusedError(_describe(hint), ValueError)


def _convert_plain(value: Any, hint: Any) -> Any:
    if hint is type(None):
        if value is None:
            return None
    elif hint in (bool, str):
        if isinstance(value, np.bool_):
            value = bool(value)
        if isinstance(value, hint):
            return hint(value)
    elif hint in (float, int):
        return _convert_number(value, hint)
    elif hint is np.ndarray or typing.get_origin(hint) is np.ndarray:
        return _freeze_array(value, hint)
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
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _RefusedError(_describe(kind))
    try:
        if math.isfinite(value) and (kind is float or isinstance(value, numbers.Integral)):
            return kind(value)
    except OverflowError:
        pass
    raise _RefusedError(_describe(kind), ValueError)


def _freeze_array(value: Any, hint: Any) -> np.ndarray:
    try:
        return arrays.frozen(value, hint)
    except (TypeError, ValueError) as error:
        raise _RefusedError(str(error), type(error)) from None


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


_PLAIN_WORDS = {float: "a finite number", int: "an integer", bool: "True or False", str: "a string"}


def _describe(hint: Any) -> str:
    if hint == _NUMBER:
        return _PLAIN_WORDS[float]
    if hint is _ANYTHING_SAVEABLE:
        return "a finite number, a flag, a string, an array of finite numbers, a loss or None"
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *metadata = typing.get_args(hint)
        words = [constraints.describe(each) for each in constraints.among(metadata)]
        return " ".join([_describe(base), " and ".join(words)]).strip()
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(arm) for arm in typing.get_args(hint))
    if hint is type(None):
        return "None"
    if inspect.isclass(hint) and issubclass(hint, keras.losses.Loss):
        return "a loss"
    return _PLAIN_WORDS.get(hint, arrays.EXPECTED)


def check_constraints(owner: str, declared: Iterable[Hyperparameter]) -> None:
    """Refuse constraints that could not be checked when a value is bound.

    Raises:
        TypeError: naming the hyperparameter and the constraint.
    """
    for hyperparameter in declared:
        for constraint in constraints.within(hyperparameter.hint):
            if not constraints.is_known(constraint):
                raise TypeError(
                    f"{owner}: hyperparameter `{hyperparameter.name}` is declared with "
                    f"{constraint!r}, which cannot be checked. Use Gt, Ge, Lt, Le, Interval, "
                    "MultipleOf, Len, MinLen, MaxLen or Predicate of annotated-types."
                )


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
            raise TypeError(f"{loss}: no hyperparameter `{name}`. {advice_on(name, declared)}")
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


def advice_on(name: str, declared: Mapping[str, Any]) -> str:
    """What to write in the place of a name that is none of those declared."""
    close = difflib.get_close_matches(name, declared, n=1)
    if close:
        return f"Did you mean `{close[0]}`?"
    if not declared:
        return "This loss has none; name, reduction and dtype can be set."
    return f"It has {', '.join(f'`{known}`' for known in declared)}, and name, reduction, dtype."


def as_operand(value: Any) -> Any:
    """A bound value as a loss holds it.

    A changing hyperparameter is at its first value until a step puts a tensor in its place.
    """
    return value.initial if isinstance(value, Changing) else value


def comparable(value: Any) -> Any:
    """A hashable stand-in for a bound value: equal exactly when the values are.

    As among Python's numbers, 2 is 2.0; but a flag is no number.
    """
    if isinstance(value, bool):
        return ("flag", value)
    if isinstance(value, np.ndarray):
        kind = "flags" if value.dtype.kind == "b" else "numbers"
        return (kind, value.shape, tuple(value.ravel().tolist()))
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
