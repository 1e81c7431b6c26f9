"""What JAX's trainer does not hand on: the hyperparameters of a step, to the metrics of the step.

It gives the metrics of a training step copies of the predictions, which carry nothing, and the
current values of no variables but those of metrics. So the loss leaves the values in such variables
while it is computed, and a metric that comes with the copies finds them there.
"""

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossmith.core import backend
from lossmith.core.backend import keras
from lossmith.core.changing import Changing, kept_dtype, name_of_variable

_relays: "weakref.WeakSet[Relay]" = weakref.WeakSet()


def relay_of(loss: Any) -> "Relay | None":
    """A relay for the changing hyperparameters of a loss, where there is need for one.

    A matrix is copied only inside of a loss made of losses, whose parts may be metrics.
    """
    relayed = {
        name: kind for name, kind in loss.changing.items() if not kind.is_matrix or "." in name
    }
    return Relay(loss, relayed) if relayed and backend.metrics_get_copies() else None


def relays() -> list["Relay"]:
    """The relays that hold the values of the step that is computed now."""
    return [relay for relay in list(_relays) if relay.is_told and relay._is_in_reach()]


class Relay(keras.metrics.Metric):
    """Keeps the values of a step in variables of a metric, which shows nothing in the logs.

    A state layer has it, and clears it before each step. It is not saved.

    Args:
        loss: the loss of the state.
        changing: those of its hyperparameters that are kept.
    """

    def __init__(self, loss: Any, changing: Mapping[str, Changing]) -> None:
        super().__init__(name="hyperparameters_of_the_step", dtype=kept_dtype())
        self.loss = loss
        self.is_told = False
        self._values = {name: self._add(name, kind.initial) for name, kind in changing.items()}
        self._valid = self.add_variable((), "zeros", "bool", name="valid")
        _relays.add(self)

    def _add(self, name: str, initial: Any) -> Any:
        return self.add_variable(
            np.shape(initial), "zeros", kept_dtype(), name=name_of_variable(name)
        )

    def clear(self) -> None:
        """Forget that the values are there: a new step begins."""
        self.is_told = False

    def tell(self, values: Mapping[str, Any], valid: Any) -> None:
        """Keep the values of this step, if what is computed now is one of Keras' trainer."""
        if self.is_told or not self._is_in_reach():
            return
        for name, variable in self._values.items():
            variable.assign(values[name])
        self._valid.assign(True if valid is None else valid)
        self.is_told = True

    def told(self) -> tuple[dict[str, Any], Any]:
        """The values of this step, and whether they are valid."""
        tensor = keras.ops.convert_to_tensor
        return {name: tensor(each) for name, each in self._values.items()}, tensor(self._valid)

    def _is_in_reach(self) -> bool:
        """Whether the trainer hands on the variables, which are those of its own model."""
        return backend.is_handed_on(self._valid)

    def result(self) -> dict[str, Any]:
        """Nothing for the logs."""
        return {}
