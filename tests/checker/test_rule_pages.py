"""Every rule has a page whose examples are Python, and the index names them all."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from lossmith.checker import pages
from lossmith.checker.pages import page
from lossmith.checker.rules import RULES
from lossmith.checker.settings import TARGETS
from lossmith.checker.targets import build

PAGES = Path(__file__).resolve().parents[2] / "docs" / "rules"
pytestmark = pytest.mark.backend_free


def blocks(code: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (PAGES / f"{code}.md").read_text("utf-8"), re.S)


def test_there_is_a_page_for_each_rule_and_no_other() -> None:
    assert {path.stem for path in PAGES.glob("LSM*.md")} == set(RULES)


@pytest.mark.parametrize("code", RULES)
def test_a_page_bears_what_the_rule_says(code: str) -> None:
    text = (PAGES / f"{code}.md").read_text("utf-8")
    rule = RULES[code]
    assert text.startswith(f"# {code}: {rule.name}\n\n{rule.default_severity}")
    assert rule.summary in text
    for example in blocks(code):
        ast.parse(example)


def test_a_page_is_found_by_its_code_in_any_case() -> None:
    assert page("lsm302") == (PAGES / "LSM302.md").read_text("utf-8")
    with pytest.raises(ValueError, match="LSM999"):
        page("LSM999")


def test_the_pages_are_part_of_the_package() -> None:
    project = tomllib.loads((PAGES.parents[1] / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert Path(included["docs/rules"]) == Path("lossmith/checker") / pages._FOLDERS[0].name


def test_the_index_has_a_line_for_each_rule() -> None:
    index = (PAGES / "index.md").read_text("utf-8")
    for rule in RULES.values():
        link = f"[{rule.code}]({rule.code}.md)"
        line = f"| {link} | {rule.name} | {rule.default_severity} | {rule.summary} |"
        assert line in index


def test_the_kinds_of_target_have_the_shapes_that_the_page_says() -> None:
    index = (PAGES / "index.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| \((.+?),?\) \| \((.+?),?\) \| ", index, re.M)
    assert [kind for kind, *_ in rows] == list(TARGETS)
    for kind, *written in rows:
        problem, sizes = build(kind), {}
        for letters, array in zip(written, (problem.y_true, problem.y_pred), strict=True):
            sides = letters.split(", ")
            assert len(sides) == array.ndim, kind
            for side, size in zip(sides, array.shape, strict=True):
                expected = int(side) if side.isdigit() else sizes.setdefault(side, size)
                assert size == expected, kind


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).is_file(), target
