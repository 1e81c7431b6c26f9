"""Changing hyperparameters seen from the model: put in, read, set and logged."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lossmith.core import backend
from lossmith.core.backend import keras
from lossmith.core.names import completed
from lossmith.core.state import LossState


def with_state(model: Any, loss: Any) -> Any:
    """Return `model` with the state of a loss at its outputs; the layers are shared.

    Args:
        model: a built model: Sequential, functional, or subclassed with one output. It is left as
            it is; compile and train what is returned.
        loss: a loss of lossmith, whose hyperparameters change; for a model with several outputs, a
            dictionary or list of losses as `compile` takes it (`None` and fixed losses are let
            through). With a dictionary the outputs are one too, under the same names.

    Raises:
        TypeError: if the model has a `train_step`, `test_step` or `compute_loss` of its own, which
            the model that is returned would not have, or the loss is none of lossmith.
        ValueError: if none of several losses has a hyperparameter that changes, the losses do not
            match the outputs, or the model has a state of the loss already.

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
    _refuse_own_steps(model)
    if isinstance(loss, Mapping | list | tuple):
        return _with_states(model, loss)
    LossState.check(loss)
    _refuse_second_state(model, loss)
    state = loss.state
    if isinstance(model, keras.Sequential):
        extended = keras.Sequential([*_input_like(model), *model.layers, state])
    elif isinstance(model, keras.Model) and hasattr(model, "operations"):
        extended = keras.Model(model.input, state(model.output))
    else:
        extended = keras.Sequential([model, state])
    return extended


def _input_like(model: Any) -> list[Any]:
    """A new input of the shape, dtype and name of a Sequential's; none if it is not built."""
    if not model.built:
        return []
    (first,) = model.inputs
    return [keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name)]


def _refuse_own_steps(model: Any) -> None:
    for step in ("train_step", "test_step", "compute_loss"):
        if getattr(type(model), step) is not getattr(keras.Model, step):
            raise TypeError(
                f"{type(model).__name__} has a {step} of its own, which with_state would lose: put "
                "loss.state into the model itself, where the predictions leave it."
            )


def _refuse_second_state(model: Any, loss: Any) -> None:
    for name, state in _states(model):
        if state.loss == loss:
            raise ValueError(
                f"The model has a state of {loss!r} already, `{name}`; a second one would hide it."
            )


def _with_states(model: Any, losses: Any) -> Any:
    if not hasattr(model, "operations"):
        raise ValueError(
            "with_state takes several losses for a functional model only; in the `call` of a "
            "subclassed model, give each output to the state of its loss."
        )
    pairs = losses if isinstance(losses, Mapping) else dict(enumerate(losses))
    outputs = model.output if isinstance(model.output, Mapping) else model.outputs
    if isinstance(losses, Mapping) and not isinstance(outputs, Mapping):
        outputs = dict(zip(model.output_names, outputs, strict=True))
    keys = list(outputs) if isinstance(outputs, Mapping) else list(range(len(outputs)))
    if set(pairs) - set(keys):
        raise ValueError(f"with_state: losses for {list(pairs)}, but the outputs are {keys}.")
    changing = {key: loss for key, loss in pairs.items() if getattr(loss, "changing", None)}
    if not changing:
        raise ValueError("with_state: none of the losses has a hyperparameter that changes.")
    for each in changing.values():
        _refuse_second_state(model, each)
    ended = {
        key: changing[key].state(outputs[key]) if key in changing else outputs[key] for key in keys
    }
    return keras.Model(
        model.input, ended if isinstance(outputs, Mapping) else [ended[key] for key in keys]
    )


def get_hyperparameters(model: Any) -> dict[str, Any]:
    """The current values of the hyperparameters that change in a model.

    Where several losses keep a state in the model, the names begin with that of the layer,
    `loss_state_1.threshold`, and where layers in several parts of the model have one name, with
    those of the parts, `first/loss_state.threshold`. The value is that which the next step (or
    evaluation) uses.

    Args:
        model: the model that is (or was) trained.

    Returns:
        A number for each, an array for a matrix; empty if nothing changes.

    Raises:
        ValueError: if one is NaN or out of its range, naming it, or the model is not built.
    """
    found = {}
    for name, (state, inner) in _places(model).items():
        value = state.numbers()[inner]
        if not bool(state.range_of(inner).contains(value)):
            shown = f"{value:g}" if value.ndim == 0 else "not finite"
            raise ValueError(
                f"{state.loss!r}: `{inner}` is {shown} at this step, out of its range "
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
        ValueError: if the value is out of its range, or follows a schedule, or the model is not
            built. Nothing is set then.

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
            raise TypeError(
                f"No hyperparameter `{name}` changes in this model; there is {there}."
                f"{completed(name, places)}"
            )
        state, inner = places[name]
        checked.append((state, inner, state.checked(inner, value)))
    for state, inner, value in checked:
        state.assign(inner, value)


def _places(model: Any) -> dict[str, tuple[LossState, str]]:
    states = _states(model)
    backend.synchronise(model)
    if not all(state.built for _, state in states):
        raise ValueError(
            f"The hyperparameters of `{model.name}` are not there before it is built: give it a "
            "keras.Input, or call it once on data."
        )
    if any(backend.is_held_elsewhere(each) for _, state in states for each in state.weights):
        raise ValueError(
            f"The hyperparameters of `{model.name}` are out of reach while another model that "
            "contains it is being trained: give the model whose `fit` runs."
        )
    keeping = [(prefix, state) for prefix, state in states if state.loss.changing]
    return {
        f"{prefix}.{name}" if len(keeping) > 1 else name: (state, name)
        for prefix, state in keeping
        for name in state.loss.changing
    }


def _states(model: Any) -> list[tuple[str, LossState]]:
    """The states in a model by their names, or by where they are if they share one."""
    paths = dict(_paths_of_states(model))
    names = Counter(state.name for state in paths)
    return [(path if names[state.name] > 1 else state.name, state) for state, path in paths.items()]


def _paths_of_states(layer: Any, path: str = "") -> Iterator[tuple[LossState, str]]:
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if isinstance(inner, LossState):
            yield inner, f"{path}{inner.name}"
        else:
            yield from _paths_of_states(inner, f"{path}{inner.name}/")


class LogHyperparameters(keras.callbacks.Callback):
    """Adds the current values of changing hyperparameters to the logs, as `learning_rate` is.

    After each epoch the logs (and `History`) hold the values under the names of
    `get_hyperparameters`: those that the validation of this epoch used, and the next step will.
    Arrays are left out. Given to `evaluate`, it adds them to the logs of the evaluation.

    Raises:
        ValueError: after an epoch or evaluation in which a schedule has given NaN or left its
            range.

    Example:
    >>> import lossmith as ls
    >>> callbacks = [ls.LogHyperparameters()]
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the values to the logs of the epoch."""
        self._add(logs)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Add the values to what the callbacks after this one see of an evaluation."""
        self._add(logs)

    def _add(self, logs: dict[str, Any] | None) -> None:
        values = get_hyperparameters(self.model)
        if logs is not None:
            logs.update({n: v for n, v in values.items() if not isinstance(v, np.ndarray)})
