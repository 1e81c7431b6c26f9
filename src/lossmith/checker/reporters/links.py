"""Where the documentation of a rule is, and how a file is named for others."""

from pathlib import Path

from lossmith.checker.report import Rule


def rule_page(rule: Rule) -> str:
    """The page of lossmith's source that shows a failing loss, and the mended one."""
    return f"docs/rules/{rule.code}.md"


def shown_path(file: str) -> str:
    """`file` relative to the working directory if it lies below, with forward slashes."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_posix()
