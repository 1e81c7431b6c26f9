"""The layer that keeps the changing hyperparameters of a loss inside a model."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from lossmith.core import backend, tracing
from lossmith.core.backend import keras
from lossmith.core.changing import check_kept, kept_dtype
from lossmith.core.hyperparameters import Hyperparameter
from lossmith.core.ranges import Range, range_of, real_arm
from lossmith.core.relay import relay_of

ops = keras.ops
_COUNTED = "lossmith_counted"


@keras.saving.register_keras_serializable("lossmith")
class LossState(keras.layers.Layer):
    """Keeps the hyperparameters of a loss that change, and sends them along with the predictions.

    The layer returns its inputs as they are. The values travel with the tensor itself, as masks
    do, so that a loss always meets those of the model that made its predictions, whoever else
    holds a copy of the model or the same loss. Made by `loss.state`; of a loss of which nothing
    changes it keeps nothing.

    A step is a call of the model in training, however often its layers call the state in it.

    Args:
        loss: the loss; the model is compiled with it, or with one that differs only in name,
            reduction or dtype, or is a part of it.
        **kwargs: `name` and `trainable`, as for any layer.

    Raises:
        TypeError: if it is no loss of lossmith.
    """

    def __init__(self, loss: Any, **kwargs: Any) -> None:
        self.check(loss)
        super().__init__(**{**kwargs, "dtype": kept_dtype(), "autocast": False})
        self.loss = loss
        self.supports_masking = True
        self._counter: Any = None
        self._variables: dict[str, Mapping[str, Any]] = {}
        self._relay: Any = None

    @staticmethod
    def check(loss: Any) -> None:
        """Refuse what is no loss of lossmith."""
        if not hasattr(loss, "changing"):
            raise TypeError(f"A LossState belongs to a loss of lossmith; got {loss!r}.")

    def build(self, input_shape: Any = None) -> None:
        """Make the variables."""
        for name, kind in self.loss.changing.items():
            self._variables[name] = kind.build(self, name, self.range_of(name))
        self._relay = relay_of(self.loss)

    def declared(self, name: str) -> Hyperparameter:
        """The declaration of a hyperparameter, `base.threshold` of one in a nested loss."""
        *path, last = name.split(".")
        loss = self.loss
        for step in path:
            loss = loss.hyperparameters[step]
        return loss.declared[last]

    def range_of(self, name: str) -> Range:
        """The range that the loss declares for a hyperparameter."""
        return range_of(real_arm(self.declared(name).kind))

    def step_counter(self) -> Any:
        """The number of training steps done, for all schedules of the loss."""
        if self._counter is None:
            self._counter = self.add_weight(
                name="step",
                shape=(),
                dtype="int32",
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
            )
        return self._counter

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the inputs, which carry the current values to the loss."""
        if self._relay is not None:
            self._relay.clear()
        if self._counter is None:
            tracing.send(inputs, self.loss, self.current())
            return inputs
        steps = self._steps_done(bool(training))
        current = self.current(steps)._replace(
            training_is_known=self._knows_training(training), memory=self.memory(training, steps)
        )
        tracing.send(inputs, self.loss, current)
        return inputs

    def _steps_done(self, training: bool) -> Any:
        """The number of steps before this call of the model, which counts once in training."""
        this_pass = backend.pass_of(self)
        counted = getattr(this_pass, _COUNTED, {})
        key = id(self), training
        if key not in counted:
            counted = {**counted, key: ops.copy(ops.convert_to_tensor(self._counter))}
            setattr(this_pass, _COUNTED, counted)
            if training:
                self._counter.assign_add(1)
        return counted[key]

    def memory(self, training: bool | None, steps: Any) -> Any:
        """What the loss reads and writes beside its hyperparameters, if it does."""
        return None

    def _knows_training(self, training: bool | None) -> bool:
        """Whether no `training` means inference, as in `model(x)`.

        It does not where the `call` of a subclassed model takes no `training`, or, on JAX, does not
        hand it on: there Keras does not do so by itself.
        """
        outermost = self._get_call_context().entry_layer
        return training is not None or (outermost is not self and outermost._call_has_training_arg)

    def current(self, steps: Any = None) -> tracing.Current:
        """The values after so many steps as tensors; for one that is not valid the first one."""
        values, valid = {}, None
        for name, kind in self.loss.changing.items():
            limits = self.range_of(name)
            variables = self._variables[name]
            if "step" in variables:
                variables = {"step": steps}
            values[name] = value = kind.value(variables, limits)
            if kind.may_leave_its_range:
                fits = limits.contains(value)
                values[name] = ops.where(fits, value, ops.full_like(value, kind.initial))
                valid = fits if valid is None else ops.logical_and(valid, fits)
            if kind.is_matrix and "." in name:
                # The optimizer changes it in place before the parts of the loss are measured.
                values[name] = ops.copy(value)
        if self._relay is None:
            return tracing.Current(values, valid)
        return tracing.Current(values, valid, tell=partial(self._relay.tell, values, valid))

    def numbers(self) -> dict[str, Any]:
        """The current values as NumPy sees them, whether valid or not."""
        found = {}
        for name, kind in self.loss.changing.items():
            value = kind.value(self._variables[name], self.range_of(name))
            found[name] = np.asarray(ops.convert_to_numpy(value))
        return found

    def checked(self, name: str, value: Any) -> Any:
        """A new value for a hyperparameter, validated.

        Raises:
            TypeError, ValueError: if it is of another type or out of its range, or if the
                hyperparameter cannot be set.
        """
        if ops.is_tensor(value) and backend.is_concrete(value):
            value = ops.convert_to_numpy(value)
        bound = _bound(self.loss, name, value)
        if isinstance(bound, bool) or not isinstance(bound, int | float | np.ndarray):
            raise TypeError(
                f"{self.loss.name}: `{name}` can be set to a number or an array; got {value!r}."
            )
        try:
            check_kept(bound, self.range_of(name))
            kept = self.loss.changing[name].to_variable(bound, self.range_of(name))
        except ValueError as error:
            raise ValueError(f"{self.loss.name}: `{name}` cannot be set: {error}") from None
        shape = tuple(self._variables[name]["value"].shape)
        if np.shape(kept) != shape:
            raise ValueError(
                f"{self.loss.name}: `{name}` has shape {shape}; got shape {np.shape(kept)}."
            )
        return kept

    def assign(self, name: str, value: Any) -> None:
        """Store what `checked` returned."""
        self._variables[name]["value"].assign(value)

    def get_config(self) -> dict[str, Any]:
        """The loss; the values are weights."""
        config = {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.loss)}
        del config["dtype"]
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LossState":
        """Make the layer again, with its first values."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


def _bound(loss: Any, name: str, value: Any) -> Any:
    """`value` as the loss would bind it, checked together with its other hyperparameters."""
    head, _, rest = name.partition(".")
    if rest:
        return _bound(loss.hyperparameters[head], rest, value)
    return loss(**{head: value}).hyperparameters[head]
