"""The models of a sweep: made by the user's function, compiled anew, all of one shape."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lossmith.core import Loss, backend
from lossmith.core.backend import keras
from lossmith.sweeping.runs import Weights
from lossmith.sweeping.settings import Settings

_MAY_DIFFER = ("name", "seed")
"""What equal models may have different in their configurations."""


class Start(NamedTuple):
    """The values of all variables before the first step."""

    trainable: Weights
    others: Weights
    optimizer: Weights
    generator: Any
    """What layers draw from, where that is no variable."""
    description: Any = None
    """What the model is made of, as `described` tells it."""


def make(settings: Settings, loss: Loss, seed: int, swept: Any = None) -> Any:
    """One more model, compiled with an optimizer of its own, and built as `fit` builds it.

    Args:
        settings: of the sweep.
        loss: what the model is made for.
        seed: Keras' random seed.
        swept: what it is compiled with, if not with `loss` itself.

    Raises:
        TypeError: if `make_model` returns no Keras model.
        ValueError: if neither it nor the user has chosen an optimizer.
    """
    keras.utils.set_random_seed(seed)
    model = settings.make_model(loss)
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
    model.compile(
        optimizer=_another(chosen),
        loss=loss if swept is None else swept,
        weighted_metrics=settings.ranking.metrics() or None,
        jit_compile=model.jit_compile if model.compiled else "auto",
    )
    model.fit(settings.batches(seed), epochs=0, verbose=0)
    # TensorFlow leaves that to the first step; no public call builds metrics and optimizer.
    model._symbolic_build(data_batch=settings.training.rows(slice(0, settings.batch_size)))
    return model


def _another(optimizer: Any) -> Any:
    made = keras.optimizers.get(optimizer)
    return type(made).from_config(made.get_config())


def start_of(model: Any) -> Start:
    """The values of the variables of a model just made, and of its optimizer."""
    return Start(
        _numbers(model.trainable_variables),
        _numbers(model.non_trainable_variables),
        _numbers(model.optimizer.variables),
        backend.generator_state(),
        described(model),
    )


def set_back(model: Any, start: Start) -> None:
    """The inverse of `start_of`."""
    set_weights(model, [*start.trainable, *start.others])
    _assign(model.optimizer.variables, start.optimizer)
    backend.set_generator_state(start.generator)


def weights_of(model: Any) -> Weights:
    """The values of a model's variables, the state of its random layers included."""
    return _numbers([*model.trainable_variables, *model.non_trainable_variables])


def keeps_averages(model: Any) -> bool:
    """Whether `fit` ends by putting averages of the weights in their place."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return any(each.use_ema for each in getattr(optimizer, "optimizers", [optimizer]))


def set_weights(model: Any, weights: Weights) -> None:
    """The inverse of `weights_of`."""
    _assign([*model.trainable_variables, *model.non_trainable_variables], weights)


def _assign(variables: Any, values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _numbers(variables: Any) -> Weights:
    return [_number(variable) for variable in variables]


def _number(variable: Any) -> np.ndarray:
    return as_number(keras.ops.convert_to_tensor(variable))


def as_number(value: Any) -> np.ndarray:
    """A tensor as an array of a dtype that files of NumPy hold."""
    if keras.backend.standardize_dtype(value.dtype) == "bfloat16":
        value = keras.ops.cast(value, "float32")
    return np.array(keras.ops.convert_to_numpy(value))


def described(model: Any) -> dict[str, Any]:
    """What equal models have in common, as JSON: layers, shapes and, where it has one, the config.

    Names that Keras counts up, so that no two models share them, are left out.
    """
    try:
        config = keras.saving.serialize_keras_object(model)["config"]
        text = json.dumps(config, sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):
        text = "null"
    layers = list(model._flatten_layers())
    operations = [inner for layer in layers for inner in getattr(layer, "operations", ())]
    numbers: dict[str, str] = {}
    for each in [*layers, *operations]:
        numbers.setdefault(each.name, f"#{len(numbers)}")
    return {
        "config": _renamed(json.loads(text), numbers),
        "layers": [type(layer).__name__ for layer in layers],
        "shapes": [list(each.shape) for each in model.variables],
    }


def described_optimizer(model: Any) -> Any:
    """The configuration of the optimizer that a model is compiled with."""
    config = json.loads(json.dumps(keras.optimizers.serialize(model.optimizer)))
    return _renamed(config, {model.optimizer.name: "#0"})


def _renamed(config: Any, names: Mapping[str, str]) -> Any:
    if isinstance(config, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in config.items()}
    if isinstance(config, list):
        return [_renamed(each, names) for each in config]
    return names.get(config, config) if isinstance(config, str) else config


def check_alike(first: Start, other: Start, seed: int) -> None:
    """Refuse models that differ in more than the values of their variables.

    Raises:
        ValueError: naming the first variables or settings that differ.
    """
    for mine, its in zip(first[:3], other[:3], strict=True):
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
    for part in ("layers", "config"):
        found = _difference(first.description[part], other.description[part], part)
        if found:
            raise ValueError(
                "sweep: make_model() must return models of the same layers, which differ in their "
                f"first weights only; with seed {seed} it returned another one: {found}."
            )


def _difference(first: Any, other: Any, place: str) -> str:
    """The first place where two configurations differ, in words; seeds and names may."""
    if isinstance(first, dict) and isinstance(other, dict) and first.keys() == other.keys():
        pairs = [(name, first[name], other[name]) for name in first if name not in _MAY_DIFFER]
    elif isinstance(first, list) and isinstance(other, list) and len(first) == len(other):
        pairs = [(place, *each) for each in zip(first, other, strict=True)]
    else:
        return "" if first == other else f"its {place} is {other!r} and was {first!r}"
    return next(filter(None, (_difference(mine, its, name) for name, mine, its in pairs)), "")
