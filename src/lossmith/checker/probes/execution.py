"""Does the loss give the same number whenever, however and on whatever labels it is run?"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.report import Finding
from lossmith.core import Loss
from lossmith.core.backend import keras


def probe_pure(context: Context) -> Iterator[Finding]:
    """The same input gives the same value, with other batches in between."""
    if context.settings.stochastic or not context.random.finite_value:
        return
    problem, evaluator = context.problem, context.evaluator
    overwritten = evaluator.overwritten(problem.y_true, problem.y_pred)
    if overwritten:
        yield _overwrites(context, overwritten)
    before = _state(evaluator.original)
    values = [evaluator.afresh(problem.y_true, problem.y_pred)]
    evaluator.afresh(problem.y_true[::-1].copy(), problem.y_pred[:2].repeat(3, axis=0))
    values.append(evaluator.afresh(problem.y_true, problem.y_pred))
    after = _state(evaluator.original)
    changed = sorted(key for key in before if key in after and before[key] != after[key])
    drift = _drift(context.random.scalar if changed else values[0], values)
    if drift:
        yield rules.finding(
            rules.IMPURE,
            f"The same input gives {drift}.",
            context.evidence(problem.y_true, problem.y_pred, note="called twice", mode="eager"),
            consequence="in a compiled step the first value is frozen, elsewhere the loss drifts",
            remedy="keep no state in the loss; draw random numbers with keras.random and a "
            "SeedGenerator, and declare `stochastic=True`",
        )
    if changed:
        shown = f", and the same input gives {drift}" if drift else ""
        yield rules.finding(
            rules.CHANGES_ITSELF,
            f"Calling the loss changes its own {', '.join(changed)}{shown}.",
            context.evidence(problem.y_true, problem.y_pred, mode="eager"),
            consequence="compiled backends see the change once or never; each gives another loss",
            remedy="use a local variable; state that must last belongs in a keras.Variable",
        )


def _drift(first: float, values: list[float]) -> str:
    """Two values that differ, in words; the first one may have been compiled."""
    before, after = values
    if np.isnan(before):
        return ""
    if not close(before, after):
        return f"{before:.6g}, then {after:.6g}"
    return "" if close(first, before, 1e-3) else f"{first:.6g}, then {before:.6g}"


def _overwrites(context: Context, argument: str) -> Finding:
    problem = context.problem
    return rules.finding(
        rules.IMPURE,
        f"The loss writes into {argument}: called again with the same tensors it gives another "
        "value.",
        context.evidence(problem.y_true, problem.y_pred, note="called once", mode="eager"),
        consequence="metrics and other losses that are computed from the same tensors are wrong",
        remedy=f"make a new tensor, `{argument} = {argument} - ...`, instead of `-=`, an "
        "assignment to an index or a method that ends in `_`",
    )


def _state(loss: Any) -> dict[str, str]:
    """What a loss carries along, as text: attributes, and the variables of a closure."""
    state = dict(getattr(loss, "__dict__", {}))
    for name, cell in zip(
        getattr(getattr(loss, "__code__", None), "co_freevars", ()),
        getattr(loss, "__closure__", None) or (),
        strict=False,
    ):
        try:
            state[name] = cell.cell_contents
        except ValueError:
            continue
    plain = (bool, int, float, str, list, tuple, dict, np.ndarray, np.generic)
    return {
        name: f"{type(value).__name__} {getattr(value, 'shape', '')} {value!r}"
        for name, value in state.items()
        if isinstance(value, plain) or hasattr(value, "shape")
    }


def probe_compiled(context: Context) -> Iterator[Finding]:
    """Compiled with an open batch size it equals the eager value, on a smaller last batch too."""
    if context.backend == "torch" or not context.random.finite_value:
        return
    problem, evaluator = context.problem, context.evaluator
    y, p = problem.y_true, problem.y_pred
    whole, last = evaluator.compiled((y, p), (y[:4], p[:4]))
    if not whole.ran:
        yield rules.finding(
            rules.NOT_COMPILABLE,
            "The loss runs eagerly but not in a compiled training step.",
            context.evidence(y, p, whole, mode="compiled"),
            consequence=f"`fit` raises on {context.backend}",
            remedy="use `ops.where` instead of `if` on tensors and `ops` instead of NumPy, and "
            "`ops.shape(x)` where `x.shape` may be open",
        )
        return
    eager = evaluator.afresh(y, p)
    comparable = not context.settings.stochastic and not np.isnan(eager)
    if comparable and not close(whole.scalar, eager, 1e-3):
        yield rules.finding(
            rules.COMPILED_DIFFERS,
            f"The compiled loss gives {whole.scalar:.6g}, the eager one {eager:.6g}.",
            context.evidence(y, p, whole, mode="compiled"),
            consequence="`fit` trains on another loss than the one that was tried by hand",
            remedy="use tensors and `ops` only; no NumPy, counters or Python randomness",
        )
    yield from _last_batch(context, last)


def _last_batch(context: Context, last: Any) -> Iterator[Finding]:
    y, p = context.problem.y_true[:4], context.problem.y_pred[:4]
    traced_only = last.ran and np.isnan(last.scalar)
    if traced_only or (last.ran and (context.problem.coupled or context.settings.stochastic)):
        return
    wanted = context.evaluator.afresh(y, p)
    if last.ran and (np.isnan(wanted) or close(last.scalar, wanted, 1e-3)):
        return
    what = f"gives {last.scalar:.6g} instead of {wanted:.6g}" if last.ran else "raises"
    yield rules.finding(
        rules.LAST_BATCH,
        f"A last batch of 4 rows after one of 6 {what} in the compiled step.",
        context.evidence(y, p, last, mode="compiled"),
        consequence="training fails at the end of the first epoch, or counts that batch wrongly",
        remedy="take sizes from `ops.shape(y_pred)` inside the loss",
    )


def probe_label_dtypes(context: Context) -> Iterator[Finding]:
    """Integer and boolean labels give the value that float labels give."""
    problem = context.problem
    keras_casts = isinstance(context.evaluator.loss, keras.losses.Loss)
    if keras_casts and not isinstance(context.evaluator.loss, Loss):
        return
    whole_numbers = np.array_equal(problem.y_true, np.round(problem.y_true))
    if not (problem.labelled and whole_numbers and context.random.finite_value):
        return
    kinds = ["int32", "float32"] + (["bool"] if set(np.unique(problem.y_true)) == {0, 1} else [])
    failures = []
    for dtype in kinds:
        y = problem.y_true.astype(dtype)
        seen = context.evaluator.reduced(y, problem.y_pred)
        if seen.ran and not close(seen.scalar, context.random.scalar, 1e-3):
            failures.append((dtype, seen))
    if failures:
        dtype, seen = failures[0]
        yield rules.finding(
            rules.LABEL_DTYPE,
            f"Labels of dtype {dtype} change the loss from {context.random.scalar:.6g} to "
            f"{seen.scalar:.6g}.",
            context.evidence(problem.y_true, problem.y_pred, seen, f"labels as {dtype}"),
            consequence="the dtype of the data set decides what is trained",
            remedy="cast first: `y_true = ops.cast(y_true, y_pred.dtype)`",
        )


def probe_half(context: Context) -> Iterator[Finding]:
    """A loss that computes in half precision stays finite at a realistic size."""
    dtype = str(getattr(context.evaluator.loss, "dtype", "float32"))
    policy = keras.config.dtype_policy().compute_dtype
    asked = dtype in ("float16", "bfloat16") or (
        context.settings.entry == "direct" and policy in ("float16", "bfloat16")
    )
    if not asked:
        return
    problem = context.problem
    if problem.kind == "segmentation":
        y = np.resize(problem.y_true, (1, 512, 512, 1))
        p = np.resize(problem.y_pred, (1, 512, 512, 1))
    else:
        y, p = problem.y_true, problem.y_pred
    seen = context.evaluator.reduced(y, p)
    half = [context.at(case) for case in problem.cases if case.role in ("random", "perfect")]
    if seen.ran and not (seen.finite and all(other.finite for other in half if other.ran)):
        yield rules.finding(
            rules.HALF_PRECISION,
            f"Computed in {dtype} the loss is not finite.",
            context.evidence(y, p, seen, f"{np.size(p)} predictions"),
            consequence="mixed or half precision training ends in NaN",
            remedy="cast to float32 inside the loss before sums, logs and small constants",
        )
