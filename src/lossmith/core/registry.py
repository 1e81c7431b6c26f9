"""Names: where a saved loss finds its class again, and where a string finds a loss."""

import difflib
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lossmith.core.backend import keras
from lossmith.core.wording import shown

MAIN_MODULES = ("__main__", "__mp_main__")
"""What a script that is run calls itself, and what it is called in a process that it spawns."""

_classes: dict[str, type] = {}
"""Every class made with lossmith, by registered name: `package>name`."""


def package_of(module: str) -> str:
    """The package under which the losses of `module` are registered.

    A script that is run and the same file imported are one package, so that a model saved by
    `python train.py` can be loaded by a program that imports `train`.
    """
    if module.startswith(("lossmith.losses.", "lossmith.allpairs.")):
        return "lossmith"
    if module not in MAIN_MODULES:
        return module
    main = sys.modules[module]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"


def register(cls: type, package: str, name: str) -> None:
    """Make `cls` known to Keras and to `get` as `package>name`."""
    full_name = f"{package}>{name}"
    before = _classes.get(full_name)
    if before is not None and _written_at(before) != _written_at(cls):
        raise ValueError(
            f"Two losses are called `{full_name}`, and a saved model could not tell them apart: "
            "give one of them another name=... or package=...."
        )
    keras.saving.register_keras_serializable(package, name)(cls)
    _classes[full_name] = cls


def register_function(function: Any) -> None:
    """Make a function that a saved loss refers to known to Keras as `package>name`.

    Raises:
        TypeError: for a lambda, or a function made inside another one that reads its variables.
    """
    name = function.__qualname__.replace("<locals>.", "")
    if function.__name__ == "<lambda>" or function.__closure__:
        raise TypeError(
            f"`{name}` cannot be saved with a model: write a function with `def` that reads no "
            "variables of a function around it."
        )
    if keras.saving.get_registered_object(registered_name(function)) is not function:
        keras.saving.register_keras_serializable(package_of(function.__module__), name)(function)


def check_still_registered(function: Any) -> None:
    """Refuse to save a function whose name means another one by now.

    Raises:
        ValueError: if one with other code, as a cell of a notebook run anew has not, took its name.
    """
    name = registered_name(function)
    known = keras.saving.get_registered_object(name)
    if known is not function and getattr(known, "__code__", None) != function.__code__:
        raise ValueError(
            f"Two functions are called `{name}`, and a saved model could not tell them apart: give "
            "one of them another name, or make the loss anew with the one that was defined last."
        )


def _written_at(cls: type) -> tuple[str, str]:
    """Where a class was defined: defining it there again, as notebooks do, replaces it."""
    return package_of(cls.__module__), cls.__qualname__


def registered_name(cls: Any) -> str:
    """The `package>name` under which `cls` (or a function) was registered."""
    return str(keras.saving.get_registered_name(cls))


def find(name: str) -> type:
    """The class registered under the full name `package>name`.

    Raises:
        ValueError: if it is unknown, naming the module to import.
    """
    if name not in _classes:
        package, _, short = name.partition(">")
        raise ValueError(
            f"No loss `{short}` of module `{package}` is known in this process: import `{package}` "
            "(or run the code that makes the loss) before loading it."
        )
    return _classes[name]


def catalogue() -> dict[str, type]:
    """The losses of lossmith itself, by the name of the object (`huber`), in alphabetical order."""
    own = (cls for name, cls in _classes.items() if name.startswith("lossmith>"))
    return dict(sorted((cls.default_name, cls) for cls in own))  # type: ignore[attr-defined]


def get(identifier: Any) -> Any:
    """Return the loss that a name, a configuration or an object stands for.

    Args:
        identifier: a loss (returned as it is); the name of one of lossmith's (`"huber"`,
            `"Huber"`), of Keras' (`"mse"`, `"binary_crossentropy"`: lossmith's loss where there
            is one, else what `keras.losses.get` gives) or of a user's loss whose module has been
            imported (`"my_loss"`, or in full `"my_module>my_loss"`); or a dictionary
            `{"class_name": ..., "config": {...}}`; one that Keras wrote for a loss of its own
            gives what Keras makes of it.

    Returns:
        A `keras.losses.Loss`; for a name that only Keras knows, what Keras gives for it.

    Raises:
        ValueError: if the name is unknown, with the nearest known ones, or ambiguous.
        TypeError: for a class (write an instance) or anything else.

    Example:
    >>> import lossmith as ls
    >>> ls.get("huber")
    Huber(threshold=1.0)
    >>> ls.get({"class_name": "Huber", "config": {"threshold": 2.0}})
    Huber(threshold=2.0)
    """
    if isinstance(identifier, str):
        cls = class_named(identifier)
        return cls() if cls else _from_keras(identifier)
    if isinstance(identifier, dict):
        return _from_dict(identifier)
    if inspect.isclass(identifier):
        raise TypeError(
            f"Expected a loss, got the class {identifier.__name__}: write {identifier.__name__}()."
        )
    if isinstance(identifier, keras.losses.Loss):
        return identifier
    raise TypeError(
        "Expected a loss, its name or its configuration; "
        f"got {shown(identifier)} ({type(identifier).__name__}). "
        "A function becomes a loss with `lossmith.loss(function)`."
    )


def class_named(name: str) -> type | None:
    """The class of a loss of lossmith or of a user that a name stands for, if there is one.

    Raises:
        ValueError: if several losses of users have that name.
    """
    if name in _classes:
        return _classes[name]
    matches = {key: cls for key, cls in _classes.items() if name in _short_names(cls)}
    own = {key: cls for key, cls in matches.items() if key.startswith("lossmith>")}
    exact = {key: cls for key, cls in matches.items() if re.split("[>.]", key)[-1] == name}
    found = own or exact or matches
    if len(found) > 1:
        raise ValueError(f"Several losses are called {name!r}: write one of {sorted(found)}.")
    return next(iter(found.values()), None)


def _short_names(cls: Any) -> tuple[str, ...]:
    return (cls.__name__, cls.default_name, *cls.aliases)


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that `name` was probably meant to be, whatever its case; best first.

    Of a dotted name the last part is compared.
    """
    spellings: dict[str, list[str]] = {}
    for each in sorted(known):
        spellings.setdefault(each.rpartition(".")[2].casefold(), []).append(each)
    likeness = difflib.SequenceMatcher(b=name)

    def alike(spelling: str) -> float:
        likeness.set_seq1(spelling)
        return likeness.ratio()

    near = difflib.get_close_matches(name.casefold(), spellings, n=3)
    return [max(spellings[each], key=alike) for each in near]


def missing_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that a module does not have, with the nearest that it has."""
    close = [f"{module}.{each}" for each in closest(name, known)]
    hint = f". Did you mean {' or '.join(close)}?" if close else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")


def _from_keras(name: str) -> Any:
    try:
        return keras.losses.get(name)
    except ValueError:
        raise _unknown(name) from None


def _unknown(name: str) -> ValueError:
    known = [short for cls in _classes.values() for short in _short_names(cls)]
    close = closest(name.rpartition(">")[2], {*known, *dir(keras.losses)})
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return ValueError(
        f"No loss is called {name!r}.{hint} `lossmith list` shows all; a loss of your own is "
        "known once its module is imported."
    )


def _from_dict(config: dict[str, Any]) -> Any:
    if config.get("module") == "keras.losses":
        return keras.losses.get(config)
    name = config.get("registered_name") or config.get("class_name")
    hyperparameters = config.get("config") or {}
    if not isinstance(name, str) or not isinstance(hyperparameters, dict):
        raise ValueError(
            'The configuration of a loss is {"class_name": ..., "config": {...}}; '
            f"got {config}."
        )
    cls: Any = class_named(name)
    if cls is None:
        return _deserialized(name, config)
    return cls.from_config(hyperparameters)


def _deserialized(name: str, config: dict[str, Any]) -> Any:
    try:
        return keras.losses.get(config)
    except (TypeError, ValueError):
        if hasattr(keras.losses, name):
            raise
        raise _unknown(name) from None
