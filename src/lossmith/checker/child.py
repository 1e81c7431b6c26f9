"""The process in which a loss is run: it takes one order at a time, as JSON lines."""

import contextlib
import faulthandler
import json
import os
import queue
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TextIO

from lossmith.checker import curve, discovery, frameworks, saving, static, surroundings
from lossmith.checker.evaluate import fast_start, words_of
from lossmith.checker.report import BackendResult
from lossmith.checker.source import source_of
from lossmith.checker.subject import Subject, SubjectError, load
from lossmith.checker.wire import settings_from_json
from lossmith.core import registry
from lossmith.core.backend import keras

Order = Mapping[str, Any]


def serve(orders: TextIO, answers: TextIO) -> None:
    """Carry out orders until there are no more; the first line says that Keras is imported."""
    faulthandler.enable()
    _say(answers, {"ready": True})
    waiting: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_receive, args=(orders, waiting), daemon=True).start()
    while True:
        order = json.loads(waiting.get())
        before = surroundings.snapshot()
        with _forgetting(), _ending_after(order["seconds"]), fast_start():
            answer = _carry_out(order)
        clean = not surroundings.differences(before, surroundings.snapshot())
        _say(answers, {**answer, "clean": clean})


def _receive(orders: TextIO, waiting: "queue.Queue[str]") -> None:
    """Pass orders on; when there can be no more, the parent is gone: end in the midst of one."""
    for line in orders:
        waiting.put(line)
    os._exit(0)


def _say(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer, allow_nan=False) + "\n")
    answers.flush()


def _carry_out(order: Order) -> dict[str, Any]:
    try:
        return {"answer": _TASKS[order["task"]](order)}
    except SubjectError as error:
        return {"refused": str(error)}
    except Exception:  # nothing may end the loop without an answer
        return {"failed": traceback.format_exc()}
    except BaseException as error:  # raised by the loss to end the program
        name, _, words = words_of(error, 200).partition(": ")
        return {"exited": f"{name}({words})"}


def _discover(order: Order) -> list[dict[str, Any]]:
    found = discovery.discover(Subject.from_dict(order["subject"]))
    return [entry.to_dict() for entry in found]


def _fitting(order: Order) -> dict[str, str]:
    return frameworks.fitting(load(Subject.from_dict(order["subject"])), order["backends"])


def _inspect(order: Order) -> dict[str, Any]:
    from lossmith.checker.inspection import inspect

    subject = Subject.from_dict(order["subject"])
    settings = settings_from_json(order["settings"])
    loss = load(subject)
    source = subject.source or source_of(loss)
    before = surroundings.snapshot()
    result = inspect(loss, settings)
    changed = surroundings.differences(before, surroundings.snapshot())
    findings = []
    inputs = saving.trials(result, settings)
    seconds = dict(result.seconds)
    with _timed(seconds, "surroundings"):
        findings += surroundings.watch(
            lambda: saving.run_python(loss, settings.entry, inputs[:1]), changed
        )
    with _timed(seconds, "source"):
        if source is not None:
            findings += static.read(source, loss, result.findings)
    answer: dict[str, Any] = {"source": None if source is None else source.to_dict()}
    if order["folder"]:
        with _timed(seconds, "curve"):
            drawn = curve.trace(loss, result.target, settings.entry)
            answer["curves"] = [each.to_dict() for each in drawn]
        with _timed(seconds, "saving"):
            if inputs and settings.entry == "compile":
                answer["receipt"] = saving.save(loss, inputs, order["folder"])
    answer["findings"] = [finding.to_dict() for finding in findings]
    answer["result"] = replace(result, seconds=seconds).to_json()
    return answer


def _reload(order: Order) -> dict[str, Any]:
    subject = Subject.from_dict(order["subject"])
    settings = settings_from_json(order["settings"])
    result = BackendResult(keras.backend.backend(), target=order["target"])
    return saving.reload(subject, order["receipt"], saving.trials(result, settings))


_TASKS: Mapping[str, Callable[[Order], Any]] = {
    "discover": _discover,
    "fitting": _fitting,
    "inspect": _inspect,
    "reload": _reload,
}


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - begun


@contextlib.contextmanager
def _ending_after(seconds: float) -> Iterator[None]:
    """When the time is over, write where the loss hangs and end this process.

    This works in a loop of native code as well, and when the parent is gone.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _forgetting() -> Iterator[None]:
    """Forget what an order imported and registered, so that the next one finds nothing of it."""
    modules, paths = set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = paths
        new = {name for name in set(sys.modules) - modules if _is_users(sys.modules[name])}
        for name in new:
            del sys.modules[name]
        _drop_members(keras.saving.get_custom_objects(), {*new, "__main__"})
        _drop_members(registry._classes, {*new, "__main__"})


def _drop_members(registered: dict[Any, Any], modules: set[str]) -> None:
    for name, value in list(registered.items()):
        if getattr(value, "__module__", None) in modules:
            del registered[name]


def _is_users(module: Any) -> bool:
    """Whether a module is neither Python's own nor installed."""
    file = getattr(module, "__file__", None) or ""
    installed = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platlib", "purelib"))
    return bool(file) and not file.startswith(installed) and "lossmith" not in module.__name__
