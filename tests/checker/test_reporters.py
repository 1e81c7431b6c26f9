import json
from dataclasses import replace
from pathlib import Path

import pytest

from lossmith.checker import rules
from lossmith.checker.report import (
    Card,
    CardRow,
    Curve,
    Evidence,
    Finding,
    Location,
    LossCheckError,
    Report,
    Rule,
)
from lossmith.checker.reporters import FORMATS, reporter, text
from lossmith.checker.reporters.drawing import area

pytestmark = pytest.mark.backend_free

NOT_FINITE = rules.finding(
    rules.GRADIENT_NOT_FINITE,
    "The gradient is nan\nwhere both agree: 100%.",
    Evidence("jax", "compiled", [[0.0]], [[0.0]], 0.0, [[float("nan")]], "perfect prediction"),
    consequence="every weight becomes NaN",
    remedy="Guard the root.",
)
SCALAR = rules.finding(rules.SCALAR_OUTPUT, "One number.", Evidence("jax", "eager"))
WAIVED = Finding(rules.BATCH_COUPLED, "Rows are coupled.", waived="on purpose", severity="warning")


def report(*findings: Finding, file: str = "losses.py") -> Report:
    return Report(
        "losses.py:root",
        "regression",
        target_inferred=True,
        findings=findings,
        card=Card({"convex": CardRow(True, "[-4, 4]", "by midpoints")}),
        backends_seen=("jax",),
        backends_missing={"torch": "not installed"},
        location=Location(str(Path.cwd() / file), 7),
        curves=(Curve("y_true = 0", (-1.0, 0.0, 1.0), (1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)),),
    )


def render(name: str, *findings: Finding, refused: dict[str, str] | None = None) -> str:
    return reporter(name)([report(*findings)], refused or {})


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="text, json, sarif, github"):
        reporter("xml")


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_not_checked_is_told_in_every_format(name: str) -> None:
    shown = reporter(name)([], {"a.py": "There is no file a.py."})
    assert "There is no file a.py." in shown


def test_the_text_shows_proof_consequence_and_remedy() -> None:
    shown = render("text", NOT_FINITE, SCALAR, WAIVED)
    for words in (
        "losses.py:root  regression (guessed)  on jax",
        "losses.py:7",
        "not seen on torch: not installed",
        "LSM102 error gradient-not-finite  [jax]",
        "jax, compiled, perfect prediction",
        "every weight becomes NaN",
        "Guard the root.",
        "lossmith check --explain LSM102",
        "on purpose",
        "convex",
        "y_true = 0",
        "1 loss checked: 1 failed (1 error, 1 for information)",
    ):
        assert words in shown
    assert "\x1b[" not in shown
    assert "[/]" not in shown


def test_the_text_of_a_loss_without_findings_draws_nothing() -> None:
    shown = render("text")
    assert "1 loss checked: ok (no findings)" in shown
    assert "▁" not in shown


def test_the_last_line_says_what_was_guessed_and_what_to_write() -> None:
    doubted = rules.finding(rules.WRONG_DESCENT, "Away.", severity="warning")
    last = " ".join(render("text", doubted).splitlines()[-2:])
    for words in ("1 not decided (1 warning)", "guessed (regression)", "LSM208", "--target KIND"):
        assert words in last
    last = str(report(doubted)).splitlines()[-1]
    assert last.startswith("not decided: 1 warning; ")
    assert "target='regression'" in last
    assert report(doubted).ok
    assert "not decided" not in report(NOT_FINITE).verdict
    with pytest.warns(UserWarning, match="not decided"):
        report(doubted).raise_if_failed()


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([rules.WRONG_DESCENT], "and LSM208 would be an error if that is right"),
        ([rules.WRONG_DESCENT, rules.JUMP], "and LSM208, LSM205 would be errors if that is right"),
    ],
)
def test_one_doubt_is_one_error(codes: list[Rule], words: str) -> None:
    doubted = report(*(rules.finding(code, "Away.", severity="warning") for code in codes))
    assert words in doubted.verdict
    assert words in " ".join(text.render([doubted], {}).split())


def test_a_batch_of_ones_own_is_told_to_leave_the_kind_undecided() -> None:
    doubted = rules.finding(rules.WRONG_DESCENT, "Away.", severity="warning")
    own = replace(report(doubted), batch_given=True, target="embedding")
    for words in (
        "checked on your batch as embedding",
        "LSM208 would be an error",
        "What depends on the kind was not decided by it",
        "where none fits",
    ):
        assert words in own.verdict
    assert "the kind of target was" not in own.verdict
    assert "embedding (guessed from your batch)" in str(own)
    known = replace(own, target_inferred=False)
    assert known.verdict == "ok: 1 warning"


def test_several_losses_end_in_a_table_of_them() -> None:
    doubted = rules.finding(rules.WRONG_DESCENT, "Away.", severity="warning")
    reports = [
        replace(report(NOT_FINITE, SCALAR, WAIVED), loss="a.py:bad"),
        replace(report(doubted), loss="a.py:doubtful"),
        replace(report(), loss="a.py:good"),
    ]
    lines = text.render(reports, {"b.py": "There is none."}).splitlines()
    table = [line.split() for line in lines[lines.index("b.py: not checked. There is none.") + 2 :]]
    assert table[:4] == [
        ["a.py:bad", "failed", "LSM102"],
        ["a.py:doubtful", "not", "decided", "LSM208"],
        ["a.py:good", "ok"],
        ["b.py", "not", "checked"],
    ]
    assert " ".join(table[5]).startswith("3 losses checked: 1 failed, 1 not decided, 1 not checked")


@pytest.mark.parametrize("rule", [rules.DOMAIN_UNCHECKED, rules.NOT_RESTORED])
def test_a_fault_of_hyperparameters_or_files_shows_no_inputs(rule: Rule) -> None:
    evidence = Evidence("jax", "eager", [[0.125]], [[0.25]], 0.5, [[0.75]], "by itself")
    found = rules.finding(rule, "Accepted.", evidence)
    for shown in (render("text", found), str(report(found))):
        assert "0.125" not in shown
        assert "y_pred = [" not in shown
        assert "by itself" in shown
    assert "0.125" in render("json", found)


def test_a_weak_guess_is_told_in_the_heading_and_is_never_simply_ok() -> None:
    guess = replace(report(), target_weak=True)
    shown = " ".join(text.render([guess], {}).split())
    assert "regression (a weak guess: write target=, or --target KIND)" in shown
    assert "1 not decided" in shown
    assert guess.verdict.startswith("not decided: no findings")
    assert guess.ok
    with pytest.warns(UserWarning, match="weakly guessed"):
        guess.raise_if_failed()


def test_what_does_not_depend_on_the_kind_of_target_leaves_nothing_undecided() -> None:
    saving = rules.finding(rules.NOT_LOADED, "It does not load.", severity="warning")
    assert report(saving).verdict.startswith("ok: 1 warning")


def test_the_advice_on_several_losses_names_one_of_them() -> None:
    sure = replace(report(), target_inferred=False)
    shown = " ".join(text.render([sure, report()], {}).split())
    assert shown.endswith("write for each loss, as losses.py:root --target KIND")


def test_what_ran_with_no_kind_is_not_among_the_guesses() -> None:
    unknown = replace(report(NOT_FINITE), target="unknown")
    assert "The kind of target" not in text.render([unknown], {})


def test_a_failure_begins_with_what_is_wrong() -> None:
    with pytest.raises(LossCheckError) as raised:
        report(NOT_FINITE).raise_if_failed()
    assert str(raised.value).splitlines()[0] == "losses.py:root: LSM102 gradient-not-finite"


def test_every_loss_is_drawn_if_asked_for() -> None:
    assert "y_true = 0" in text.render([report()], {}, curves=True)
    assert "slope" in report().draw()


def test_json_holds_everything_and_is_strict() -> None:
    document = json.loads(render("json", NOT_FINITE), parse_constant=pytest.fail)
    assert document["version"] == 1
    assert document["ok"] is False
    (entry,) = document["reports"]
    assert entry["findings"][0]["evidence"]["gradient"] == [["nan"]]
    assert entry["location"]["line"] == 7


def test_json_tells_the_severity_of_a_finding_from_that_of_its_rule() -> None:
    lowered = rules.finding(rules.GRADIENT_NOT_FINITE, "Rarely.", severity="warning")
    (entry,) = json.loads(render("json", lowered))["reports"]
    (found,) = entry["findings"]
    assert found["severity"] == "warning"
    assert found["rule"]["default_severity"] == "error"
    assert "severity" not in found["rule"]
    assert Finding.from_dict(found) == lowered


def test_sarif_points_to_rules_and_lines() -> None:
    document = json.loads(render("sarif", NOT_FINITE, SCALAR, WAIVED))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    described = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == list(rules.RULES)
    for rule in described:
        assert f"docs/rules/{rule['id']}.md" in rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert [result["level"] for result in run["results"]] == ["error", "note", "warning"]
    for result in run["results"]:
        assert described[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "losses.py"
        assert place["region"]["startLine"] == 7
    assert run["results"][2]["suppressions"][0]["justification"] == "on purpose"
    assert "suppressions" not in run["results"][0]
    assert run["invocations"][0]["executionSuccessful"] is True


def test_sarif_names_files_elsewhere_by_their_address() -> None:
    elsewhere = report(NOT_FINITE, file="/tmp/with space/losses.py")
    document = json.loads(reporter("sarif")([elsewhere], {}))
    place = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "file:///tmp/with%20space/losses.py"


def test_github_annotations_are_one_line_each_and_escaped() -> None:
    lines = render("github", NOT_FINITE, SCALAR, WAIVED).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "::error file=losses.py,line=7,title=LSM102 gradient-not-finite::losses.py:root: "
    )
    assert "nan%0Awhere both agree: 100%25." in lines[0]
    assert lines[0].endswith(" Every weight becomes NaN. Guard the root.")
    assert lines[1].startswith("::notice file=losses.py,line=7,title=LSM309")


def test_a_drawing_has_a_row_for_each_line_and_a_column_for_each_value() -> None:
    rows = area([0.0, 4.0, float("inf"), 8.0], height=2)
    assert [len(row) for row in rows] == [4, 4]
    assert rows[0][3] == "█"
    assert rows[1] == "▁█x█"
