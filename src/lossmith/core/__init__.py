"""What a loss is: formula, hyperparameters, shapes, reduction, names."""

from lossmith.core.backend import installed_backends
from lossmith.core.base import Loss
from lossmith.core.changing import adjustable
from lossmith.core.composed import uncertainty_weighted
from lossmith.core.formula import loss
from lossmith.core.hyperparameters import (
    Array,
    Fraction,
    Hyperparameter,
    NonNegative,
    Positive,
    UnitInterval,
)
from lossmith.core.learning import learned
from lossmith.core.models import (
    LogHyperparameters,
    get_hyperparameters,
    set_hyperparameters,
    with_state,
)
from lossmith.core.registry import get
from lossmith.core.schedules import schedule
from lossmith.core.tracing import traced

__all__ = [
    "Array",
    "Fraction",
    "Hyperparameter",
    "LogHyperparameters",
    "Loss",
    "NonNegative",
    "Positive",
    "UnitInterval",
    "adjustable",
    "get",
    "get_hyperparameters",
    "installed_backends",
    "learned",
    "loss",
    "schedule",
    "set_hyperparameters",
    "traced",
    "uncertainty_weighted",
    "with_state",
]
