"""From free variables to valid predictions and back."""

from typing import Literal

import numpy as np

Link = Literal["identity", "sigmoid", "softmax", "positive"]


def to_prediction(free: np.ndarray, link: Link) -> np.ndarray:
    """Map free variables to valid predictions."""
    if link == "sigmoid":
        return 1.0 / (1.0 + np.exp(-free))
    if link == "softmax":
        shifted = np.exp(free - free.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)
    return np.exp(free) if link == "positive" else free


def to_free(y_pred: np.ndarray, link: Link) -> np.ndarray:
    """Map valid predictions to the free variables they come from."""
    if link == "identity":
        return y_pred.astype("float64")
    inside = np.clip(y_pred.astype("float64"), 1e-6, 1 - 1e-6 if link != "positive" else None)
    return np.log(inside / (1 - inside)) if link == "sigmoid" else np.log(inside)


def pull_back(gradient: np.ndarray, y_pred: np.ndarray, link: Link) -> np.ndarray:
    """Turn a gradient by predictions into one by free variables."""
    if link == "sigmoid":
        return gradient * y_pred * (1 - y_pred)
    if link == "softmax":
        return y_pred * (gradient - (gradient * y_pred).sum(axis=-1, keepdims=True))
    return gradient * y_pred if link == "positive" else gradient
