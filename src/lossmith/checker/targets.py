"""Kinds of target: what y_true and y_pred are, and the inputs on which a loss is tried.

The sizes differ from each other on purpose (6 rows, 3 columns, 4 classes, 5 steps), so that a
mistaken axis cannot hide, and targets have both signs unless a domain is declared.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from lossmith.checker.links import Link, to_prediction
from lossmith.checker.settings import Target

ROWS = 6
YOUR_BATCH = "your batch"
Role = Literal["random", "perfect", "wrong", "extreme", "zero", "chance", "rare"]
Domain = tuple[float, float]
Inverse = Callable[[np.ndarray], np.ndarray]
UNDER_LINKS: dict[str, Inverse] = {
    "the logarithm of the target": np.log,
    "minus the logarithm of the target": lambda y_true: -np.log(y_true),
}
"""Best predictions for positive targets, as of a Poisson or an exponential likelihood."""


@dataclass(frozen=True)
class Case:
    """One input on which the loss must be finite.

    `role`: `random` and `wrong` predictions, the `perfect` one, `zero` inputs, `extreme` ones
    (only NaN is a fault there), batches that occur by `chance` and `rare` ones.
    """

    name: str
    y_true: np.ndarray
    y_pred: np.ndarray
    role: Role


@dataclass(frozen=True)
class Problem:
    """A kind of target with its inputs.

    Attributes:
        kind: the name of the target.
        y_true: a batch of targets.
        y_pred: random predictions for it.
        cases: the battery.
        link: from a free variable to a valid prediction.
        perfect: the predictions that deserve the floor, `None` if the kind does not say.
        wrong: predictions that are far off without being saturated, `None` likewise.
        labelled: whether a row has one of a few labels.
        one_label_per_row: whether labels may be `(N,)` as well as `(N, 1)`.
        coupled: whether losses of this kind are a property of the batch by nature.
        domain: the lowest and highest target of a regression.
        ideal: from targets of a regression to the predictions that deserve the floor.
        corners: whether boxes are two corners, or one point and a width and a height.
    """

    kind: str
    y_true: np.ndarray
    y_pred: np.ndarray
    cases: tuple[Case, ...]
    link: Link = "identity"
    perfect: np.ndarray | None = None
    wrong: np.ndarray | None = None
    labelled: bool = False
    one_label_per_row: bool = False
    coupled: bool = False
    domain: Domain = (-math.inf, math.inf)
    ideal: Inverse = field(default=lambda y_true: y_true, repr=False)
    corners: bool = True


def build(
    kind: Target,
    seed: int = 0,
    *,
    columns: int | None = None,
    domain: Domain | None = None,
    same: int | None = None,
) -> Problem:
    """Return the inputs of a kind of target.

    Args:
        kind: the name of the target.
        seed: makes the random ones.
        columns: targets per row, or classes, if it has to be another number than usual.
        domain: the lowest and highest target of a regression.
        same: the label of pairs that are the same, if it is known.
    """
    rng = np.random.default_rng(seed)
    if kind == "regression":
        return _regression(rng, columns or 3, domain or (-math.inf, math.inf))
    if kind in ("binary", "binary_logits", "plus_minus"):
        return _binary(rng, kind, columns or 3)
    if "categorical" in kind:
        return _categorical(rng, kind, columns or 4)
    return _OTHERS[kind](rng, same)


def _f32(array: Any) -> np.ndarray:
    return np.asarray(array, dtype="float32")


def _regression(rng: np.random.Generator, columns: int, domain: Domain) -> Problem:
    shape = (ROWS, columns)
    y, p = _within(rng.normal(0, 2, shape), domain), _within(rng.normal(0, 2, shape), domain)
    low, high = _within(np.full(shape, -1e3), domain), _within(np.full(shape, 1e3), domain)
    inside = _within(np.full(shape, 1.5), domain)
    half = np.where(np.arange(ROWS)[:, None] % 2, y, p)
    cases = [
        Case("random", y, p, "random"),
        Case("perfect prediction", y, y, "perfect"),
        Case("some rows perfect", y, _f32(half), "perfect"),
        Case("constant target", inside, p, "chance"),
        Case("constant prediction", y, inside, "chance"),
        Case("error of -1000", y, low, "extreme"),
        Case("error of +1000", y, high, "extreme"),
        Case("one row", y[:1], p[:1], "chance"),
    ]
    if domain[0] < 0 < domain[1]:
        zero = np.zeros_like(y)
        cases += [Case("target zero", zero, p, "zero"), Case("both zero", zero, zero, "perfect")]
    link: Link = "positive" if domain == (0, math.inf) else "identity"
    return Problem("regression", y, p, tuple(cases), link, perfect=y,
                   one_label_per_row=columns == 1, domain=domain)  # fmt: skip


def positive_under(inverse: Inverse, columns: int, seed: int = 0) -> Problem:
    """Return the inputs of a regression on positive targets that are predicted under a link."""
    plain = _regression(np.random.default_rng(seed), columns, (0.0, math.inf))
    cases = [replace(case, y_pred=inverse(case.y_pred)) for case in plain.cases]
    none_counted = Case("target zero", np.zeros_like(plain.y_true), cases[0].y_pred, "zero")
    return replace(
        plain,
        y_pred=cases[0].y_pred,
        cases=(*cases, none_counted),
        link="identity",
        perfect=inverse(plain.y_true),
        ideal=inverse,
    )


def _within(values: np.ndarray, domain: Domain) -> np.ndarray:
    low, high = domain
    if math.isfinite(low) and math.isfinite(high):
        return _f32(low + (high - low) / (1 + np.exp(-np.clip(values, -4, 4))))
    if math.isfinite(low):
        return _f32(low + np.where(np.abs(values) > 50, np.abs(values), np.exp(values / 2)))
    return _f32(high - np.exp(values / 2)) if math.isfinite(high) else _f32(values)


def _binary(rng: np.random.Generator, kind: str, columns: int) -> Problem:
    shape = (ROWS, columns)
    zeros_ones = _f32((np.arange(ROWS)[:, None] + np.zeros(columns)) % 2)
    signs = 2 * zeros_ones - 1
    y = signs if kind == "plus_minus" else zeros_ones
    negative, positive = (_f32(np.full(shape, label)) for label in (y.min(), 1.0))
    if kind == "binary":
        p, perfect = _f32(rng.uniform(0.05, 0.95, shape)), zeros_ones
        wrong, worst = np.where(zeros_ones == 1, 1e-4, 1 - 1e-4), 1 - zeros_ones
    else:
        p, perfect = _f32(rng.normal(0, 1.5, shape)), 30 * signs
        wrong, worst = -8 * signs, -200 * signs
    low, high = (np.zeros(shape), np.ones(shape)) if kind == "binary" else (-perfect.max(), 30)
    cases = (
        Case("random", y, p, "random"),
        Case("perfect prediction", y, _f32(perfect), "perfect"),
        Case("confidently wrong", y, _f32(wrong), "wrong"),
        Case("as wrong as can be", y, _f32(worst), "extreme"),
        Case("prediction zero" if kind != "binary" else "prediction 0.5", y,
             _f32(np.full(shape, 0.5 if kind == "binary" else 0.0)), "zero"),
        Case("negative labels only", negative, p, "chance"),
        Case("positive labels only", positive, p, "chance"),
        Case("all negative and right", negative, _f32(np.broadcast_to(low, shape)), "perfect"),
        Case("all positive and right", positive, _f32(np.broadcast_to(high, shape)), "perfect"),
        Case("one row", y[:1], p[:1], "chance"),
    )  # fmt: skip
    return Problem(kind, y, p, cases, "sigmoid" if kind == "binary" else "identity",
                   _f32(perfect), _f32(wrong), True, one_label_per_row=columns == 1)  # fmt: skip


def _categorical(rng: np.random.Generator, kind: str, classes: int) -> Problem:
    ids = np.arange(ROWS) % classes
    one_hot = _f32(np.eye(classes)[ids])
    wrong_hot = np.eye(classes)[(ids + 1) % classes]
    sparse, logits = kind.startswith("sparse"), kind.endswith("logits")
    y: np.ndarray = ids.astype("int32") if sparse else one_hot
    if logits:
        p = _f32(rng.normal(0, 1.5, one_hot.shape))
        perfect, wrong, worst = 30 * one_hot, 8 * wrong_hot, 200 * wrong_hot
        flat = np.zeros_like(one_hot)
    else:
        p = _f32(to_prediction(rng.normal(0, 1, one_hot.shape), "softmax"))
        rest = 1e-4 / (classes - 1) if classes > 1 else 0.0
        perfect, worst = one_hot, wrong_hot
        wrong = np.where(wrong_hot == 1, 1 - 1e-4, rest)
        flat = np.full_like(one_hot, 1 / classes)
    one_class = np.repeat(y[:1], ROWS, axis=0)
    cases = (
        Case("random", y, p, "random"),
        Case("perfect prediction", y, _f32(perfect), "perfect"),
        Case("confidently wrong", y, _f32(wrong), "wrong"),
        Case("as wrong as can be", y, _f32(worst), "extreme"),
        Case("undecided prediction", y, _f32(flat), "zero"),
        Case("one class only", one_class, p, "chance"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem(kind, y, p, cases, "identity" if logits else "softmax", _f32(perfect),
                   _f32(wrong), True, one_label_per_row=sparse)  # fmt: skip


def _distance(rng: np.random.Generator, same: int | None) -> Problem:
    y = _f32(np.arange(ROWS) % 2)[:, None]
    p = _f32([[0.1], [0.15], [0.45], [0.7], [1.3], [1.9]]) + _f32(rng.uniform(0, 0.02, y.shape))
    perfect = wrong = None
    if same is not None:
        is_same = y == same
        perfect, wrong = _f32(np.where(is_same, 0, 4.0)), _f32(np.where(is_same, 3.0, 0.02))
    cases = (
        Case("random", y, p, "random"),
        Case("all distances zero", y, 0 * p, "perfect"),
        Case("one distance zero", y, p * _f32([[0], [0], [1], [1], [1], [1]]), "perfect"),
        Case("far apart", y, 0 * p + 1e3, "extreme"),
        Case("label 0 only", 0 * y, p, "chance"),
        Case("label 1 only", 0 * y + 1, p, "chance"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem("distance", y, p, cases, "positive", perfect, wrong, True, True)


def _pair(rng: np.random.Generator, same: int | None) -> Problem:
    y = _f32(np.arange(ROWS) % 2)[:, None]
    p = _f32(rng.normal(0, 0.5, (ROWS, 2, 5)))
    twins = np.repeat(p[:, :1], 2, axis=1)
    some = p.copy()
    some[:2] = twins[:2]
    zero = p.copy()
    zero[:2, 1] = 0
    cases = (
        Case("random", y, p, "random"),
        Case("identical pairs", y, twins, "perfect"),
        Case("two identical pairs", y, some, "perfect"),
        Case("a zero embedding", y, zero, "rare"),
        Case("both embeddings zero", y, 0 * p, "rare"),
        Case("far apart", y, 1e3 * p, "extreme"),
        Case("label 0 only", 0 * y, p, "chance"),
        Case("label 1 only", 0 * y + 1, p, "chance"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem("pair", y, p, cases, labelled=True, one_label_per_row=True)


def _embedding(rng: np.random.Generator, same: int | None) -> Problem:
    y = np.asarray([0, 0, 1, 1, 2, 2], dtype="int32")
    p = rng.normal(0, 1, (ROWS, 5))
    p = _f32(p / np.linalg.norm(p, axis=1, keepdims=True))
    twins = p.copy()
    twins[1], twins[2] = p[0], p[0]
    zero = p.copy()
    zero[0] = 0
    lonely = np.asarray([0, 0, 1, 1, 1, 2], dtype="int32")
    cases = (
        Case("random", y, p, "random"),
        Case("duplicate rows", y, twins, "chance"),
        Case("one label occurs once", lonely, p, "chance"),
        Case("all labels distinct", np.arange(ROWS, dtype="int32"), p, "chance"),
        Case("one label only", 0 * y, p, "rare"),
        Case("all rows equal", y, _f32(np.repeat(p[:1], ROWS, axis=0)), "chance"),
        Case("a zero embedding", y, zero, "rare"),
    )
    return Problem("embedding", y, p, cases, one_label_per_row=True, coupled=True)


def _views(rng: np.random.Generator, same: int | None) -> Problem:
    y = np.arange(ROWS, dtype="int32")
    p = rng.normal(0, 1, (ROWS, 2, 5))
    p = _f32(p / np.linalg.norm(p, axis=-1, keepdims=True))
    equal = np.repeat(p[:, :1], 2, axis=1)
    zero = p.copy()
    zero[0, 0] = 0
    cases = (
        Case("random", y, p, "random"),
        Case("equal views", y, equal, "perfect"),
        Case("two items of a class", np.asarray([0, 0, 1, 1, 2, 2], dtype="int32"), p, "chance"),
        Case("far apart", y, 1e2 * p, "extreme"),
        Case("all views equal", y, _f32(np.broadcast_to(p[:1, :1], p.shape)), "rare"),
        Case("a view of zeros", y, zero, "rare"),
        Case("one row", y[:1], p[:1], "rare"),
    )
    return Problem("views", y, p, cases, one_label_per_row=True, coupled=True)


def _segmentation(rng: np.random.Generator, same: int | None) -> Problem:
    y = _f32(rng.uniform(size=(ROWS, 4, 5, 1)) < 0.4)
    p = _f32(rng.uniform(0.05, 0.95, y.shape))
    wrong = _f32(np.where(y == 1, 1e-4, 1 - 1e-4))
    empty = np.zeros_like(y)
    one_empty = y.copy()
    one_empty[0] = 0
    cases = (
        Case("random", y, p, "random"),
        Case("perfect prediction", y, y, "perfect"),
        Case("confidently wrong", y, wrong, "wrong"),
        Case("as wrong as can be", y, 1 - y, "extreme"),
        Case("empty mask, empty prediction", empty, empty, "perfect"),
        Case("one empty mask, perfect", one_empty, one_empty, "perfect"),
        Case("empty mask", empty, p, "chance"),
        Case("full mask", empty + 1, p, "chance"),
        Case("full mask, full prediction", empty + 1, empty + 1, "perfect"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem("segmentation", y, p, cases, "sigmoid", y, wrong, True, coupled=True)


def _boxes(rng: np.random.Generator, same: int | None) -> Problem:
    corner = rng.uniform(0.1, 0.3, (ROWS, 2))
    y = _f32(np.concatenate([corner, corner + rng.uniform(0.3, 0.5, (ROWS, 2))], axis=1))
    p = _f32(y + rng.uniform(-0.08, 0.08, y.shape))
    apart = _f32(y + 2.0)
    side, point = _f32(y + np.asarray([0.1, 0, 0.1, 0])), y.copy()
    point[:, 2:] = point[:, :2]
    cases = (
        Case("random", y, p, "random"),
        Case("perfect prediction", y, y, "perfect"),
        Case("shifted along one axis", y, side, "chance"),
        Case("boxes apart", y, apart, "wrong"),
        Case("predicted box without area", y, point, "chance"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem("boxes", y, p, cases, "identity", y, None)


def _survival(rng: np.random.Generator, same: int | None) -> Problem:
    times = rng.permutation(np.arange(1, ROWS + 1)) + rng.uniform(0, 0.4, ROWS)
    events = np.asarray([1, 0, 1, 1, 0, 1])
    y, p = _f32(np.stack([times, events], axis=1)), _f32(rng.normal(0, 1, (ROWS, 1)))
    censored, ended, tied = y.copy(), y.copy(), y.copy()
    censored[:, 1], ended[:, 1], tied[:, 0] = 0, 1, 2
    cases = (
        Case("random", y, p, "random"),
        Case("all censored", censored, p, "chance"),
        Case("no one censored", ended, p, "chance"),
        Case("all times tied", tied, p, "chance"),
        Case("large scores", y, 60 * p, "extreme"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem("survival", y, p, cases, coupled=True)


def _sequence(rng: np.random.Generator, same: int | None) -> Problem:
    y, p = _f32(rng.normal(0, 1, (ROWS, 5, 3))), _f32(rng.normal(0, 1, (ROWS, 5, 3)))
    cases = (
        Case("random", y, p, "random"),
        Case("perfect prediction", y, y, "perfect"),
        Case("both zero", 0 * y, 0 * y, "perfect"),
        Case("one row", y[:1], p[:1], "chance"),
    )
    return Problem("sequence", y, p, cases, perfect=y)


_OTHERS: dict[str, Callable[[np.random.Generator, int | None], Problem]] = {
    "distance": _distance,
    "pair": _pair,
    "embedding": _embedding,
    "views": _views,
    "segmentation": _segmentation,
    "boxes": _boxes,
    "survival": _survival,
    "sequence": _sequence,
}
