"""What every loss has besides its hyperparameters: a name, a reduction and a dtype."""

import inspect
from collections.abc import Mapping
from typing import Any

from lossmith.core import reduction
from lossmith.core.backend import keras
from lossmith.core.wording import shown

SETTINGS = ("name", "reduction", "dtype")


def checked_settings(owner: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given, the reduction by its one name.

    Raises:
        TypeError: if the name is no string.
        ValueError: if there is no such reduction, or the dtype is not a floating one.
    """
    settings = dict(given)
    if not isinstance(settings.get("name"), str | None):
        raise TypeError(f"{owner}: name must be a string; got {shown(settings['name'])}.")
    if "reduction" in settings:
        settings["reduction"] = reduction.canonical(owner, settings["reduction"])
    check_dtype(owner, settings.get("dtype"))
    return settings


def check_dtype(owner: str, dtype: Any) -> None:
    """Refuse a dtype in which no loss can be computed.

    Raises:
        ValueError: naming the loss and what it got.
    """
    try:
        is_floating = "float" in keras.dtype_policies.get(dtype).compute_dtype
    except (TypeError, ValueError):
        is_floating = False
    if not is_floating:
        raise ValueError(
            f"{owner}: dtype must be a floating dtype, such as 'float32', or None for that of the "
            f"predictions; got {shown(dtype)}."
        )


def accepted_settings(signature: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a classic `__init__` takes itself."""
    parameters: Mapping[str, inspect.Parameter] = signature.parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {key: v for key, v in settings.items() if takes_all or key in parameters}
