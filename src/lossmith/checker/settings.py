"""What the user says about a loss before it is checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Entry = Literal["compile", "direct"]
Target = Literal[
    "regression",
    "binary",
    "binary_logits",
    "plus_minus",
    "categorical",
    "categorical_logits",
    "sparse_categorical",
    "sparse_categorical_logits",
    "distance",
    "pair",
    "embedding",
    "views",
    "segmentation",
    "boxes",
    "survival",
    "sequence",
]
TARGETS: tuple[Target, ...] = get_args(Target)
FITTING: Mapping[str, tuple[Target, ...]] = {
    "pair": ("distance", "pair"),
    "class": ("embedding", "sparse_categorical", "sparse_categorical_logits"),
}
"""The kinds of target that a loss made with lossmith can be of, by what it declares."""
FAMILIES = (
    "pinball", "quantile", "huber", "focal", "crossentropy", "cross_entropy", "dice", "iou",
    "jaccard", "tversky",
)  # fmt: skip
"""The families whose identities are known."""


def interval(given: Any) -> tuple[float, float] | None:
    """A range of targets as two numbers; `None` for a side means that it is open there.

    Raises:
        ValueError: if it is not a lower and a higher number.

    Example:
    >>> interval((0, None))
    (0.0, inf)
    """
    if given is None:
        return None
    advice = "domain must be (lowest, highest) with None or math.inf where it is open, (0, None)"
    try:
        low, high = given
        low = -math.inf if low is None else float(low)
        high = math.inf if high is None else float(high)
    except (TypeError, ValueError):
        raise ValueError(f"{advice} for example; got {given!r}.") from None
    if not low < high:
        raise ValueError(f"{advice} for example; got {given!r}.")
    return low, high


@dataclass(frozen=True)
class Settings:
    """The declarations and limits of one check; plain data, so that it can be sent to a process.

    Attributes:
        target: what y_true and y_pred are; `None` to infer it from a batch or the loss itself.
        y_true: a batch of the user's targets as a NumPy array, or `None`.
        y_pred: the predictions that go with them, or `None`.
        family: the family whose identities must hold, such as `"huber"` or `"pinball"`.
        same: the pair label that means "the same", 0 or 1.
        redescending: large errors may have no gradient on purpose.
        adversarial: the loss has no floor on purpose.
        stochastic: two calls may differ on purpose.
        batchwise: the loss is a property of the whole batch on purpose; `None` if not declared.
        domain: the lowest and highest target of a regression.
        entry: `"compile"` if the loss is given to `compile`, `"direct"` if it is called.
        time_limit: seconds for the probes of one backend.
        seed: makes the inputs.
        thorough_on: the backend on which to run what cannot depend on the backend (what the
            hyperparameters do, the card); `None` for each.
        activation: the name of the last activation of the model, if a model is given.
        output_shape: the shape of the model's output, if a model is given.
    """

    target: Target | None = None
    y_true: Any = field(default=None, compare=False)
    y_pred: Any = field(default=None, compare=False)
    family: str | None = None
    same: int | None = None
    redescending: bool = False
    adversarial: bool = False
    stochastic: bool = False
    batchwise: bool | None = None
    domain: tuple[float, float] | None = None
    entry: Entry = "compile"
    time_limit: float = 60.0
    seed: int = 0
    thorough_on: str | None = None
    activation: str | None = None
    output_shape: tuple[int | None, ...] | None = None
