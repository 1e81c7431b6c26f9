"""Hyperparameters that change while a model trains: what all kinds share, and those set by hand."""

import inspect
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.core.backend import keras
from lossmith.core.ranges import Range, no_bounds, range_of, real_arm
from lossmith.core.wording import shown

if TYPE_CHECKING:
    from lossmith.core.hyperparameters import Hyperparameter

ops = keras.ops
Variables = Mapping[str, Any]


class Changing:
    """What a hyperparameter is bound to if its value is kept in a model and not in the loss.

    Each kind says which variables the model's state layer keeps for it, and computes its value
    from them inside the step.
    """

    verb = "change"
    may_leave_its_range = True
    initial: Any
    """The value at the first step."""

    @property
    def is_matrix(self) -> bool:
        """Whether it is an array, such as the centres of classes."""
        return np.ndim(self.initial) > 0

    def bound(self, loss: str, hyperparameter: "Hyperparameter") -> "Changing":
        """Check that `hyperparameter` may change, and that it starts inside its range.

        Raises:
            TypeError: if it is not a real number, or its constraints are no bounds.
            ValueError: if its first value is outside the range.
        """
        if real_arm(hyperparameter.kind) is None:
            raise TypeError(
                f"{loss}: hyperparameter `{hyperparameter.name}` must be "
                f"{hyperparameter.describe()} and cannot {self.verb} while a model trains: only "
                "real numbers can."
            )
        if no_bounds(real_arm(hyperparameter.kind)):
            raise TypeError(
                f"{loss}: hyperparameter `{hyperparameter.name}` must be "
                f"{hyperparameter.describe()} and cannot {self.verb} while a model trains: only "
                "bounds (Gt, Ge, Lt, Le) can be kept to at every step."
            )
        first = hyperparameter.bind(loss, self.initial)
        if self.may_leave_its_range:
            try:
                check_kept(first, range_of(real_arm(hyperparameter.kind)))
            except ValueError as error:
                raise ValueError(
                    f"{loss}: hyperparameter `{hyperparameter.name}` cannot be {self!r}: {error}"
                ) from None
        return self

    def build(self, layer: Any, name: str, limits: Range) -> Variables:
        """Make the variables of this hyperparameter in a state layer."""
        raise NotImplementedError

    def value(self, variables: Variables, limits: Range) -> Any:
        """The current value, as a tensor."""
        raise NotImplementedError

    def to_variable(self, value: Any, limits: Range) -> Any:
        """What the variable `value` has to hold for this kind to have a value set by hand.

        Raises:
            ValueError: if this kind cannot be set.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """What makes it again, as JSON can hold it."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Changing":
        """Make what `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable("lossmith")
@dataclass(frozen=True)
class Adjustable(Changing):
    """A hyperparameter that is set by hand; made by `lossmith.adjustable`."""

    initial: float

    def build(self, layer: Any, name: str, limits: Range) -> Variables:
        """One variable, which no optimizer trains."""
        return {"value": add_variable(layer, name, self.initial, trainable=False)}

    def value(self, variables: Variables, limits: Range) -> Any:
        """What was set last."""
        return ops.convert_to_tensor(variables["value"])

    def to_variable(self, value: Any, limits: Range) -> Any:
        """The value itself."""
        return value

    def get_config(self) -> dict[str, Any]:
        """The initial value."""
        return {"initial": self.initial}

    def __repr__(self) -> str:
        return f"adjustable({self.initial!r})"


def adjustable(initial: float) -> Any:
    """A value for a hyperparameter that is set by hand while a model trains.

    `loss.state`, which has to be in the model, keeps the value, and it is saved with the model.
    `lossmith.set_hyperparameters(model, threshold=2.0)` sets it, between trainings or from a
    callback in the middle of an epoch; the next step uses it (the next execution under
    `steps_per_execution`), and nothing is compiled again.

    Args:
        initial: the value until it is set.

    Raises:
        TypeError: if it is not a number.

    Example:
    >>> import lossmith as ls
    >>> ls.losses.huber(threshold=ls.adjustable(2.0))
    Huber(threshold=adjustable(2.0))
    """
    return Adjustable(real_number("adjustable", initial))


def advice_on_schedule(value: Any) -> str:
    """What to write where a number is wanted and a schedule was given as it is, or nothing."""
    is_schedule = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
    if not (is_schedule or inspect.isfunction(value)):
        return ""
    return " To let it follow the step, wrap it: lossmith.schedule(...)."


def kept_dtype() -> str:
    """The dtype in which changing values are kept: float32 for half precision as well."""
    return "float64" if keras.config.floatx() == "float64" else "float32"


def check_kept(value: Any, limits: Range) -> None:
    """Refuse a value inside a range that leaves it when it is rounded to be kept.

    Raises:
        ValueError: naming the nearest value that can be kept.
    """
    kept = np.asarray(value, kept_dtype())
    if not limits.holds(kept):
        raise ValueError(
            f"{value!r} is {kept!s} in {kept.dtype}, in which values that change are kept, and "
            f"out of the range; the nearest inside is {limits.nearest_inside(kept)!s}."
        )


def real_number(function: str, value: Any) -> float:
    """A finite or infinite number given to a function of lossmith.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"lossmith.{function} takes a number; got {shown(value)} ({type(value).__name__})."
        )
    return float(value)


def name_of_variable(name: str) -> str:
    """The name of a hyperparameter without what a name of a variable cannot hold."""
    return re.sub("[./]", "_", name)


def add_variable(layer: Any, name: str, initial: Any, *, trainable: bool) -> Any:
    """A variable of a state layer that starts at a number or an array."""
    array = np.asarray(initial, layer.variable_dtype)
    return layer.add_weight(
        name=name_of_variable(name),
        shape=array.shape,
        initializer=lambda shape, dtype: ops.convert_to_tensor(array, dtype),
        trainable=trainable,
        aggregation="none" if trainable else "only_first_replica",
    )
