import doctest
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lossmith.checker import api, processes, rules
from lossmith.checker.report import Report
from lossmith.checker.subject import SubjectError
from lossmith_cli.app import app

pytestmark = pytest.mark.backend_free

SOURCE = """
def squared(y_true, y_pred):
    return (y_true - y_pred) ** 2


def absolute(y_true, y_pred):
    return abs(y_true - y_pred)
"""


README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "two_losses.py"
    file.write_text(SOURCE, encoding="utf-8")
    return file


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command asks of `lossmith.check`; `absolute` fails there, `broken` is refused."""
    calls: list[dict[str, Any]] = []

    def answer(subject: Any, **options: Any) -> Report:
        calls.append({"name": subject.name, **options})
        if "broken" in subject.name:
            raise SubjectError("broken does not import")
        findings = (rules.finding(rules.NO_GRADIENT, "No gradient."),)
        return Report(
            subject.name, "regression", findings=findings if "absolute" in subject.name else ()
        )

    found = [
        {"expression": "squared", "line": 2, "left_out": "", "targets": ""},
        {"expression": "absolute", "line": 6, "left_out": "", "targets": ""},
        {"expression": "make", "line": 9, "left_out": "it is a factory", "targets": ""},
    ]
    monkeypatch.setattr(api, "check", answer)
    monkeypatch.setattr(processes, "find_losses", lambda subject, settings: found)
    return calls


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["two_losses.py:squared"], 0),
        (["two_losses.py:absolute"], 1),
        (["two_losses.py:squared", "two_losses.py:absolute"], 1),
        (["two_losses.py:broken"], 2),
        (["two_losses.py:broken", "two_losses.py:absolute"], 2),
        (["no_such_file.py"], 2),
        (["no_such_loss"], 2),
        (["mse"], 0),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    asked: list[dict[str, Any]], names: list[str], code: int
) -> None:
    assert run(*names).exit_code == code


def test_every_loss_of_a_file_is_checked_and_the_rest_named(
    losses: Path, asked: list[dict[str, Any]]
) -> None:
    result = run(losses)
    assert [call["name"] for call in asked] == ["two_losses.py:squared", "two_losses.py:absolute"]
    assert "two_losses.py:make is left out: it is a factory" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("target", "used"), [("regression", ["regression", None]), ("pair", ["pair", "pair"])]
)
def test_a_declaration_wins_over_a_target_that_cannot_fit_it(
    losses: Path,
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    used: list[str | None],
) -> None:
    found = [
        {"expression": "squared", "line": 2, "left_out": "", "targets": ""},
        {"expression": "absolute", "line": 6, "left_out": "", "targets": "pair"},
    ]
    monkeypatch.setattr(processes, "find_losses", lambda subject, settings: found)
    result = run(losses, "--target", target)
    assert [call["target"] for call in asked] == used
    assert ("two_losses.py:absolute declares targets='pair'" in result.stderr) == (None in used)


@pytest.mark.usefixtures("losses")
def test_options_reach_the_check(asked: list[dict[str, Any]]) -> None:
    run(
        "two_losses.py:squared", "--target", "pair", "--same", 0, "--select", "LSM3",
        "--ignore", "LSM309", "--ignore", "LSM4", "--time-limit", 5, "--direct", "--batchwise",
        "--family", "huber", "--redescending", "--domain", "-1.5", "inf",
    )  # fmt: skip
    (call,) = asked
    assert call == {
        "name": "two_losses.py:squared",
        "target": "pair",
        "backends": None,
        "select": ("LSM3",),
        "ignore": ("LSM309", "LSM4"),
        "time_limit": 5.0,
        "entry": "direct",
        "family": "huber",
        "same": 0,
        "domain": (-1.5, math.inf),
        "redescending": True,
        "adversarial": False,
        "stochastic": False,
        "batchwise": True,
    }


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("--target", "regresion", "choose from regression"),
        ("--backend", "theano", "not installed here"),
        ("--format", "xml", "text, json, sarif, github"),
        ("--family", "hubber", "choose from pinball"),
        ("--same", "2", "choose from 0, 1"),
        ("--select", "LSM9999", "LSM9999"),
        ("--ignore", "E501", "E501"),
    ],
)
def test_a_wrong_option_is_told_without_a_traceback(
    option: str, value: str, advice: str, asked: list[dict[str, Any]]
) -> None:
    result = run("two_losses.py:squared", option, value)
    assert result.exit_code == 2
    assert asked == []
    assert advice in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize("domain", [("1", "0"), ("0", "nan"), ("low", "high"), ("0:1",)])
def test_a_domain_that_is_none_is_told(
    domain: tuple[str, ...], asked: list[dict[str, Any]]
) -> None:
    result = run("two_losses.py:squared", "--domain", *domain)
    assert result.exit_code == 2
    assert asked == []
    assert "domain" in result.stderr


def test_a_rule_is_explained_without_a_loss() -> None:
    result = run("--explain", "LSM302")
    assert result.exit_code == 0
    assert "# LSM302: weight-ignored" in result.stdout
    assert "## Mended" in result.stdout
    assert run("--explain", "LSM999").exit_code == 2


@pytest.mark.usefixtures("losses", "asked")
def test_curves_are_for_the_text_only() -> None:
    assert run("two_losses.py:squared", "--curves").exit_code == 0
    result = run("two_losses.py:squared", "--curves", "--format", "json")
    assert result.exit_code == 2
    assert "--curves needs --format text" in result.stderr


@pytest.mark.usefixtures("losses", "asked")
def test_the_report_goes_to_the_output_in_the_format_asked_for() -> None:
    document = json.loads(run("two_losses.py:absolute", "--format", "json").stdout)
    assert document["reports"][0]["findings"][0]["rule"]["code"] == "LSM201"


def test_each_report_is_printed_before_the_next_loss_is_checked(
    losses: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[str] = []

    def answer(subject: Any, **options: Any) -> Report:
        printed.append(capsys.readouterr().out)
        return Report(subject.name, "regression")

    monkeypatch.setattr(api, "check", answer)
    app(["check", f"{losses}:squared", f"{losses}:absolute"], standalone_mode=False)
    assert printed[0] == ""
    assert printed[1].startswith("two_losses.py:squared  regression")


def test_progress_is_told_where_several_losses_are_checked(
    losses: Path, asked: list[dict[str, Any]]
) -> None:
    result = run(losses)
    assert "Checked 1 of 2: two_losses.py:squared, ok." in result.stderr
    assert "Checked 2 of 2: two_losses.py:absolute, failed." in result.stderr
    assert "Checked" not in run(f"{losses}:squared").stderr


@pytest.mark.usefixtures("asked")
def test_a_file_without_losses_is_told(losses: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_losses", lambda subject, settings: [])
    result = run(losses)
    assert result.exit_code == 2
    told = " ".join(result.stdout.split())
    assert "No loss was found in two_losses.py" in told
    assert told.endswith("0 losses checked: 1 not checked")


def test_the_session_in_the_readme_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ((code, command, shown),) = re.findall(
        r"```python\n(# course_losses\.py\n.*?)```.*?\$ lossmith check (.*?)\n(.*?)```",
        README,
        re.S,
    )
    (tmp_path / "course_losses.py").write_text(code, encoding="utf-8")
    result = run(*command.split())
    assert result.exit_code == 1
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(shown, result.stdout, options), result.stdout
