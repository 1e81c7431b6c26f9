"""The catalogue: losses that Keras lacks, or gets wrong, a module a family."""

from typing import TYPE_CHECKING, Any

from lossmith.allpairs import SupervisedContrastive, supervised_contrastive
from lossmith.core import registry
from lossmith.losses.classification import ModifiedHuber, modified_huber
from lossmith.losses.pairs import Contrastive, contrastive
from lossmith.losses.regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    PseudoHuber,
    Quantile,
    RootMeanSquaredError,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
    pseudo_huber,
    quantile,
    root_mean_squared_error,
)

__all__ = [
    "Contrastive",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "ModifiedHuber",
    "PseudoHuber",
    "Quantile",
    "RootMeanSquaredError",
    "SupervisedContrastive",
    "contrastive",
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "modified_huber",
    "pseudo_huber",
    "quantile",
    "root_mean_squared_error",
    "supervised_contrastive",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        raise registry.missing_attribute(__name__, name, __all__)
