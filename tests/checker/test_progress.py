import io
import sys
import threading

import pytest

from lossmith.checker import progress

pytestmark = pytest.mark.backend_free


class Screen(io.StringIO):
    """A terminal that says when it was written to."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal, self.written = is_terminal, threading.Event()

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


def test_a_terminal_shows_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(is_terminal=True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_DELAY", 0.01)
    with progress.shown("huber", ["jax", "torch"]) as on_done:
        on_done("jax")
        screen.written.clear()
        assert screen.written.wait(60)
    lines = screen.getvalue().split("\r")
    assert "Checking huber" in lines[-3]
    assert lines[-3].rstrip().endswith("waiting for torch")
    assert lines[-2].strip() == ""


def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(is_terminal=False)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress.shown("huber", ["jax"]) as on_done:
        on_done("jax")
    assert screen.getvalue() == ""
