"""Reading what the author of a loss wrote, and refusing early what cannot work or be saved."""

import functools
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from lossmith.core import hyperparameters as hp
from lossmith.core import registry, saveable
from lossmith.core.backend import keras
from lossmith.core.hyperparameters import REQUIRED, Hyperparameter
from lossmith.core.learning import Learned
from lossmith.core.settings import SETTINGS
from lossmith.core.wording import shown


class _NotGiven:
    """The default of tensors that may be left out, as `help` shows it."""

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Any = _NotGiven()

_OWN_FIELDS = ("targets", "batchwise", "aliases", "learnable", *SETTINGS)
_NUMBERS = (bool, int, float)
_PREDICTION_NAMES = frozenset(
    {"y_pred", "y_hat", "yhat", "pred", "preds", "prediction", "predictions", "output", "outputs",
     "logits"}
)  # fmt: skip
_TARGET_NAMES = frozenset(
    {"y_true", "true", "target", "targets", "label", "labels", "y", "ground_truth"}
)
_WHY_NOT_LEARNED = (
    "minimising the loss over it rewards the value that makes all errors cheap, not the one that "
    "fits them"
)
_INSTEAD_OF_LEARNING = (
    "Learn the scale or shape of a likelihood (lossmith.losses.general_adaptive, "
    "student_t_likelihood, cauchy_likelihood, laplace_likelihood, gaussian_likelihood), or choose "
    "by a metric that does not change. A formula of your own that is normalised says so: "
    "learnable=('name',)."
)


def check_tensors(owner: str, parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Check that a formula takes y_true and y_pred first, and return its other parameters.

    Raises:
        TypeError: if it takes fewer, has them swapped, or takes `*args` or `**kwargs`.
    """
    parameters = list(parameters)
    tensors = [p for p in parameters[:2] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(tensors) < 2 or any(p.default is not REQUIRED for p in tensors):
        raise TypeError(f"{owner}: a formula starts with two tensors: (y_true, y_pred, ...).")
    first, second = (p.name for p in tensors)
    if first.lower() in _PREDICTION_NAMES or second.lower() in _TARGET_NAMES:
        raise TypeError(
            f"{owner}: the arguments ({first}, {second}) are swapped: Keras passes the targets "
            "first. Write (y_true, y_pred)."
        )
    rest = parameters[2:]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in rest):
        raise TypeError(
            f"{owner}: *args and **kwargs hide the hyperparameters: name each of them with a "
            "default."
        )
    return rest


def check_targets_kind(cls: Any) -> None:
    """Check what a class says that y_true is.

    Raises:
        ValueError: if it is none of the three kinds.
    """
    if cls.targets not in ("value", "class", "pair"):
        raise ValueError(
            f"{cls.__name__}: targets must be 'value', 'class' or 'pair'; got {cls.targets!r}."
        )


def check_call(cls: Any) -> None:
    """Check the `call` that a class defines.

    Raises:
        TypeError: if it takes other tensors than (y_true, y_pred), or is a lambda.
    """
    call = vars(cls).get("call")
    if call is None:
        return
    if not inspect.isfunction(call):
        raise TypeError(f"{cls.__name__}: `call` must be a method, call(self, y_true, y_pred).")
    saveable.check_function(cls.__name__, call)
    parameters = list(inspect.signature(call).parameters.values())[1:]
    for extra in check_tensors(cls.__name__, parameters):
        if extra.name == "sample_weight" and extra.default is None and cls.batchwise:
            continue
        raise TypeError(
            f"{cls.__name__}: call takes (self, y_true, y_pred) and nothing else; "
            f"`{extra.name}` belongs in a field of the class or in __init__."
            if extra.name != "sample_weight"
            else f"{cls.__name__}: weights are applied for you to the values of each sample; only "
            "a loss with batchwise = True takes `sample_weight=None` itself."
        )


def bind(cls: Any, owner: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all hyperparameters of a class, from what was given and the defaults.

    Raises:
        TypeError: if one is unknown, misses its value, is of another type or cannot be learned.
        ValueError: if one is outside its range.
    """
    for name in given.keys() - cls.declared.keys():
        if type(vars(cls).get(name)) in (int, float):
            raise TypeError(
                f"{owner}: `{name}` is an attribute of the class and no hyperparameter; annotated "
                f"it becomes one: `{name}: float = {vars(cls)[name]!r}`."
            )
    values = hp.bind_all(owner, cls.declared, given)
    check_learned(cls, values)
    return values


def check_learned(cls: Any, values: Mapping[str, Any]) -> None:
    """Refuse to learn a hyperparameter that a class does not declare as learnable.

    Minimising most losses only drives it to its bound; a class with another reason says it in
    `why_not_learned`, and what to do in `instead_of_learning`.

    Raises:
        TypeError: naming the hyperparameter, and what to use instead.
    """
    for name, value in values.items():
        if isinstance(value, Learned) and name not in cls.learnable:
            can = f"This loss can learn {', '.join(cls.learnable)}. " if cls.learnable else ""
            reason = getattr(cls, "why_not_learned", _WHY_NOT_LEARNED)
            advice = getattr(cls, "instead_of_learning", _INSTEAD_OF_LEARNING)
            raise TypeError(
                f"{public_name(cls)}: `{name}` cannot be learned, since {reason}. {can}{advice}"
            )


def classic_signature(cls: Any, base: type) -> inspect.Signature | None:
    """The signature of the author's `__init__` without `self`, `None` if there is none."""
    if cls.__init__ is base.__init__:  # type: ignore[misc]
        return None
    signature = inspect.signature(cls.__init__)
    if any(p.kind is p.POSITIONAL_ONLY for p in list(signature.parameters.values())[1:]):
        raise TypeError(
            f"{cls.__name__}: __init__ must take its arguments by name; remove the `/`."
        )
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def field_signature(declared: Mapping[str, Hyperparameter]) -> inspect.Signature:
    """The signature of a class whose hyperparameters are fields."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    settings = {"name": None, "reduction": "sum_over_batch_size", "dtype": None}
    return inspect.Signature(
        [
            *(inspect.Parameter(h.name, keyword, default=h.default) for h in declared.values()),
            *(inspect.Parameter(name, keyword, default=value) for name, value in settings.items()),
        ]
    )


def hyperparameters_of(cls: Any, base: type) -> dict[str, Hyperparameter]:
    """What `cls` declares: the parameters of its `__init__`, or else its annotated fields.

    Raises:
        TypeError: if a name is reserved, or a type hint cannot be resolved or checked.
    """
    fields = _fields_of(cls, base)
    if cls._signature is None:
        declared = fields
    else:
        hints = _resolved_parameters(cls)
        declared = {
            name: Hyperparameter(
                name, hints.get(name, getattr(fields.get(name), "hint", Any)), p.default
            )
            for name, p in cls._signature.parameters.items()
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and name not in SETTINGS
        }
        declared = _with_inherited(cls, declared, fields)
    refuse_names(cls.__name__, declared, base)
    hp.check_constraints(cls.__name__, declared.values())
    return declared


def refuse_names(owner: str, names: Iterable[str], base: type) -> None:
    """Refuse hyperparameters with the name of something that every loss has.

    Raises:
        TypeError: naming the hyperparameter.
    """
    hp.refuse_reserved(owner, names)
    for name in names:
        if name == "formula" or (name in vars(base) and name != "graded"):
            raise TypeError(
                f"{owner}: `{name}` cannot be the name of a hyperparameter: every loss has an "
                "attribute of that name. Choose another name."
            )


def _with_inherited(
    cls: Any, declared: dict[str, Hyperparameter], fields: dict[str, Hyperparameter]
) -> dict[str, Hyperparameter]:
    """Add the fields that an `__init__` with `**kwargs` hands on to the class above."""
    kinds = {p.kind for p in cls._signature.parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return {**{n: field for n, field in fields.items() if n not in declared}, **declared}
    lost = inspect.get_annotations(cls).keys() & fields.keys() - declared.keys()
    if lost:
        raise TypeError(
            f"{cls.__name__}: `{min(lost)}` is a field, but __init__ does not take it: add it to "
            "the arguments of __init__, or **kwargs."
        )
    return declared


def _fields_of(cls: Any, base: type) -> dict[str, Hyperparameter]:
    fields: dict[str, Hyperparameter] = {}
    for parent in reversed(cls.__mro__[1:]):
        if issubclass(parent, base):
            fields.update(vars(parent)["declared"])
    written = {
        name: hint
        for name, hint in inspect.get_annotations(cls).items()
        if name not in _OWN_FIELDS and not _is_class_variable(hint)
    }
    for name, hint in hp.resolve_hints(written, _namespace(cls), cls.__name__).items():
        fields[name] = Hyperparameter(name, hint, vars(cls).get(name, REQUIRED))
    for name in fields.keys() & vars(cls).keys() - written.keys():
        fields[name] = replace(fields[name], default=vars(cls)[name])
    return fields


def _is_class_variable(hint: Any) -> bool:
    if isinstance(hint, str):
        return "ClassVar" in hint
    return hint is ClassVar or typing.get_origin(hint) is ClassVar


def _resolved_parameters(cls: Any) -> dict[str, Any]:
    written = {
        name: p.annotation
        for name, p in cls._signature.parameters.items()
        if p.annotation is not REQUIRED and name not in SETTINGS and p.kind != p.VAR_KEYWORD
    }
    return hp.resolve_hints(written, _namespace(cls), cls.__name__)


def _namespace(cls: type) -> Mapping[str, Any]:
    module = sys.modules.get(cls.__module__)
    return {**vars(module)} if module else {}


def bind_classic(
    owner: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Name the positional arguments of a classic `__init__`.

    Raises:
        TypeError: if there are too many, or one is given twice.
    """
    positional = [
        p.name
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(args) > len(positional):
        raise TypeError(
            f"{owner} takes {len(positional)} positional arguments ({', '.join(positional)}); "
            f"got {len(args)}. Tensors go to the loss that {owner}(...) makes."
        )
    named = dict(zip(positional, args, strict=False))
    twice = named.keys() & kwargs.keys()
    if twice:
        raise TypeError(f"{owner}: `{min(twice)}` is given twice.")
    return {**named, **kwargs}


def positional_error(
    owner: str, args: tuple[Any, ...], declared: Mapping[str, Hyperparameter]
) -> TypeError:
    """The error for hyperparameters (or tensors) given to a class by position."""
    if _looks_like_tensor(args[0]):
        return TypeError(
            f"{owner} is a class: make a loss first, then give it the tensors: "
            f"{owner}()(y_true, y_pred)."
        )
    return TypeError(f"{owner} takes its hyperparameters by keyword: {_example(owner, declared)}.")


_KERAS_LOOKUPS = {keras.losses.get.__code__: "loss", keras.metrics.get.__code__: "metric"}


def refuse_lookup_by_keras(cls: type, caller: types.CodeType) -> None:
    """Refuse a class given to `compile`, where Keras is about to make an instance of it.

    Such a model trains, and fails when it is saved. Keras calls the class as a user would, and asks
    it nothing before: only the code that calls tells the two apart.

    Raises:
        TypeError: saying what to write.
    """
    if caller in _KERAS_LOOKUPS:
        raise TypeError(
            f"Keras was given the class {cls.__name__} in the place of a {_KERAS_LOOKUPS[caller]}, "
            f"which could not be saved with the model: write {cls.__name__}()."
        )


def refuse_variables(loss: Any) -> None:
    """Refuse a loss whose author made a variable for it: no model would train or save that.

    Raises:
        TypeError: naming the attribute, with what to write.
    """
    for name, value in vars(loss).items():
        leaves = keras.tree.flatten(value) if isinstance(value, list | tuple | dict) else [value]
        if any(isinstance(leaf, keras.Variable) for leaf in leaves):
            raise TypeError(
                f"{public_name(type(loss))}: `{name}` is a keras.Variable, and no model trains or "
                "saves the variables of a loss. Make it a hyperparameter: given as "
                "lossmith.learned(1.0) it is trained with the model, and as "
                "lossmith.adjustable(1.0) set by hand."
            )


def check_given(
    owner: str,
    y_true: Any,
    y_pred: Any,
    declared: Mapping[str, Hyperparameter],
    changes: Mapping[str, Any],
) -> None:
    """Refuse a call other than with two tensors; two numbers are likely to be hyperparameters.

    Raises:
        TypeError: saying what to write.
    """
    if changes and y_true is not NOT_GIVEN:
        raise TypeError(
            f"{owner}: hyperparameters and tensors go in two calls: "
            f"{owner}({next(iter(changes))}=...)(y_true, y_pred)."
        )
    if y_true is NOT_GIVEN or y_pred is NOT_GIVEN:
        raise TypeError(
            f"{owner} was called with one argument: it takes two tensors, {owner}(y_true, y_pred), "
            f"or hyperparameters by keyword, {_example(owner, declared)}."
        )
    if type(y_true) in _NUMBERS and type(y_pred) in _NUMBERS:
        true, pred = shown(y_true), shown(y_pred)
        raise TypeError(
            f"{owner}({true}, {pred}) would compare two numbers. Hyperparameters go by "
            f"keyword, {_example(owner, declared)}; the loss of a single value is "
            f"{owner}([{true}], [{pred}])."
        )


def _example(owner: str, declared: Mapping[str, Hyperparameter]) -> str:
    return f"{owner}({next(iter(declared), 'reduction')}=...)"


def _looks_like_tensor(value: Any) -> bool:
    return isinstance(value, list | tuple) or bool(getattr(value, "shape", ()))


def public_name(cls: Any) -> str:
    """The name under which the author wrote the loss: of the function or of the class."""
    written = vars(cls).get("_written_as")
    return str(written) if written else cls.__qualname__.replace("<locals>.", "")


def reference(cls: type) -> type | str:
    """What a pickle refers to: the class if others can import it, else its registered name."""
    module: Any = sys.modules.get(cls.__module__)
    try:
        found = functools.reduce(getattr, cls.__qualname__.split("."), module)
    except AttributeError:
        found = None
    importable = found is cls and cls.__module__ not in registry.MAIN_MODULES
    return cls if importable else registry.registered_name(cls)
