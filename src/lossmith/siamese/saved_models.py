"""Models from files, which may be damaged."""

from pathlib import Path
from typing import Any

from lossmith.core.backend import keras


def load_model(path: Path, compile: bool = True) -> Any:
    """The model in a `.keras` file; nothing but registered classes is loaded.

    Args:
        path: The file.
        compile: Whether optimizer and loss come back, to train on.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be loaded; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no model at {path}.")
    try:
        return keras.models.load_model(path, compile=compile)
    except Exception as error:  # Keras raises nearly anything on a damaged file
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} cannot be loaded, it is damaged or no Keras model: {reason}"
        ) from error
