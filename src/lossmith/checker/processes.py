"""Losses run in children, one for each backend side by side: a loss can harm only its child."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lossmith.checker import rules, saving
from lossmith.checker.report import BackendResult, Curve, Evidence, Finding
from lossmith.checker.settings import Settings
from lossmith.checker.source import Source
from lossmith.checker.subject import Subject, SubjectError
from lossmith.checker.wire import settings_to_json
from lossmith.core.backend import installed_backends

_START_LIMIT = 300.0
_GRACE = 2.0
_KEPT_LINES = 400
_SAVING_ORDER = ("jax", "torch", "tensorflow")
"""Backends by how fast a fresh process imports them; a saved model is the same on all."""

# The channel is moved away from the standard streams before any code of the user runs: what a loss
# prints goes to the standard error, and what it reads is empty.
_BOOT = """
import os, sys
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
orders = os.fdopen(os.dup(0), encoding="utf-8")
os.dup2(2, 1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.path.append({root!r})
from lossmith.checker.child import serve
serve(orders, answers)
"""


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


class ChildOutOfTimeError(Exception):
    """The child did not answer in time; the text is where it was."""


class ChildDiedError(Exception):
    """The child ended; the text says how."""


class Child:
    """A process on one backend that carries out orders one after the other."""

    def __init__(self, backend: str) -> None:
        root = str(Path(__file__).resolve().parents[2])
        self.backend = backend
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT.format(root=root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(backend),
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._noise: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ready = False
        for target in (self._read_answers, self._read_noise):
            threading.Thread(target=target, daemon=True).start()

    def ask(self, task: str, seconds: float, **order: Any) -> Any:
        """Return the answer to an order.

        Raises:
            SubjectError: if the child says that the loss cannot be checked.
            ChildOutOfTimeError: if there is no answer in time; the child is ended.
            ChildDiedError: if the loss ends the child.
        """
        if not self._ready:
            self._receive(_START_LIMIT)
            self._ready = True
        try:
            self._stdin.write(json.dumps({"task": task, "seconds": seconds, **order}) + "\n")
            self._stdin.flush()
        except OSError as error:
            raise ChildDiedError(self._last_words()) from error
        reply = self._receive(seconds + _GRACE)
        if not reply["clean"]:
            self.close()
        if "refused" in reply:
            raise SubjectError(reply["refused"])
        if "exited" in reply:
            raise ChildDiedError(f"it raises SystemExit({reply['exited']})")
        if "failed" in reply:
            raise RuntimeError(f"The checker failed on {self.backend}:\n{reply['failed']}")
        return reply["answer"]

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and whatever it started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def _receive(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise ChildOutOfTimeError("".join(self._noise)) from None
        if line is None:
            self.close()
            raise ChildDiedError(self._last_words())
        return json.loads(line)

    def _read_answers(self) -> None:
        stdout: Any = self._process.stdout
        for line in stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _read_noise(self) -> None:
        stderr: Any = self._process.stderr
        while chunk := stderr.readline(4096):
            self._noise.append(chunk)

    def _last_words(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"the process was ended by {signal.Signals(-code).name}"
        last = next((line.strip() for line in reversed(self._noise) if line.strip()), "")
        return f"the process ended with exit code {code}" + (f" ({last})" if last else "")


def _environment(backend: str) -> dict[str, str]:
    """Everything on the processor, with few threads: the arrays are small, the children several."""
    return {
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": backend,
        "KERAS_TORCH_DEVICE": "cpu",
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


class Children:
    """The children of a run: started when first asked, replaced when one was lost."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, str], Child] = {}
        self._lock = threading.Lock()

    def get(self, role: str, backend: str) -> Child:
        """The child with that role on that backend."""
        with self._lock:
            child = self._children.get((role, backend))
            if child is None or not child.alive:
                child = self._children[role, backend] = Child(backend)
            return child

    def close(self) -> None:
        """End all of them."""
        for child in self._children.values():
            child.close()


_kept: Children | None = None


@contextlib.contextmanager
def children_kept() -> Iterator[Children]:
    """Let all checks inside use the same children, which import Keras once."""
    global _kept
    if _kept is not None:
        yield _kept
        return
    _kept = Children()
    try:
        yield _kept
    finally:
        children, _kept = _kept, None
        children.close()


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
            where = place_of_hang(str(error), subject.place)
            raise SubjectError(
                f"{subject.name} did not finish importing within {settings.time_limit:g} s"
                f"{where}. Keep work out of the module: put it under "
                'if __name__ == "__main__".'
            ) from error
        except ChildDiedError as error:
            raise SubjectError(f"{subject.name} cannot be imported: {error}.") from error


def probe_backends(subject: Subject, settings: Settings, backends: Sequence[str]) -> Probed:
    """Run the probes on each backend, side by side, and the saving probe.

    Raises:
        SubjectError: if no backend can load the loss, saying what to give instead.
    """
    keeper = _saving_backend(backends)
    with children_kept() as children, tempfile.TemporaryDirectory() as folder:
        children.get("reload", keeper)
        with ThreadPoolExecutor(len(backends)) as threads:
            seen = dict(
                zip(
                    backends,
                    threads.map(
                        lambda backend: _probe(
                            children, subject, settings, backend, folder * (backend == keeper)
                        ),
                        backends,
                    ),
                    strict=True,
                )
            )
    return _joined(seen)


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
            "inspect", settings.time_limit, folder=folder, **order
        )
    except SubjectError as error:
        return _Seen(missing=str(error), refused=True)
    except ChildOutOfTimeError as error:
        finding = _hang(subject, settings, backend, str(error))
        return _Seen(findings=(finding,), missing="out of time", source=subject.source)
    except ChildDiedError as error:
        finding = _death(backend, str(error))
        return _Seen(findings=(finding,), missing=str(error), source=subject.source)
    result = BackendResult.from_json(answer["result"])
    findings = [Finding.from_dict(each) for each in answer["findings"]]
    receipt = answer.get("receipt")
    if receipt is not None:
        reply = None
        if not receipt["error"]:
            reply = _reloaded(children, settings, backend, order, result.target, receipt)
        findings += saving.judge(receipt, reply, backend)
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
    except (SubjectError, ChildOutOfTimeError, ChildDiedError):
        return None


def _saving_backend(backends: Sequence[str]) -> str:
    return next((name for name in _SAVING_ORDER if name in backends), backends[0])


def _hang(subject: Subject, settings: Settings, backend: str, noise: str) -> Finding:
    file = subject.source.file if subject.source else subject.place
    where = place_of_hang(noise, file)
    return rules.finding(
        rules.OUT_OF_TIME,
        f"The loss did not finish within {settings.time_limit:g} s{where}.",
        Evidence(backend, "eager", note=where.strip(" ()")),
        consequence="Training stops at this step without a message.",
        remedy="Look for a loop over a tensor or one that never ends; time_limit=... "
        "(--time-limit) gives a slow loss more.",
    )


def place_of_hang(noise: str, file: str) -> str:
    """The line of the user's file in a stack written by `faulthandler`, in brackets."""
    frames = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', noise)
    for where, line, name in frames:
        if where == file or Path(where).name == Path(file).name:
            return f" (it was in {name}, {Path(where).name} line {line})"
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


def _joined(seen: Mapping[str, _Seen]) -> Probed:
    if all(each.refused for each in seen.values()):
        raise SubjectError(next(iter(seen.values())).missing)
    return Probed(
        results={name: each.result for name, each in seen.items() if each.result is not None},
        missing={name: each.missing for name, each in seen.items() if each.missing},
        findings=tuple(finding for each in seen.values() for finding in each.findings),
        source=next((each.source for each in seen.values() if each.source), None),
        curves=next((each.curves for each in seen.values() if each.curves), ()),
    )
