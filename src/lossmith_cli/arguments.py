"""Arguments of the command line that are more than a word or a number."""

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import typer

_Choice = TypeVar("_Choice", bound=StrEnum)


class Preset(StrEnum):
    """Where settings that are not given come from, and the networks there are."""

    DEFAULT = "default"
    LAB = "lab"


class Distance(StrEnum):
    """The distances of `lossmith.distances`."""

    EUCLIDEAN = "euclidean"
    SQUARED_EUCLIDEAN = "squared_euclidean"
    MANHATTAN = "manhattan"
    COSINE = "cosine"


class Pairs(StrEnum):
    """The pairs to evaluate on."""

    BALANCED = "balanced"
    LAB = "lab"


def one_of(choices: type[_Choice]) -> Callable[[str], _Choice]:
    """What reads a word of an option as one of a few choices, and refuses others in plain words."""

    def read(word: str) -> _Choice:
        try:
            return choices(word)
        except ValueError:
            known = ", ".join(repr(choice.value) for choice in choices)
            raise typer.BadParameter(f"{word!r} is not one of {known}.") from None

    return read


def parse_image_size(text: str | None) -> tuple[int, int] | None:
    """`"64"` or `"48x64"` (height x width) as two numbers.

    Raises:
        ValueError: If it is neither.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(
            f"An image size is a number of pixels or height x width, such as 64 or 48x64. "
            f"Received: {text!r}."
        )
    return int(sides[0]), int(sides[-1])


def parse_hyperparameters(assignments: Sequence[str], margin: float | None) -> dict[str, Any]:
    """The hyperparameters of the loss from `--set NAME=VALUE` and `--margin`.

    Args:
        assignments: `name=value` texts; values are read as JSON if they are, else as words.
        margin: What `--margin` says.

    Raises:
        ValueError: If one has no name or no `=`, or contradicts another or an option.
    """
    parsed = {} if margin is None else {"margin": margin}
    for text in assignments:
        name, equals, written = text.partition("=")
        if not name or not equals:
            raise ValueError(f"Write a hyperparameter as name=value. Received: {text!r}.")
        if name == "distance":
            raise ValueError(
                f"The loss gets the distance of the network: write --distance {written} in place "
                f"of --set {text}."
            )
        value = _read(written)
        if name in parsed and parsed[name] != value:
            raise ValueError(
                f"--set {text} contradicts {name} = {parsed[name]}, which was given as well: leave "
                "one of them out."
            )
        parsed[name] = value
    return parsed


def check_new_file(path: Path, what: str) -> None:
    """Refuses a path at which no new file can be written, before anything is computed for it.

    Raises:
        FileExistsError: If there is something already.
        FileNotFoundError: If the folder is not there.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists. Choose another path for the {what}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist; create it first.")


def _read(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return written
