"""What the project promises as a whole: light, typed, layered, small files, one version."""

import ast
import importlib.metadata
import re
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "lossmith"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 400

HEAVY = ["PIL", "jinja2", "matplotlib", "mlxtend", "pandas", "rich", "scipy", "sklearn", "typer"]

# A part may import itself and the parts of lower rows; the rows are those of the design.
LAYERS = [
    {"core"},
    {"distances"},
    {"allpairs"},
    {"losses"},
    {"siamese", "report", "datasets", "checker", "sweep"},
    {"cli"},
]
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
ENTRY_POINTS = {"__init__", "__main__"}


def test_importing_lossmith_loads_no_heavy_library(fresh_process: Callable[..., Any]) -> None:
    loaded = fresh_process(
        """
        import json, sys
        import keras
        before = set(sys.modules)
        import lossmith
        print(json.dumps(sorted(set(sys.modules) - before)))
        """
    )
    assert "lossmith" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.backend_free
def test_wheel_holds_the_whole_package_and_its_type_marker(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("lossmith/")}
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert shipped == expected
    assert "lossmith/py.typed" in shipped


def imported_names(module: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, anywhere in its source."""
    package = module.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def part_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def upward_imports(module: Path) -> Iterator[str]:
    part = part_of(module)
    for name in imported_names(module):
        if name.split(".")[0] != "lossmith":
            continue
        imported = name.split(".")[1] if "." in name else "__init__"
        if imported != part and RANK.get(imported, len(LAYERS)) >= RANK[part]:
            yield f"{module.relative_to(ROOT)} imports {name}"


@pytest.mark.backend_free
def test_imports_point_one_way() -> None:
    assert {part_of(module) for module in MODULES} - ENTRY_POINTS <= set(RANK)
    inner = [module for module in MODULES if part_of(module) not in ENTRY_POINTS]
    assert [line for module in inner for line in upward_imports(module)] == []


@pytest.mark.backend_free
def test_every_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = [extras[name] for name in ("tensorflow", "jax", "torch", "cli", "check")]
    declared = {
        re.split(r"[^\w.-]", requirement)[0].lower()
        for requirement in sum(optional, project["dependencies"])
    }
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        f"{module.relative_to(ROOT)} imports {root}"
        for module in MODULES
        for root in {name.split(".")[0] for name in imported_names(module)}
        if root not in sys.stdlib_module_names | {"lossmith"}
        and declared.isdisjoint(name.lower() for name in [root, *distributions.get(root, [])])
    }
    assert undeclared == set()


@pytest.mark.backend_free
def test_no_file_is_long() -> None:
    sources = [
        path
        for folder in ("src", "tests", "tools", "examples", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path, lines in lengths.items()
        if lines > LONGEST_FILE
    }
    assert too_long == {}


@pytest.mark.backend_free
def test_changelog_begins_with_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)
    assert versions[0] == project["version"]


def test_package_knows_its_version() -> None:
    import lossmith

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert lossmith.__version__ == project["version"]
