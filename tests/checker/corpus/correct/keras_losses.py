"""Keras' own losses, each with the target it is made for."""

import math

import keras

from checker.corpus.case import CORRECT, Case

POSITIVE = {"domain": (0.0, math.inf)}
DROPS_DELTA = "keras-team/keras#23286: Huber's configuration drops delta"
DROPS_AXIS = "keras-facts, finding 1: the configuration drops axis"
NO_ZERO_VECTOR = "keras-team/keras#23093: ops.normalize has no gradient at a zero vector"
NOT_SMOOTH_AT_ZERO = "keras-facts F12: no finite gradient when a probability underflows to 0"
SPARSE_COLUMN = "measured in 3.15.1: labels (N, 1) are one-hot encoded to (N, 1, C)"


def _put(id: str, target: str, loss: object, **facts: object) -> None:
    CORRECT.cases.append(Case(f"keras-{id}", loss, target, source="keras.losses", **facts))


_losses = keras.losses

_put("mse", "regression", _losses.MeanSquaredError())
_put("mse-function", "regression", _losses.mean_squared_error)
_put("mse-string", "regression", "mse")
_put("mae", "regression", _losses.MeanAbsoluteError())
_put("mae-function", "regression", _losses.mean_absolute_error)
_put("mape", "regression", _losses.MeanAbsolutePercentageError())
_put("msle", "regression", _losses.MeanSquaredLogarithmicError(), declared=POSITIVE)
_put("log-cosh", "regression", _losses.LogCosh())
_put("log-cosh-function", "regression", _losses.log_cosh)
_put("huber", "regression", _losses.Huber(), known_defects={"LSM601": DROPS_DELTA})
_put("huber-function", "regression", _losses.huber)
_put("poisson", "regression", _losses.Poisson(), declared=POSITIVE)
_put(
    "cosine",
    "regression",
    _losses.CosineSimilarity(),
    known_defects={"LSM1": NO_ZERO_VECTOR, "LSM601": DROPS_AXIS},
)
_put("bce", "binary", _losses.BinaryCrossentropy())
_put("bce-function", "binary", _losses.binary_crossentropy)
_put("bce-logits", "binary_logits", _losses.BinaryCrossentropy(from_logits=True))
_put("bce-smoothed", "binary", _losses.BinaryCrossentropy(label_smoothing=0.1))
_put("focal", "binary", _losses.BinaryFocalCrossentropy(gamma=2.0, apply_class_balancing=True))
_put("focal-logits", "binary_logits", _losses.BinaryFocalCrossentropy(from_logits=True))
_put("hinge", "plus_minus", _losses.Hinge())
_put("squared-hinge", "plus_minus", _losses.SquaredHinge())
_put("hinge-zero-one", "binary_logits", _losses.Hinge())
_put("cce", "categorical", _losses.CategoricalCrossentropy())
_put("cce-function", "categorical", _losses.categorical_crossentropy)
_put("cce-string", "categorical", "categorical_crossentropy")
_put("cce-logits", "categorical_logits", _losses.CategoricalCrossentropy(from_logits=True))
_put("cce-smoothed", "categorical", _losses.CategoricalCrossentropy(label_smoothing=0.1))
_put("categorical-focal", "categorical", _losses.CategoricalFocalCrossentropy())
_put("kl", "categorical", _losses.KLDivergence())
_put("categorical-hinge", "categorical_logits", _losses.CategoricalHinge())
_put(
    "generalised-cross-entropy",
    "sparse_categorical",
    _losses.CategoricalGeneralizedCrossEntropy(),
    known_defects={"LSM1": NOT_SMOOTH_AT_ZERO, "LSM301": SPARSE_COLUMN},
)
_put("sparse", "sparse_categorical", _losses.SparseCategoricalCrossentropy())
_put("sparse-function", "sparse_categorical", _losses.sparse_categorical_crossentropy)
_put(
    "sparse-logits",
    "sparse_categorical_logits",
    _losses.SparseCategoricalCrossentropy(from_logits=True),
)
_put(
    "sparse-ignoring",
    "sparse_categorical",
    _losses.SparseCategoricalCrossentropy(ignore_class=-1),
)
_put("dice", "segmentation", _losses.Dice(axis=(1, 2, 3)))
_put("dice-of-the-batch", "segmentation", _losses.Dice(), declared={"batchwise": True})
_put("tversky", "segmentation", _losses.Tversky(axis=(1, 2, 3)))
_put(
    "circle",
    "embedding",
    _losses.Circle(),
    declared={"batchwise": True},
    known_defects={"LSM1": NO_ZERO_VECTOR},
)
