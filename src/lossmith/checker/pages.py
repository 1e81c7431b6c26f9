"""The documentation page of each rule, as it was installed."""

from pathlib import Path

from lossmith.checker.rules import RULES

_HERE = Path(__file__).resolve()
_FOLDERS = (_HERE.parent / "rule_pages", _HERE.parents[3] / "docs" / "rules")
"""Where the pages are in an installed package, and in the source tree."""


def page(code: str) -> str:
    """The page of a rule: a loss that fails, what happens in training, and the mended loss.

    Raises:
        ValueError: if no rule has that code.
        FileNotFoundError: if the pages were not installed.

    Example:
    >>> page("LSM302").splitlines()[0]
    '# LSM302: weight-ignored'
    """
    if code.upper() not in RULES:
        raise ValueError(f"No rule is called {code!r}; rules are {', '.join(RULES)}.")
    for folder in _FOLDERS:
        path = folder / f"{code.upper()}.md"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"The page of {code.upper()} was not installed with lossmith.")
