"""Child processes that carry out orders, one backend each, and are ended when they hang."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lossmith.checker.subject import SubjectError

_START_LIMIT = 300.0
_GRACE = 10.0
_TIMED_OUT = "Timeout ("
"""What `faulthandler` writes first when the time of an order is over."""
_KEPT_LINES = 400

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


class ChildOutOfTimeError(Exception):
    """The child did not answer in time; the text is where it was."""


class ChildDiedError(Exception):
    """The child ended; the text says how."""


class ChildFailedError(Exception):
    """The child could not do its work, which is not the loss' fault; the text says why."""


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
        threading.Thread(target=self._read_answers, daemon=True).start()
        self._listener = threading.Thread(target=self._read_noise, daemon=True)
        self._listener.start()

    def ask(self, task: str, seconds: float, **order: Any) -> Any:
        """Return the answer to an order.

        Raises:
            SubjectError: if the child says that the loss cannot be checked.
            ChildOutOfTimeError: if there is no answer in time; the child is ended.
            ChildDiedError: if the loss ends the child.
            ChildFailedError: if the backend is not imported, or the checker itself fails.
        """
        self._await_start()
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
            raise ChildDiedError(f"it raises {reply['exited']}")
        if "failed" in reply:
            raise ChildFailedError(reply["failed"])
        return reply["answer"]

    def _await_start(self) -> None:
        if self._ready:
            return
        try:
            self._receive(_START_LIMIT)
        except ChildOutOfTimeError as error:
            text = f"{self.backend} was not imported within {_START_LIMIT:g} s"
            raise ChildFailedError(text) from error
        except ChildDiedError as error:
            raise ChildFailedError(f"{self.backend} cannot be imported: {error}") from error
        self._ready = True

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
            self._listener.join(_GRACE)
            noise = "".join(self._noise)
            if _TIMED_OUT in noise:
                raise ChildOutOfTimeError(noise)
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
