"""`loss`: from a formula to a loss."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, overload

from lossmith.core import declaration, saveable
from lossmith.core import hyperparameters as hp
from lossmith.core.backend import keras
from lossmith.core.base import Loss, LossType
from lossmith.core.declaration import NOT_GIVEN
from lossmith.core.hyperparameters import REQUIRED
from lossmith.core.shapes import Targets
from lossmith.core.wording import shown

Formula = Callable[..., Any]


@overload
def loss(formula: Formula, /) -> Loss: ...


@overload
def loss(
    formula: Formula,
    /,
    *,
    targets: Targets = ...,
    batchwise: bool = ...,
    learnable: tuple[str, ...] = ...,
    name: str | None = ...,
    package: str | None = ...,
) -> Loss: ...


@overload
def loss(
    *,
    targets: Targets = ...,
    batchwise: bool = ...,
    learnable: tuple[str, ...] = ...,
    name: str | None = ...,
    package: str | None = ...,
) -> Callable[[Formula], Loss]: ...


def loss(
    formula: Formula = NOT_GIVEN,
    /,
    *,
    targets: Targets = "value",
    batchwise: bool = False,
    learnable: tuple[str, ...] = (),
    name: str | None = None,
    package: str | None = None,
) -> Any:
    """Make a loss from a formula: every form Keras accepts, from one definition.

    Args:
        formula: a function `(y_true, y_pred, *, hyperparameter=default, ...)` that returns a value
            per entry or per sample. Type hints give the hyperparameters their ranges.
        targets: what y_true is: `"value"` (of the shape of y_pred), `"class"` (integer ids `(N,)`
            against `(N, C)` or `(N, D)`; which ids there are the formula alone knows, see
            `Loss.check_targets`) or `"pair"` (0/1 labels against distances or pairs of embeddings).
        batchwise: whether the formula returns one number, a property of the whole batch. It may
            then take `sample_weight=None` as its third argument and says what a weight means.
        learnable: the hyperparameters that may be `lossmith.learned`: those over which minimising
            the loss makes sense, as over the scale of a normalised likelihood.
        name: the name of the loss, if not that of the function.
        package: the name it is saved under, if not the module's: keeps old files loadable when a
            module is renamed.

    Returns:
        The loss with its default hyperparameters, a `lossmith.Loss`.

    Raises:
        TypeError: if the function takes other than two tensors, has them swapped, has a
            hyperparameter without a default, is a generator or a coroutine, or cannot be saved (a
            lambda, a `functools.partial`, a function that reads variables of the function around
            it).

    Example:
    >>> import lossmith as ls
    >>> from keras import ops
    >>> @ls.loss
    ... def huber(y_true, y_pred, *, threshold: ls.Positive = 1.0):
    ...     error = y_true - y_pred
    ...     small = 0.5 * ops.square(error)
    ...     large = threshold * (ops.abs(error) - 0.5 * threshold)
    ...     return ops.where(ops.abs(error) <= threshold, small, large)
    >>> huber(threshold=2.0)
    huber(threshold=2.0)
    >>> float(huber([0.0, 0.0], [0.5, 3.0]))
    1.3125
    """
    if formula is NOT_GIVEN:
        return functools.partial(
            loss,
            targets=targets,
            batchwise=batchwise,
            learnable=learnable,
            name=name,
            package=package,
        )
    _refuse_other_callables(formula)
    saveable.check_function(formula.__name__, formula)
    return _make_class(formula, targets, batchwise, learnable, name, package)()


def _refuse_other_callables(formula: Any) -> None:
    if inspect.isfunction(formula):
        return
    if isinstance(formula, keras.losses.Loss):
        advice = "it is a loss already; use it as it is"
    elif inspect.isclass(formula) and issubclass(formula, keras.losses.Loss):
        advice = f"it is a class; write {formula.__name__}(...)"
    elif isinstance(formula, functools.partial):
        advice = "a partial cannot be saved; make what it binds a keyword of the function"
    elif inspect.ismethod(formula):
        advice = "a bound method cannot be saved; write a function or a subclass of lossmith.Loss"
    else:
        advice = "write a function `def formula(y_true, y_pred, *, threshold=1.0)`"
    raise TypeError(
        f"lossmith.loss takes a function; got {shown(formula)} ({type(formula).__name__}): "
        f"{advice}."
    )


def _make_class(
    formula: Formula,
    targets: Targets,
    batchwise: bool,
    learnable: tuple[str, ...],
    name: str | None,
    package: str | None,
) -> Callable[[], Loss]:
    owner = name or formula.__name__
    extras = declaration.check_tensors(owner, inspect.signature(formula).parameters.values())
    weighted = bool(extras) and extras[0].name == "sample_weight" and batchwise
    keywords = extras[1:] if weighted else extras
    _check_keywords(owner, keywords)
    written = {p.name: p.annotation for p in keywords if p.annotation is not REQUIRED}
    hints = hp.resolve_hints(written, formula.__globals__, owner)
    body = {
        "__doc__": formula.__doc__,
        "__module__": formula.__module__,
        "__qualname__": f"{formula.__qualname__}.__class__",
        "__annotations__": {p.name: hints.get(p.name, Any) for p in keywords},
        "_written_as": name or formula.__qualname__.replace("<locals>.", ""),
        "formula": staticmethod(formula),
        "targets": targets,
        "batchwise": batchwise,
        "learnable": learnable,
        "call": _call_with_weights if weighted else _call,
        **{p.name: p.default for p in keywords},
    }
    class_name = "".join(part[:1].upper() + part[1:] for part in owner.split("_"))
    cls: Any = LossType(class_name, (Loss,), body, package=package)
    cls.default_name = owner
    return cls


def _check_keywords(owner: str, keywords: list[inspect.Parameter]) -> None:
    for parameter in keywords:
        if parameter.name == "sample_weight":
            raise TypeError(
                f"{owner}: weights are applied for you to the values of each sample; only a "
                "formula declared with batchwise=True takes `sample_weight=None`, as its third "
                "argument."
            )
        if parameter.default is REQUIRED and parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(
                f"{owner}: Keras passes two tensors, so a third required argument, "
                f"`{parameter.name}`, would never get its value. If it is a hyperparameter, write "
                f"(y_true, y_pred, *, {parameter.name}=...) with a default; if it is a tensor, "
                "stack it with y_true or y_pred along an axis."
            )
        if parameter.default is REQUIRED:
            raise TypeError(
                f"{owner}: hyperparameter `{parameter.name}` needs a default: write "
                f"{parameter.name}=... (a class derived from lossmith.Loss may go without)."
            )
    declaration.refuse_names(owner, [parameter.name for parameter in keywords], Loss)


def _call(self: Any, y_true: Any, y_pred: Any) -> Any:
    return self.formula(y_true, y_pred, **self._operands)


def _call_with_weights(self: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
    return self.formula(y_true, y_pred, sample_weight, **self._operands)
