"""Which backend is chosen, before Keras is imported."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossmith.core import backend as module

pytestmark = pytest.mark.backend_free


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """Choose in a world where nothing is decided yet; return what was chosen."""

    def run(installed, configured=None, variable=None):
        monkeypatch.delitem(sys.modules, "keras", raising=False)
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        if variable is not None:
            monkeypatch.setenv("KERAS_BACKEND", variable)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        if configured is not None:
            (tmp_path / "keras.json").write_text(configured)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: object() if name in installed else None
        )
        module.choose_backend()
        return os.environ["KERAS_BACKEND"]

    return run


def test_the_first_installed(choose):
    assert choose(["torch", "jax", "tensorflow"]) == "tensorflow"


def test_order(choose):
    assert choose(["torch", "jax"]) == "jax"
    assert choose(["torch"]) == "torch"


def test_the_configured_if_it_is_installed(choose):
    assert choose(["torch", "jax"], json.dumps({"backend": "torch"})) == "torch"
    assert choose(["jax"], json.dumps({"backend": "torch"})) == "jax"


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '{"backend": 3}'])
def test_a_broken_configuration_is_passed_over(choose, broken):
    assert choose(["torch"], broken) == "torch"


def test_without_a_home_there_is_no_configuration(choose, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("KERAS_HOME", "")
    monkeypatch.setattr(Path, "home", no_home)
    assert module._configured_backend() is None


def test_an_empty_variable_is_none(choose):
    assert choose(["torch"], variable="") == "torch"


def test_the_variable_wins(choose):
    assert choose(["jax", "torch"], json.dumps({"backend": "jax"}), variable="torch") == "torch"


def test_a_variable_that_names_no_backend(choose):
    with pytest.raises(ValueError, match="one of tensorflow, jax, torch; got 'jaxx'"):
        choose(["jax"], variable="jaxx")


def test_a_backend_of_keras_for_inference_has_to_be_installed_too(choose):
    assert choose(["jax", "numpy"], variable="numpy") == "numpy"
    with pytest.raises(ImportError, match="'openvino', and openvino is not installed"):
        choose(["jax"], variable="openvino")


def test_a_variable_that_names_a_backend_that_is_not_installed(choose):
    with pytest.raises(ImportError, match=r"lossmith\[torch\]', or choose one that is: jax"):
        choose(["jax"], variable="torch")


def test_none_installed(choose):
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[jax\]'"):
        choose([])


def test_a_fresh_process_chooses_in_silence(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    source = "import lossmith, keras; import sys; sys.exit(keras.backend.backend() != 'jax')"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    root = Path(__file__).resolve().parents[2]
    finished = subprocess.run(
        [sys.executable, "-c", source],
        env=environment | {"KERAS_HOME": str(tmp_path), "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == finished.stderr == ""


def test_the_gamma_function_on_the_backend_of_numpy():
    source = """
import math, numpy
from lossmith.core.backend import log_gamma
for dtype in ("float32", "float64"):
    x = numpy.array([[0.5, 3.0], [7.5, 100.0]], dtype)
    found = log_gamma(x)
    assert found.dtype == x.dtype
    expected = [[math.lgamma(each) for each in row] for row in x]
    numpy.testing.assert_allclose(found, expected, rtol=1e-6)
assert abs(float(log_gamma(numpy.asarray(3.0))) - math.log(2)) < 1e-12
import lossmith
print(float(lossmith.losses.student_t_likelihood([0.0], [1.0])))
"""
    root = Path(__file__).resolve().parents[2]
    finished = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"KERAS_BACKEND": "numpy", "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert 0 < float(finished.stdout) < 5
