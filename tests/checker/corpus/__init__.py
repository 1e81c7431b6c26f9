"""Losses that are known to be wrong, and losses that are known to be right."""

import importlib
import pkgutil

from checker.corpus.case import CORRECT, WRONG, Case

__all__ = ["Case", "correct_losses", "wrong_losses"]


def wrong_losses() -> tuple[Case, ...]:
    """Every wrong loss, by identifier."""
    return _collected("wrong", WRONG.cases)


def correct_losses() -> tuple[Case, ...]:
    """Every correct loss, by identifier."""
    return _collected("correct", CORRECT.cases)


def _collected(folder: str, cases: list[Case]) -> tuple[Case, ...]:
    package = importlib.import_module(f"{__name__}.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return tuple(sorted(cases, key=lambda case: case.id))
