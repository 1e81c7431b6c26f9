"""A line that says what a check is doing, where somebody watches."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

_DELAY = 1.0
"""Seconds before the line appears and between its changes."""


@contextlib.contextmanager
def shown(name: str, backends: Sequence[str]) -> Iterator[Callable[[str], None]]:
    """Show which backends a check still waits for; the block calls what it gets as each is done.

    Nothing is shown unless the standard error is a terminal, or a notebook runs.
    """
    left = list(backends)
    if not _is_watched():
        yield left.remove
        return
    over = threading.Event()
    thread = threading.Thread(target=_keep_writing, args=(name, left, over), daemon=True)
    thread.start()
    try:
        yield left.remove
    finally:
        over.set()
        thread.join()


def _is_watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _keep_writing(name: str, left: Sequence[str], over: threading.Event) -> None:
    started, longest = time.monotonic(), 0
    while not over.wait(_DELAY):
        seconds = time.monotonic() - started
        line = f"Checking {name} ({seconds:.0f} s): waiting for {', '.join(left) or 'the end'}"
        longest = max(longest, len(line))
        sys.stderr.write(f"\r{line:<{longest}}")
        sys.stderr.flush()
    if longest:
        sys.stderr.write(f"\r{'':<{longest}}\r")
        sys.stderr.flush()
