import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossmith.core import installed_backends

pytestmark = pytest.mark.backend_free

ROOT = Path(__file__).parents[2]
LOSSES = """
from keras import ops


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def steps(y_true, y_pred):
    return ops.mean(ops.round(ops.abs(y_true - y_pred)), axis=-1)
"""
TESTS = """
import pytest
from some_losses import squared, steps

OPTIONS = {{"target": "regression", "backends": [{backend!r}]}}


@pytest.mark.loss_check(squared, **OPTIONS)
def test_marked_and_right():
    pass


@pytest.mark.loss_check(steps, **OPTIONS)
def test_marked_and_wrong():
    pass


@pytest.mark.loss_check(squared, taget="regression")
def test_misspelt():
    pass


def test_through_the_fixture(check_loss):
    assert check_loss(squared, **OPTIONS).ok
"""


def test_losses_are_tests(tmp_path: Path) -> None:
    """One run for all three ways: its children import a backend each."""
    backend = min(installed_backends())  # jax, the quickest to import, if it is there
    (tmp_path / "some_losses.py").write_text(LOSSES, encoding="utf-8")
    (tmp_path / "test_some.py").write_text(TESTS.format(backend=backend), encoding="utf-8")
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(tmp_path)]),
    }
    for name in ("CI", "BUILD_NUMBER"):  # with either, pytest's summary repeats whole messages
        environment.pop(name, None)
    finished = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-rA", "-p", "pytest_lossmith", "-p",
            "no:cacheprovider", "--check-losses", "some_*.py", "test_some.py",
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    outcomes = dict(
        reversed(line.split(" - ")[0].split(" ", 1))
        for line in finished.stdout.splitlines()
        if line.startswith(("PASSED ", "FAILED "))
    )
    assert outcomes == {
        "some_losses.py::squared": "PASSED",
        "some_losses.py::steps": "FAILED",
        "test_some.py::test_marked_and_right": "PASSED",
        "test_some.py::test_marked_and_wrong": "FAILED",
        "test_some.py::test_misspelt": "FAILED",
        "test_some.py::test_through_the_fixture": "PASSED",
    }, finished.stdout + finished.stderr
    assert "LSM201" in finished.stdout
    assert "Traceback" not in finished.stdout
    failures = [line for line in finished.stdout.splitlines() if line.startswith("FAILED ")]
    assert sum("steps: LSM201" in line for line in failures) == 2, failures
    assert "loss_check has no option taget" in finished.stdout
    assert finished.stdout.count("The gradient is") == 2, finished.stdout


def test_a_pattern_without_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_right():\n    pass\n", encoding="utf-8")
    finished = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "pytest_lossmith", "-p",
            "no:cacheprovider", "--check-losses", "mine.py", "test_some.py",
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--check-losses mine.py matches no Python file" in finished.stderr
