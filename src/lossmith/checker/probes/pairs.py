"""Are pairs that are the same pulled together, and the others pushed apart?"""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.evidence import reads_labels
from lossmith.checker.report import Evidence, Finding
from lossmith.checker.targets import ROWS

DISTANCES = np.concatenate([np.linspace(0.02, 1.0, 25), np.linspace(1.05, 4.0, 40)])
Pull = Literal["pull", "push", "none", "mixed"]
_COSTS = 0.05
_LABELS = "check which label stands for the same, and the sign of each term"


def probe_pairs(context: Context) -> Iterator[Finding]:
    """One label pulls and the other pushes, each in one direction only."""
    kind, settings = context.problem.kind, context.settings
    if kind not in ("distance", "pair") or settings.adversarial or not context.random.finite:
        return
    pulls = directions(context)
    yield from _mixed(context)
    shown = context.evidence(context.problem.y_true, context.problem.y_pred, context.random)
    kinds = set(pulls.values())
    if kinds == {"pull"} or kinds == {"push"}:
        how = "pulled together" if kinds == {"pull"} else "pushed apart"
        yield rules.finding(
            rules.WRONG_DESCENT,
            f"Pairs of both labels are {how}.",
            shown,
            consequence="the distance says nothing about the label",
            remedy=_LABELS,
            severity=context.directed,
        )
    if settings.same is not None and len(kinds) == 2:
        turned = list(_turned(pulls, settings.same))
        if turned:
            yield _label_meaning(settings.same, turned, shown)


def _turned(pulls: dict[int, Pull], same: int) -> Iterator[str]:
    """What is done to pairs that are `same`, and to the others, if it is the opposite."""
    if pulls[same] == "push":
        yield f"pairs of label {same} are pushed apart"
    if pulls[1 - same] == "pull":
        yield f"pairs of label {1 - same} are pulled together"


def _label_meaning(same: int, turned: list[str], shown: Evidence) -> Finding:
    return rules.finding(
        rules.LABEL_MEANING,
        f"Label {same} means the same, but {' and '.join(turned)}.",
        shown,
        consequence="the model learns the opposite: equal things end up far apart",
        remedy="swap the two terms, or the labels",
    )


def directions(context: Context) -> dict[int, Pull]:
    """What the loss does with pairs of label 0 and of label 1."""
    if context.problem.kind == "distance":
        return {label: _direction(curve(context, label)) for label in (0, 1)}
    return {label: _embedding_direction(context, label) for label in (0, 1)}


def curve(context: Context, label: int) -> np.ndarray:
    """The loss of a pair of this label over `DISTANCES`.

    JAX takes longer to compile a program for many rows than to run that of a batch many times.
    """
    if context.rowwise and context.backend != "jax":
        d = DISTANCES.astype("float32")[:, None]
        seen = context.per_row(np.full_like(d, label), _apart(context, d))
        return seen.value if seen.value.shape == DISTANCES.shape else np.full(len(DISTANCES), 0.0)
    y = np.full((ROWS, 1), label, "float32")
    seen_each = context.batches([(y, _apart(context, np.full_like(y, d))) for d in DISTANCES])
    values = np.asarray([seen.scalar for seen in seen_each])
    return values / ROWS if context.reduction == "sum" else values


def _apart(context: Context, d: np.ndarray) -> np.ndarray:
    """Predictions for these distances `(N, 1)`: pairs that move apart at a right angle."""
    if context.problem.kind == "distance":
        return d
    width = context.problem.y_pred.shape[-1]
    here, aside = np.eye(2, width, dtype="float32")
    return np.stack([np.broadcast_to(here, (len(d), width)), here + d * aside], axis=1)


def _direction(values: np.ndarray) -> Pull:
    steps = np.diff(values)
    tolerance = 1e-5 * max(1.0, float(np.abs(values).max()))
    rises, falls = steps[steps > 0].sum(), -steps[steps < 0].sum()
    if max(rises, falls) <= tolerance:
        return "none"
    if min(rises, falls) > tolerance + 1e-3 * max(rises, falls):
        return "mixed"
    return "pull" if rises > falls else "push"


def _mixed(context: Context) -> Iterator[Finding]:
    for label in (0, 1):
        values = curve(context, label)
        steps = np.diff(values)
        if not _turns(context, values, steps):
            continue
        minority = np.sign(steps) != np.sign(values[-1] - values[0])
        turn = _turning_point(minority, int(np.argmax(np.abs(steps) * minority)))
        shown = [0, turn, -1]
        yield rules.finding(
            rules.NOT_MONOTONE,
            f"For label {label} the loss turns around at a distance of {DISTANCES[turn]:.3g}.",
            context.evidence([label] * 3, DISTANCES[shown].astype("float32"),
                             note="values " + ", ".join(f"{values[i]:.4g}" for i in shown)),
            consequence="beyond that distance these pairs are moved the wrong way",
            remedy="a margin needs `ops.maximum(margin - d, 0)` before the square",
            severity=context.directed,
        )  # fmt: skip


def _turning_point(minority: np.ndarray, index: int) -> int:
    """Where the steps about one that goes the other way begin to, or end if they are the first."""
    others = np.flatnonzero(~minority)
    before = others[others < index]
    return int(before[-1] + 1 if len(before) else others[others > index][0])


def _turns(context: Context, values: np.ndarray, steps: np.ndarray) -> bool:
    """Whether a loss over `DISTANCES` turns around; a small price on long embeddings may."""
    if context.problem.kind == "distance":
        return _direction(values) == "mixed"
    near = steps[DISTANCES[1:] <= 2.0]
    rises, falls = near[near > 0].sum(), -near[near < 0].sum()
    return bool(min(rises, falls) > 1e-4 + 0.1 * max(rises, falls))


def _embedding_direction(context: Context, label: int) -> Pull:
    """Whether a small step against the gradient brings pairs of this label together."""
    p = context.problem.y_pred
    seen = context.evaluator.reduced(np.full((ROWS, 1), label, "float32"), p)
    if seen.gradient is None or not np.any(seen.gradient):
        return "none"
    moved = p - 0.01 * seen.gradient / np.abs(seen.gradient).max()
    straight = _euclidean(moved) - _euclidean(p)
    angular = _cosine(moved) - _cosine(p)
    change = straight if np.abs(straight).max() > 1e-5 else angular
    active = change[np.abs(change) > 1e-2 * np.abs(change).max()]
    if (active > 0).all():
        return "push"
    return "pull" if (active < 0).all() else "mixed"


def _euclidean(pairs: np.ndarray) -> np.ndarray:
    return np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=-1)


def _cosine(pairs: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(pairs, axis=-1)
    return 1 - (pairs[:, 0] * pairs[:, 1]).sum(axis=-1) / np.maximum(lengths.prod(axis=-1), 1e-12)


def probe_embedding(context: Context) -> Iterator[Finding]:
    """Following the gradient, items of one class come together relative to the others."""
    if context.problem.kind != "embedding" or not context.random.finite:
        return
    y, p = context.problem.y_true, context.problem.y_pred.astype("float64")
    before = _separation(y, p)
    for _ in range(60):
        seen = context.evaluator.reduced(y, p.astype("float32"))
        if not seen.finite or seen.gradient is None or seen.gradient.shape != p.shape:
            return
        size = np.abs(seen.gradient).max()
        if size == 0:
            break
        p = p - 0.05 * seen.gradient / size
    after = _separation(y, p)
    growth = [new / old for new, old in zip(after, before, strict=True)]
    if min(growth) > 1.02 and max(growth) > 1.1:
        yield rules.finding(
            rules.WRONG_DESCENT,
            "Following the gradient, items of one class move apart relative to the others "
            f"(distance within over between classes: {before[0]:.3g}, then {after[0]:.3g}).",
            context.evidence(y, context.problem.y_pred, context.random),
            consequence="the model learns to tell items of one class apart",
            remedy=_LABELS,
            severity=context.directed,
        )


def probe_arrangement(context: Context) -> Iterator[Finding]:
    """Classes well apart cost no more than all items in one place, or than classes mixed up."""
    problem = context.problem
    if problem.kind != "embedding" or not context.random.finite_value:
        return
    if not _is_same_when_turned(context):
        return
    y, axes = problem.y_true, np.eye(ROWS, problem.y_pred.shape[1])
    apart, together = axes[y.astype(int)], axes[np.zeros(ROWS, dtype=int)]
    mixed = axes[(np.arange(ROWS) + y) % 2]
    best, costs = _cheapest(context, apart), {}
    for name, rows in (("all items in one place", together), ("classes mixed up", mixed)):
        costs[name] = _cheapest(context, rows)
    name = min(costs, key=lambda each: costs[each])
    if costs[name] < best - 1e-3 * max(1.0, abs(context.random.scalar)):
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"With {name} the loss is {costs[name]:.4g}, with classes well apart {best:.4g}.",
            context.evidence(y, context.problem.y_pred, context.random),
            consequence="the model is rewarded for embeddings that tell no class from another",
            remedy=_LABELS,
            severity=context.directed,
        )
    elif _pushes_nothing(context, best, costs["all items in one place"]):
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"With all items in one place the loss is {costs['all items in one place']:.4g}, as "
            f"low as with classes well apart ({best:.4g}): nothing pushes classes apart.",
            context.evidence(y, context.problem.y_pred, context.random),
            consequence="embeddings collapse into one point, and the loss never reaches its floor",
            remedy="look for a term of the other classes that is always 0, as the smallest of "
            "distances that were multiplied by a mask is",
            severity="warning",
        )


def _pushes_nothing(context: Context, apart: float, together: float) -> bool:
    """Whether a loss that reads labels costs as much where they cannot be told, and not nothing.

    One that only pulls classes together, a center loss, costs nothing in either.
    """
    return apart > _COSTS and abs(together - apart) < 1e-2 * apart and reads_labels(context)


def _is_same_when_turned(context: Context) -> bool:
    """Whether only the items' places relative to each other count.

    Where a class has a place of its own, as with fixed centres, an arrangement chosen here says
    nothing.
    """
    p = context.problem.y_pred
    noise = np.random.default_rng(context.settings.seed).normal(size=(p.shape[1], p.shape[1]))
    turned = (p @ np.linalg.qr(noise)[0]).astype("float32")
    before, after = (
        context.evaluator.reduced(context.problem.y_true, rows).scalar for rows in (p, turned)
    )
    return abs(after - before) <= 1e-3 * max(1.0, abs(before))


def _cheapest(context: Context, rows: np.ndarray) -> float:
    """The lowest cost of an arrangement at several sizes, a little off the exact corners."""
    noise = np.random.default_rng(context.settings.seed).normal(0, 1e-2, rows.shape)
    scaled = [(scale * (rows + noise)).astype("float32") for scale in (0.3, 1.0, 3.0)]
    return min(context.evaluator.reduced(context.problem.y_true, p).scalar for p in scaled)


def _separation(y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Mean distance within classes over that between them, of the rows and of their directions."""
    same = (y[:, None] == y[None]) & ~np.eye(len(y), dtype=bool)
    other = y[:, None] != y[None]
    ratios = []
    for rows in (p, p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-12)):
        distance = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
        ratios.append(float(distance[same].mean() / max(distance[other].mean(), 1e-12)))
    return ratios[0], ratios[1]
