"""Losses as bytes, so that an object that lives in a notebook reaches another process."""

import copyreg
import inspect
import io
import pickle
from importlib.util import find_spec
from typing import Any

from lossmith.checker import factories
from lossmith.core import Loss
from lossmith.core.backend import keras


class NotTransportableError(ValueError):
    """The loss cannot leave its process; the text says why."""


def pack(loss: Any) -> bytes:
    """Return `loss` as bytes that `unpack` reads in another process, on any backend.

    Raises:
        NotTransportableError: if it holds what cannot travel, such as a tensor of one backend.
    """
    buffer = io.BytesIO()
    origin = factories.origin(loss) if inspect.isfunction(loss) else None
    try:
        _pickler(buffer).dump((loss, origin))
    except Exception as error:  # a pickler raises whatever the object's own code raises
        advice = "" if find_spec("cloudpickle") else " Installing cloudpickle may help."
        raise NotTransportableError(
            f"the loss cannot be sent to another process ({error}).{advice}"
        ) from error
    return buffer.getvalue()


def unpack(data: bytes) -> Any:
    """The inverse of `pack`; only for bytes that this program made itself."""
    loss, origin = pickle.loads(data)
    if origin is not None:
        factories.remember(loss, origin)
    return loss


def _pickler(buffer: io.BytesIO) -> pickle.Pickler:
    """A pickler that takes what cannot be imported along, if cloudpickle is installed."""
    base: Any = pickle.Pickler
    if find_spec("cloudpickle") is not None:
        import cloudpickle

        base = cloudpickle.Pickler

    class LossPickler(base):
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Loss):
                return _made_again, (type(value), value.get_config())
            if isinstance(value, keras.losses.Loss):
                return _by_attributes(value)
            inherited = getattr(super(), "reducer_override", None)
            return NotImplemented if inherited is None else inherited(value)

    return LossPickler(buffer)


def _made_again(cls: Any, config: dict[str, Any]) -> Loss:
    """A loss of lossmith, whose own pickle refers to a class of a script by its name alone."""
    made: Loss = cls.from_config(config)
    return made


def _by_attributes(loss: Any) -> tuple[Any, ...]:
    """Keras pickles a loss by its config, which may lack hyperparameters: take the attributes."""
    return copyreg.__newobj__, (type(loss),), vars(loss)  # type: ignore[attr-defined]
