"""All probes of one loss on the backend of this process."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.checker import factories, guessing, rules
from lossmith.checker.card import measure
from lossmith.checker.context import Context, close
from lossmith.checker.evaluate import Evaluator, fast_start
from lossmith.checker.probes import (
    approach,
    batch,
    choices,
    convention,
    direction,
    execution,
    finite,
    gradient,
    identities,
    labels,
    pairs,
    parameters,
    reach,
    scan,
    scores,
    steps,
    survival,
    views,
)
from lossmith.checker.probes import hyperparameters as hyper
from lossmith.checker.report import BackendResult, Card, Finding
from lossmith.checker.settings import Settings
from lossmith.checker.targets import Case

Probe = Callable[[Context], Iterable[Finding]]

PROBES: dict[str, Probe] = {
    "finite": finite.probe_finite,
    "connected": gradient.probe_connected,
    "plateau": gradient.probe_plateau,
    "drowned": gradient.probe_drowned,
    "scan": scan.probe_scan,
    "gradcheck": scan.probe_gradcheck,
    "path": direction.probe_path,
    "rise": approach.probe_rise,
    "certain": approach.probe_certain,
    "empty": approach.probe_empty,
    "every class": scores.probe_every_class,
    "floor": direction.probe_floor,
    "descent": direction.probe_descent,
    "parameters": parameters.probe_parameters,
    "far targets": parameters.probe_far_targets,
    "boxes": direction.probe_boxes,
    "survival scores": scores.probe_survival_scores,
    "censored": survival.probe_censored,
    "scores of labels": scores.probe_scores_of_labels,
    "pairs": pairs.probe_pairs,
    "embedding": pairs.probe_embedding,
    "arrangement": pairs.probe_arrangement,
    "views": views.probe_views,
    "matching views": views.probe_matching,
    "rows": batch.probe_rows,
    "weights": batch.probe_weights,
    "order": batch.probe_order,
    "ranks": batch.probe_ranks,
    "crossed rows": batch.probe_crossed_rows,
    "classes of steps": steps.probe_classes_of_steps,
    "mask": batch.probe_mask,
    "padding": batch.probe_padding,
    "pure": execution.probe_pure,
    "compiled": execution.probe_compiled,
    "label dtypes": execution.probe_label_dtypes,
    "half": execution.probe_half,
    "shifted labels": labels.probe_shifted,
    "activation": convention.probe_activation,
    "arguments": convention.probe_arguments,
    "reach": reach.probe_reach,
    "shapes": reach.probe_shapes,
    "effect": hyper.probe_effect,
    "domain": hyper.probe_domain,
    "identities": identities.probe_identities,
    "variants": hyper.probe_variants,
    "choices": choices.probe_choices,
}
"""Every probe by the name under which its time is reported, in the order they run."""

_OF_INPUTS = ("LSM1", "LSM2", "LSM301", "LSM305", "LSM308", "LSM311", "LSM5", "LSM7")
_SAME_EVERYWHERE = ("effect", "domain", "identities", "variants", "choices")


def inspect(loss: Any, settings: Settings) -> BackendResult:
    """Run every probe on a loss, as `compile` would be given it, in this process.

    Args:
        loss: a function, a `keras.losses.Loss`, any callable or a name of Keras.
        settings: what the user said about it.

    Raises:
        lossmith.checker.factories.NestedCheckError: in a function that a check has called to make
            a loss again.
    """
    factories.refuse_nested()
    with fast_start():
        return _inspect(loss, settings)


def _inspect(loss: Any, settings: Settings) -> BackendResult:
    started = time.perf_counter()
    evaluator = Evaluator(loss, settings.entry)
    choice = guessing.choose(evaluator, settings)
    seconds = {"start": time.perf_counter() - started}
    if choice.context is None:
        return BackendResult(evaluator.backend, choice.target, choice.inferred,
                             tuple(choice.findings), seconds=seconds)  # fmt: skip
    context = choice.context
    thorough = settings.thorough_on in (None, evaluator.backend)
    findings = list(choice.findings)
    for name, probe in PROBES.items():
        if name in _SAME_EVERYWHERE and not thorough:
            continue
        begun = time.perf_counter()
        findings += choice.seen[name] if name in choice.seen else _guarded(name, probe, context)
        seconds[name] = time.perf_counter() - begun
        if time.perf_counter() - started > settings.time_limit:
            findings.append(_out_of_time(context, name))
            break
    begun = time.perf_counter()
    card = measure(context) if thorough else Card()
    seconds["card"] = time.perf_counter() - begun
    values, inputs = _for_comparison(context)
    if choice.doubted:
        findings = [_doubted(finding) for finding in findings]
    return BackendResult(
        evaluator.backend,
        choice.target,
        choice.inferred,
        tuple(settle(findings)),
        card,
        values,
        inputs,
        seconds,
        target_weak=choice.weak,
    )


def _guarded(name: str, probe: Probe, context: Context) -> Iterator[Finding]:
    try:
        yield from probe(context)
    except Exception as error:  # one probe that fails must not hide what the others find
        yield rules.finding(
            rules.PROBE_FAILED,
            f"The probe {name!r} could not be run: {type(error).__name__}: {error}",
            context.evidence(None, None),
            consequence="what it looks for may be there",
            severity="information",
        )


def _doubted(finding: Finding) -> Finding:
    """What may be wrong with the inputs and not with the loss, if the kind was guessed in vain."""
    of_inputs = finding.rule.code.startswith(_OF_INPUTS) and finding.severity == "error"
    return replace(finding, severity="warning") if of_inputs else finding


def _out_of_time(context: Context, last: str) -> Finding:
    return rules.finding(
        rules.OUT_OF_TIME,
        f"The time limit of {context.settings.time_limit:g} s was reached after the probe "
        f"{last!r}; the others were not run.",
        context.evidence(None, None),
        remedy="give a larger time_limit",
    )


def settle(findings: list[Finding]) -> list[Finding]:
    """Leave out what another finding explains, and repetitions of a rule; causes lead.

    What was found is explained only by what is as serious: a warning hides no error.
    """
    order = ("error", "warning", "information")
    explained: dict[str, int] = {}
    for finding in findings:
        serious = order.index(finding.severity)
        if finding.severity == "information":
            continue
        for code in _EXPLAINS.get(finding.rule, ()):
            explained[code] = min(serious, explained.get(code, serious))
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        if order.index(finding.severity) >= explained.get(finding.rule.code, len(order)):
            continue
        key = (finding.rule.code, finding.message if finding.rule in _REPEATABLE else "")
        kept.setdefault(key, finding)
    return sorted(
        kept.values(),
        key=lambda f: (order.index(f.severity), f.rule not in _EXPLAINS, f.rule.code),
    )


_REPEATABLE = (rules.DEAD_LABEL, rules.NO_EFFECT, rules.PROBE_FAILED)
_OF_DIRECTION = ("LSM202", "LSM203", "LSM204", "LSM206", "LSM207", "LSM208", "LSM210")
_EXPLAINS = {
    rules.NO_GRADIENT: ("LSM202", "LSM203", "LSM204", "LSM210"),
    rules.DOUBLE_ACTIVATION: ("LSM204", "LSM207"),
    rules.ARGUMENTS_SWAPPED: ("LSM701",),
    rules.LOGITS_UNFIT: ("LSM101", "LSM102", "LSM103", *_OF_DIRECTION),
    rules.UNBOUNDED_BELOW: ("LSM207", "LSM208"),
    rules.WRONG_AXIS: ("LSM307", "LSM306", "LSM304", "LSM302", "LSM404"),
    rules.CROSSED_ROWS: ("LSM207", "LSM208", "LSM302", "LSM307"),
    rules.IMPURE: ("LSM205", "LSM206", "LSM207", "LSM208", "LSM210", "LSM301", "LSM306", "LSM307",
                   "LSM308", "LSM402", "LSM404", "LSM405"),
    rules.CHANGES_ITSELF: ("LSM401", "LSM402", "LSM404", "LSM405", "LSM714"),
    rules.BATCH_SIZE: ("LSM307",),
    rules.LABELS_UNFIT: ("LSM101", "LSM102", "LSM103", "LSM405", *_OF_DIRECTION),
    rules.TARGET_UNFIT: ("LSM701", "LSM702", "LSM704", "LSM705", *_OF_DIRECTION),
}  # fmt: skip


def _for_comparison(context: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values and gradients that the other backends should give too, and the inputs they are of.

    Only points where a loss is smooth can be compared: at kinks backends choose other slopes.
    """
    values: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    if context.settings.stochastic:
        return values, inputs
    for case in context.problem.cases:
        seen = context.at(case)
        if case.role not in ("random", "perfect", "wrong") or not seen.ran:
            continue
        smooth = case.role == "random" and seen.finite and _is_smooth(context, case)
        values[case.name] = {"value": seen.scalar, "gradient": seen.gradient if smooth else None}
        if np.size(case.y_pred) <= 64:
            inputs[case.name] = {"y_true": case.y_true, "y_pred": case.y_pred}
    return values, inputs


def _is_smooth(context: Context, case: Case) -> bool:
    """Whether the gradient stays about the same a little to either side."""
    gradient = context.at(case).gradient
    if gradient is None:
        return False
    beside = (
        context.evaluator.reduced(case.y_true, (case.y_pred * (1 + step)).astype("float32"))
        for step in (-1e-3, 1e-3)
    )
    return all(
        seen.gradient is not None and close(seen.gradient, gradient, 0.05) for seen in beside
    )
