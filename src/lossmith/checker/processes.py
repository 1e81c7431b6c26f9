"""Losses run in children, one for each backend side by side: a loss can harm only its child."""

import re
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lossmith.checker import rules, saving, static
from lossmith.checker.children import (
    ChildDiedError,
    ChildFailedError,
    ChildOutOfTimeError,
    Children,
    children_kept,
)
from lossmith.checker.report import BackendResult, Curve, Evidence, Finding
from lossmith.checker.settings import Settings
from lossmith.checker.source import Source, source_of
from lossmith.checker.subject import Subject, SubjectError
from lossmith.checker.wire import settings_to_json
from lossmith.core.backend import installed_backends, keras

_INSTALLED = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib"))
_FASTEST_FIRST = ("torch", "tensorflow", "jax")
"""Backends by how fast they run a loss many times."""
_SAVING_ORDER = ("jax", "torch", "tensorflow")
"""Backends by how fast a fresh process imports them; a saved model is the same on all."""


@dataclass(frozen=True)
class Probed:
    """What the children saw of one loss.

    Attributes:
        results: what the probes found, by backend.
        missing: why a backend was not seen.
        findings: what became of the processes, of settings of the program, of saving, and what a
            reading of the source shows.
        source: where the loss is written, if that is known.
        curves: the loss along a line of predictions, for drawing.
    """

    results: Mapping[str, BackendResult]
    missing: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    source: Source | None = None
    curves: tuple[Curve, ...] = ()


def find_losses(subject: Subject, settings: Settings) -> list[dict[str, Any]]:
    """The losses of a file or module, found in a child; see `discovery.Found`.

    Raises:
        SubjectError: if the file does not import, ends the process or does not end in time.
    """
    backend = _saving_backend(installed_backends())
    with children_kept() as children:
        try:
            return children.get("probe", backend).ask(
                "discover", settings.time_limit, subject=subject.to_dict()
            )
        except ChildOutOfTimeError as error:
            where = place_of_hang(str(error))
            raise SubjectError(
                f"{subject.name} did not finish importing within {settings.time_limit:g} s"
                f"{where}. Keep work out of the module: put it under "
                'if __name__ == "__main__".'
            ) from error
        except (ChildDiedError, ChildFailedError) as error:
            reason = str(error).strip().splitlines()[-1].rstrip(".")
            raise SubjectError(f"{subject.name} cannot be imported: {reason}.") from error


def probe_backends(
    subject: Subject,
    settings: Settings,
    backends: Sequence[str],
    on_done: Callable[[str], None] = lambda backend: None,
) -> Probed:
    """Run the probes on each backend, side by side, and the saving probe.

    Args:
        subject: the loss.
        settings: what the user said about it.
        backends: the backends to run on.
        on_done: called with the name of each backend that is done.

    Raises:
        SubjectError: if no backend can load the loss, saying what to give instead.
    """
    with children_kept() as children, tempfile.TemporaryDirectory() as folder:
        unfit = _unfit(children, subject, settings, backends)
        backends = [name for name in backends if name not in unfit]
        for name in unfit:
            on_done(name)
        settings = replace(settings, thorough_on=fastest(backends))
        keeper = _saving_backend(backends)
        children.get("reload", keeper)

        def probe(backend: str) -> _Seen:
            seen = _probe(children, subject, settings, backend, folder if backend == keeper else "")
            on_done(backend)
            return seen

        with ThreadPoolExecutor(len(backends)) as threads:
            seen = dict(zip(backends, threads.map(probe, backends), strict=True))
    joined = _joined(seen)
    return replace(joined, missing={**joined.missing, **unfit})


def _unfit(
    children: Children, subject: Subject, settings: Settings, backends: Sequence[str]
) -> dict[str, str]:
    """Why a loss cannot be judged on some of the backends: it calls another one's operations."""
    for backend in backends:
        children.get("probe", backend)  # all of them start while the first one is asked
    order = {"subject": subject.to_dict(), "backends": list(backends)}
    try:
        found = children.get("probe", _saving_backend(backends)).ask(
            "fitting", _patience(settings), **order
        )
    except (SubjectError, ChildOutOfTimeError, ChildDiedError, ChildFailedError):
        return {}  # the probes meet the same, and say so
    return {name: f"the loss calls operations of {used}" for name, used in found.items()}


def probe_here(loss: Any, settings: Settings, backends: Sequence[str], reason: str) -> Probed:
    """Run the probes in this process, for a loss that cannot leave it: no time limit protects it.

    Args:
        loss: the loss itself.
        settings: what the user said about it.
        backends: those that were wanted; only the current one is seen.
        reason: why it cannot leave.
    """
    from lossmith.checker.inspection import inspect

    current = keras.backend.backend()
    result = inspect(loss, settings)
    source = source_of(loss)
    findings = [] if source is None else static.read(source, loss, result.findings)
    return Probed(
        {current: result},
        {name: reason for name in backends if name != current},
        tuple(findings),
        source,
    )


@dataclass(frozen=True)
class _Seen:
    result: BackendResult | None = None
    findings: tuple[Finding, ...] = ()
    source: Source | None = None
    curves: tuple[Curve, ...] = ()
    missing: str = ""
    refused: bool = False


def _probe(
    children: Children, subject: Subject, settings: Settings, backend: str, folder: str
) -> _Seen:
    order = {"subject": subject.to_dict(), "settings": settings_to_json(settings)}
    try:
        answer = children.get("probe", backend).ask(
            "inspect", _patience(settings), folder=folder, **order
        )
    except SubjectError as error:
        return _Seen(missing=str(error), refused=True)
    except ChildOutOfTimeError as error:
        finding = _hang(settings, backend, str(error))
        return _Seen(findings=(finding,), missing="out of time", source=subject.source)
    except ChildDiedError as error:
        finding = _death(backend, str(error))
        return _Seen(findings=(finding,), missing=str(error), source=subject.source)
    except ChildFailedError as error:
        return _Seen(findings=(_fault(backend, str(error)),), missing="the checker failed")
    result = BackendResult.from_json(answer["result"])
    findings = [Finding.from_dict(each) for each in answer["findings"]]
    receipt = answer.get("receipt")
    if receipt is not None:
        begun = time.perf_counter()
        reply = None
        if not receipt["error"]:
            reply = _reloaded(children, settings, backend, order, result.target, receipt)
        findings += saving.judge(receipt, reply, backend)
        reloading = time.perf_counter() - begun
        result = replace(result, seconds={**result.seconds, "reloading": reloading})
    curves = tuple(Curve.from_dict(each) for each in answer.get("curves", ()))
    return _Seen(result, tuple(findings), Source.from_dict(answer["source"]), curves)


def _reloaded(
    children: Children,
    settings: Settings,
    backend: str,
    order: Mapping[str, Any],
    target: str,
    receipt: Mapping[str, Any],
) -> Mapping[str, Any] | None:
    """What a fresh process made of a saved model; `None` if it did not live to tell."""
    child = children.get("reload", backend)
    try:
        return child.ask("reload", settings.time_limit, receipt=receipt, target=target, **order)
    except (SubjectError, ChildOutOfTimeError, ChildDiedError, ChildFailedError):
        return None


def _patience(settings: Settings) -> float:
    """When a child is ended: the probes end themselves in time unless the loss does not return."""
    return 1.25 * settings.time_limit + 5.0


def fastest(backends: Sequence[str]) -> str:
    """The one of these backends that runs a loss many times in the least time."""
    return next((name for name in _FASTEST_FIRST if name in backends), backends[0])


def _saving_backend(backends: Sequence[str]) -> str:
    return next((name for name in _SAVING_ORDER if name in backends), backends[0])


def _hang(settings: Settings, backend: str, noise: str) -> Finding:
    where = place_of_hang(noise)
    return rules.finding(
        rules.OUT_OF_TIME,
        f"The loss did not finish within {settings.time_limit:g} s{where}."
        if where
        else f"The check did not finish within {settings.time_limit:g} s.",
        Evidence(backend, "eager", note=where.strip(" ()")),
        consequence="Training may stop at this step without a message.",
        remedy="Look for a loop over a tensor or one that never ends; a slow loss, or a machine "
        "that is busy, needs a larger time_limit (--time-limit).",
        severity="error" if where else "warning",
    )


def place_of_hang(noise: str) -> str:
    """The innermost line of a user's file in a stack written by `faulthandler`, in brackets."""
    own = str(Path(__file__).resolve().parents[1])
    for file, line, name in re.findall(r'File "([^"]+)", line (\d+) in (\S+)', noise):
        if not (file.startswith((*_INSTALLED, own, "<")) or "site-packages" in file):
            return f" (it was in {name}, {Path(file).name} line {line})"
    return ""


def _death(backend: str, how: str) -> Finding:
    return rules.finding(
        rules.PROCESS_DIED,
        f"The loss ends its process: {how}.",
        Evidence(backend, "eager", note=how),
        consequence="Training ends without a checkpoint or a message.",
        remedy="Look for os._exit, sys.exit or native code that crashes in the loss or in what "
        "it imports.",
    )


def _fault(backend: str, trace: str) -> Finding:
    places = re.findall(r'File ".*?(\w+\.py)", line (\d+), in (\w+)', trace)
    where = f"in {places[-1][2]}, {places[-1][0]} line {places[-1][1]}" if places else ""
    return rules.finding(
        rules.PROBE_FAILED,
        f"The check could not be run: {trace.strip().splitlines()[-1]}",
        Evidence(backend, "eager", note=where),
        consequence="Nothing is known about the loss on this backend.",
        remedy="If the backend works otherwise, this is a fault of lossmith: please report it "
        "with the loss.",
        severity="error",
    )


def _joined(seen: Mapping[str, _Seen]) -> Probed:
    if all(each.refused for each in seen.values()):
        raise SubjectError(next(iter(seen.values())).missing)
    results = {name: each.result for name, each in seen.items() if each.result is not None}
    findings = tuple(finding for each in seen.values() for finding in each.findings)
    if not results:
        findings = tuple(replace(finding, severity="error") for finding in findings)
    return Probed(
        results=results,
        missing={name: each.missing for name, each in seen.items() if each.missing},
        findings=findings,
        source=next((each.source for each in seen.values() if each.source), None),
        curves=next((each.curves for each in seen.values() if each.curves), ()),
    )
