"""Does every hyperparameter act, refuse nonsense, and leave the loss as right as it was?"""

import inspect
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
        except Exception:  # a loss refuses a value as it likes
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
                about=name,
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
    accepted: list[tuple[str, Any]] = []
    wrong: list[str] = []
    refused: set[str] = set()
    for name, bad in _nonsense(context):
        other = rebuilt(context, **{name: bad})
        if other is None:
            refused.add(name)
        elif other.runs(context.problem.y_true, context.problem.y_pred).ran:
            accepted.append((name, bad))
            if name in refused:
                wrong.append(f"other values of {name} are refused")
            elif isinstance(bad, str):
                wrong.append(f"{name} is a choice, and any word is taken for it")
            elif bad == -1 and _is_senseless(context, other):
                wrong.append(f"with {name}=-1 the loss turns negative or NaN")
    if accepted:
        own_class = type(original).__module__.split(".")[0] != "keras" and isinstance(
            original, keras.losses.Loss
        )
        yield rules.finding(
            rules.DOMAIN_UNCHECKED,
            "Accepted without a word: "
            f"{', '.join(f'{name}={bad!r}' for name, bad in accepted[:4])}. "
            f"{_why_so_serious(wrong, own_class)}.",
            context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
            consequence="a typing error in a hyperparameter trains a model that is wrong",
            remedy=_check_to_write(context, *accepted[0]),
            severity="warning" if wrong and own_class else "information",
        )


def _why_so_serious(wrong: list[str], own_class: bool) -> str:
    """Why this is a warning, or why it is none."""
    if not own_class:
        return "Information only, as the loss is no class of one's own, made from a configuration"
    return (
        f"A warning, as {wrong[0]}" if wrong else "Information only, as -1 has a value like others"
    )


def _check_to_write(context: Context, name: str, bad: Any) -> str:
    """Where to refuse a senseless value of a hyperparameter, and with which words."""
    original = context.evaluator.original
    is_object = isinstance(original, keras.losses.Loss)
    made = inspect.isfunction(original) and name in original.__code__.co_freevars
    where = "`__init__`" if is_object else "its factory" if made else "the function"
    if isinstance(bad, str):
        return f"check in {where}, with `if {name} not in (...): raise ValueError(...)`"
    low, high = ("<=" if _makes_sense_with(context, name, end) else "<" for end in (0, 1))
    share, above = f"0 {low} {name} {high} 1", f"{name} {'>=' if low == '<=' else '>'} 0"
    nan_passes = "a comparison the other way round lets NaN pass"
    is_share = _is_a_share(context, name)
    if is_share or _is_senseless_below(context, name):
        allowed = share if is_share else above
        return f"check in {where}, with `if not {allowed}: raise ValueError(...)`: {nan_passes}"
    likely = [share, above] if 0 < _numeric(context)[name] < 1 else [above]
    examples = " or ".join(f"`if not {each}: raise ValueError(...)`" for each in likely)
    return (
        f"check in {where} that {name} is in the range it is meant for, which the formula does not "
        f"tell, and refuse NaN at least: {examples}, for example; {nan_passes}"
    )


def _is_senseless_below(context: Context, name: str) -> bool:
    """Whether a negative value shows that a hyperparameter is to be positive."""
    below = rebuilt(context, **{name: -1.0})
    return below is not None and _is_senseless(context, below)


def _is_a_share(context: Context, name: str) -> bool:
    """Whether a hyperparameter between 0 and 1 makes no sense above 1."""
    above = rebuilt(context, **{name: 1.5}) if 0 < _numeric(context)[name] < 1 else None
    return above is not None and _is_senseless(context, above)


def _makes_sense_with(context: Context, name: str, end: int) -> bool:
    """Whether a hyperparameter may be at the end of its range: the loss trains there as well."""
    other, problem = rebuilt(context, **{name: end}), context.problem
    if other is None:
        return False
    for case in problem.cases:
        if context.at(case).finite and not other.reduced(case.y_true, case.y_pred).finite:
            return False
    usual, seen = context.random, other.reduced(problem.y_true, problem.y_pred)
    if seen.slopes.shape != usual.slopes.shape or np.any((usual.slopes != 0) & (seen.slopes == 0)):
        return False
    return problem.perfect is None or (
        other.reduced(problem.y_true, problem.perfect).scalar < seen.scalar
    )


def _nonsense(context: Context) -> Iterator[tuple[str, Any]]:
    for name, value in _numeric(context).items():
        if value > 0:
            yield from ((name, bad) for bad in _SENSELESS)
    for name, value in hyperparameters(context.evaluator.original).items():
        if isinstance(value, str):
            yield name, "no such choice"


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
