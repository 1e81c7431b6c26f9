"""Does the loss keep what the formula of its declared family promises?"""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.hyperparameters import hyperparameters
from lossmith.checker.links import to_prediction
from lossmith.checker.probes import scan
from lossmith.checker.probes.hyperparameters import larger, rebuilt
from lossmith.checker.report import Finding, Severity
from lossmith.checker.settings import Target
from lossmith.checker.targets import ROWS, build

_SLOPED = ("pinball", "quantile")
_BOUNDED = ("dice", "iou", "jaccard", "tversky")
_DEAR = 0.2
"""More than smoothing makes a full overlap cost."""


def probe_identities(context: Context) -> Iterator[Finding]:
    """What the formula of the family promises."""
    family = (context.settings.family or "").lower()
    if not context.random.finite_value:
        return
    if not family:
        yield from _turned_quantile(context)
    elif family in _SLOPED:
        yield from _pinball(context)
    elif family == "huber":
        yield from _huber(context)
    elif family == "focal":
        yield from _focal(context)
    elif family in ("crossentropy", "cross_entropy"):
        yield from _cross_entropy(context)
    elif family == "tversky":
        yield from _tversky(context)
    if family in _BOUNDED:
        yield from _unit_interval(context)
        yield from _full_overlap(context)


def _broken(context: Context, message: str, family: str, severity: Severity = "error") -> Finding:
    return rules.finding(
        rules.IDENTITY_BROKEN,
        message,
        context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
        consequence=f"what is trained is not the {family} loss",
        remedy=f"compare the formula with the definition of the {family} loss",
        severity=severity,
    )


def _pinball(context: Context) -> Iterator[Finding]:
    """The two slopes are q for a prediction too low and 1 - q for one too high."""
    named = hyperparameters(context.evaluator.original)
    fractions = {k: v for k, v in named.items() if isinstance(v, float) and 0 < v < 1}
    if not fractions:
        return
    name = next((k for k in fractions if k in ("q", "tau", "quantile", "alpha")),
                next(iter(fractions)))  # fmt: skip
    evaluator = rebuilt(context, **{name: 0.9})
    curves = [] if evaluator is None else scan.scans(
        Context(evaluator, context.problem, context.settings, context.certain)
    )  # fmt: skip
    for curve in curves[:1]:
        too_low, too_high = curve.values[0], curve.values[-1]
        if not close(too_low, 9 * too_high, 0.02):
            yield _broken(
                context,
                f"With {name}=0.9 an error of -8 costs {too_low:.4g} and one of +8 "
                f"{too_high:.4g}; the pinball loss has 9 times as much for a prediction too low.",
                "pinball",
            )


def _turned_quantile(context: Context) -> Iterator[Finding]:
    """A pinball loss whose hyperparameter is called a quantile is not lowest at the other one.

    That name means nothing else; what `q`, `tau` or `alpha` weighs is for the author to say.
    """
    named = hyperparameters(context.evaluator.original)
    names = [name for name, value in named.items()
             if "quantile" in name.lower() and isinstance(value, float)]  # fmt: skip
    if context.problem.kind != "regression" or len(names) != 1:
        return
    if all(_is_turned(context, names[0], share) for share in (0.9, 0.3)):
        yield _broken(context, f"With {names[0]}=0.9 an error costs 9 times as much where the "
                      "prediction is too high: the model learns the quantile 0.1.", "pinball",
                      "warning")  # fmt: skip


def _is_turned(context: Context, name: str, share: float) -> bool:
    """Whether the loss is that of a quantile, straight on either side, and of `1 - share`."""
    evaluator = rebuilt(context, **{name: share})
    if evaluator is None:
        return False
    changed = Context(evaluator, context.problem, context.settings, context.certain)
    for curve in scan.scans(changed):
        low, high = curve.values[0], curve.values[-1]
        straight = close(low, 2 * curve.values[80], 0.01) and close(
            high, 2 * curve.values[240], 0.01
        )
        if not (straight and close(low * share, high * (1 - share), 0.01)):
            return False
    return bool(scan.scans(changed))


def _huber(context: Context) -> Iterator[Finding]:
    """Beyond the threshold it is linear with a slope of the threshold, below it half a square."""
    for curve in scan.scans(context)[:1]:
        sides = [side[len(scan.ERRORS) // 2 :] for side in (curve.values, curve.values[::-1])]
        if all(close(side[160], 4 * side[80], 0.02) for side in sides):
            return  # the threshold lies beyond the errors that were tried
        for side in sides:
            squared = close(side[2], 4 * side[1], 0.05)
            straight = close(side[160] - side[150], side[150] - side[140], 0.02)
            if not (squared and straight):
                yield _broken(context, "The loss is not a square for errors below 0.1 and a "
                              "straight line for errors of 8, on both sides.", "Huber")  # fmt: skip
                return


def _focal(context: Context) -> Iterator[Finding]:
    """It is the cross-entropy times (1 - p)^gamma, up to one factor per label."""
    found = hyperparameters(context.evaluator.original)
    evaluators = [rebuilt(context, gamma=gamma) for gamma in (0.0, 2.0)]
    plain, focal = evaluators
    if "gamma" not in found or plain is None or focal is None:
        return
    for label in _focal_labels(context):
        shares = (0.3, 0.6, 0.8)
        costs = [[_cost(context, each, label, share) for share in shares]
                 for each in (plain, focal)]  # fmt: skip
        factors = np.asarray(costs[0]) / -np.log(shares)
        if factors.mean() <= 0 or not close(factors, np.full(3, factors.mean()), 1e-2):
            yield _broken(context, f"With gamma=0 the loss for label {label} is not a multiple "
                          "of the cross-entropy.", "focal")  # fmt: skip
            return
        eased = np.asarray(costs[1]) / np.asarray(costs[0])
        if not close(eased, (1 - np.asarray(shares)) ** 2, 1e-2):
            yield _broken(context, f"With gamma=2 a prediction of {shares[0]} for label {label} "
                          f"costs {eased[0]:.3g} of the cross-entropy; the focal loss weighs it "
                          f"with (1 - {shares[0]})^2.", "focal")  # fmt: skip
            return
    yield from _balance(context)
    yield from _average_of_classes(context, plain)


def _average_of_classes(context: Context, plain: Evaluator) -> Iterator[Finding]:
    """The terms of the classes are added up: all but one are 0."""
    kind = context.problem.kind
    if "categorical" not in kind:
        return
    costs = []
    for classes in (4, 3):
        problem = build(cast(Target, kind), columns=classes)
        some = Context(plain, problem, context.settings, context.certain)
        costs.append(classes * _cost(some, plain, 0, 0.6))
    if np.isfinite(costs).all() and close(*costs):
        yield _broken(context, "With fewer classes the same prediction costs more, in proportion: "
                      "the terms of the classes are averaged, though all but one of them are 0.",
                      "focal", "warning")  # fmt: skip


def _balance(context: Context) -> Iterator[Finding]:
    """More weight for one label is less for the other."""
    alpha = hyperparameters(context.evaluator.original).get("alpha")
    if not isinstance(alpha, float) or context.problem.kind not in ("binary", "binary_logits"):
        return
    other = rebuilt(context, alpha=alpha / 2)
    if other is None:
        return
    ratios = [_cost(context, other, label, 0.6) / _cost(context, context.evaluator, label, 0.6)
              for label in (0, 1)]  # fmt: skip
    if close(*ratios) and not close(ratios[0], 1.0):
        yield _broken(context, f"`alpha` multiplies both labels by {ratios[0]:.3g} when it is "
                      "halved; it is to weigh label 1 with alpha and label 0 with 1 - alpha.",
                      "focal", "warning")  # fmt: skip


def _focal_labels(context: Context) -> tuple[int, ...]:
    kind = context.problem.kind
    return (0, 1) if kind.startswith("binary") else (0,) if "categorical" in kind else ()


def _cost(context: Context, evaluator: Evaluator, label: int, share: float) -> float:
    """The loss where every row has this label and gives it this probability."""
    kind, shape = context.problem.kind, context.problem.y_pred.shape
    y: np.ndarray
    p: np.ndarray
    if kind.startswith("binary"):
        y = np.full(shape, label, "float32")
        p = np.full(shape, share if label else 1 - share, "float32")
        p = np.log(p / (1 - p)) if kind.endswith("logits") else p
    else:
        ids = np.full(ROWS, label, "int32")
        y = ids if kind.startswith("sparse") else np.eye(shape[1], dtype="float32")[ids]
        p = np.full(shape, (1 - share) / (shape[1] - 1), "float32")
        p[:, label] = share
        p = np.log(p) if kind.endswith("logits") else p
    return evaluator.reduced(y, p).scalar


def _tversky(context: Context) -> Iterator[Finding]:
    """A larger alpha makes false positives dearer, though some code has it the other way round."""
    alpha = hyperparameters(context.evaluator.original).get("alpha")
    if context.problem.kind != "segmentation" or not isinstance(alpha, float):
        return
    other = rebuilt(context, alpha=larger(alpha))
    y = context.problem.y_true
    everything = np.ones_like(y)
    if other is None:
        return
    before, after = (each.reduced(y, everything).scalar for each in (context.evaluator, other))
    if after < before - 1e-4:
        yield _broken(context, f"With a larger alpha, {larger(alpha):.3g}, a prediction with false "
                      f"positives only costs {after:.4g} instead of {before:.4g}: alpha weighs "
                      "what was missed.", "Tversky", "warning")  # fmt: skip


def _cross_entropy(context: Context) -> Iterator[Finding]:
    """Without smoothing it is the negative logarithm of the probability of the label."""
    problem = context.problem
    if "categorical" not in problem.kind:
        return
    named = hyperparameters(context.evaluator.original)
    changes = {"label_smoothing": 0.0} if "label_smoothing" in named else {}
    evaluator = rebuilt(context, **changes) if changes else context.evaluator
    p, y = problem.y_pred, problem.y_true
    share = to_prediction(p, "softmax") if problem.kind.endswith("logits") else p
    ids = y if y.ndim == 1 else y.argmax(axis=1)
    wanted = -np.log(share[np.arange(len(p)), ids]).mean()
    if evaluator is None or context.reduction == "sum":
        return
    got = evaluator.reduced(y, p).scalar
    if not close(got, wanted, 1e-3):
        without = " without smoothing" if changes else ""
        yield _broken(context, f"On random predictions the loss is {got:.4g}{without}, the "
                      f"cross-entropy {wanted:.4g}.", "cross-entropy")  # fmt: skip


def _unit_interval(context: Context) -> Iterator[Finding]:
    """Overlap losses lie between 0 and 1; those of boxes may punish a distance as well."""
    highest = math.inf if context.problem.kind == "boxes" else 1.0
    for case in context.problem.cases:
        seen = context.at(case)
        if seen.finite_value and not -1e-4 <= seen.scalar <= highest + 1e-4:
            yield rules.finding(
                rules.IDENTITY_BROKEN,
                f"The loss is {seen.scalar:.4g} for the case {case.name!r}; a loss of overlap "
                "lies between 0 and 1.",
                context.evidence(case.y_true, case.y_pred, seen, case.name),
                consequence="the value cannot be read as an overlap, and its gradient is another",
                remedy="Dice has a factor 2 in the numerator and the sum of both areas below, "
                "Jaccard neither: the intersection over the union",
            )
            return


def _full_overlap(context: Context) -> Iterator[Finding]:
    """What overlaps in full costs nothing."""
    problem = context.problem
    if problem.kind not in ("segmentation", "boxes") or problem.perfect is None:
        return
    best = context.evaluator.reduced(problem.y_true, problem.perfect)
    if best.finite_value and best.scalar > _DEAR:
        yield _broken(context, f"A prediction that overlaps in full costs {best.scalar:.4g}: Dice "
                      "has a factor 2 in the numerator and the sum of both areas below, Jaccard "
                      "the intersection over the union, which is that sum less the intersection.",
                      "overlap")  # fmt: skip
