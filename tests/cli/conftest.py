"""Runs of the command line, and real data for them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner, Result

from lossmith_cli.app import app

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def lossmith() -> Command:
    """Run the command line in this process."""

    def run(*arguments: object) -> Result:
        # A terminal wide enough that no message is broken into lines.
        return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})

    return run


@pytest.fixture(scope="session")
def lossmith_json(lossmith: Command) -> Callable[..., Any]:
    """Run a command with `--json`; return what it prints."""

    def run(*arguments: object) -> Any:
        result = lossmith(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 300 real digits, 8 x 8, in a sub-folder per digit."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = load_digits(n_class=3, return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:300], labels, strict=False)):
        (folder / str(label)).mkdir(exist_ok=True)
        pixels = (image.reshape(8, 8) * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save(folder / str(label) / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def run(digits: Path, tmp_path_factory: pytest.TempPathFactory, lossmith: Command) -> Path:
    """A run with the default settings but for its length; no test changes it."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    result = lossmith(
        "train", digits, "--out", path, "--epochs", 12, "--batch-size", 64, "--seed", 3
    )
    assert result.exit_code == 0, result.stderr
    return path
