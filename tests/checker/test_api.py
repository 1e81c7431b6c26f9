import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import lossmith as ls
from lossmith.checker import api, arguments, rules
from lossmith.checker.processes import Probed
from lossmith.checker.report import BackendResult, Evidence
from lossmith.checker.settings import Settings
from lossmith.checker.source import source_in_file


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "regresion"}, "regression"),
        ({"backends": ("numpy",)}, "installed are"),
        ({"entry": "fit"}, "compile"),
        ({"same": 2}, "0 or 1"),
        ({"y_true": [1.0]}, "together"),
        ({"y_true": [1.0, 2.0], "y_pred": [1.0]}, "a row for each sample"),
        ({"y_true": [], "y_pred": []}, "a row at least"),
        ({"y_true": ["a"], "y_pred": [1.0]}, "numbers"),
        ({"family": "hubber"}, "huber"),
        ({"domain": (1.0, 0.0)}, "lowest"),
        ({"domain": (math.nan, 1)}, "lowest"),
        ({"domain": (None, float("nan"))}, "lowest"),
        ({"domain": 5.0}, "lowest"),
        ({"domain": (0, 1, 2)}, "lowest"),
        ({"domain": ("low", 1)}, "lowest"),
        ({"time_limit": 0.0}, "greater than 0"),
        ({"time_limit": "60"}, "greater than 0"),
        ({"time_limit": math.inf}, "at most"),
        ({"seed": -1}, "not negative"),
        ({"seed": None}, "not negative"),
        ({"model": "model.keras"}, "keras.Model"),
        ({"y_true": [[1.0], [2.0, 3.0]], "y_pred": [[1.0], [2.0]]}, "y_true must be one array"),
        ({"y_true": [1.0], "y_pred": [math.nan]}, "NaN"),
        ({"y_true": [1j], "y_pred": [1.0]}, "numbers"),
        ({"y_true": np.array(["2020"], "M8[Y]"), "y_pred": [1.0]}, "numbers"),
        ({"backends": "numpy"}, "No such backend is installed: numpy;"),
        ({"select": "LSM9999"}, "'LSM9999'"),
        ({"select": [302]}, "302"),
        ({"ignore": ("LSM9999",)}, "LSM9999"),
        ({"ignore": [""]}, "''"),
        ({"waive": ["LSM302"]}, "codes to reasons"),
        ({"waive": {"LSM302": " "}}, "a reason for 'LSM302'"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ls.check("mse", **options)


def test_what_is_given_as_one_text_is_one_name() -> None:
    assert arguments.several("LSM3") == ("LSM3",)
    assert arguments.several(("LSM3", "LSM4")) == ("LSM3", "LSM4")
    assert arguments.several(None) == ()


def test_a_batch_may_be_of_any_array_of_numbers() -> None:
    half = keras.ops.cast(keras.ops.ones((2, 1)), "bfloat16")
    settings = arguments.validated(Settings(None, half, [[1], [2]], same=True), (), ())
    assert settings.y_true.dtype == "float32"
    assert settings.y_pred.dtype.kind == "i"
    assert repr(settings.same) == "1"
    domain = arguments.validated(Settings(domain=np.asarray([0, 1])), (), ()).domain
    assert domain == (0.0, 1.0)


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [((0, None), (0.0, math.inf)), ((None, 1), (-math.inf, 1.0)), ((0, 1), (0.0, 1.0))],
)
def test_a_domain_is_open_where_none_is_given(
    domain: Any, wanted: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Settings] = []

    def probed(loss: Any, settings: Settings, backends: Any) -> tuple[str, Probed]:
        asked.append(settings)
        return "loss", Probed({})

    monkeypatch.setattr(api, "_probed", probed)
    ls.check("mse", target="regression", domain=domain)
    assert [settings.domain for settings in asked] == [wanted]


def found_on(backend: str, severity: Any = None) -> Any:
    evidence = Evidence(backend, "compiled", note=backend)
    return rules.finding(rules.PLATEAU, f"flat on {backend}", evidence, severity=severity)


def test_what_several_backends_show_is_one_finding_of_the_worst_severity() -> None:
    results = {
        "jax": BackendResult("jax", "regression", findings=(found_on("jax"),)),
        "torch": BackendResult("torch", "regression", findings=(found_on("torch", "error"),)),
    }
    report = api._joined("loss", Probed(results), Settings("regression"))
    (finding,) = report.findings
    assert finding.severity == "error"
    assert finding.backends == ("jax", "torch")
    assert not report.ok


def test_the_report_knows_whether_a_batch_was_given() -> None:
    probed = Probed({"jax": BackendResult("jax", "regression", target_inferred=True)})
    batch = np.ones((2, 1), "float32")
    assert api._joined("loss", probed, Settings(y_true=batch, y_pred=batch)).batch_given
    assert not api._joined("loss", probed, Settings()).batch_given


def seen(backend: str, value: float, gradient: Any = None) -> BackendResult:
    return BackendResult(backend, probe_values={"random": {"value": value, "gradient": gradient}})


def test_backends_that_give_other_numbers_are_a_finding() -> None:
    agree = [seen("jax", 1.0, [0.5]), seen("torch", 1.0 + 1e-6, [0.5])]
    assert api._disagreements(agree, Settings()) == []
    (finding,) = api._disagreements([seen("jax", 1.0), seen("torch", 1.1)], Settings())
    assert finding.rule is rules.BACKENDS_DISAGREE
    assert finding.backends == ("jax", "torch")
    assert "1.1" in finding.message
    (finding,) = api._disagreements(
        [seen("jax", 1.0, [0.5]), seen("torch", 1.0, [1.0])], Settings()
    )
    assert "gradient" in finding.message


def test_values_of_inputs_of_two_kinds_are_not_compared() -> None:
    guessed = [replace(seen("jax", 1.0), target="binary"), replace(seen("torch", 2.0), target="x")]
    assert api._disagreements(guessed, Settings()) == []


def test_rounding_near_zero_is_no_disagreement() -> None:
    def perfect_too(backend: str, perfect: float) -> BackendResult:
        values = {"random": {"value": 2.0, "gradient": None}}
        values["perfect prediction"] = {"value": perfect, "gradient": None}
        return BackendResult(backend, probe_values=values)

    rounded = [perfect_too("jax", 1.2e-7), perfect_too("torch", 3.6e-7)]
    assert api._disagreements(rounded, Settings()) == []
    (finding,) = api._disagreements(
        [perfect_too("jax", 0.0), perfect_too("torch", 1e-3)], Settings()
    )
    assert "perfect prediction" in finding.message


def test_nan_is_no_disagreement_but_a_fault_of_its_own() -> None:
    results = [seen("jax", math.nan), seen("torch", 1.0)]
    assert api._disagreements(results, Settings()) == []


def test_a_loss_that_ends_its_process_is_still_found_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "ending.py"
    text = "import os\n\n\ndef ending(y_true, y_pred):\n    os._exit(3)\n"
    file.write_text(text, encoding="utf-8")
    report = ls.check(f"{file}:ending", target="regression", backends=keras.backend.backend())
    assert [finding.rule.code for finding in report.findings] == ["LSM905"]
    assert report.location is not None
    assert (report.location.file, report.location.line) == (str(file), 4)
    assert source_in_file(str(file), "other") is None


def test_a_waiver_without_a_reason_waives_nothing() -> None:
    left = api._waived(found_on("jax", "error"), {"LSM204": ""})
    assert left.waived is None
    assert left.remedy.endswith("once it says why, behind the brackets")


def test_a_waived_finding_is_shown_and_does_not_fail() -> None:
    waived = api._waived(found_on("jax", "error"), {"LSM204": "outliers are left alone"})
    assert waived.waived == "outliers are left alone"
    report = replace(api._joined("loss", Probed({}), Settings()), findings=(waived,))
    assert report.ok
    assert "outliers are left alone" in str(report)


@pytest.mark.parametrize(
    ("layers", "activation"),
    [
        ([keras.layers.Dense(1, activation="sigmoid")], "sigmoid"),
        ([keras.layers.Dense(1)], "linear"),
        ([keras.layers.Dense(3), keras.layers.Softmax()], "softmax"),
    ],
)
def test_the_last_activation_is_read_off_the_model(layers: list[Any], activation: str) -> None:
    model = keras.Sequential([keras.layers.Input((2,)), *layers])
    settings = api._seen_with(Settings(), model)
    assert settings.activation == activation
    assert settings.output_shape == model.output_shape


def test_a_loss_is_checked_from_end_to_end(backend: str) -> None:
    report = ls.check(
        keras.losses.mean_squared_error, target="regression", backends=[backend], time_limit=600
    )
    assert report.ok
    assert report.backends_seen == (backend,)
    assert report.card.rows["convex"].value is True
    assert np.isclose(report.card.rows["at a perfect prediction"].value, 0)
    assert report.raise_if_failed() is report
