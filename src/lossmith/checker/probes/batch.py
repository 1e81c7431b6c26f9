"""Is the loss a value per sample: weighted, shuffled, batched and masked as Keras expects?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.evaluate import Observation
from lossmith.checker.probes import normalised
from lossmith.checker.report import Evidence, Finding
from lossmith.checker.targets import ROWS
from lossmith.core import Loss
from lossmith.core.backend import keras

_ONE_SAMPLE = np.asarray([1.0] + [0.0] * (ROWS - 1), "float32")
_PER_SAMPLE = (
    "return one value per sample: reduce over `axis=-1` only, and leave the batch to Keras"
)


def probe_rows(context: Context) -> Iterator[Finding]:
    """One value per sample, which depends on that sample alone."""
    seen, problem = context.unreduced, context.problem
    if not seen.ran:
        return
    evidence = context.evidence(problem.y_true, problem.y_pred, seen, "values not reduced")
    if seen.value.ndim and seen.value.shape[0] != ROWS:
        yield rules.finding(
            rules.WRONG_AXIS,
            f"For {ROWS} samples the loss returns shape {seen.value.shape}: it reduces over the "
            "samples, or along the wrong axis.",
            evidence,
            consequence="sample weights and masks fail or act on the wrong values, and samples "
            "are mixed with each other",
            remedy=_PER_SAMPLE,
        )
    elif context.scalar:
        yield from _scalar(context)
    elif normalised.over_the_rows(context):
        yield normalised.finding(context)
    elif not context.rowwise:
        yield from _coupled(context)


def _scalar(context: Context) -> Iterator[Finding]:
    problem, whole = context.problem, context.unreduced.scalar
    evidence = context.evidence(problem.y_true, problem.y_pred, context.unreduced)
    alone = context.one_row_values
    tells_rows_apart = np.ptp(alone) > 0  # a constant is the mean and the sum of anything
    if context.settings.entry != "direct" and _drops_weights(context):
        yield _dropped(context)
    elif context.settings.entry == "direct" or not tells_rows_apart:
        yield rules.finding(
            rules.SCALAR_OUTPUT, "The loss returns one number for the whole batch.", evidence
        )
    elif context.averages_rows and not context.declared_batchwise:
        yield rules.finding(
            rules.WEIGHT_IGNORED,
            "The loss is a mean over the samples taken inside the formula: of several weights "
            "Keras can then only use their mean.",
            _weight_evidence(context),
            consequence="sample_weight and class_weight change the step size and nothing else; "
            "samples of weight 0 still train",
            remedy=_PER_SAMPLE,
        )
    elif close(whole, alone.sum()) and not context.declared_batchwise:
        yield rules.finding(
            rules.WEIGHT_IGNORED,
            "The loss is a sum over the samples taken inside the formula: of several weights "
            "Keras can then only use their mean, and the value grows with the batch size.",
            _weight_evidence(context),
            consequence="sample_weight and class_weight change the step size and nothing else",
            remedy=f"{_PER_SAMPLE} (reduction='sum' if the sum is meant)",
        )
        yield from _coupled(context)
    else:
        yield rules.finding(
            rules.SCALAR_OUTPUT,
            "The loss returns one number for the whole batch"
            + (", as it declares." if context.declared_batchwise else "."),
            evidence,
            consequence=""
            if context.declared_batchwise
            else "weights of single samples cannot act",
        )
        yield from _coupled(context)


def _drops_weights(context: Context) -> bool:
    """Whether a loss takes weights in a `__call__` of its own and does nothing with them."""
    loss = context.evaluator.loss
    own_call = type(loss).__call__ is not keras.losses.Loss.__call__
    if not isinstance(loss, keras.losses.Loss) or isinstance(loss, Loss) or not own_call:
        return False
    plain, weighted = context.random, _under_weights(context)
    ran = plain.finite_value and weighted.finite_value
    return ran and close(plain.scalar, weighted.scalar, 1e-6)


def _under_weights(context: Context) -> Observation:
    problem = context.problem
    return context.evaluator.reduced(problem.y_true, problem.y_pred, _ONE_SAMPLE)


def _dropped(context: Context) -> Finding:
    return rules.finding(
        rules.WEIGHT_IGNORED,
        "The loss has a `__call__` of its own, which takes sample_weight and does not use it.",
        _weight_evidence(context),
        consequence="sample_weight, class_weight and masks have no effect at all; samples of "
        "weight 0 still train",
        remedy="write `call(self, y_true, y_pred)`, which returns one value per sample, and leave "
        "`__call__` to Keras, which weighs and averages",
    )


def _weight_evidence(context: Context) -> Evidence:
    problem = context.problem
    return context.evidence(
        problem.y_true,
        problem.y_pred,
        _under_weights(context),
        f"under sample_weight {_ONE_SAMPLE.tolist()}",
    )


def _coupled(context: Context) -> Iterator[Finding]:
    problem, whole = context.problem, context.random
    if not whole.finite_value:
        return
    natural = context.declared_batchwise or (problem.coupled and not _mixes_rows(context))
    natural = natural or context.averages_steps
    grown = [] if natural or context.reduction == "sum" else list(_grown(context))
    if grown:
        yield from grown
        return
    yield rules.finding(
        rules.BATCH_COUPLED,
        f"The loss of the batch, {whole.scalar:.4g}, is not the mean of the losses of its "
        f"samples alone, {context.one_row_values.mean():.4g}.",
        context.evidence(problem.y_true, problem.y_pred, whole),
        consequence="the value depends on the batch size and on which samples meet in a batch"
        + ("" if context.declared_batchwise else "; sample weights cannot be given a meaning"),
        remedy=""
        if context.declared_batchwise
        else f"{_PER_SAMPLE}; or declare `batchwise=True` if the whole batch is meant",
        severity="information" if natural else "warning",
    )


def _mixes_rows(context: Context) -> bool:
    """Whether each image has a value of its own, which yet depends on the other images."""
    return context.problem.kind == "segmentation" and not context.scalar


def _grown(context: Context) -> Iterator[Finding]:
    problem, whole = context.problem, context.random
    y2, p2 = (np.concatenate([array] * 2) for array in (problem.y_true, problem.y_pred))
    twice = context.evaluator.reduced(y2, p2)
    if abs(whole.scalar) > 1e-6 and close(twice.scalar, 2 * whole.scalar):
        yield rules.finding(
            rules.BATCH_SIZE,
            "The same batch twice in one gives twice the loss: samples are summed, not averaged.",
            context.evidence(y2, p2, twice, "the random batch twice"),
            consequence="another batch size, or a smaller last batch, needs another learning rate",
            remedy=_PER_SAMPLE,
        )


def probe_weights(context: Context) -> Iterator[Finding]:
    """A weight of 0 takes a sample out, and only that sample."""
    seen, problem = context.unreduced, context.problem
    if not seen.ran or seen.value.ndim == 0 or seen.value.shape[0] != ROWS:
        return
    weight = np.asarray([1.0, 0.0, 0.0, 2.0, 0.0, 1.0], "float32")
    y, p = problem.y_true, problem.y_pred
    shaped = _like_rows(weight, seen.value.ndim, p.ndim)
    accepted = context.evaluator.runs(y, p, shaped)
    if not accepted.ran:
        yield _refused(context, accepted.error or "")
        return
    if seen.value.ndim == 1 and type(context.evaluator.loss).__call__ is keras.losses.Loss.__call__:
        return
    if _drops_weights(context):
        yield _dropped(context)
        return
    weighted = context.evaluator.reduced(y, p, shaped)
    plain = context.random
    if not (weighted.finite and plain.finite) or context.problem.coupled or not context.rowwise:
        return
    wanted = plain.slopes * weight.reshape(-1, *(1,) * (plain.slopes.ndim - 1))
    if plain.slopes.ndim == 0 or len(plain.slopes) != ROWS:
        return
    got = weighted.slopes
    if context.reduction == "mean_with_sample_weight":
        wanted = wanted * _ratio(got, wanted)
    if not close(got, wanted, 1e-3):
        yield rules.finding(
            rules.WEIGHT_IGNORED,
            "Under sample_weight the gradient of each row is not its weight times what it was.",
            context.evidence(y, p, weighted, f"sample_weight {weight.tolist()}"),
            consequence="samples that should not count train the model, and others do not",
            remedy=_PER_SAMPLE,
        )


def _like_rows(weight: np.ndarray, rank: int, prediction_rank: int) -> np.ndarray:
    """Weights as Keras wants them: with the rank of the values where a row has several axes."""
    return weight.reshape(-1, *(1,) * (rank - 1)) if prediction_rank > 2 else weight


def _ratio(got: np.ndarray, wanted: np.ndarray) -> float:
    largest = np.unravel_index(np.argmax(np.abs(wanted)), wanted.shape)
    return float(got[largest] / wanted[largest]) if wanted[largest] else 1.0


def _refused(context: Context, error: str) -> Finding:
    shape = context.unreduced.value.shape
    columns = len(shape) == 2 and shape[1] > 1
    return rules.finding(
        rules.WEIGHT_REFUSED,
        f"One weight per sample fails: the loss returns shape {shape}"
        + (", a value per column." if columns else "."),
        context.evidence(context.problem.y_true, context.problem.y_pred, None, error),
        consequence="sample_weight and class_weight raise an error"
        + (
            "; in a batch with as many rows as columns they act on the columns instead, in silence"
            if columns
            else ""
        ),
        remedy="average the columns in the formula: `ops.mean(..., axis=-1)`",
    )


def probe_order(context: Context) -> Iterator[Finding]:
    """Shuffling the rows leaves the loss as it is."""
    if context.settings.stochastic or not context.random.finite_value:
        return
    problem = context.problem
    order = np.asarray([3, 0, 5, 1, 4, 2])
    y, p = problem.y_true[order], problem.y_pred[order]
    seen = context.evaluator.reduced(y, p)
    if seen.ran and not close(seen.scalar, context.random.scalar, 1e-3):
        yield rules.finding(
            rules.ORDER_DEPENDENT,
            f"Shuffling the rows changes the loss from {context.random.scalar:.6g} to "
            f"{seen.scalar:.6g}.",
            context.evidence(y, p, seen, f"the random batch in the order {order.tolist()}"),
            consequence="`fit` shuffles, so that each epoch trains on another loss",
            remedy="sort inside the loss if it needs an order, and use nothing that belongs to "
            "the rows of one particular batch",
        )


def _by_column(context: Context) -> bool:
    """Whether the kind may have one output, and nobody aligns the ranks before the formula."""
    from keras.src.losses.losses import LossFunctionWrapper

    aligned = getattr(type(context.evaluator.loss), "call", None) is LossFunctionWrapper.call
    return not aligned and context.problem.kind in (
        "regression", "binary", "binary_logits", "plus_minus"
    )  # fmt: skip


def probe_ranks(context: Context) -> Iterator[Finding]:
    """Labels `(N,)` and `(N, 1)` mean the same."""
    problem = context.problem
    if not context.random.finite_value or not (problem.one_label_per_row or _by_column(context)):
        return
    y, p, usual = problem.y_true, problem.y_pred, context.random
    if not problem.one_label_per_row:
        y, p = y[:, :1], p[:, :1]
        usual = context.evaluator.reduced(y, p)
    if p.shape[1] == 1 and np.any(context.random.slopes) and not np.any(usual.slopes):
        return  # a softmax over a single column is 1 whatever stands there
    other = y[:, 0] if y.ndim == 2 else y[:, None]
    seen = context.evaluator.reduced(other, p)
    if seen.ran and usual.finite_value and not close(seen.scalar, usual.scalar, 1e-3):
        yield rules.finding(
            rules.RANK_BROADCAST,
            f"With labels of shape {y.shape} the loss is {usual.scalar:.6g}, with the same ones of "
            f"shape {other.shape} it is {seen.scalar:.6g}: one way every label is compared with "
            "every prediction.",
            context.evidence(other, p, seen, f"labels {other.shape}, predictions {p.shape}"),
            consequence="the model learns the mean of the targets and nothing else, without any "
            "message",
            remedy="reshape in `call`: `y_true = ops.reshape(y_true, ops.shape(y_pred))`; or pass "
            "a function to `compile`, for which Keras aligns the ranks",
        )


def probe_crossed_rows(context: Context) -> Iterator[Finding]:
    """The loss of a batch is not the mean over all pairs of a label and a prediction."""
    problem = context.problem
    if not context.random.finite_value or problem.coupled or context.rowwise:
        return
    alone = context.one_row_values
    if not np.isfinite(alone).all() or close(alone.mean(), context.random.scalar, 1e-3):
        return
    rows = range(len(problem.y_pred))
    crossed = context.batches(
        [(problem.y_true[i : i + 1], problem.y_pred[j : j + 1]) for i in rows for j in rows]
    )
    if not close(np.mean([seen.scalar for seen in crossed]), context.random.scalar, 1e-4):
        return
    yield rules.finding(
        rules.CROSSED_ROWS,
        f"The loss of the batch, {context.random.scalar:.4g}, is the mean over all pairs of a "
        f"label and a prediction; of each label with its own prediction it is {alone.mean():.4g}.",
        context.evidence(problem.y_true, problem.y_pred, context.random, "the random batch"),
        consequence="the model learns the mean of the targets and nothing else, without any "
        "message",
        remedy="keep both tensors of one rank: an index such as `y_true[:, 0]` makes (N,) of "
        "(N, 1), and (N,) against (N, 1) is broadcast to (N, N)",
    )


def probe_mask(context: Context) -> Iterator[Finding]:
    """What stands in masked steps of a sequence changes neither value nor gradient."""
    problem = context.problem
    if problem.kind != "sequence":
        return
    mask = np.arange(5)[None, :] < np.asarray([5, 3, 2, 4, 1, 5])[:, None]
    garbage = np.where(mask[..., None], problem.y_pred, 1e3).astype("float32")
    clean = context.evaluator.masked(problem.y_true, problem.y_pred, mask)
    seen = context.evaluator.masked(problem.y_true, garbage, mask)
    if not clean.ran or not seen.ran:
        return
    if not close(clean.scalar, seen.scalar, 1e-3):
        yield rules.finding(
            rules.MASK_LEAK,
            f"Other predictions in masked steps change the loss from {clean.scalar:.6g} to "
            f"{seen.scalar:.6g}.",
            context.evidence(problem.y_true, garbage, seen, "predictions of 1000 under the mask"),
            consequence="padding trains the model",
            remedy="return a value per time step, (N, T), so that the mask can act",
        )


def probe_padding(context: Context) -> Iterator[Finding]:
    """A loss that leaves out steps whose target is 0 does not count them either."""
    problem = context.problem
    if problem.kind != "sequence" or problem.perfect is None:
        return
    y = problem.y_true.copy()
    y[:, 3:] = 0
    padded = context.evaluator.reduced(y, problem.y_pred)
    short = context.evaluator.reduced(y[:, :3], problem.y_pred[:, :3])
    if not (padded.finite and short.finite) or padded.slopes.shape != y.shape:
        return
    left_out = np.any(padded.slopes[:, :3]) and not np.any(padded.slopes[:, 3:])
    if left_out and context.reduction != "sum" and not close(padded.scalar, short.scalar, 1e-3):
        yield rules.finding(
            rules.MASK_LEAK,
            "Steps whose target is 0 get no gradient, as padding should, but are counted: without "
            f"them the loss is {short.scalar:.4g} instead of {padded.scalar:.4g}.",
            context.evidence(y, problem.y_pred, padded, "the last 2 of 5 steps are padding"),
            consequence="the longer the padding, the smaller the loss and its gradient: short "
            "sequences hardly train the model",
            remedy="divide by the number of steps that count, `ops.sum(valid, axis=1)`",
            severity="warning",
        )
