"""Images to give to the command line, and what it says when it refuses."""

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import Result

FAST = ["--preset", "lab", "--epochs", "1", "--batch-size", "16"]


def save_images(folder: Path, count: int, size: tuple[int, ...] = (8, 8)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr
