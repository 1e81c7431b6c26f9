"""What a loss is: formula, hyperparameters, shapes, reduction, names."""

from lossmith.core.backend import installed_backends
from lossmith.core.base import Loss
from lossmith.core.formula import loss
from lossmith.core.hyperparameters import (
    Array,
    Fraction,
    Hyperparameter,
    NonNegative,
    Positive,
    UnitInterval,
)
from lossmith.core.registry import get

__all__ = [
    "Array",
    "Fraction",
    "Hyperparameter",
    "Loss",
    "NonNegative",
    "Positive",
    "UnitInterval",
    "get",
    "installed_backends",
    "loss",
]
