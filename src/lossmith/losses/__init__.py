"""The catalogue: losses that Keras lacks, or gets wrong, a module a family."""

from typing import TYPE_CHECKING, Any

from lossmith.allpairs import (
    AllPairsContrastive,
    Circle,
    Clip,
    LiftedStructure,
    MultiSimilarity,
    NPair,
    NtXent,
    Siglip,
    SupervisedContrastive,
    Triplet,
    all_pairs_contrastive,
    circle,
    clip,
    lifted_structure,
    multi_similarity,
    n_pair,
    nt_xent,
    siglip,
    supervised_contrastive,
    triplet,
)
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
    "AllPairsContrastive",
    "Circle",
    "Clip",
    "Contrastive",
    "Huber",
    "LiftedStructure",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "ModifiedHuber",
    "MultiSimilarity",
    "NPair",
    "NtXent",
    "PseudoHuber",
    "Quantile",
    "RootMeanSquaredError",
    "Siglip",
    "SupervisedContrastive",
    "Triplet",
    "all_pairs_contrastive",
    "circle",
    "clip",
    "contrastive",
    "huber",
    "lifted_structure",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "modified_huber",
    "multi_similarity",
    "n_pair",
    "nt_xent",
    "pseudo_huber",
    "quantile",
    "root_mean_squared_error",
    "siglip",
    "supervised_contrastive",
    "triplet",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        raise registry.missing_attribute(__name__, name, __all__)
