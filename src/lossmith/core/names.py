"""Dotted names of hyperparameters: `huber.loss.threshold` is one of a loss inside a loss."""

from collections.abc import Iterable, Iterator
from typing import Any

from lossmith.core.backend import keras


def paths_of(loss: Any) -> Iterator[str]:
    """The dotted names of all hyperparameters of a loss, those of the losses inside included."""
    for name, value in loss.hyperparameters.items():
        yield name
        if isinstance(value, keras.losses.Loss):
            yield from (f"{name}.{inner}" for inner in paths_of(value))


def completed(name: str, known: Iterable[str]) -> str:
    """Words that ask whether known names are meant by one that misses steps of their paths.

    Returns:
        A question that begins with a space, or nothing if no known name fits.
    """
    meant = [f"`{each}`" for each in known if each != name and _misses_steps(name, each)]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def _misses_steps(name: str, path: str) -> bool:
    """Whether the steps of a name are some of those of a path, in their order and up to its end."""
    steps, there = name.split("."), path.split(".")
    remaining = iter(there)
    return steps[-1] == there[-1] and all(step in remaining for step in steps)
