"""The inputs of a kind of target, in the shape that a loss takes."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lossmith.checker import parameters, rules
from lossmith.checker.boxes import as_read
from lossmith.checker.context import Context, close
from lossmith.checker.contradiction import contradicted
from lossmith.checker.domains import advice_on_domain
from lossmith.checker.evaluate import Evaluator, Observation
from lossmith.checker.probes.labels import probe_shifted
from lossmith.checker.report import Finding
from lossmith.checker.settings import TARGETS, Settings, Target
from lossmith.checker.targets import (
    ROWS,
    UNDER_LINKS,
    YOUR_BATCH,
    Case,
    Inverse,
    Problem,
    build,
    positive_under,
)
from lossmith.core.backend import keras

_TURNS = (2 * math.pi, 360.0)
_POSITIVE = ("mean_squared_logarithmic_error", "poisson")


@dataclass(frozen=True)
class Choice:
    """A kind of target, and the context made for it if the loss runs there.

    `seen` holds what probes found while the kind was being guessed, by their name; `doubted` says
    that the loss makes no sense with the guess, nor with any other; `weak` that no symmetry of the
    loss speaks for the guess, only that nothing speaks against it; `runs_with` holds the kinds
    with which a loss does run that raises with this one.
    """

    target: str
    inferred: bool
    context: Context | None
    findings: list[Finding] = field(default_factory=list)
    seen: dict[str, list[Finding]] = field(default_factory=dict)
    doubted: bool = False
    weak: bool = False
    runs_with: tuple[Target, ...] = ()


def given(evaluator: Evaluator, settings: Settings, kind: Target, certain: bool = True) -> Choice:
    """Build the inputs of a kind; without a context, and with the reason, if the loss raises.

    Args:
        evaluator: runs the loss.
        settings: what the user said about it.
        kind: the kind of target.
        certain: whether that is the kind, and not a guess.
    """
    problem, seen = _that_runs(evaluator, settings, kind)
    if problem is None:
        of_labels = list(_of_other_labels(evaluator, kind, settings)) if certain else []
        if of_labels:
            return Choice(kind, not certain, None, of_labels)
        return _unfit(evaluator, kind, seen, settings, certain)
    inverse = _link(evaluator, problem)
    if inverse is not None:
        problem = positive_under(inverse, problem.y_pred.shape[1], settings.seed)
    period = _period(evaluator, problem, settings)
    if period is not None:
        problem = build(kind, settings.seed, columns=problem.y_pred.shape[1],
                        domain=(-period / 4, period / 4))  # fmt: skip
    problem = _with_batch(as_read(evaluator, problem), settings)
    against = contradicted(evaluator, settings, kind) if settings.target == kind else None
    context = Context(evaluator, problem, settings, certain and against is None)
    of_batch = [against] if against is not None else list(_raises_on_batch(context))
    narrowed = _positive_only(context)
    if narrowed is None:
        return Choice(kind, not certain, context, of_batch)
    return Choice(kind, not certain, narrowed, [*of_batch, _positive_finding(context)])


def _link(evaluator: Evaluator, problem: Problem) -> Inverse | None:
    """What the best prediction for a positive target is, if that is not the target itself."""
    if problem.kind != "regression" or problem.perfect is None:
        return None

    def cost(target: float, prediction: float) -> float:
        y, p = (np.full(problem.y_pred.shape, each, "float32") for each in (target, prediction))
        return evaluator.reduced(y, p).scalar

    def is_best(inverse: Inverse, target: float) -> bool:
        best = float(inverse(np.asarray(target)))
        least = cost(target, best)
        return least < cost(target, target) and all(
            least < cost(target, best + near) < cost(target, best + far)
            for near, far in ((-0.1, -0.3), (0.1, 0.3))
        )

    fitting = (
        inverse
        for inverse in UNDER_LINKS.values()
        if all(is_best(inverse, target) for target in (5.0, 0.5, 2.0, 1.5))
    )
    return next(fitting, None)


def _period(evaluator: Evaluator, problem: Problem, settings: Settings) -> float | None:
    """The full turn after which a loss of angles repeats itself.

    Targets and predictions within half of it are never further apart than by half a turn, where
    a larger error does cost more.
    """
    if problem.kind != "regression" or settings.domain is not None:
        return None

    def cost(shift: float) -> float:
        moved = (problem.y_pred + shift).astype("float32")
        return evaluator.reduced(problem.y_true, moved).scalar

    here = cost(0.0)
    if close(cost(1.0), here):  # it sees differences only: any shift leaves it as it is
        return None
    return next((turn for turn in _TURNS if close(cost(turn), here, 1e-3)), None)


def _that_runs(
    evaluator: Evaluator, settings: Settings, kind: Target
) -> tuple[Problem | None, Observation]:
    """The inputs of a kind in the first shape that the loss takes."""
    own = _of_own_shape(settings, kind)
    if own is not None:
        return own, evaluator.reduced(own.y_true, own.y_pred)
    problem, seen = _as_usual(evaluator, settings, kind)
    if problem is None and _has_more_axes(settings, kind):
        batch = _batch_alone("regression", settings)
        own_seen = evaluator.reduced(batch.y_true, batch.y_pred)
        return (batch, own_seen) if own_seen.ran else (None, seen)
    if kind == "regression" and settings.y_true is None:
        return parameters.that_runs(evaluator, settings.seed, problem) or (problem, seen)
    return problem, seen


def _as_usual(
    evaluator: Evaluator, settings: Settings, kind: Target
) -> tuple[Problem | None, Observation]:
    """The inputs of a kind with a prediction for each target."""
    first: Observation | None = None
    of_one = False
    for columns in _columns(settings, kind):
        if of_one and columns != 1:
            continue
        problem = build(
            kind, settings.seed, columns=columns, domain=_domain(evaluator, settings),
            same=settings.same,
        )  # fmt: skip
        seen = evaluator.reduced(problem.y_true, problem.y_pred)
        of_one = of_one or (settings.y_pred is None and _reads_one_column(problem, seen))
        if seen.ran and (columns == 1 or not of_one):
            return problem, seen
        first = first or seen
    return None, first if first is not None else seen


def _of_own_shape(settings: Settings, kind: Target) -> Problem | None:
    """The user's batch as the whole battery, where targets and predictions differ in shape."""
    y, p = settings.y_true, settings.y_pred
    if y is None or kind not in ("regression", "sequence", "boxes"):
        return None
    y, p = np.asarray(y), np.asarray(p)
    if y.shape == p.shape or (y.size == p.size and p.shape[-1] == 1):
        return None
    return _batch_alone(kind, settings)


def _batch_alone(kind: str, settings: Settings) -> Problem:
    """The user's batch as the whole battery."""
    y, p = (np.asarray(each, "float32") for each in (settings.y_true, settings.y_pred))
    rows = np.arange(ROWS) % len(p)
    return parameters.of_batch(kind, y[rows], p[rows])


def _has_more_axes(settings: Settings, kind: Target) -> bool:
    """Whether the user's labels are of time steps or pixels, which inputs of the kind lack."""
    of_labels = "categorical" in kind or kind.startswith("binary")
    return of_labels and settings.y_pred is not None and np.ndim(settings.y_pred) > 2


def _columns(settings: Settings, kind: Target) -> Iterator[int | None]:
    if settings.y_pred is not None and np.ndim(settings.y_pred) > 1:
        yield int(np.shape(settings.y_pred)[-1])
        return
    if settings.y_pred is not None and kind in ("regression", "binary", "binary_logits"):
        yield 1
        return
    yield None
    if kind in ("regression", "binary", "binary_logits", "plus_minus"):
        yield from (2, 4, 5, 1)  # one row of weights for the columns would make more of one
    elif "categorical" in kind:
        yield from (2, 3, 5, 10)


def _reads_one_column(problem: Problem, seen: Observation) -> bool:
    """Whether a loss made for one output was given several and looks at the first only."""
    if problem.kind not in ("regression", "binary", "binary_logits", "plus_minus"):
        return False
    slopes = seen.slopes
    if slopes.ndim != 2 or slopes.shape[1] < 2:
        return False
    return bool(np.any(slopes[:, 0]) and not np.any(slopes[:, 1:]))


def _domain(evaluator: Evaluator, settings: Settings) -> tuple[float, float] | None:
    if settings.domain is None and keras_name(evaluator.loss) in _POSITIVE:
        return (0.0, math.inf)
    return settings.domain


def keras_name(loss: Any) -> str:
    """The function name of one of Keras' own losses, else an empty text."""
    function = getattr(loss, "fn", None)
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", "") or ""
    return str(getattr(function, "__name__", "")) if module.startswith("keras.") else ""


def _with_batch(problem: Problem, settings: Settings) -> Problem:
    """The user's batch joins the battery."""
    if settings.y_true is None or settings.y_pred is None:
        return problem
    y, p = np.asarray(settings.y_true), np.asarray(settings.y_pred)
    y = y.astype("float32") if y.dtype.kind == "f" else y
    case = Case(YOUR_BATCH, y, p.astype("float32"), "chance")
    return replace(problem, cases=(*problem.cases, case))


def _raises_on_batch(context: Context) -> Iterator[Finding]:
    """The finding that a loss which runs with inputs of the kind raises on the user's own."""
    for case in context.problem.cases:
        if case.name == YOUR_BATCH and not context.at(case).ran:
            seen, (y, p) = context.at(case), (case.y_true, case.y_pred)
            yield rules.finding(
                rules.RAISES,
                f"The loss raises on your own batch (y_true {y.shape} and y_pred {p.shape}), and "
                f"not on inputs of target={context.problem.kind!r}: {seen.error}",
                context.evidence(y, p, seen, YOUR_BATCH),
                consequence="training stops at the first such batch",
                remedy="compare shapes, dtypes and values of the batch with what the formula takes",
            )


def _positive_only(context: Context) -> Context | None:
    """The context of positive numbers, if the loss has no sense for a negative prediction.

    That is a matter of the domain and not of the loss: logarithms and powers of a prediction.
    """
    problem, settings = context.problem, context.settings
    if problem.kind != "regression" or settings.domain is not None or problem.domain[0] == 0:
        return None
    negative = problem.y_pred.copy()
    negative[:] = -np.abs(negative) - 1
    y = np.abs(problem.y_true)
    below = context.evaluator.reduced(y, negative)
    if below.finite and np.any(below.slopes):
        return None
    positive = build("regression", settings.seed, columns=problem.y_pred.shape[1],
                     domain=(0.0, math.inf))  # fmt: skip
    above = context.evaluator.reduced(positive.y_true, positive.y_pred)
    mixed = context.evaluator.reduced(positive.y_true, -positive.y_pred)
    lost = not mixed.finite or not np.any(mixed.slopes)
    if not (above.finite and np.any(above.slopes) and lost) or _is_one_sided(context):
        return None
    return Context(context.evaluator, _with_batch(positive, settings), settings, context.certain)


def _is_one_sided(context: Context) -> bool:
    """Whether it is the sign of the error that matters, and not that of the prediction."""
    high = np.full(context.problem.y_pred.shape, 30.0, "float32")
    seen = context.evaluator.reduced(high, high - 5)
    return not np.any(seen.slopes)


def _positive_finding(context: Context) -> Finding:
    p = -np.abs(context.problem.y_pred[:1]) - 1
    y = np.abs(context.problem.y_true[:1])
    seen = context.evaluator.reduced(y, p)
    return rules.finding(
        rules.POSITIVE_ONLY,
        "The loss has no value or no gradient for negative predictions; it was checked on "
        "positive numbers.",
        context.evidence(y, p, seen),
        consequence="a model that ends without softplus or exp can predict a negative number and "
        "then stands still, or turns NaN",
        remedy="declare `domain=(0, None)` (`--domain 0 inf`), and end the model with softplus or "
        "exp",
    )


def _unfit(
    evaluator: Evaluator, kind: Target, seen: Observation, settings: Settings, certain: bool
) -> Choice:
    size = _size_that_runs(evaluator, kind, settings)
    if size:
        found = _one_size_only(evaluator, kind, seen, settings, size)
        return Choice(kind, not certain, None, [found])
    others = (
        ()
        if evaluator.entry == "direct"
        else tuple(each for each in TARGETS if each != kind and _runs(evaluator, each, settings))
    )
    problem = build(kind, settings.seed)
    shapes = f"y_true {problem.y_true.shape} and y_pred {problem.y_pred.shape}"
    rule = rules.TARGET_UNFIT if others else rules.RAISES
    message = f"The loss raises on the inputs of target={kind!r} ({shapes}): {seen.error}"
    advice = advice_to_run_with(others) + advice_on_domain(evaluator, settings, kind)
    if isinstance(evaluator.loss, keras.losses.Loss) and "reduction" not in vars(evaluator.loss):
        advice = "begin `__init__` with `super().__init__()`: Keras sets name and reduction there"
    returned = evaluator.returns(problem.y_true, problem.y_pred)
    if returned:
        message = f"The loss returns {returned} instead of a tensor."
        advice = "return one value per sample; for None, look for a missing `return`"
    evidence = Context(evaluator, problem, settings).evidence(problem.y_true, problem.y_pred, seen)
    found = rules.finding(
        rule, message, evidence, consequence="nothing could be checked", remedy=advice
    )
    return Choice(kind, not certain, None, [found], runs_with=() if returned else others)


def advice_to_run_with(kinds: Sequence[Target], guess: Target | None = None) -> str:
    """What to write for a loss that runs with other kinds, and looks like one of them."""
    if not kinds:
        return "give a batch of your own, `check(loss, y_true, y_pred)`, if it needs other shapes"
    runs = f"it runs with target={', '.join(map(repr, kinds))}"
    if guess is not None:
        others = ", ".join(repr(kind) for kind in kinds if kind != guess)
        runs = f"it looks like one of target={guess!r}; it also runs with {others}"
    return f"{runs}; otherwise give a batch of your own, `check(loss, y_true, y_pred)`"


def _of_other_labels(evaluator: Evaluator, kind: Target, settings: Settings) -> Iterator[Finding]:
    """The finding that class ids are shifted, for a loss that raises on the one at the end."""
    return probe_shifted(Context(evaluator, build(kind, settings.seed), settings))


def _size_that_runs(evaluator: Evaluator, kind: Target, settings: Settings) -> int:
    """A batch size that the loss takes although it does not take another; 0 if there is none.

    One row does not count: it is broadcast against anything. Nor does the number of classes, where
    labels `(N,)` are broadcast against predictions `(N, N)`.
    """
    problem = build(kind, settings.seed)
    by_accident = problem.y_pred.shape[-1] if problem.y_true.ndim < problem.y_pred.ndim else 0
    for size in (8, 16, 32, 64, 100, 128, 10, 4):
        if size == by_accident:
            continue
        y, p = (
            np.resize(array, (size, *array.shape[1:])) for array in (problem.y_true, problem.y_pred)
        )
        if evaluator.runs(y, p).ran:
            return size
    return 0


def _one_size_only(
    evaluator: Evaluator, kind: Target, seen: Observation, settings: Settings, size: int
) -> Finding:
    problem = build(kind, settings.seed)
    return rules.finding(
        rules.LAST_BATCH,
        f"The loss runs on a batch of {size} rows and raises on one of {ROWS}: {seen.error}",
        Context(evaluator, problem, settings).evidence(problem.y_true, problem.y_pred, seen),
        consequence="training fails on the smaller last batch, and with another batch size",
        remedy="take sizes from `ops.shape(y_pred)`, and use no array of the length of one batch",
    )


def _runs(evaluator: Evaluator, kind: Target, settings: Settings) -> bool:
    found = evaluator.runs_with
    if kind not in found:
        problem = build(kind, settings.seed)
        found[kind] = evaluator.runs(problem.y_true, problem.y_pred).ran
    return found[kind]
