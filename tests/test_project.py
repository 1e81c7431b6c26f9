"""What the project promises as a whole: light, typed, layered, small files, one version."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src"
PACKAGES = {folder.name for folder in SOURCES.iterdir() if (folder / "__init__.py").is_file()}
MODULES = sorted(SOURCES.rglob("*.py"))
LONGEST_FILE = 400

HEAVY = [
    "PIL", "jinja2", "matplotlib", "mlxtend", "optuna", "pandas", "rich", "scipy", "sklearn",
    "typer", "usearch",
]  # fmt: skip

# A part may import itself and the parts of lower rows; the rows are those of the design.
LAYERS = [
    {"core"},
    {"distances", "files"},
    {"allpairs"},
    {"losses"},
    {"siamese", "report", "datasets", "checker", "sweeping"},
    {"__init__"},
    {"lossmith_cli", "pytest_lossmith"},
]
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
ENTRY_POINTS = {"__init__", "__main__"}
PLUGINS = {"pytest": "pytest_lossmith"}
"""Programs that import a part of ours themselves, so that the part need not ask for them."""


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
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    } | {f"lossmith/checker/rule_pages/{page.name}" for page in (ROOT / "docs/rules").iterdir()}
    assert shipped == expected
    assert "lossmith/py.typed" in shipped


def imported_names(module: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, anywhere in its source."""
    package = module.relative_to(SOURCES).parent.parts
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def part_of(full_name: str) -> str:
    """The row of `LAYERS` that a name belongs to: a package beside lossmith, or a part of it."""
    package, _, inner = full_name.partition(".")
    return package if package != "lossmith" else inner.partition(".")[0] or "__init__"


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(SOURCES).with_suffix("").parts)


def upward_imports(module: Path) -> Iterator[str]:
    part = part_of(name_of(module))
    for name in imported_names(module):
        if name.split(".")[0] not in PACKAGES:
            continue
        imported = part_of(name)
        if imported != part and RANK.get(imported, len(LAYERS)) >= RANK[part]:
            yield f"{module.relative_to(ROOT)} imports {name}"


@pytest.mark.backend_free
def test_imports_point_one_way() -> None:
    parts = {module: part_of(name_of(module)) for module in MODULES}
    assert set(parts.values()) - ENTRY_POINTS <= set(RANK)
    inner = [module for module, part in parts.items() if part not in ENTRY_POINTS]
    assert [line for module in inner for line in upward_imports(module)] == []


@pytest.mark.backend_free
def test_every_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = ("tensorflow", "jax", "torch", "cli", "check", "search", "tune")
    optional = [extras[name] for name in names]
    declared = {
        re.split(r"[^\w.-]", requirement)[0].lower()
        for requirement in sum(optional, project["dependencies"])
    }
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        f"{module.relative_to(ROOT)} imports {root}"
        for module in MODULES
        for root in {name.split(".")[0] for name in imported_names(module)}
        if root not in sys.stdlib_module_names | PACKAGES
        and part_of(name_of(module)) != PLUGINS.get(root)
        and declared.isdisjoint(name.lower() for name in [root, *distributions.get(root, [])])
    }
    assert undeclared == set()


@pytest.mark.backend_free
@pytest.mark.parametrize("chosen", ["tensorflow", "jax", "torch"])
def test_demo_installs_the_backend_that_it_runs_on(chosen: str, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = (each for each in project["optional-dependencies"]["test"] if "torch" in each)
    plan = subprocess.run(
        ["make", "--dry-run", "demo", f"VENV={tmp_path}"],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": chosen},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"'.[{chosen},cli]'" in plan
    assert (f"'{torch}'" in plan) == (chosen == "torch")
    assert f"KERAS_BACKEND={chosen} {tmp_path}/bin/lossmith train" in plan


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
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)
    assert versions[0] == WheelBuilder(str(ROOT)).metadata.version


def test_package_knows_its_version() -> None:
    import lossmith

    assert lossmith.__version__ == WheelBuilder(str(ROOT)).metadata.version
