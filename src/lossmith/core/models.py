"""Changing hyperparameters seen from the model: put in, read, set and logged."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossmith.core import backend
from lossmith.core.backend import keras
from lossmith.core.state import LossState


def with_state(model: Any, loss: Any) -> Any:
    """Return `model` with the state of a loss at its outputs; the layers are shared.

    Args:
        model: a built model: Sequential, functional, or subclassed with one output. It is left as
            it is; compile and train what is returned.
        loss: a loss with a hyperparameter that changes; for a model with several outputs, a
            dictionary or list of losses as `compile` takes it (`None` and fixed losses are let
            through).

    Raises:
        ValueError: if no loss has a hyperparameter that changes, or the losses do not match the
            outputs.

    Example:
    >>> import keras
    >>> import lossmith as ls
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> loss = ls.losses.huber(threshold=ls.adjustable(2.0))
    >>> model = ls.with_state(model, loss)
    >>> model.compile("sgd", loss)
    >>> ls.get_hyperparameters(model)
    {'threshold': 2.0}
    """
    if isinstance(loss, Mapping | list | tuple):
        return _with_states(model, loss)
    state = loss.state
    if isinstance(model, keras.Sequential):
        inputs = [keras.Input(batch_shape=model.input_shape)] if model.built else []
        extended = keras.Sequential([*inputs, *model.layers, state])
    elif isinstance(model, keras.Model) and hasattr(model, "operations"):
        extended = keras.Model(model.input, state(model.output))
    else:
        extended = keras.Sequential([model, state])
    return extended


def _with_states(model: Any, losses: Any) -> Any:
    if not hasattr(model, "operations"):
        raise ValueError(
            "with_state takes several losses for a functional model only; in the `call` of a "
            "subclassed model, give each output to the state of its loss."
        )
    pairs = losses if isinstance(losses, Mapping) else dict(enumerate(losses))
    outputs = model.output if isinstance(model.output, Mapping) else model.outputs
    keys = list(outputs) if isinstance(outputs, Mapping) else list(range(len(outputs)))
    if set(pairs) - set(keys):
        raise ValueError(f"with_state: losses for {list(pairs)}, but the outputs are {keys}.")
    changing = {key: loss for key, loss in pairs.items() if getattr(loss, "changing", None)}
    if not changing:
        raise ValueError("with_state: none of the losses has a hyperparameter that changes.")
    ended = {
        key: changing[key].state(outputs[key]) if key in changing else outputs[key] for key in keys
    }
    return keras.Model(
        model.input, ended if isinstance(outputs, Mapping) else [ended[key] for key in keys]
    )


def get_hyperparameters(model: Any) -> dict[str, Any]:
    """The current values of the hyperparameters that change in a model.

    Where several losses keep a state in the model, the names begin with that of the layer:
    `loss_state_1.threshold`. The value is that which the next step (or evaluation) uses.

    Args:
        model: the model that is (or was) trained.

    Returns:
        A number for each, an array for a matrix; empty if nothing changes.

    Raises:
        ValueError: if one is NaN or out of its range, naming it.
    """
    found = {}
    for name, (state, inner) in _places(model).items():
        value = state.numbers()[inner]
        if not bool(state.range_of(inner).contains(value)):
            raise ValueError(
                f"{state.loss!r}: `{inner}` is {value:g} at this step, out of its range "
                f"({state.declared(inner).describe()}), so that the loss is NaN."
            )
        found[name] = float(value) if value.ndim == 0 else value
    return found


def set_hyperparameters(model: Any, values: Mapping[str, Any] | None = None, **named: Any) -> None:
    """Set hyperparameters by hand; the next step uses them, without compiling again.

    It may be called between trainings and from any callback, in the middle of an epoch too.

    Args:
        model: the model that is trained, the one whose `fit` runs.
        values: new values by the names of `get_hyperparameters`, those with a dot included.
        **named: the same as keywords.

    Raises:
        TypeError: if the model has no such hyperparameter, or the value is of another type.
        ValueError: if the value is out of its range, or follows a schedule. Nothing is set then.

    Example:
    >>> import keras
    >>> import lossmith as ls
    >>> loss = ls.losses.huber(threshold=ls.adjustable(2.0))
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), loss.state])
    >>> ls.set_hyperparameters(model, threshold=0.5)
    >>> ls.get_hyperparameters(model)
    {'threshold': 0.5}
    """
    places = _places(model)
    wanted = {**(values or {}), **named}
    checked = []
    for name, value in wanted.items():
        if name not in places:
            there = ", ".join(places) or "none"
            raise TypeError(f"No hyperparameter `{name}` changes in this model; there is {there}.")
        state, inner = places[name]
        checked.append((state, inner, state.checked(inner, value)))
    for state, inner, value in checked:
        state.assign(inner, value)


def _places(model: Any) -> dict[str, tuple[LossState, str]]:
    states = [layer for layer in model._flatten_layers() if isinstance(layer, LossState)]
    backend.synchronise(model)
    if any(backend.is_held_elsewhere(each) for state in states for each in state.weights):
        raise ValueError(
            f"The hyperparameters of `{model.name}` are out of reach while another model that "
            "contains it is being trained: give the model whose `fit` runs."
        )
    return {
        f"{state.name}.{name}" if len(states) > 1 else name: (state, name)
        for state in states
        for name in state.loss.changing
    }


class LogHyperparameters(keras.callbacks.Callback):
    """Adds the current values of changing hyperparameters to the logs, as `learning_rate` is.

    After each epoch the logs (and `History`) hold the values under the names of
    `get_hyperparameters`: those that the validation of this epoch used, and the next step will.
    Arrays are left out.

    Raises:
        ValueError: after an epoch in which a schedule has given NaN or left its range.

    Example:
    >>> import lossmith as ls
    >>> callbacks = [ls.LogHyperparameters()]
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the values to the logs of the epoch."""
        values = get_hyperparameters(self.model)
        if logs is not None:
            logs.update({n: v for n, v in values.items() if not isinstance(v, np.ndarray)})
