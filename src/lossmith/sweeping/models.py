"""The models of a sweep: made by the user's function, compiled anew, all of one shape."""

from typing import Any, NamedTuple

import numpy as np

from lossmith.core.backend import keras
from lossmith.sweeping.runs import Weights
from lossmith.sweeping.settings import Settings


class Start(NamedTuple):
    """The values of all variables before the first step."""

    trainable: Weights
    others: Weights
    optimizer: Weights


def make(settings: Settings, loss: Any, seed: int | None = None) -> Any:
    """One more model, compiled with a loss and an optimizer of its own, and built.

    Raises:
        TypeError: if `make_model` returns no Keras model.
        ValueError: if neither it nor the user has chosen an optimizer.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = settings.make_model()
    if not isinstance(model, keras.Model):
        raise TypeError(f"sweep: make_model() must return a Keras model; got {model!r}.")
    chosen = settings.optimizer
    if chosen is None:
        chosen = getattr(model, "optimizer", None)
    if chosen is None:
        raise ValueError(
            "sweep: no optimizer. Compile the model in make_model(), model.compile('adam'), or "
            "give sweep(..., optimizer='adam')."
        )
    metrics = settings.ranking.metrics()
    model.compile(optimizer=_another(chosen), loss=loss, weighted_metrics=metrics or None)
    # What `fit` does first; nothing public builds model, metrics and optimizer without a step.
    model._symbolic_build(data_batch=settings.training.rows(slice(0, settings.batch_size)))
    return model


def _another(optimizer: Any) -> Any:
    made = keras.optimizers.get(optimizer)
    return type(made).from_config(made.get_config())


def start_of(model: Any) -> Start:
    """The values of the variables of a model and of its optimizer."""
    return Start(
        _numbers(model.trainable_variables),
        _numbers(model.non_trainable_variables),
        _numbers(model.optimizer.variables),
    )


def weights_of(model: Any) -> Weights:
    """The values of a model's variables, the state of its random layers included."""
    return _numbers([*model.trainable_variables, *model.non_trainable_variables])


def set_weights(model: Any, weights: Weights) -> None:
    """The inverse of `weights_of`."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)


def _numbers(variables: Any) -> Weights:
    return [_number(variable) for variable in variables]


def _number(variable: Any) -> np.ndarray:
    value = keras.ops.convert_to_tensor(variable)
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        value = keras.ops.cast(value, "float32")
    return np.array(keras.ops.convert_to_numpy(value))


def check_shapes(first: Start, other: Start, seed: int) -> None:
    """Refuse models that differ in more than the values of their variables.

    Raises:
        ValueError: naming the first variables that differ.
    """
    for mine, its in zip(first, other, strict=True):
        shapes = [[each.shape for each in side] for side in (mine, its)]
        if shapes[0] != shapes[1]:
            differing = next(
                (pair for pair in zip(*shapes, strict=False) if pair[0] != pair[1]),
                (f"{len(shapes[0])} variables", f"{len(shapes[1])} variables"),
            )
            raise ValueError(
                "sweep: make_model() must return models of one shape, which differ in their first "
                f"weights only; it returned {differing[0]} and then, with seed {seed}, "
                f"{differing[1]}."
            )
