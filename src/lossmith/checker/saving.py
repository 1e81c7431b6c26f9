"""Is a loss still itself after a model was saved with it and loaded in another process?

The loss, with hyperparameters that are not its defaults, is compiled into a small model; the child
that probes saves it, a fresh one loads it and compares the two by value and gradient.
"""

import contextlib
import functools
import inspect
import numbers
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lossmith.checker import rules, targets
from lossmith.checker.evaluate import Evaluator, words_of
from lossmith.checker.hyperparameters import closure, hyperparameters, rebuild
from lossmith.checker.report import BackendResult, Evidence, Finding, plain
from lossmith.checker.settings import TARGETS, Entry, Settings
from lossmith.checker.subject import Subject, import_place, load
from lossmith.core.backend import keras

Trial = tuple[np.ndarray, np.ndarray]
_TOLERANCE = 1e-4


def trials(result: BackendResult, settings: Settings) -> list[Trial]:
    """Inputs on which two losses are compared: the user's batch, or two made for the target."""
    if settings.y_true is not None and settings.y_pred is not None:
        return [(np.asarray(settings.y_true), np.asarray(settings.y_pred))]
    if result.target not in TARGETS:
        return []
    problems = (
        targets.build(result.target, seed, domain=settings.domain, same=settings.same)
        for seed in (settings.seed, settings.seed + 1)
    )
    return [(problem.y_true, problem.y_pred) for problem in problems]


def values(loss: Any, entry: Entry, inputs: list[Trial]) -> list[float]:
    """The reduced value of a loss on each input, with its Python run again; NaN if it raises."""
    evaluator = Evaluator(loss, entry)
    return [evaluator.afresh(y_true, y_pred) for y_true, y_pred in inputs]


def run_python(loss: Any, entry: Entry, inputs: list[Trial]) -> None:
    """Run all of a loss' Python; what it computes is left to others where that takes a compiler."""
    evaluator = Evaluator(loss, entry)
    for y_true, y_pred in inputs:
        if not evaluator.runs(y_true, y_pred).ran:
            evaluator.reduced(y_true, y_pred)


def save(loss: Any, inputs: list[Trial], folder: str) -> dict[str, Any]:
    """Save a small model compiled with `loss`, and say what was saved.

    Returns:
        The receipt, plain data: `path`; `changes`, the hyperparameters that differ from those of
        `loss`; `forgotten`, those that get_config does not hold; `kind` and `name` of what was
        saved; `error`, empty if it could be saved.
    """
    changes = _other_hyperparameters(loss, inputs)
    changed = rebuild(loss, **changes) if changes else loss
    path = str(Path(folder) / "loss.keras")
    shape = np.shape(inputs[0][1])[1:]
    error = _error_of_saving(changed, shape, path)
    if error and changes:
        error = _error_of_saving(loss, shape, path) or error  # it may quote the hyperparameters
    return {
        "path": path,
        "changes": plain(changes),
        "forgotten": [] if error else _forgotten(loss),
        "hyperparameters": plain(_bound(loss)),
        "kind": kind_of(loss),
        "name": _saved_name(loss),
        "registered": keras.saving.get_registered_name(_registrable(loss)),
        "error": error,
    }


def _error_of_saving(loss: Any, shape: tuple[int, ...], path: str) -> str:
    """Why a model compiled with `loss` cannot be saved; empty if it was."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Activation("linear")])
    try:
        model.compile(loss=loss)
        with _tensorflow_left_out():
            model.save(path)
    except Exception as raised:  # a loss, and Keras over it, may raise anything
        return words_of(raised, 300)
    return ""


@contextlib.contextmanager
def _tensorflow_left_out() -> Iterator[None]:
    """Keep Keras from importing TensorFlow, which takes seconds, just to ask for its types."""
    from keras.src.utils.module_utils import tensorflow

    if "tensorflow" in sys.modules or tensorflow._available is not None:
        yield
        return
    tensorflow._available = False
    try:
        yield
    finally:
        tensorflow._available = None


def kind_of(loss: Any) -> str:
    """How a loss is written: this decides how Keras saves it and how that is mended."""
    if isinstance(loss, str):
        return "identifier"
    if isinstance(loss, functools.partial):
        return "partial"
    if inspect.ismethod(loss):
        return "method"
    if inspect.isfunction(loss):
        if loss.__name__ == "<lambda>":
            return "lambda"
        return "closure" if _bound(loss) else "function"
    return "instance" if isinstance(loss, keras.losses.Loss) else "object"


def _saved_name(loss: Any) -> str:
    target = _registrable(loss)
    return str(getattr(target, "__name__", type(loss).__name__))


def _registrable(loss: Any) -> Any:
    """What `custom_objects` and the registry map a name to: the function, or the class."""
    return loss if inspect.isfunction(loss) else type(loss)


def _bound(loss: Any) -> dict[str, Any]:
    """The hyperparameters that belong to the object; a function's defaults belong to its code."""
    found = hyperparameters(loss)
    if inspect.isfunction(loss):
        read = closure(loss)
        return {name: value for name, value in found.items() if name in read}
    return found


def _forgotten(loss: Any) -> list[str]:
    """The arguments of `__init__` that get_config does not hold."""
    if kind_of(loss) != "instance":
        return []
    needed = inspect.signature(type(loss).__init__).parameters
    kept = loss.get_config()
    return [name for name in hyperparameters(loss) if name in needed and name not in kept]


def _other_hyperparameters(loss: Any, inputs: list[Trial]) -> dict[str, Any]:
    """A value for each hyperparameter, other than its own, that shows in the value of the loss."""
    usual = values(loss, "compile", inputs)
    changes: dict[str, Any] = {}
    for name, value in _bound(loss).items():
        default = _default(loss, name)
        for candidate in variations(value):
            if type(candidate) is type(default) and candidate == default:
                continue  # what is forgotten comes back as the default
            together = {**changes, name: candidate}
            if _tells(usual, _values_with(loss, {name: candidate}, inputs)) and np.all(
                np.isfinite(_values_with(loss, together, inputs))
            ):
                changes = together
                break
    return changes


def _default(loss: Any, name: str) -> Any:
    """The number or flag that `__init__` takes for a hyperparameter that is not given."""
    parameter = inspect.signature(type(loss).__init__).parameters.get(name)
    return None if parameter is None else parameter.default


def _values_with(loss: Any, changes: Mapping[str, Any], inputs: list[Trial]) -> list[float]:
    try:
        return values(rebuild(loss, **changes), "compile", inputs)
    except Exception:  # a loss refuses a value as it likes
        return [float("nan")] * len(inputs)


def _tells(usual: list[float], other: list[float]) -> bool:
    return bool(np.all(np.isfinite(other))) and not np.allclose(usual, other, rtol=1e-3)


def variations(value: Any) -> Iterator[Any]:
    """Other values of a hyperparameter, likely ones of its domain first."""
    if isinstance(value, bool | np.bool_):
        yield not value
    elif isinstance(value, numbers.Integral):
        yield from (int(value) + 1, int(value) * 2 + 1, int(value) - 1)
    elif isinstance(value, numbers.Real):
        number = float(value)
        if 0 < number < 1:
            yield from (number / 2, (1 + number) / 2)
        yield from (number * 1.5 if number else 0.5, number / 2 if number else 1.0)
    elif isinstance(value, list | tuple):
        yield type(value)(item * (1.5 + index) for index, item in enumerate(value))
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield value * (1.5 + np.arange(value.size).reshape(value.shape))


def reload(subject: Subject, receipt: Mapping[str, Any], inputs: list[Trial]) -> dict[str, Any]:
    """Load the saved model in this process and compare its loss with the original.

    Returns:
        Plain data: `loaded`, `"plainly"`, `"with custom_objects"` or `""`; `error`, why it did not
        load; `same`; `before` and `after`, the first values that differ; `lost`, the
        hyperparameters that came back with other values.
    """
    if subject.kind in ("file", "module"):
        import_place(subject)
    else:
        _register_again(load(subject), receipt)
    how, error, loaded = "plainly", "", None
    try:
        loaded = keras.models.load_model(receipt["path"]).loss
    except Exception as raised:  # a loss, and Keras over it, may raise anything
        how, error = "", words_of(raised, 200)
    original = load(subject)
    if receipt["changes"]:
        original = rebuild(original, **_like(receipt["changes"], original))
    if not how:
        names = {receipt["name"]: _registrable(original)}
        try:
            loaded = keras.models.load_model(receipt["path"], custom_objects=names).loss
            how = "with custom_objects"
        except Exception as raised:  # as above
            error = words_of(raised, 200)
    reply: dict[str, Any] = {"loaded": how, "error": error, "same": True, "lost": {}}
    return {**reply, **_compared(original, loaded, inputs)} if how else reply


def _like(changes: Mapping[str, Any], loss: Any) -> dict[str, Any]:
    """Changes that travelled as JSON, in the types that the loss had."""
    own = hyperparameters(loss)
    return {
        name: np.asarray(value, own[name].dtype)
        if isinstance(own[name], np.ndarray)
        else tuple(value)
        if isinstance(own[name], tuple)
        else value
        for name, value in changes.items()
    }


def _register_again(loss: Any, receipt: Mapping[str, Any]) -> None:
    """Do what the code that made the loss does when it runs in a new process."""
    package, mark, name = receipt["registered"].partition(">")
    target = _registrable(loss)
    known = keras.saving.get_registered_name(target) == receipt["registered"]
    if mark and not known and "closure" not in receipt["kind"]:
        keras.saving.register_keras_serializable(package, name)(target)


def _compared(original: Any, loaded: Any, inputs: list[Trial]) -> dict[str, Any]:
    first, second = Evaluator(original), Evaluator(loaded)
    for y_true, y_pred in inputs:
        before, after = first.reduced(y_true, y_pred), second.reduced(y_true, y_pred)
        pairs = ((before.value, after.value), (before.slopes, after.slopes))
        if not all(
            np.shape(a) == np.shape(b) and np.allclose(a, b, _TOLERANCE, 1e-6, equal_nan=True)
            for a, b in pairs
        ):
            return {
                "same": False,
                "before": plain(before.scalar),
                "after": plain(after.scalar),
                "lost": _lost(original, loaded),
                "y_true": plain(y_true),
                "y_pred": plain(y_pred),
            }
    return {}


def _lost(original: Any, loaded: Any) -> dict[str, Any]:
    had, has = plain(hyperparameters(original)), plain(hyperparameters(loaded))
    return {name: [had[name], has.get(name)] for name in had if had[name] != has.get(name)}


def judge(
    receipt: Mapping[str, Any], reply: Mapping[str, Any] | None, backend: str
) -> list[Finding]:
    """The findings of saving with that receipt and loading with that reply."""
    if receipt["error"]:
        return [_not_saved(receipt, backend)]
    if reply is None or (reply["loaded"] == "plainly" and reply["same"]):
        return []
    if not reply["same"]:
        return [_not_restored(receipt, reply, backend)]
    if receipt["forgotten"] and not reply["loaded"]:
        return [_hyperparameters_lost(receipt, reply, backend)]
    return [_not_loaded(receipt, reply, backend)]


_REGISTER = "decorate it with @keras.saving.register_keras_serializable()"
_WRITE_LOSS = "write the formula once with @lossmith.loss and pass huber(threshold=...) to compile"
_REMEDIES = {
    "partial": f"Make what the partial binds a hyperparameter: {_WRITE_LOSS}.",
    "lambda": f"Write it with def at the top of a module and {_REGISTER}.",
    "method": f"Write a function, or a keras.losses.Loss with get_config, and {_REGISTER}.",
    "closure": f"The file holds only the inner function's name: {_WRITE_LOSS}, or write a "
    f"keras.losses.Loss with get_config and {_REGISTER}.",
    "function": f"Define it at the top of a module and {_REGISTER}, or give load_model "
    'custom_objects={{"{name}": {name}}}.',
    "instance": "Return every argument of __init__ from get_config, take **kwargs in __init__ for "
    f"name and reduction, and {_REGISTER}; or derive it from lossmith.Loss, which does all three.",
    "object": f"Derive it from keras.losses.Loss, with get_config, and {_REGISTER}.",
    "identifier": "Pass the loss itself to compile.",
}


def _remedy(receipt: Mapping[str, Any]) -> str:
    return _REMEDIES[receipt["kind"]].format(name=receipt["name"])


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".")


def _not_saved(receipt: Mapping[str, Any], backend: str) -> Finding:
    return rules.finding(
        rules.NOT_SAVED,
        f"A model compiled with it cannot be saved: {receipt['error'].rstrip('.')}.",
        Evidence(backend, "save", note=receipt["error"]),
        consequence="The error comes when the model is saved, after training.",
        remedy=_remedy(receipt),
    )


def _not_restored(receipt: Mapping[str, Any], reply: Mapping[str, Any], backend: str) -> Finding:
    taken = receipt["kind"] in ("function", "closure") and reply["loaded"] == "plainly"
    changed = [f"{name} = {had} came back as {has}" for name, (had, has) in reply["lost"].items()]
    explained = f" ({', '.join(changed)})" if changed and not taken else ""
    other = "as Keras' own loss of that name " if taken else ""
    return rules.finding(
        rules.NAME_TAKEN if taken else rules.NOT_RESTORED,
        f"Saved and loaded {reply['loaded']}, it comes back {other}with the value "
        f"{reply['after']} where it had {reply['before']}{explained}.",
        Evidence(
            backend,
            "save",
            reply["y_true"],
            reply["y_pred"],
            reply["after"],
            note=f"{reply['before']} before saving",
        ),
        consequence="A model that is loaded and trained on, or evaluated, silently uses another "
        "loss.",
        remedy=_remedy(receipt),
    )


def _hyperparameters_lost(
    receipt: Mapping[str, Any], reply: Mapping[str, Any], backend: str
) -> Finding:
    return rules.finding(
        rules.NOT_RESTORED,
        f"get_config does not hold {', '.join(receipt['forgotten'])}: what a saved model says of "
        "the loss is not enough to make it again.",
        Evidence(backend, "save", note=_first_sentence(reply["error"])),
        consequence="keras.models.load_model raises; with compile=False the model loads without "
        "its loss.",
        remedy=_remedy(receipt),
    )


def _not_loaded(receipt: Mapping[str, Any], reply: Mapping[str, Any], backend: str) -> Finding:
    name, kind = receipt["name"], receipt["kind"]
    if reply["loaded"]:
        severity = "warning" if kind == "closure" else "information"
        message = f"A model saved with it loads only with custom_objects={{{name!r}: ...}}."
        if kind == "closure":
            values = ", ".join(
                f"{key}={value}" for key, value in receipt["hyperparameters"].items()
            )
            message += f" The values it was made with ({values}) are not in the file."
    else:
        severity = "warning" if kind == "lambda" else "error"
        message = f"A model saved with it does not load: {_first_sentence(reply['error'])}."
    return rules.finding(
        rules.NOT_LOADED,
        message,
        Evidence(backend, "save", note=_first_sentence(reply["error"])),
        consequence="keras.models.load_model raises; with compile=False the model loads without "
        "its loss.",
        remedy=_remedy(receipt),
        severity=severity,  # type: ignore[arg-type]
    )
