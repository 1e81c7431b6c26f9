"""What `check` is given, in one form, and refused where it makes no sense, before anything runs."""

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.checker import rules
from lossmith.checker.settings import FAMILIES, TARGETS, Settings, interval
from lossmith.core.backend import installed_backends, keras

_DAY = 86400.0


def several(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Names that were given one by one or together; a text is one name."""
    return (given,) if isinstance(given, str) else tuple(given or ())


def reasons(waive: Mapping[str, str] | None) -> dict[str, str]:
    """The reason for each code that is waived.

    Raises:
        ValueError: if this maps no codes to reasons.
    """
    waived = waive or {}
    if not isinstance(waived, Mapping):
        raise ValueError(f"waive must map codes to reasons, {{'LSM302': 'why'}}; got {waive!r}.")
    for code, reason in waived.items():
        if not (isinstance(reason, str) and reason.strip()):
            raise ValueError(f"waive needs a reason for {code!r}; got {reason!r}.")
    return dict(waived)


def validated(settings: Settings, backends: Sequence[str], codes: Iterable[str]) -> Settings:
    """The settings as plain numbers and arrays.

    Raises:
        ValueError: for an unknown target, family, backend, label or code, a batch that is none, or
            a number that cannot be one.
    """
    if settings.target is not None and settings.target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}; got {settings.target!r}.")
    if settings.entry not in ("compile", "direct"):
        raise ValueError(f"entry must be 'compile' or 'direct'; got {settings.entry!r}.")
    if settings.same not in (None, 0, 1):
        raise ValueError(f"same must be the label 0 or 1; got {settings.same!r}.")
    if settings.family is not None and str(settings.family).lower() not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; got {settings.family!r}.")
    limit, seed = settings.time_limit, settings.seed
    if not (isinstance(limit, numbers.Real) and 0 < limit <= _DAY):
        raise ValueError(
            f"time_limit must be greater than 0 and at most {_DAY:g} seconds; got {limit!r}."
        )
    if not (isinstance(seed, numbers.Integral) and seed >= 0):
        raise ValueError(f"seed must be a whole number that is not negative; got {seed!r}.")
    missing = [name for name in backends if name not in installed_backends()]
    if missing:
        raise ValueError(
            f"No such backend is installed: {', '.join(map(str, missing))}; "
            f"installed are {', '.join(installed_backends())}."
        )
    rules.validate(codes)
    y_true, y_pred = _batch(settings.y_true, settings.y_pred)
    return replace(
        settings,
        y_true=y_true,
        y_pred=y_pred,
        same=None if settings.same is None else int(settings.same),
        domain=interval(settings.domain),
        time_limit=float(limit),
        seed=int(seed),
    )


def _batch(y_true: Any, y_pred: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    if (y_true is None) != (y_pred is None):
        raise ValueError("Give y_true and y_pred together, or neither.")
    if y_true is None:
        return None, None
    labels, predictions = _array("y_true", y_true), _array("y_pred", y_pred)
    if len(labels) != len(predictions):
        raise ValueError(
            "y_true and y_pred must have a row for each sample; got the shapes "
            f"{labels.shape} and {predictions.shape}."
        )
    if np.isnan(predictions).any():
        raise ValueError("y_pred must hold predictions; got NaN, of which every loss is NaN.")
    return labels, predictions


def _array(name: str, given: Any) -> np.ndarray:
    """A batch as an array that NumPy can save."""
    try:
        tensor = keras.ops.is_tensor(given)
        array = keras.ops.convert_to_numpy(given) if tensor else np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"{name} must be one array with a row for each sample, not several: {error}"
        ) from None
    if "float" in array.dtype.name:
        array = array.astype("float64" if array.dtype == "float64" else "float32")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers; got the dtype {array.dtype}.")
    if array.ndim == 0 or not array.size:
        raise ValueError(f"{name} must hold a row at least; got the shape {array.shape}.")
    return array
