"""Does every hyperparameter act, refuse nonsense, and keep what its family promises?"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.hyperparameters import hyperparameters, rebuild
from lossmith.checker.probes import pairs, scan
from lossmith.checker.report import Finding
from lossmith.checker.targets import to_prediction
from lossmith.core import Loss
from lossmith.core.backend import keras

_STRUCTURAL = ("axis", "class", "num", "dim", "size", "seed", "index", "channel", "length", "k")
_TINY = 1e-3
_SENSELESS = (-1.0, float("nan"))


def _numeric(context: Context) -> dict[str, float]:
    """The hyperparameters that are numbers with a meaning, not sizes, axes or guards against 0."""
    found = hyperparameters(context.evaluator.original)
    return {
        name: value if isinstance(value, int) else float(value)
        for name, value in found.items()
        if isinstance(value, int | float | np.number)
        and not isinstance(value, bool | np.bool_)
        and not (isinstance(value, int) and _is_structural(name))
        and math.isfinite(value)
    }


def _is_structural(name: str) -> bool:
    return any(part in name.lower().split("_") or name.lower().startswith(part)
               for part in _STRUCTURAL[:-1]) or name == "k"  # fmt: skip


def _others(value: float) -> list[float]:
    """Other values of a hyperparameter that are likely to be in its range."""
    if value == 0:
        return [0.1]
    if 0 < value < 1:
        return [0.6 * value, 1 - 0.6 * (1 - value)]
    if isinstance(value, int):
        return [value * 0.6, value + 1] if abs(value) < 100 else [2 * value, value // 2]
    return [0.6 * value, 1.7 * value]


def rebuilt(context: Context, **changes: Any) -> Evaluator | None:
    """The loss with other hyperparameters, `None` if it refuses them; made once for each."""
    made = context.memo.setdefault("rebuilt", {})
    key = repr(sorted(changes.items()))
    if key not in made:
        try:
            loss = rebuild(context.evaluator.original, **changes)
            made[key] = Evaluator(loss, context.settings.entry)
        except Exception:
            made[key] = None
    evaluator: Evaluator | None = made[key]
    return evaluator


def larger(value: float) -> float:
    """A larger value that is likely to be in the range of the hyperparameter."""
    return _others(value)[-1]


def probe_effect(context: Context) -> Iterator[Finding]:
    """Each hyperparameter changes the value or the gradient somewhere."""
    if not context.random.finite_value or context.settings.stochastic:
        return
    for name, value in _numeric(context).items():
        if 0 < abs(value) < _TINY or "eps" in name.lower():
            continue
        tried = [*_others(value), value / 3 or 0.3, 3 * value or 0.45]
        if _acts(context, name, tried, {}) is False and not _acts_elsewhere(context, name, tried):
            yield rules.finding(
                rules.NO_EFFECT,
                f"`{name}` changes neither value nor gradient: {value:g} and "
                f"{', '.join(f'{other:g}' for other in tried)} give the same.",
                context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
                consequence=f"whoever tunes `{name}` tunes nothing",
                remedy="use it in the formula: look for a local variable of the same name, a "
                "constant in its place, or an argument that is not passed on",
            )


def _acts(context: Context, name: str, values: list[float], more: dict[str, Any]) -> bool | None:
    """Whether other values of a hyperparameter show on the battery; `None` if none can be had."""
    base = context.evaluator if not more else rebuilt(context, **more)
    could_be_built = False
    for value in values:
        other = rebuilt(context, **{name: value}, **more)
        if other is None or base is None:
            continue
        for case in context.problem.cases:
            if case.role not in ("random", "wrong", "extreme", "perfect", "chance"):
                continue
            first = base.reduced(case.y_true, case.y_pred)
            second = other.reduced(case.y_true, case.y_pred)
            if first.ran != second.ran:
                return True
            if not first.finite or not second.finite:
                continue
            could_be_built = True
            same = close(first.value, second.value, 1e-6) and close(
                first.slopes, second.slopes, 1e-5
            )
            if not same:
                return True
    return False if could_be_built else None


def _acts_elsewhere(context: Context, name: str, values: list[float]) -> bool:
    """Whether it acts once a switch is on, or once another hyperparameter is not at 0 or 1."""
    for other, value in hyperparameters(context.evaluator.original).items():
        if other == name:
            continue
        if isinstance(value, bool):
            changes: list[Any] = [not value]
        elif isinstance(value, int | float) and value in (0, 1):
            changes = [0.5, 2.0]
        else:
            continue
        if any(_acts(context, name, values[:2], {other: change}) for change in changes):
            return True
    return False


def probe_domain(context: Context) -> Iterator[Finding]:
    """NaN and negative values are refused where they make no sense."""
    original = context.evaluator.original
    if isinstance(original, Loss) or not context.random.finite_value:
        return
    accepted, wrong = [], []
    refused: set[str] = set()
    for name, bad in _nonsense(context):
        other = rebuilt(context, **{name: bad})
        if other is None:
            refused.add(name)
        elif other.runs(context.problem.y_true, context.problem.y_pred).ran:
            accepted.append(f"{name}={bad!r}")
            if name in refused or _is_plainly_wrong(context, bad, other):
                wrong.append(name)
    if accepted:
        own_class = type(original).__module__.split(".")[0] != "keras" and isinstance(
            original, keras.losses.Loss
        )
        yield rules.finding(
            rules.DOMAIN_UNCHECKED,
            f"Accepted without a word: {', '.join(accepted[:4])}.",
            context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
            consequence="a typing error in a hyperparameter trains a model that is wrong",
            remedy="check in `__init__`, with `if not delta > 0: raise ValueError(...)`: unlike "
            "`if delta <= 0` it also refuses NaN",
            severity="warning" if wrong and own_class else "information",
        )


def _nonsense(context: Context) -> Iterator[tuple[str, Any]]:
    for name, value in _numeric(context).items():
        if value > 0:
            yield from ((name, bad) for bad in _SENSELESS)
    for name, value in hyperparameters(context.evaluator.original).items():
        if isinstance(value, str):
            yield name, "no such choice"


def _is_plainly_wrong(context: Context, bad: Any, other: Evaluator) -> bool:
    return isinstance(bad, str) or (bad == -1 and _is_senseless(context, other))


def _is_senseless(context: Context, other: Evaluator) -> bool:
    """Whether what was at least 0 is now negative or NaN."""
    for case in context.problem.cases:
        before, after = context.at(case), other.reduced(case.y_true, case.y_pred)
        if before.finite_value and before.scalar >= 0 and not after.scalar >= -1e-6:
            return True
    return False


def probe_variants(context: Context) -> Iterator[Finding]:
    """With other hyperparameters the loss is as right as with its own: 1 hides many mistakes."""
    if context.problem.kind not in ("regression", "distance"):
        return
    probe = scan.probe_scan if context.problem.kind == "regression" else pairs.probe_pairs
    if any(finding.severity == "error" for finding in probe(context)):
        return
    for name, value in list(_numeric(context).items())[:3]:
        if 0 < abs(value) < _TINY or value == 0:
            continue
        for other in _others(float(value)):
            if value == 1 and other > 1:
                continue
            evaluator = rebuilt(context, **{name: other})
            if evaluator is None:
                continue
            changed = Context(evaluator, context.problem, context.settings, context.certain)
            if not changed.random.finite:
                continue
            found = [f for f in probe(changed) if f.severity == "error"]
            for finding in found:
                yield replace(finding, message=f"With {name}={other:g}: {finding.message}")
            if found:
                return


_SLOPED = ("pinball", "quantile")
_BOUNDED = ("dice", "iou", "jaccard", "tversky")


def probe_identities(context: Context) -> Iterator[Finding]:
    """What the formula of the family promises."""
    family = (context.settings.family or "").lower()
    if not context.random.finite_value:
        return
    if family in _SLOPED:
        yield from _pinball(context)
    elif family == "huber":
        yield from _huber(context)
    elif family == "focal":
        yield from _focal(context)
    elif family in ("crossentropy", "cross_entropy"):
        yield from _cross_entropy(context)
    if family in _BOUNDED:
        yield from _unit_interval(context)


def _broken(context: Context, message: str, family: str) -> Finding:
    return rules.finding(
        rules.IDENTITY_BROKEN,
        message,
        context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
        consequence=f"what is trained is not the {family} loss",
        remedy=f"compare the formula with the definition of the {family} loss",
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


def _huber(context: Context) -> Iterator[Finding]:
    """Beyond the threshold it is linear with a slope of the threshold, below it half a square."""
    for curve in scan.scans(context)[:1]:
        centre = len(scan.ERRORS) // 2
        small, large = curve.values[centre + 4], curve.values[centre + 8]
        linear = np.diff(curve.values[-4:])
        if not close(large, 4 * small, 0.05) or not close(linear[0], linear[-1], 0.02):
            yield _broken(context, "The loss is not a square for errors below 0.4 and a straight "
                          "line for errors of 8.", "Huber")  # fmt: skip


def _focal(context: Context) -> Iterator[Finding]:
    """With gamma = 0 it is the cross-entropy, up to one factor per label."""
    if "gamma" not in hyperparameters(context.evaluator.original):
        return
    evaluator = rebuilt(context, gamma=0.0)
    if evaluator is None or context.problem.kind not in ("binary", "binary_logits"):
        return
    shape = context.problem.y_pred.shape
    for label in (0.0, 1.0):
        ratios = []
        for share in (0.3, 0.6, 0.8):
            p = share if context.problem.kind == "binary" else math.log(share / (1 - share))
            seen = evaluator.reduced(np.full(shape, label, "float32"),
                                     np.full(shape, p, "float32"))  # fmt: skip
            ratios.append(seen.scalar / -math.log(share if label else 1 - share))
        if np.mean(ratios) <= 0 or not close(ratios, np.full(3, np.mean(ratios)), 1e-2):
            yield _broken(context, f"With gamma=0 the loss for label {label:g} is not a multiple "
                          "of the cross-entropy.", "focal")  # fmt: skip
            return


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
    """Overlap losses lie between 0 and 1."""
    for case in context.problem.cases:
        seen = context.at(case)
        if seen.finite_value and not -1e-4 <= seen.scalar <= 1 + 1e-4:
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
