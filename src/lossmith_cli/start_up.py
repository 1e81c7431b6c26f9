"""While libraries are being imported: a line that says so, and Ctrl-C."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def start_up() -> Iterator[None]:
    """Says on a terminal that libraries are being imported, and lets Ctrl-C end that at once.

    An exception in the middle of the import of a C extension can crash the process, and some
    swallow it. Nothing is lost by leaving: the command has not begun.
    """
    previous = signal.signal(signal.SIGINT, _leave)
    is_terminal = sys.stderr.isatty()
    if is_terminal:
        _show("Starting ...")
    try:
        yield
    finally:
        if is_terminal:
            _show(_CLEAR_LINE)
        signal.signal(signal.SIGINT, previous)


@contextmanager
def tensorflow_silent() -> Iterator[None]:
    """Imports TensorFlow without what it says of processors, where nothing is computed with it."""
    said = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    added = {name: value for name, value in said.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _leave(*_: Any) -> None:
    _show("Interrupted.\n")
    os._exit(INTERRUPTED)
