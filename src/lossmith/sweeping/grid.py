"""The candidates of a sweep: a loss for every combination of values."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lossmith.core import Loss, traced
from lossmith.core.backend import keras
from lossmith.core.changing import Changing, check_kept
from lossmith.core.hyperparameters import Hyperparameter, comparable
from lossmith.core.names import completed, paths_of
from lossmith.core.ranges import range_of, real_arm
from lossmith.core.tracing import by_holder

Values = dict[str, Any]


def combinations(loss: Loss, values: Mapping[str, Any]) -> list[Values]:
    """Every combination of the values, each validated by the loss, in the order of the grid.

    Raises:
        TypeError: if the loss has no such hyperparameter, or a value is of another type.
        ValueError: if there is nothing to sweep, a value is out of range, or one is given twice.
    """
    if not isinstance(values, Mapping) or not values:
        raise ValueError(
            "sweep: nothing to sweep; give the values of one hyperparameter or more, "
            f"as in {{'threshold': [0.5, 1.0, 2.0]}}; got {values!r}."
        )
    columns = {name: _column(loss, name, given) for name, given in values.items()}
    found = [dict(zip(columns, each, strict=True)) for each in itertools.product(*columns.values())]
    for each in found:
        with_values(loss, each)
    return found


def _column(loss: Loss, name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not np.iterable(given):
        raise TypeError(f"sweep: `{name}` takes a list of values; got {given!r}.")
    column = [bound(loss, name, value) for value in given]
    if not column:
        raise ValueError(f"sweep: the grid is empty, as `{name}` has no values.")
    for position, value in enumerate(column):
        if comparable(value) in map(comparable, column[:position]):
            raise ValueError(f"sweep: `{name}` is given {value!r} twice.")
    return column


def bound(loss: Loss, name: str, value: Any) -> Any:
    """A value for a hyperparameter, validated by the loss that has it.

    Raises:
        TypeError: if the loss has no such hyperparameter, or the value is of another type.
        ValueError: if it is out of range.
    """
    if isinstance(value, Changing):
        raise TypeError(
            f"sweep: the values of `{name}` are fixed for each candidate; got {value!r}."
        )
    holder, last = _holder(loss, name)
    found = holder(**{last: value}).hyperparameters[last]
    if is_real(loss, name, found):
        try:
            check_kept(found, range_of(real_arm(holder.declared[last].kind)))
        except ValueError as error:
            raise ValueError(f"sweep: `{name}`: {error}") from None
    return found


def _holder(loss: Loss, name: str) -> tuple[Loss, str]:
    """The loss that has a hyperparameter itself, and its name there."""
    *path, last = name.split(".")
    holder: Any = loss
    for step in path:
        _check_known(holder, step, loss, name)
        holder = holder.hyperparameters[step]
        if not isinstance(holder, Loss):
            raise TypeError(f"sweep: `{name}`: {step!r} of {loss!r} is no loss.")
    _check_known(holder, last, loss, name)
    return holder, last


def _check_known(holder: Loss, step: str, loss: Loss, name: str) -> None:
    if step not in holder.hyperparameters:
        known = ", ".join(f"`{each}`" for each in holder.hyperparameters) or "none"
        raise TypeError(
            f"sweep: {holder.name} has no hyperparameter `{step}`; it has {known}."
            f"{completed(name, paths_of(loss))}"
        )


def declaration_of(loss: Loss, name: str) -> Hyperparameter | None:
    """The declaration of a hyperparameter; `None` for a part of a sum."""
    holder, last = _holder(loss, name)
    return holder.declared.get(last)


def with_values(loss: Loss, values: Mapping[str, Any]) -> Loss:
    """The loss with these hyperparameters fixed; `base.threshold` is that of the loss `base`."""
    own, nested = by_holder(values)
    for name, inner in nested.items():
        own[name] = with_values(own.get(name, loss.hyperparameters[name]), inner)
    return loss(**own)


def is_real(loss: Loss, name: str, value: Any) -> bool:
    """Whether a compiled step can take a value as a tensor; others are built into the step."""
    declared = declaration_of(loss, name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and declared is not None and real_arm(declared.kind) is not None


def split(loss: Loss, values: Mapping[str, Any]) -> tuple[Values, Values]:
    """The values that a compiled step takes as tensors, and those that are built into it."""
    real = {name: value for name, value in values.items() if is_real(loss, name, value)}
    return real, {name: value for name, value in values.items() if name not in real}


def programs(loss: Loss, grid: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Loss, list[int]]]:
    """Group the combinations that one compiled step can serve: a loss, and their numbers."""
    groups: dict[Any, tuple[Loss, list[int]]] = {}
    changing = loss.changing
    for number, values in enumerate(grid):
        real, fixed = split(loss, values)
        built_in = tuple((name, comparable(value)) for name, value in fixed.items())
        key = tuple(real), built_in
        # What is swept changes no longer, so that no state keeps it.
        held = {name: changing[name].initial for name in real if name in changing}
        groups.setdefault(key, (with_values(loss, {**held, **fixed}), []))[1].append(number)
    yield from groups.values()


class SweptLoss(keras.losses.Loss):
    """A loss whose hyperparameters are tensors that the training loop puts in."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.requested_dtype)
        self.loss = loss
        self.tensors: Mapping[str, Any] = {}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The value at the current hyperparameters."""
        tensors = {name: keras.ops.convert_to_tensor(value) for name, value in self.tensors.items()}
        return traced(self.loss, tensors)(y_true, y_pred, sample_weight)
