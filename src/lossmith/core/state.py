"""The layer that keeps the changing hyperparameters of a loss inside a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossmith.core import tracing
from lossmith.core.backend import keras
from lossmith.core.hyperparameters import Hyperparameter
from lossmith.core.ranges import Range, range_of, real_arm

ops = keras.ops


@keras.saving.register_keras_serializable("lossmith")
class LossState(keras.layers.Layer):
    """Keeps the hyperparameters of a loss that change, and sends them along with the predictions.

    The layer returns its inputs as they are. The values travel with the tensor itself, as masks
    do, so that a loss always meets those of the model that made its predictions, whoever else
    holds a copy of the model or the same loss. Made by `loss.state`.

    Args:
        loss: the loss; the model is compiled with it, or with one that differs only in name,
            reduction or dtype, or is a part of it.
        **kwargs: `name` and `trainable`, as for any layer.

    Raises:
        ValueError: if the loss has no hyperparameter that changes.
    """

    def __init__(self, loss: Any, **kwargs: Any) -> None:
        self.check(loss)
        dtype = "float64" if keras.config.floatx() == "float64" else "float32"
        super().__init__(**{**kwargs, "dtype": dtype, "autocast": False})
        self.loss = loss
        self.supports_masking = True
        self._counter: Any = None
        self._variables: dict[str, Mapping[str, Any]] = {}

    @staticmethod
    def check(loss: Any) -> None:
        """Refuse a loss that has nothing to keep."""
        if not getattr(loss, "changing", None):
            raise ValueError(
                f"{loss!r} has no state: all its hyperparameters are fixed. One that changes is "
                "given as lossmith.schedule(...), adjustable(...) or learned(...)."
            )

    def build(self, input_shape: Any = None) -> None:
        """Make the variables."""
        for name, kind in self.loss.changing.items():
            self._variables[name] = kind.build(self, name, self.range_of(name))

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
        current = self.current()
        if self._counter is not None:
            current = current._replace(training_is_known=self._knows_training(training))
        memory = self.memory(training)
        if self._counter is not None and training:
            self._counter.assign_add(1)
        tracing.send(inputs, self.loss, current._replace(memory=memory))
        return inputs

    def memory(self, training: bool | None) -> Any:
        """What the loss reads and writes beside its hyperparameters, if it does."""
        return None

    def _knows_training(self, training: bool | None) -> bool:
        """Whether no `training` means inference, as in `model(x)`.

        It does not where the `call` of a subclassed model takes no `training`, or, on JAX, does not
        hand it on: there Keras does not do so by itself.
        """
        outermost = self._get_call_context().entry_layer
        return training is not None or (outermost is not self and outermost._call_has_training_arg)

    def current(self) -> tracing.Current:
        """The current values as tensors; the first one stands in for one that is not valid."""
        values, valid = {}, None
        for name, kind in self.loss.changing.items():
            limits = self.range_of(name)
            values[name] = value = kind.value(self._variables[name], limits)
            if kind.may_leave_its_range:
                fits = limits.contains(value)
                values[name] = ops.where(fits, value, ops.full_like(value, kind.initial))
                valid = fits if valid is None else ops.logical_and(valid, fits)
        return tracing.Current(values, valid)

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
        bound = _bound(self.loss, name, value)
        if isinstance(bound, bool) or not isinstance(bound, int | float | np.ndarray):
            raise TypeError(
                f"{self.loss.name}: `{name}` can be set to a number or an array; got {value!r}."
            )
        try:
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
