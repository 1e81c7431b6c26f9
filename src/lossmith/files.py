"""Files that appear whole or not at all, and are named when they are damaged."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def moved_into_place(target: Path) -> Iterator[Path]:
    """A path beside `target` for a file or folder, which takes its place once all is written.

    Args:
        target: The path that the result is to have. A file there is replaced; a folder is not.

    Returns:
        A context manager that gives the path to write to. If the block raises, what was written
        there is taken away and `target` is as it was.

    Raises:
        OSError: If `target` is a folder that is not empty, or its parent does not exist.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with moved_into_place(Path(folder, "notes.txt")) as temporary:
        ...         _ = temporary.write_text("whole")
        ...     Path(folder, "notes.txt").read_text()
        'whole'
    """
    # The ending is kept: Keras tells the format of a model from it.
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Writes a text file whole or not at all, in place of one that is there."""
    with moved_into_place(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        ValueError: If it is not valid JSON; the message names the file.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
