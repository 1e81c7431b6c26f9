"""Settings as JSON, arrays included."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from lossmith.checker.settings import Settings

_ARRAYS = ("y_true", "y_pred")
_TUPLES = ("domain", "output_shape")


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """The settings as plain data."""
    data = {field.name: getattr(settings, field.name) for field in fields(settings)}
    for name in _ARRAYS:
        data[name] = None if data[name] is None else _packed(np.asarray(data[name]))
    return json.loads(json.dumps(data))


def settings_from_json(data: Mapping[str, Any]) -> Settings:
    """The inverse of `settings_to_json`."""
    given = dict(data)
    for name in _ARRAYS:
        given[name] = None if given[name] is None else _unpacked(given[name])
    for name in _TUPLES:
        given[name] = None if given[name] is None else tuple(given[name])
    return Settings(**given)


def _packed(array: np.ndarray) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _unpacked(text: str) -> np.ndarray:
    return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
