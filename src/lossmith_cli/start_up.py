"""Ctrl-C while libraries are being imported."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130


@contextmanager
def start_up() -> Iterator[None]:
    """Imports in the block are left at once by Ctrl-C, with one line.

    An exception in the middle of the import of a C extension can crash the process, and some
    swallow it. Nothing is lost by leaving: the command has not begun.
    """
    previous = signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _leave(*_: Any) -> None:
    sys.stderr.write("Interrupted.\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)
