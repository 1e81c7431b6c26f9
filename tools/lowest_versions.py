"""Print a pip constraints file with the oldest dependencies that pyproject.toml declares.

Backends are those that the suite runs with: the extra `test` pins them.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

OWN_EXTRAS = ("check", "cli", "search", "tune")
"""The extras that are not a backend's."""


def lowest_versions(pyproject: Path) -> list[str]:
    """Turn every `name>=bound` of the library and its own extras into `name==bound`."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = sum((extras[name] for name in OWN_EXTRAS), project["dependencies"])
    return [requirement.replace(">=", "==") for requirement in requirements]


if __name__ == "__main__":
    print("\n".join(lowest_versions(ROOT / "pyproject.toml")))
