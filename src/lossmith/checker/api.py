"""`check`: the whole of the checker in one call."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.checker import factories, progress, rules
from lossmith.checker.arguments import reasons, several, validated
from lossmith.checker.context import close
from lossmith.checker.inspection import settle
from lossmith.checker.processes import Probed, fastest, probe_backends, probe_here
from lossmith.checker.report import BackendResult, Card, Evidence, Finding, Report
from lossmith.checker.settings import Entry, Settings, Target, interval
from lossmith.checker.source import source_in_file
from lossmith.checker.subject import describe, name_of
from lossmith.checker.transport import NotTransportableError
from lossmith.core.backend import installed_backends, keras


def check(
    loss: Any,
    y_true: Any = None,
    y_pred: Any = None,
    *,
    target: Target | None = None,
    model: Any = None,
    family: str | None = None,
    same: int | None = None,
    redescending: bool = False,
    adversarial: bool = False,
    stochastic: bool = False,
    batchwise: bool | None = None,
    domain: tuple[float | None, float | None] | None = None,
    backends: Sequence[str] | None = None,
    entry: Entry = "compile",
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    waive: Mapping[str, str] | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
) -> Report:
    """Find out whether a loss is broken, before training with it.

    The loss is run in processes of its own, one for each backend, on inputs that its kind of
    target calls for.

    Args:
        loss: what `compile` takes: a function, a closure, a `functools.partial`, a
            `keras.losses.Loss` or its class, a name; or a place, `"my_losses.py:huber"`.
        y_true: a batch of your own, or `None`; the kind of target is inferred from it.
        y_pred: the predictions that go with it.
        target: what y_true and y_pred are, one of `lossmith.checker.settings.TARGETS`.
        model: the model that the loss is for: its last activation and output shape are looked at.
        family: the family whose identities must hold, one of
            `lossmith.checker.settings.FAMILIES`: `"huber"`, `"pinball"`, `"dice"` and others.
        same: the label of pairs that are the same, 0 or 1.
        redescending: large errors are left without gradient on purpose.
        adversarial: the loss has no floor on purpose.
        stochastic: two calls may differ on purpose.
        batchwise: the loss is a property of the whole batch on purpose.
        domain: the lowest and highest target of a regression; `None` or an infinity where it is
            open, `(0, None)` for example.
        backends: the backends to probe; all installed ones if not given.
        entry: `"compile"` if the loss is given to `compile`, `"direct"` if it is called.
        select: codes, or their beginnings, to report; all if empty.
        ignore: codes, or their beginnings, not to report.
        waive: reasons by code; waived findings are shown and do not fail.
        time_limit: seconds that the probes of one backend may take.
        seed: makes the inputs.

    Returns:
        The report; `report.ok` is false if there is an error that is not waived.

    Raises:
        ValueError: for an unknown target, family, backend, label or code, a batch or a domain that
            is none, or a number that cannot be one.
        lossmith.checker.subject.SubjectError: if the loss cannot be found or is none.
        lossmith.checker.factories.NestedCheckError: where the check of a loss calls the function
            that the loss was made in, to make it again, and that function checks it.
    """
    factories.refuse_nested()
    started = time.perf_counter()
    settings = Settings(
        target=target, y_true=y_true, y_pred=y_pred, family=family, same=same,
        redescending=redescending, adversarial=adversarial, stochastic=stochastic,
        batchwise=batchwise, domain=interval(domain), entry=entry, time_limit=time_limit, seed=seed,
    )  # fmt: skip
    chosen = several(backends) or tuple(installed_backends())
    selected, ignored, waived = several(select), several(ignore), reasons(waive)
    settings = validated(settings, chosen, (*selected, *ignored, *waived))
    settings = _seen_with(settings, model)
    name, probed = _probed(loss, settings, chosen)
    report = _joined(name, probed, settings)
    waivers = {**(probed.source.waivers if probed.source else {}), **waived}
    report = replace(
        report,
        findings=tuple(_waived(finding, waivers) for finding in report.findings),
        seconds={**report.seconds, "all": time.perf_counter() - started},
    )
    return report.select(selected, ignored)


def _probed(loss: Any, settings: Settings, backends: Sequence[str]) -> tuple[str, Probed]:
    """The name of the loss, and what the processes saw of it."""
    try:
        subject = describe(loss)
    except NotTransportableError as error:
        return name_of(loss), probe_here(loss, settings, backends, str(error))
    with progress.shown(subject.name, backends) as on_done:
        probed = probe_backends(subject, settings, backends, on_done)
    if probed.source is None and subject.kind == "file":
        probed = replace(probed, source=source_in_file(subject.place, subject.expression))
    return subject.name, probed


def _seen_with(settings: Settings, model: Any) -> Settings:
    """The settings with what can be read off a model."""
    if model is None:
        return settings
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a keras.Model; got {model!r} ({type(model).__name__}).")
    layers = [layer for layer in model.layers if hasattr(layer, "activation")]
    last = model.layers[-1] if model.layers else None
    name = type(last).__name__.lower()
    if last is not None and hasattr(last, "activation"):
        name = getattr(last.activation, "__name__", "linear")
    elif name not in ("softmax", "relu", "sigmoid", "tanh"):
        name = "linear" if not layers else ""
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple):
        shape = None  # not built yet, or several outputs
    return replace(settings, activation=name or None, output_shape=shape)


def _joined(name: str, probed: Probed, settings: Settings) -> Report:
    results = probed.results
    first = results.get(fastest(tuple(results))) if results else None
    findings = [finding for result in results.values() for finding in result.findings]
    findings += [*probed.findings, *_disagreements(list(results.values()), settings)]
    seconds = {
        f"{result.backend}: {step}": spent
        for result in results.values()
        for step, spent in result.seconds.items()
    }
    return Report(
        loss=name,
        target=first.target if first else settings.target or "unknown",
        target_inferred=first.target_inferred if first else False,
        target_weak=first.target_weak if first else False,
        batch_given=settings.y_true is not None,
        findings=tuple(settle(_merged(findings))),
        card=first.card if first else Card(),
        backends_seen=tuple(results),
        backends_missing=probed.missing,
        seconds=seconds,
        location=probed.source.location if probed.source else None,
        curves=probed.curves,
    )


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for what several backends show, with the names of all of them."""
    merged: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = (finding.rule.code, finding.about)
        known = merged.get(key)
        if known is None:
            merged[key] = finding
            continue
        worst = min(known, finding, key=lambda f: ("error", "warning", "information").index(
            f.severity))  # fmt: skip
        backends = tuple(dict.fromkeys((*known.backends, *finding.backends)))
        merged[key] = replace(worst, backends=backends)
    return list(merged.values())


def _waived(finding: Finding, waivers: Mapping[str, str]) -> Finding:
    reason = next(
        (text for code, text in waivers.items() if finding.rule.code.startswith(code)), None
    )
    if reason is None:
        return finding
    if not reason:
        told = "a waiver of it in the source counts once it says why, behind the brackets"
        return replace(finding, remedy="; ".join(filter(None, (finding.remedy, told))))
    return replace(finding, waived=reason)


def _disagreements(results: list[BackendResult], settings: Settings) -> list[Finding]:
    """Backends must give the same numbers wherever they give numbers at all."""
    for index, first in enumerate(results):
        for second in results[index + 1 :]:
            if first.target != second.target:  # each guessed for itself, and made its own inputs
                continue
            for name, here in first.probe_values.items():
                there = second.probe_values.get(name)
                if there is None or settings.stochastic:
                    continue
                what = _difference(here, there, _size(first))
                if what:
                    return [_disagreement(first, second, name, what)]
    return []


def _size(result: BackendResult) -> float:
    """How large the values of a loss are: the first input is random."""
    sizes = [abs(float(seen["value"])) for seen in result.probe_values.values()]
    return next((size for size in sizes if math.isfinite(size)), 0.0)


def _difference(here: Mapping[str, Any], there: Mapping[str, Any], size: float) -> str:
    """What differs by more than the rounding of a loss of that size."""
    for what in ("value", "gradient"):
        if here[what] is None or there[what] is None:
            continue
        one, other = (np.asarray(side[what], dtype="float64") for side in (here, there))
        finite = np.all(np.isfinite(one)) and np.all(np.isfinite(other))
        if not finite:
            continue
        if one.shape != other.shape:
            return what
        rounding = 1e-5 * size if what == "value" else 0.0
        if np.max(np.abs(one - other), initial=0.0) > rounding and not close(one, other, 2e-3):
            return what
    return ""


def _disagreement(first: BackendResult, second: BackendResult, name: str, what: str) -> Finding:
    here, there = first.probe_values[name][what], second.probe_values[name][what]
    shown = first.inputs.get(name, {})
    numbers = ""
    if isinstance(here, float) and isinstance(there, float) and math.isfinite(here):
        numbers = f" ({here:.6g} and {there:.6g})"
    evidence = Evidence(
        first.backend,
        "compiled",
        shown.get("y_true"),
        shown.get("y_pred"),
        here if what == "value" else None,
        here if what == "gradient" else None,
        f"{second.backend} gives {there}" if what == "value" else name,
    )
    found = rules.finding(
        rules.BACKENDS_DISAGREE,
        f"{first.backend} and {second.backend} give another {what}{numbers} for the case {name!r}.",
        evidence,
        consequence="results cannot be repeated on another backend, and one of them is wrong",
        remedy="look for an operation at a point where it has no value or no slope, and for "
        "dtypes that one backend promotes and another does not",
    )
    return replace(found, backends=(first.backend, second.backend))
