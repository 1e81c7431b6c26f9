"""Losses that Keras lacks, written once: fixed, checked, saved and loaded by value.

Import lossmith before Keras and it chooses an installed backend (`KERAS_BACKEND` wins).
"""

import importlib
from typing import Any

from lossmith import distances, losses, siamese
from lossmith.core import (
    Array,
    Fraction,
    LogHyperparameters,
    Loss,
    NonNegative,
    Positive,
    UnitInterval,
    adjustable,
    get,
    get_hyperparameters,
    learned,
    loss,
    registry,
    schedule,
    set_hyperparameters,
    uncertainty_weighted,
    with_state,
)

__version__ = "0.1.0"
__all__ = [
    "Array",
    "Fraction",
    "LogHyperparameters",
    "Loss",
    "NonNegative",
    "Positive",
    "UnitInterval",
    "adjustable",
    "check",
    "distances",
    "get",
    "get_hyperparameters",
    "learned",
    "loss",
    "losses",
    "schedule",
    "set_hyperparameters",
    "siamese",
    "sweep",
    "uncertainty_weighted",
    "with_state",
]


def __dir__() -> list[str]:
    """What there is to complete to, the parts that are not loaded yet included."""
    return [*__all__, "allpairs", "datasets", "report"]


def __getattr__(name: str) -> Any:
    """Load the parts that not everybody needs when they are first used."""
    if name == "check":
        return importlib.import_module("lossmith.checker.api").check
    if name == "sweep":
        return importlib.import_module("lossmith.sweeping").sweep
    if name in ("datasets", "report"):
        return importlib.import_module(f"lossmith.{name}")
    known = [*__all__, *(f"losses.{loss}" for loss in losses.__all__)]
    raise registry.missing_attribute(__name__, name, known)
