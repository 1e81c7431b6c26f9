"""What does not wait for Keras, and Ctrl-C while it is being imported."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from lossmith import distances
from lossmith.siamese import settings
from lossmith_cli import app, arguments, results

SOURCES = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.backend_free
def test_help_the_version_and_wrong_arguments_do_not_import_keras(
    fresh_process: Callable[..., Any],
) -> None:
    codes, imported = fresh_process(
        """
        import json, sys
        from typer.testing import CliRunner
        from lossmith_cli.app import app
        train = ["train", "mnist5k", "--out", "runs/x"]
        calls = [
            ["--help"], ["train", "--help"], ["evaluate", "--help"], ["verify", "--help"],
            ["search", "--help"], ["list", "--help"], ["--version"], ["trian"], ["train"],
            [*train, "--epochs", "ten"], ["search", "runs/x", "a.png", "--k", "0"],
            [*train, "--preset", "fast"], [*train, "--encoder", "resnet"],
            [*train, "--distance", "hamming"], [*train, "--image-size", "big"],
            [*train, "--set", "temperature"], [*train, "--margin", "1", "--set", "margin=2"],
            ["evaluate", "runs/x", "mnist5k", "--pairs", "all"],
        ]
        codes = [CliRunner().invoke(app, call).exit_code for call in calls if call != ["--version"]]
        print(json.dumps([codes, [m for m in ("keras", "lossmith") if m in sys.modules]]))
        """
    )
    assert codes == [0] * 6 + [2] * 11
    assert imported == []


@pytest.mark.backend_free
def test_the_version_is_that_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, lossmith: Callable[..., Any]
) -> None:
    monkeypatch.setattr(app, "version", {"lossmith": "1.2.3"}.__getitem__)
    assert lossmith("--version").stdout == "lossmith 1.2.3\n"


def test_a_check_says_nothing_of_the_backend_that_its_own_process_imports(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    code = "from lossmith_cli import main; main()"
    finished = subprocess.run(
        [sys.executable, "-c", code, "check", "none.py:loss"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 2
    assert "There is no file none.py" in finished.stdout
    assert finished.stderr == ""


@pytest.mark.backend_free
def test_ctrl_c_while_keras_is_imported_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    code = "import sys; sys.argv[1:] = ['list']; from lossmith_cli import main; main()"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{SOURCES}", "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.backend_free
def test_the_choices_are_those_that_the_settings_know() -> None:
    assert [*arguments.Preset] == [*get_args(settings.Preset)] == [*get_args(settings.EncoderName)]
    assert [*arguments.Distance] == [*get_args(distances.Name)]
    assert [*arguments.Pairs] == [*get_args(results.TestPairs)]


@pytest.mark.backend_free
def test_a_backend_that_is_not_installed_is_told_in_one_line() -> None:
    code = "import sys; sys.argv[1:] = ['list']; from lossmith_cli import main; main()"
    blocked = f"import sys; sys.modules['openvino'] = None; {code}"
    ended = subprocess.run(
        [sys.executable, "-c", blocked],
        env=os.environ | {"KERAS_BACKEND": "openvino", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == "Error: KERAS_BACKEND is 'openvino', and openvino is not installed.\n"
