"""Is the loss, and its gradient, a number everywhere it will be asked?"""

from collections.abc import Iterator

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.domains import advice_on_domain
from lossmith.checker.probes.scan import is_scale_free
from lossmith.checker.report import Finding, Severity
from lossmith.checker.targets import Case

_SPREADS = "one such batch makes every weight of the model NaN, and training never recovers"
_GUARD = (
    "keep the argument of log, sqrt, division and norm away from 0 before the operation "
    "(`ops.maximum(x, eps)`, or two `ops.where` around it); a `where` after it does not help"
)
_OVERFLOW = (
    "large numbers overflow: use `ops.logsumexp`, `ops.log_softmax` or `ops.softplus` in place of "
    "`log` and `exp`, and clip what goes into `exp` or a power"
)


def probe_finite(context: Context) -> Iterator[Finding]:
    """The value and the gradient are finite on the whole battery."""
    values, gradients = [], []
    for case in context.problem.cases:
        seen = context.at(case)
        if not seen.ran:
            continue
        if not seen.finite_value:
            values.append(case)
        elif not seen.finite_gradient:
            gradients.append(case)
    if values:
        yield _value_finding(context, values)
    if gradients:
        yield _gradient_finding(context, gradients)


def _is_rare(context: Context, case: Case) -> bool:
    if case.role == "rare" or (case.name == "both zero" and is_scale_free(context)):
        return True
    coupled = not context.rowwise and not context.averages_rows
    return case.name == "one row" and coupled


def _value_finding(context: Context, cases: list[Case]) -> Finding:
    names = _names(cases)
    case = _clearest(cases)
    seen = context.at(case)
    evidence = context.smallest(case, lambda alone: alone.ran and not alone.finite_value)
    rare = all(_is_rare(context, case) for case in cases)
    infinite_only = all(
        case.role == "extreme" and context.at(case).scalar in (float("inf"),) for case in cases
    )
    batch = all(case.role in ("chance", "rare") for case in cases)
    return rules.finding(
        rules.DEGENERATE_BATCH if batch else rules.VALUE_NOT_FINITE,
        f"The loss is {seen.scalar} for {names}.",
        evidence,
        consequence=_SPREADS,
        remedy=_remedy(cases) + _on_domain(context, cases),
        severity=_severity_of_infinite(context) if infinite_only else _severity(rare),
    )


def _on_domain(context: Context, cases: list[Case]) -> str:
    if all(case.role == "extreme" for case in cases):
        return ""
    columns = context.problem.y_pred.shape[-1]
    return advice_on_domain(context.evaluator, context.settings, context.problem.kind, columns)


def _severity(rare: bool) -> Severity:
    return "warning" if rare else "error"


def _severity_of_infinite(context: Context) -> Severity:
    """The cost of a score that is too large for `exp`: the hazard of every parametric survival."""
    return "information" if context.problem.kind == "survival" else "warning"


def _gradient_finding(context: Context, cases: list[Case]) -> Finding:
    case = _clearest(cases)
    evidence = context.smallest(case, lambda alone: alone.ran and not alone.finite_gradient)
    rare = all(_is_rare(context, case) or case.role == "extreme" for case in cases)
    return rules.finding(
        rules.GRADIENT_NOT_FINITE,
        f"The value is finite but the gradient is not, for {_names(cases)}.",
        evidence,
        consequence=_SPREADS,
        remedy=_remedy(cases),
        severity=_severity(rare),
    )


def _remedy(cases: list[Case]) -> str:
    """Large predictions overflow; elsewhere it is a number near 0 that is the trouble."""
    return _OVERFLOW if all(case.role == "extreme" for case in cases) else _GUARD


def _clearest(cases: list[Case]) -> Case:
    order = ("random", "perfect", "zero", "wrong", "chance", "rare", "extreme")
    return min(cases, key=lambda case: order.index(case.role))


def _names(cases: list[Case]) -> str:
    shown = [f"the case {case.name!r}" for case in cases[:3]]
    more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
    return ", ".join(shown) + more
