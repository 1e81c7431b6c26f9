"""Which kind of target a loss is tried with, if nobody said."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast, get_args

import numpy as np

from lossmith.checker.context import Context
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.evidence import SPOKEN_FOR, reads_every_class, reads_labels, speaks_for
from lossmith.checker.inference import Choice, advice_to_run_with, given, keras_name
from lossmith.checker.probes import (
    batch,
    convention,
    direction,
    finite,
    gradient,
    pairs,
    scan,
    scores,
    survival,
)
from lossmith.checker.report import Finding
from lossmith.checker.settings import TARGETS, Settings, Target
from lossmith.checker.targets import ROWS, build
from lossmith.core import Loss

_KERAS: dict[str, Target] = {
    "binary_crossentropy": "binary",
    "binary_focal_crossentropy": "binary",
    "categorical_crossentropy": "categorical",
    "categorical_focal_crossentropy": "categorical",
    "categorical_generalized_cross_entropy": "sparse_categorical",
    "sparse_categorical_crossentropy": "sparse_categorical",
    "kl_divergence": "categorical",
    "categorical_hinge": "categorical",
    "hinge": "plus_minus",
    "squared_hinge": "plus_minus",
    "dice": "segmentation",
    "tversky": "segmentation",
    "circle": "embedding",
}
"""The losses of Keras that are not regressions."""
_JUDGED: tuple[Target, ...] = (
    "regression", "binary", "categorical", "categorical_logits", "binary_logits",
    "sparse_categorical", "sparse_categorical_logits", "plus_minus", "distance",
)  # fmt: skip
"""Kinds whose probes can tell that a loss is made for them, in the order they are tried."""
_TAKEN: tuple[Target, ...] = (
    "embedding", "survival", "segmentation", "boxes", "sequence", "pair", "views",
)  # fmt: skip
"""Kinds that are told by their shapes: they are tried if the loss runs with none of the others."""
_TELLING: Mapping[str, Callable[[Context], Iterable[Finding]]] = {
    "finite": finite.probe_finite,
    "connected": gradient.probe_connected,
    "order": batch.probe_order,
    "activation": convention.probe_activation,
    "scores of labels": scores.probe_scores_of_labels,
    "every class": scores.probe_every_class,
    "path": direction.probe_path,
    "pairs": pairs.probe_pairs,
    "embedding": pairs.probe_embedding,
    "arrangement": pairs.probe_arrangement,
    "descent": direction.probe_descent,
}
"""Probes, under their usual names, that find fault with inputs which a loss is not made for."""
_OF_A_REGRESSION: Mapping[str, Callable[[Context], Iterable[Finding]]] = {
    "scan": scan.probe_scan,
    "floor": direction.probe_floor,
    "descent": direction.probe_descent,
}
"""Those that find fault with a regression; it may be right where labels are 0 and 1."""


def choose(evaluator: Evaluator, settings: Settings) -> Choice:
    """Build the inputs for a loss: of the declared kind, of the one it is known for, or a guess.

    The guess is the first kind that the loss makes sense with, else the first it runs with.

    Raises:
        ValueError: if the declared kind is none.
    """
    if settings.target is not None and settings.target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}; got {settings.target!r}.")
    certain = settings.target or (None if settings.y_true is not None else _from_loss(evaluator))
    if certain:
        return _likely_kind_first(given(evaluator, settings, certain), evaluator, settings)
    declared = _from_declarations(evaluator, settings)
    if declared is not None:
        return declared
    kinds = _from_batch(settings)
    spoken_for = None if kinds else _told_by_symmetry(evaluator, settings)
    if spoken_for is not None:
        return spoken_for
    tried: list[Choice] = []
    fitting: list[Choice] = []
    for kind in kinds or _JUDGED:
        tried.append(given(evaluator, settings, kind, certain=False))
        if len(kinds) == 1:
            return tried[-1]
        if _makes_sense(tried[-1]):
            fitting.append(tried[-1])
            if kinds or not _is_doubtful(tried[-1]):
                return replace(_of_maps(evaluator, settings, tried[-1]), weak=not kinds)
    if fitting:
        return replace(fitting[0], weak=True)
    running = [choice for choice in tried if choice.context is not None]
    if not kinds and not any(map(_reads_labels, running)):
        running = []
    as_survival = None if kinds else _as_survival(evaluator, settings)
    if as_survival is not None:
        return as_survival
    if running or kinds:
        return replace((running or tried)[0], doubted=bool(running), weak=True)
    for kind in _TAKEN:
        tried.append(given(evaluator, settings, kind, certain=False))
        if tried[-1].context is not None and (kind == "views" or _reads_labels(tried[-1])):
            return replace(_of_steps(evaluator, settings, tried[-1]), weak=True)
    running = [choice for choice in tried if choice.context is not None]
    if running:
        return replace(running[0], doubted=True, weak=True)
    return replace(tried[0], target="unknown", findings=[_on_no_target(tried)])


def _likely_kind_first(choice: Choice, evaluator: Evaluator, settings: Settings) -> Choice:
    """Of the kinds with which a loss runs that raises with the one given, the guess leads."""
    if len(choice.runs_with) < 2:
        return choice
    guess = choose(evaluator, replace(settings, target=None))
    if guess.doubted or guess.target not in choice.runs_with:
        return choice
    advice = advice_to_run_with(choice.runs_with, guess.target)
    found = [replace(finding, remedy=advice) for finding in choice.findings]
    return replace(choice, findings=found)


def _is_doubtful(choice: Choice) -> bool:
    """Whether probes find fault with a loss as a regression, which it may not be made for."""
    context = choice.context
    if context is None or choice.target != "regression" or context.settings.adversarial:
        return False
    for name, probe in _OF_A_REGRESSION.items():
        choice.seen[name] = list(probe(context))
    found = [finding for name in _OF_A_REGRESSION for finding in choice.seen[name]]
    return any(finding.severity != "information" for finding in found)


def _of_maps(evaluator: Evaluator, settings: Settings, choice: Choice) -> Choice:
    """A loss of labels that couples the whole batch, as one of maps if it makes sense of them.

    An overlap over all pixels of a batch is a property of the batch by nature.
    """
    context = choice.context
    if context is None or choice.target not in ("binary", "categorical"):
        return choice
    if settings.y_true is not None or not context.scalar or context.averages_rows:
        return choice
    maps = given(evaluator, settings, "segmentation", certain=False)
    return maps if _makes_sense(maps) else choice


def _of_steps(evaluator: Evaluator, settings: Settings, choice: Choice) -> Choice:
    """A loss of maps that leaves a label without gradient, as one of sequences if it fits them.

    A target of 0 may stand for a step that is padding.
    """
    if choice.context is None or choice.target != "segmentation":
        return choice
    choice.seen["connected"] = list(gradient.probe_connected(choice.context))
    if all(finding.severity == "information" for finding in choice.seen["connected"]):
        return choice
    steps = given(evaluator, settings, "sequence", certain=False)
    fits = steps.context is not None and _is_lowest_at_the_target(steps.context)
    return steps if fits else choice


def _reads_labels(choice: Choice) -> bool:
    return choice.context is not None and reads_labels(choice.context)


def _from_declarations(evaluator: Evaluator, settings: Settings) -> Choice | None:
    """The kind that other declarations imply: only pairs have a label that means the same."""
    if settings.same is None or settings.y_true is not None:
        return None
    tried = [given(evaluator, settings, kind) for kind in ("pair", "distance")]
    running = [choice for choice in tried if choice.context is not None]
    spoken_for = (c for c in running if c.context is not None and speaks_for(c.context))
    return next(spoken_for, running[-1] if running else None)


def _told_by_symmetry(evaluator: Evaluator, settings: Settings) -> Choice | None:
    """The kind that the symmetries of the loss tell, however wrong it is of that kind."""
    for kind in SPOKEN_FOR:
        choice = given(evaluator, settings, kind, certain=False)
        if choice.context is not None and speaks_for(choice.context):
            more_axes = kind == "regression" and _is_of_rows_with_more_axes(choice.context)
            return given(evaluator, settings, "sequence", False) if more_axes else choice
    return None


def _as_survival(evaluator: Evaluator, settings: Settings) -> Choice | None:
    """A loss of times and events, if one column is not as good to it as the other."""
    choice = given(evaluator, settings, "survival", certain=False)
    if choice.context is None or not speaks_for(choice.context):
        return None
    probes = {"censored": survival.probe_censored, "survival scores": scores.probe_survival_scores}
    for name, probe in probes.items():
        choice.seen[name] = list(probe(choice.context))
    return None if any(choice.seen.values()) else choice


def _makes_sense(choice: Choice) -> bool:
    """Whether nothing speaks against a kind that was guessed."""
    context = choice.context
    if context is None or not context.random.finite:
        return False
    if context.unreduced.value.shape[:1] not in ((), (ROWS,)):
        return False
    if context.settings.adversarial:
        return True
    if choice.target == "regression":
        if _is_of_rows_with_more_axes(context):
            return False
        of_shares = _sees_shares_only(context) or _breaks_at_the_ends_of_shares(context)
        return _is_lowest_at_the_target(context) and not of_shares
    if not (_tells_right_from_wrong(context) and reads_every_class(context)):
        return False
    for name, probe in _TELLING.items():
        choice.seen[name] = list(probe(context))
        if any(finding.severity != "information" for finding in choice.seen[name]):
            return False
    return True


def _is_of_rows_with_more_axes(context: Context) -> bool:
    """Whether the one number for a batch `(N, D)` is a number per row for one of `(N, T, D)`."""
    if not context.scalar:
        return False
    problem = build("sequence", context.settings.seed)
    seen = context.evaluator.unreduced(problem.y_true, problem.y_pred)
    return seen.ran and seen.value.shape == (ROWS,)


def _tells_right_from_wrong(context: Context) -> bool:
    """Whether in each row a right prediction costs less than one that is far off."""
    problem = context.problem
    if problem.wrong is None or problem.perfect is None or not context.rowwise:
        return True
    wrong, right = (
        context.per_row(problem.y_true, p).value for p in (problem.wrong, problem.perfect)
    )
    return bool(np.all(wrong > right + 1e-6 * np.abs(wrong)))


def _is_lowest_at_the_target(context: Context) -> bool:
    """Whether predictions that are their targets cost no more than others, as in any regression.

    More is not asked: what else a regression may have wrong is for the probes to find.
    """
    problem = context.problem
    if problem.perfect is None or any(map(scan.is_smoothed_quantile, scan.scans(context))):
        return True
    outward = np.where(problem.perfect < 0, -1.0, 1.0)
    moved = [
        problem.y_pred,
        *(problem.perfect + step for step in (1.0, -1.0, outward, -outward)),
    ]
    low, high = problem.domain
    costs = [
        context.evaluator.reduced(problem.y_true, p.astype("float32")).scalar
        for p in moved
        if low <= p.min() and p.max() <= high
    ]
    best = context.evaluator.reduced(problem.y_true, problem.perfect).scalar
    slack = 1e-5 + 1e-3 * abs(best)
    if not context.random.scalar > best:
        return False
    return not any(cost < best - slack for cost in costs if np.isfinite(cost))


def _sees_shares_only(context: Context) -> bool:
    """Whether predictions get a gradient from 0 to 1 and nowhere else."""
    y = context.problem.y_true

    def acts(prediction: float) -> bool:
        p = np.full(context.problem.y_pred.shape, prediction, "float32")
        return bool(np.any(context.evaluator.reduced(y, p).slopes))

    return acts(0.5) and not any(map(acts, (-3.0, -0.3, 1.3, 3.0)))


def _breaks_at_the_ends_of_shares(context: Context) -> bool:
    """Whether the loss jumps where the prediction is 0 or 1, wherever its target is.

    A threshold of a regression is one of the error, and moves with the target.
    """
    found = [scan.jump(context, each) for each in scan.scans(context)]
    spots = [each.evidence.y_pred for each in found if each is not None and each.evidence]
    return len(spots) > 1 and all(
        any(low - 1e-3 <= end <= high + 1e-3 for end in (0, 1)) for low, high in spots
    )


def _on_no_target(tried: Sequence[Choice]) -> Finding:
    """The finding of the first kind that was tried, which stands for all of them."""
    first = tried[0].findings[0]
    kinds = ", ".join(choice.target for choice in tried)
    return replace(
        first, message=f"The loss runs with no kind of target that was tried ({kinds}). "
        f"{first.message}",
        remedy="name the kind, `target=`, or give a batch of your own, `check(loss, y_true, "
        "y_pred)`, if it needs other shapes",
    )  # fmt: skip


def _from_loss(evaluator: Evaluator) -> Target | None:
    loss = evaluator.loss
    if isinstance(loss, Loss) and loss.targets == "pair":
        return "distance"
    if isinstance(loss, Loss) and loss.targets == "class":
        return None
    name = keras_name(loss)
    if not name:
        return None
    kind = _KERAS.get(name, "regression")
    keywords = {**getattr(loss.fn, "keywords", {}), **getattr(loss, "_fn_kwargs", {})}
    logits = f"{kind}_logits"
    if keywords.get("from_logits") and logits in get_args(Target):
        return cast(Target, logits)
    return kind


def _from_batch(settings: Settings) -> tuple[Target, ...]:
    """The kinds that a user's batch may be of, from its shapes, dtypes and values."""
    if settings.y_true is None or settings.y_pred is None:
        return ()
    y, p = np.asarray(settings.y_true), np.asarray(settings.y_pred)
    known = y[np.isfinite(y)] if y.dtype.kind == "f" else y
    values = set(np.unique(known).tolist())
    probabilities = bool(p.min() >= 0 and p.max() <= 1)
    if p.ndim == 3 and p.shape[1] == 2 and y.size == len(p):
        return ("pair",) if values <= {0, 1} and len(values) > 1 else ("views",)
    if p.ndim == 4 and y.shape == p.shape:
        return ("segmentation",)
    if p.ndim == 2 and p.shape[1] > 1 and y.size == len(p) and _are_counts(y, p.shape[1]):
        return _classes_or_embedding(y, p)
    columns = y.shape == p.shape and p.ndim == 2 and p.shape[1] > 1
    if columns and values <= {0, 1} and np.all(y.sum(axis=1) == 1):
        return _shares_or_logits(p, "categorical", "categorical_logits")
    alike = y.size == p.size
    if alike and values <= {0, 1} and len(values) > 1:
        return ("binary",) if probabilities else ("binary_logits",)
    if values <= {-1, 1} and len(values) > 1:
        return ("plus_minus",)
    if p.ndim == 3 and y.shape == p.shape:
        return ("sequence",)
    return ("regression",)


def _are_counts(y: np.ndarray, classes: int) -> bool:
    """Whether these may be the numbers of classes: integers, or floats that are and fit.

    Floats that are all 0 are what a loss is given that has no targets.
    """
    if y.dtype.kind in "iu":
        return True
    fit = np.all(y == np.round(y)) and y.min() >= 0 and y.max() < classes
    return bool(fit and np.any(y))


def _classes_or_embedding(y: np.ndarray, p: np.ndarray) -> tuple[Target, ...]:
    if y.max() >= p.shape[1]:
        return ("embedding",)
    kinds = _shares_or_logits(p, "sparse_categorical", "sparse_categorical_logits")
    return kinds if kinds == ("sparse_categorical",) else (*kinds, "embedding")


def _shares_or_logits(p: np.ndarray, shares: Target, logits: Target) -> tuple[Target, ...]:
    """What predictions per class are; numbers from 0 to 1 that do not sum to 1 may be either."""
    if p.min() < 0 or p.max() > 1:
        return (logits,)
    return (shares,) if np.allclose(p.sum(axis=1), 1, atol=1e-3) else (shares, logits)
