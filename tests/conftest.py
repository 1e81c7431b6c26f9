"""What every test may use: the backend's name and a fresh interpreter."""

import gc
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Read by the type checker, never run: it holds wrong calls on purpose.
collect_ignore = ["typing"]

hypothesis.settings.register_profile(
    "lossmith",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("lossmith")


def pytest_collection_finish() -> None:
    """Leave the modules and tests that were loaded alone when looking for garbage.

    They stay anyway; JAX makes so many small objects that they were gone through again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session")
def backend() -> str:
    """The name of the Keras backend that this process runs on."""
    import keras

    return keras.backend.backend()


@pytest.fixture
def fresh_process(backend: str, tmp_path: Path) -> Callable[..., Any]:
    """Run Python source in a new interpreter on the same backend; return what it prints as JSON.

    The source sees `src` and `tests` as import paths, `arguments` as `sys.argv[1:]` and
    `tmp_path` as its working directory. Only the last line that it prints is read as JSON.
    """
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": path}

    def run(source: str, *arguments: object) -> Any:
        finished = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            pytest.fail(f"The fresh process failed:\n{finished.stdout}{finished.stderr}")
        return json.loads(finished.stdout.splitlines()[-1])

    return run
