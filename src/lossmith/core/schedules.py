"""Hyperparameters that follow the step or the epoch."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lossmith.core import registry
from lossmith.core.backend import keras
from lossmith.core.changing import Changing, Variables
from lossmith.core.ranges import Range

ops = keras.ops
LearningRateSchedule: Any = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("lossmith")
@dataclass(frozen=True)
class Schedule(Changing):
    """A hyperparameter that follows the step or epoch; made by `lossmith.schedule`."""

    source: Any
    steps_per_epoch: int | None = None
    verb = "follow a schedule"

    @functools.cached_property
    def initial(self) -> float:
        """The value at step 0."""
        return float(ops.convert_to_numpy(self.at(ops.zeros((), "int32"))))

    def at(self, step: Any) -> Any:
        """The value at an integer step, as a tensor."""
        if self.steps_per_epoch is not None:
            step = ops.floor_divide(step, self.steps_per_epoch)
        value = ops.convert_to_tensor(self._given(ops.cast(step, "float32")))
        if tuple(value.shape) != ():
            raise ValueError(f"{self!r} must give one number; it gave shape {tuple(value.shape)}.")
        return value

    def _given(self, step: Any) -> Any:
        try:
            value = self.source(step)
        except TypeError as error:
            raise TypeError(
                f"{self!r} cannot be computed from a tensor, which the step is: write it with "
                "keras.ops and arithmetic, and ops.where in the place of `if`. "
                f"({type(error).__name__}: {str(error).partition('.')[0]})"
            ) from error
        if value is None or isinstance(value, str):
            raise TypeError(f"{self!r} must return a number; it returned {value!r}.")
        return value

    def build(self, layer: Any, name: str, limits: Range) -> Variables:
        """A counter of training steps."""
        return {"step": layer.step_counter()}

    def value(self, variables: Variables, limits: Range) -> Any:
        """The schedule at the number of steps done."""
        return self.at(ops.convert_to_tensor(variables["step"]))

    def to_variable(self, value: Any, limits: Range) -> Any:
        """A schedule cannot be set.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"it follows {self!r}: declare it with lossmith.adjustable(...) to set it by hand."
        )

    def get_config(self) -> dict[str, Any]:
        """The schedule by its configuration, or a function by its registered name."""
        if isinstance(self.source, LearningRateSchedule):
            source: Any = keras.saving.serialize_keras_object(self.source)
        else:
            registry.check_still_registered(self.source)
            source = registry.registered_name(self.source)
        return {"source": source, "steps_per_epoch": self.steps_per_epoch}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Schedule":
        """Make it again.

        Raises:
            ValueError: if the module of the function was not imported.
        """
        source = config["source"]
        if not isinstance(source, str):
            return cls(keras.saving.deserialize_keras_object(source), config["steps_per_epoch"])
        function = keras.saving.get_registered_object(source)
        if function is None:
            raise ValueError(
                f"The schedule `{source}` is unknown: import `{source.partition('>')[0]}` before "
                "loading it, where the function is decorated with @lossmith.schedule."
            )
        return cls(function, config["steps_per_epoch"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        if not isinstance(self.source, LearningRateSchedule):
            return self.source, self.steps_per_epoch
        config = json.dumps(self.source.get_config(), sort_keys=True, default=str)
        return type(self.source), config, self.steps_per_epoch

    def __repr__(self) -> str:
        named = self.source if inspect.isfunction(self.source) else type(self.source)
        epochs = "" if self.steps_per_epoch is None else f", steps_per_epoch={self.steps_per_epoch}"
        return f"schedule({named.__name__}{epochs})"


def schedule(
    source: Callable[[Any], Any] | None = None,
    *,
    steps_per_epoch: int | None = None,
) -> Any:
    """A value for a hyperparameter that follows the training step, or the epoch.

    `loss.state`, which has to be in the model, counts the training steps and computes the value
    inside the compiled step. The first step sees `source(0)`; evaluation sees the value that the
    next training step would. The count is saved with the model, so that resumed training goes on.

    A value that is NaN or out of the hyperparameter's range makes the loss NaN and its gradient 0,
    so that it shows and spoils no weight; `lossmith.LogHyperparameters` raises.

    Args:
        source: a function of the step, a float32 tensor, written with `keras.ops` or arithmetic;
            or any `keras.optimizers.schedules.LearningRateSchedule`. To load a model that was
            saved with a function, the module that makes the schedule has to be imported, so
            write it as a decorator. It is saved by its name: of two with one name in a module the
            one defined first is refused when it is saved.
        steps_per_epoch: if given, `source` gets the number of epochs done instead of the step.

    Raises:
        TypeError: for a lambda, a class or anything else that could not be saved, and for what is
            a schedule already.
        ValueError: if `steps_per_epoch` is not a positive integer.

    Example:
    >>> import lossmith as ls
    >>> @ls.schedule
    ... def tightening(step):
    ...     return 5.0 * 0.99**step
    >>> ls.losses.huber(threshold=tightening)
    Huber(threshold=schedule(tightening))
    """
    wrong = not isinstance(steps_per_epoch, int | None) or isinstance(steps_per_epoch, bool)
    if wrong or (steps_per_epoch is not None and steps_per_epoch < 1):
        raise ValueError(f"steps_per_epoch must be a positive integer; got {steps_per_epoch!r}.")
    if source is None:
        return functools.partial(schedule, steps_per_epoch=steps_per_epoch)
    if isinstance(source, Changing):
        raise TypeError(f"lossmith.schedule got {source!r}, which changes already: give that.")
    if not isinstance(source, LearningRateSchedule):
        if not inspect.isfunction(source):
            raise TypeError(
                "lossmith.schedule takes a function of the step or a Keras LearningRateSchedule; "
                f"got {source!r}."
            )
        registry.register_function(source)
    return Schedule(source, steps_per_epoch)
