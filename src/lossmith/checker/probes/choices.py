"""Is the loss as right with the other values of its flags and choices?"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.hyperparameters import choices
from lossmith.checker.inference import keras_name
from lossmith.checker.probes import direction, finite, pairs, scan
from lossmith.checker.probes.hyperparameters import rebuilt
from lossmith.checker.report import Finding
from lossmith.checker.settings import TARGETS
from lossmith.checker.targets import build

_MOST = 8
_OTHER_PREDICTIONS = ("logit", "prob", "sigmoid", "softmax", "activation")
"""Words of a choice that says what the predictions are, and not how they are judged."""
_CHEAP: tuple[Callable[[Context], Iterable[Finding]], ...] = (
    finite.probe_finite,
    scan.probe_scan,
    direction.probe_path,
    direction.probe_floor,
    pairs.probe_pairs,
    direction.probe_descent,
)


def probe_choices(context: Context) -> Iterator[Finding]:
    """Finite, the right way and lowest at the target with each value of a flag or choice."""
    if not context.random.finite or keras_name(context.evaluator.loss):
        return
    original = context.evaluator.original
    others = [
        (name, other)
        for name, found in choices(original).items()
        for other in found
        if not any(word in f"{name} {other}".lower() for word in _OTHER_PREDICTIONS)
    ]
    for name, other in others[:_MOST]:
        evaluator = rebuilt(context, **{name: other})
        if evaluator is None:
            continue
        changed = Context(evaluator, context.problem, context.settings, context.certain)
        for finding in _faults_of_its_own(changed, context):
            message = f"With {name}={other!r}: {finding.message}"
            yield replace(finding, message=message, about=name)


def _faults_of_its_own(changed: Context, context: Context) -> list[Finding]:
    """The grave findings of the first probe that finds any in the changed loss alone.

    None counts if the choice makes the predictions those of the sibling kind, shares or logits.
    """
    for probe in _CHEAP:
        found = [finding for finding in probe(changed) if _is_grave(finding)]
        if not found:
            continue
        known = {finding.rule for finding in probe(context)}
        sibling = _sibling(changed)
        if sibling is not None and not any(_is_grave(f) for each in _CHEAP for f in each(sibling)):
            return []
        return [finding for finding in found if finding.rule not in known]
    return []


def _is_grave(finding: Finding) -> bool:
    """Whether it is an error, or one that is a warning because the kind of target is a guess."""
    of_the_labels = finding.rule == rules.LABEL_MEANING  # declared of the loss as it was given
    return (
        finding.severity != "information"
        and finding.rule.default_severity == "error"
        and not of_the_labels
    )


def _sibling(context: Context) -> Context | None:
    """The loss on logits if it was tried on shares, and the other way round."""
    kind = context.problem.kind
    other = kind.removesuffix("_logits") if kind.endswith("_logits") else f"{kind}_logits"
    if other not in TARGETS or other == kind:
        return None
    columns = context.problem.y_pred.shape[-1]
    problem = build(other, context.settings.seed, columns=columns)
    made = Context(context.evaluator, problem, context.settings, context.certain)
    return made if made.random.finite else None
