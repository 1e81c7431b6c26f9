"""Hyperparameters that are trained with the model."""

import json
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.core.backend import keras
from lossmith.core.changing import (
    Changing,
    Variables,
    add_variable,
    name_of_variable,
    real_number,
)
from lossmith.core.ranges import Range, range_of, real_arm

if TYPE_CHECKING:
    from lossmith.core.hyperparameters import Hyperparameter

ops = keras.ops


@keras.saving.register_keras_serializable("lossmith")
class Learned(Changing):
    """A hyperparameter that is trained with the model; made by `lossmith.learned`."""

    verb = "be learned"
    may_leave_its_range = False

    def __init__(self, initial: Any, initializer: Any = None) -> None:
        self.initial = initial
        self.initializer = initializer

    def bound(self, loss: str, hyperparameter: "Hyperparameter") -> "Learned":
        """Check that it starts strictly inside its range, where it can move both ways."""
        if hyperparameter.kind is np.ndarray:
            if not isinstance(self.initial, np.ndarray):
                raise TypeError(
                    f"{loss}: hyperparameter `{hyperparameter.name}` is a matrix: "
                    "learned(shape=(classes, dimensions))."
                )
            return self
        super().bound(loss, hyperparameter)
        limits = range_of(real_arm(hyperparameter.kind))
        if not limits.has_inside(self.initial):
            raise ValueError(
                f"{loss}: hyperparameter `{hyperparameter.name}` is learned, so it must start "
                f"inside its range ({hyperparameter.describe()}) and not on its edge; "
                f"got {self.initial!r}."
            )
        return self

    def build(self, layer: Any, name: str, limits: Range) -> Variables:
        """A trainable variable, free to move: its value is mapped into the range."""
        if self.initializer is not None:
            # A clone without a seed draws its own: models of one loss start at different centres.
            weight = layer.add_weight(
                name=name_of_variable(name),
                shape=self.initial.shape,
                initializer=self.initializer.clone(),
            )
            return {"value": weight}
        start = limits.to_free(np.asarray(self.initial, "float64"))
        return {"value": add_variable(layer, name, start, trainable=True)}

    def value(self, variables: Variables, limits: Range) -> Any:
        """The variable, mapped into the range."""
        free = ops.convert_to_tensor(variables["value"])
        return limits.from_free(free, np.asarray(self.initial, "float64"))

    def to_variable(self, value: Any, limits: Range) -> Any:
        """Where the free variable has to be for the hyperparameter to have a value.

        Raises:
            ValueError: if the value is on the edge of the range, which no free variable reaches.
        """
        value = np.asarray(value, "float64")
        if not limits.has_inside(value):
            raise ValueError(f"it is learned, and {value:g} is on the edge of its range.")
        return limits.free_of(value, np.asarray(self.initial, "float64"))

    def get_config(self) -> dict[str, Any]:
        """The first value, or the shape and the initializer."""
        if self.initializer is not None:
            initializer = keras.initializers.serialize(self.initializer)
            return {"shape": list(self.initial.shape), "initializer": initializer}
        initial = self.initial.tolist() if np.ndim(self.initial) else self.initial
        return {"initial": initial}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Learned":
        """Make it again."""
        if "shape" in config:
            return cls(*_empty_matrix(config["shape"], config["initializer"]))
        return cls(_first_value(config["initial"]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Learned) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> str:
        return json.dumps(self.get_config(), sort_keys=True)

    def __repr__(self) -> str:
        if np.ndim(self.initial):
            return f"learned(shape={self.initial.shape})"
        return f"learned({self.initial!r})"


def learned(
    initial: Any = None, *, shape: tuple[int, ...] | None = None, initializer: Any = None
) -> Any:
    """A value for a hyperparameter that is trained with the model, by the model's optimizer.

    `loss.state`, which has to be in the model, keeps it as a trainable weight: it is in
    `model.summary()`, in the saved file and in checkpoints. The weight is free; a smooth map (a
    softplus for a range with one end, a sigmoid for one with two) keeps the value strictly inside
    the hyperparameter's range, and `lossmith.get_hyperparameters(model)` tells it. To fix it from
    some point on, set `trainable = False` on the layer and compile again: on the `state` that was
    put into the model by `state = loss.state`, or on the layer of `model.layers` with its name.

    Only hyperparameters over which minimising the loss makes sense can be learned, as the losses
    say: the scale and shape of a likelihood, class centres. An optimizer with weight decay pulls
    the free weight to 0, that is the value to `initial` in a range with one end, to the middle of
    one with two ends, and to 0 where there is none, as for centres.

    Args:
        initial: the first value: a number, or an array for a matrix.
        shape: of a matrix, if `initial` is not given.
        initializer: of a matrix given by its shape; any Keras initializer, `"glorot_uniform"` by
            default.

    Raises:
        TypeError: if `initial` is neither a number nor an array, looks like a shape, or is given
            together with `shape`; if `shape` is no tuple of integers, or `initializer` none of
            Keras.
        ValueError: if it is not finite, or a length of `shape` is not a positive integer.

    Example:
    >>> import lossmith as ls
    >>> ls.losses.general_adaptive(alpha=ls.learned(1.0), scale=ls.learned(2.0))
    GeneralAdaptive(alpha=learned(1.0), scale=learned(2.0))
    """
    if (initial is None) == (shape is None) or (initializer is not None and shape is None):
        raise TypeError(
            "lossmith.learned takes the first value, learned(1.0), or the shape of a matrix, "
            "learned(shape=(10, 64), initializer=...)."
        )
    if isinstance(initial, tuple) and len(initial) > 1 and all(map(_is_integer, initial)):
        raise TypeError(
            f"lossmith.learned takes the first value; got {initial!r}. Did you mean "
            f"learned(shape={initial!r})? A vector is given as an array."
        )
    if shape is None:
        return Learned(_first_value(initial))
    return Learned(*_empty_matrix(shape, initializer or "glorot_uniform"))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _first_value(initial: Any) -> Any:
    if np.ndim(initial) == 0:
        return real_number("learned", initial)
    array = np.array(initial, "float64")
    if not np.all(np.isfinite(array)):
        raise ValueError("lossmith.learned takes finite numbers; the array has others.")
    array.setflags(write=False)
    return array


def _empty_matrix(shape: Any, initializer: Any) -> tuple[np.ndarray, Any]:
    try:
        sizes = tuple(operator.index(each) for each in shape)
    except TypeError:
        raise TypeError(
            f"lossmith.learned: shape must be a tuple of positive integers; got {shape!r}."
        ) from None
    if not all(size > 0 for size in sizes):
        raise ValueError(f"lossmith.learned: shape must be positive integers; got {shape!r}.")
    made = keras.initializers.get(initializer)
    if not isinstance(made, keras.initializers.Initializer):
        raise TypeError(
            "lossmith.learned: initializer must be a Keras initializer or the name of one, which "
            f"can be saved; got {initializer!r}. An array is the first value: learned(array)."
        )
    empty = np.zeros(sizes)
    empty.setflags(write=False)
    return empty, made
