"""Do the model's last activation and output shape let the loss reach its floor?"""

import math
from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.probes.pairs import directions
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS

_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softsign": (-1.0, 1.0),
}
Shape = tuple[int | None, ...]
_SQUASHING = ("sigmoid", "softmax", "hard_sigmoid")


def probe_reach(context: Context) -> Iterator[Finding]:
    """The last activation fits the kind of target and reaches the loss' floor."""
    name = context.settings.activation
    kind = context.problem.kind
    if name is None:
        return
    if kind == "distance":
        yield from _margin(context, name)
    if kind == "plus_minus" and name in ("relu", "softplus", *_SQUASHING):
        yield _unreachable(context, name, "scores for label -1 have to be negative")
    if kind.endswith("logits") and name in (*_SQUASHING, "relu", "relu6", "softplus"):
        yield _unfit(context, name, "the loss expects raw logits and squashes them itself",
                     "give the last layer no activation")  # fmt: skip
    if kind in ("binary", "segmentation") and name not in ("sigmoid", "hard_sigmoid", "softmax"):
        yield _unfit(context, name, "the loss expects probabilities",
                     "end the model with a sigmoid, or use `from_logits=True`")  # fmt: skip
    if kind in ("categorical", "sparse_categorical") and name not in ("softmax", "sigmoid"):
        yield _unfit(context, name, "the loss expects probabilities that sum to 1",
                     "end the model with a softmax, or use `from_logits=True`")  # fmt: skip
    if kind == "regression":
        yield from _targets_outside(context, name)


def _unfit(context: Context, name: str, why: str, remedy: str) -> Finding:
    return rules.finding(
        rules.ACTIVATION_UNFIT,
        f"The model ends with {name!r}, but {why}.",
        context.evidence(None, None),
        consequence="training is slow or stands still, and the outputs are no probabilities",
        remedy=remedy,
    )


def _unreachable(context: Context, name: str, why: str) -> Finding:
    return rules.finding(
        rules.RANGE_UNREACHABLE,
        f"The model ends with {name!r}, whose range is {_RANGES.get(name)}: {why}.",
        context.evidence(None, None),
        consequence="the loss stops above its floor, where the activation has no slope left",
        remedy="choose an activation whose range holds the perfect prediction, or a smaller margin",
    )


def _margin(context: Context, name: str) -> Iterator[Finding]:
    """Different pairs can get as far apart as the margin asks."""
    low, high = _RANGES.get(name, (-math.inf, math.inf))
    if not math.isfinite(high):
        return
    inside = np.linspace(max(low, 0.0), high, 41)[1:-1]
    for label, pull in directions(context).items():
        if pull != "push":
            continue
        y = np.full((ROWS, 1), label, "float32")
        reached = min(
            context.evaluator.reduced(y, np.full_like(y, d)).scalar for d in (*inside, high * 0.999)
        )
        floor = context.evaluator.reduced(y, np.full_like(y, 100.0)).scalar
        edge = context.evaluator.reduced(y, np.full_like(y, high * 0.95)).scalar
        if edge > floor + 1e-4 and reached >= floor:
            yield _unreachable(
                context,
                name,
                f"pairs of label {label} still cost {edge:.4g} at a distance of {high * 0.95:.3g}",
            )


def _targets_outside(context: Context, name: str) -> Iterator[Finding]:
    y = context.settings.y_true
    low, high = _RANGES.get(name, (-math.inf, math.inf))
    if y is None or not np.asarray(y).size:
        return
    smallest, largest = float(np.min(y)), float(np.max(y))
    if smallest < low or largest > high:
        yield _unreachable(context, name, f"the targets go from {smallest:.4g} to {largest:.4g}")


def probe_shapes(context: Context) -> Iterator[Finding]:
    """The model's output has the shape that the kind of target and the given ones call for."""
    shape = context.settings.output_shape
    if shape is None:
        return
    wanted = _wanted(context.problem.kind, shape)
    if wanted:
        yield _wrong_shape(shape, wanted)
    elif context.settings.y_true is not None:
        yield from _other_than_targets(context, shape)


def _wanted(kind: str, shape: Shape) -> str:
    """What the kind calls for, in words, if `shape` is something else."""
    columns = shape[-1]
    if "categorical" in kind and columns == 1:
        return f"{kind} targets call for a column for each class: over one, softmax is always 1"
    if kind in ("pair", "views") and not (len(shape) == 3 and shape[1] == 2):
        return f"two embeddings for each {'pair' if kind == 'pair' else 'item'} are (N, 2, D)"
    if kind == "embedding" and len(shape) != 2:
        return "an embedding for each sample is (N, D)"
    if kind == "boxes" and columns not in (4, None):
        return "a box is four numbers, (N, 4)"
    if kind == "distance" and not (len(shape) == 1 or shape[1:] == (1,)):
        return "a distance for each pair is (N,) or (N, 1)"
    return ""


def _other_than_targets(context: Context, shape: Shape) -> Iterator[Finding]:
    """Targets that are compared entry by entry have the shape of the output."""
    kind, y = context.problem.kind, np.asarray(context.settings.y_true)
    if kind.startswith("sparse") and y.size and shape[-1] is not None and y.max() >= shape[-1]:
        yield _wrong_shape(shape, f"the labels go up to {y.max():g}, which is no column of it")
    entrywise = kind in ("binary", "binary_logits", "plus_minus", "categorical", "segmentation")
    known = [(a, b) for a, b in zip(y.shape[1:], shape[1:], strict=False) if b is not None]
    if entrywise and y.ndim == len(shape) and any(a != b for a, b in known):
        yield _wrong_shape(shape, f"the targets have shape {y.shape}")


def _wrong_shape(shape: Shape, why: str) -> Finding:
    return rules.finding(
        rules.MODEL_SHAPES,
        f"The model's output has shape {shape}, but {why}.",
        consequence="the first step raises, or broadcasting hides it and the wrong numbers meet",
        remedy="give the last layer the units that the targets need",
    )
