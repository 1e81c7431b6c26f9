"""The catalogue: losses that Keras lacks, or gets wrong, a module a family."""

from typing import TYPE_CHECKING, Any

from lossmith.allpairs import SupervisedContrastive, supervised_contrastive
from lossmith.core import registry
from lossmith.losses.centres import ArcFace, CosFace, ProxyAnchor, ProxyNCA
from lossmith.losses.classification import ModifiedHuber, modified_huber
from lossmith.losses.likelihoods import (
    CauchyLikelihood,
    GaussianLikelihood,
    GeneralAdaptive,
    LaplaceLikelihood,
    StudentTLikelihood,
    cauchy_likelihood,
    gaussian_likelihood,
    general_adaptive,
    laplace_likelihood,
    student_t_likelihood,
)
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
    "ArcFace",
    "CauchyLikelihood",
    "Contrastive",
    "CosFace",
    "GaussianLikelihood",
    "GeneralAdaptive",
    "Huber",
    "LaplaceLikelihood",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "ModifiedHuber",
    "ProxyAnchor",
    "ProxyNCA",
    "PseudoHuber",
    "Quantile",
    "RootMeanSquaredError",
    "StudentTLikelihood",
    "SupervisedContrastive",
    "cauchy_likelihood",
    "contrastive",
    "gaussian_likelihood",
    "general_adaptive",
    "huber",
    "laplace_likelihood",
    "log_cosh",
    "mean_absolute_error",
    "mean_squared_error",
    "modified_huber",
    "pseudo_huber",
    "quantile",
    "root_mean_squared_error",
    "student_t_likelihood",
    "supervised_contrastive",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        raise registry.missing_attribute(__name__, name, __all__)
