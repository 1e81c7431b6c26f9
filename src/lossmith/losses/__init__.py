"""The catalogue: losses that Keras lacks, or gets wrong, a module a family."""

from lossmith.allpairs import (
    AllPairsContrastive,
    SupervisedContrastive,
    all_pairs_contrastive,
    supervised_contrastive,
)
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
    "AllPairsContrastive",
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
    "all_pairs_contrastive",
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
