"""The report as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

from lossmith.files import write_text
from lossmith.report.data import ReportData


def write_report(path: str | PathLike[str], data: ReportData, overwrite: bool = False) -> None:
    """Writes the report as one self-contained HTML file.

    The file appears whole or not at all: it is written beside its place and then moved there.

    Args:
        path: Path of the file to write; its folder must exist.
        data: What to report.
        overwrite: Whether a file that is there already may be replaced.

    Raises:
        FileExistsError: If there is a file at `path` and `overwrite` is False.
        FileNotFoundError: If the folder of `path` does not exist.
        ValueError: If a part of `data` cannot be drawn; the message says why.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> data = ReportData(
        ...     title="Digits",
        ...     summary=(),
        ...     distances=np.array([0.1, 0.2, 0.7, 1.2]),
        ...     labels=np.array([1, 1, 0, 0]),
        ...     threshold=0.5,
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(f"{folder}/report.html", data)
        ...     "<title>Digits</title>" in Path(f"{folder}/report.html").read_text("utf-8")
        True
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{target} exists; choose another path, or pass overwrite=True to replace it."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist; create it first.")
    write_text(target, render_report(data))


def render_report(data: ReportData) -> str:
    """The report as the text of an HTML page."""
    import jinja2

    from lossmith.report.sections import sections

    template = resources.files("lossmith.report").joinpath("template.html").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = _figure_text
    return environment.from_string(template).render(
        data=data,
        error_rates=[f"{rate:.1%}" for rate in data.error_rates],
        level=f"{100 * data.confidence:.4g}%",
        sections=sections(data),
        config=list(_spread_out(data.config)),
    )


def _figure_text(value: Any) -> str:
    """A figure with four significant digits; counts in full, words as they are."""
    if isinstance(value, Integral):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, Real) else str(value)


def _spread_out(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested mappings under dotted names."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _spread_out(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
