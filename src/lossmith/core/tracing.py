"""A loss evaluated with tensors in the place of its hyperparameters.

Everything that lets a hyperparameter change inside a compiled step goes through here: values that
a state layer has sent along with the predictions, and values of a sweep.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lossmith.core import arrays, backend
from lossmith.core import hyperparameters as hp
from lossmith.core.backend import keras
from lossmith.core.changing import Changing
from lossmith.core.names import completed, paths_of
from lossmith.core.relay import relays

if TYPE_CHECKING:
    from lossmith.core.base import Loss

ops = keras.ops
tree = keras.tree
AnyLoss = TypeVar("AnyLoss", bound="Loss")
_CARRIED = "_lossmith_hyperparameters"
_NOT_COPIED = ("_sealed", "_key")


class Current(NamedTuple):
    """What predictions carry to a loss."""

    values: Mapping[str, Any]
    """The values of its changing hyperparameters, by dotted names."""
    valid: Any | None
    """Whether all of them can be used; `None` if that is certain."""
    training_is_known: bool = True
    """Whether the steps that a schedule follows are counted."""
    memory: Any | None = None
    """What the loss reads from the model, and writes to it, beside its hyperparameters."""
    tell: Callable[[], None] = lambda: None
    """Tells the values to the metrics of the step, if they cannot be carried there."""


@dataclass(frozen=True)
class _Address:
    """What a loss is to its state, whatever its name, reduction and dtype.

    It is no tuple, in which Keras would look for variables to save.
    """

    kind: type
    values: tuple[tuple[str, Any], ...]
    words: str = field(compare=False)


def changing_in(values: Mapping[str, Any]) -> dict[str, Changing]:
    """The changing ones among bound hyperparameters; `base.threshold` is one of a loss `base`."""
    found = {}
    for name, value in values.items():
        if isinstance(value, Changing):
            found[name] = value
        elif isinstance(value, keras.losses.Loss):
            found.update({f"{name}.{inner}": each for inner, each in value.changing.items()})
    return found


def traced(loss: AnyLoss, values: Mapping[str, Any]) -> AnyLoss:
    """Return `loss` evaluated with these tensors as its hyperparameters.

    The result is called like any loss, inside or outside of a compiled step, and can be
    differentiated (and, on JAX, mapped with `vmap`) with respect to the tensors; a loss over all
    pairs alone has no gradient in them. They are taken as they are: neither validated nor saved.
    The result has no hash and is made anew in each trace; `torch.compile` cannot look into how it
    is made, and breaks its graph there.

    Args:
        loss: a loss.
        values: scalar tensors (arrays for array hyperparameters) by name; `base.threshold` is
            the `threshold` of the loss that `base` is.

    Raises:
        TypeError: if the loss has no such hyperparameter, or one that is not a real number or an
            array.

    Example:
    >>> import lossmith as ls
    >>> from keras import ops
    >>> from lossmith.core import traced
    >>> loss = traced(ls.losses.huber, {"threshold": ops.convert_to_tensor(2.0)})
    >>> float(loss([0.0], [3.0]))
    4.0
    """
    own, nested = by_holder(values)
    for name in (*own, *nested):
        if name not in loss.hyperparameters:
            known = ", ".join(loss.hyperparameters) or "none"
            meant = completed(name, paths_of(loss))
            raise TypeError(f"{loss.name}: no hyperparameter `{name}`; it has {known}.{meant}")
    for name, inner in nested.items():
        own[name] = traced(loss.hyperparameters[name], inner)
    return _with_operands(loss, own)


def by_holder(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The values of a loss' own hyperparameters, and by name those of the losses inside of it."""
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    return own, nested


def tensors_of(loss: "Loss") -> dict[str, Any]:
    """The tensors that stand in the place of hyperparameters, by dotted name."""
    found = {}
    for name, value in _operands_of(loss).items():
        if isinstance(value, keras.losses.Loss):
            found.update({f"{name}.{inner}": each for inner, each in tensors_of(value).items()})
        else:
            found[name] = value
    return found


def _operands_of(loss: "Loss") -> Mapping[str, Any]:
    """What stands in the place of hyperparameters, by name: tensors, and losses with tensors."""
    operands: Mapping[str, Any] = loss.__dict__.get("_traced", {})
    return operands


def is_traced(loss: "Loss") -> bool:
    """Whether tensors stand in the place of some hyperparameters."""
    return bool(tensors_of(loss))


def _with_operands(loss: AnyLoss, changed: Mapping[str, Any]) -> AnyLoss:
    clone = object.__new__(type(loss))
    if loss.changing:
        _address(loss)  # kept before tensors stand in the place of what it is made of
    fixed = {name: value for name, value in vars(loss).items() if name not in _NOT_COPIED}
    clone.__dict__.update(fixed)
    values = {**loss.hyperparameters, **changed}
    clone.__dict__["_hyperparameters"] = MappingProxyType(values)
    clone.__dict__["_changing"] = changing_in(values)
    clone.__dict__["_traced"] = {**_operands_of(loss), **changed}
    clone.__dict__["_as_one_node"] = None
    still = {n: kept for n, kept in loss._arrays.items() if n not in changed}
    clone.__dict__["_arrays"] = MappingProxyType(still)
    clone.__dict__["_operands"] = {**loss._operands, **changed}
    _distribute_operands(clone)
    clone.__dict__["_sealed"] = True
    return clone


def _distribute_operands(clone: Any) -> None:
    """Let the formula see the operands as it would have, had the loss been made with them."""
    if clone._signature is None:
        clone.__dict__.update(clone._operands)
    else:
        settings = {"name": clone.name, "reduction": clone.reduction}
        try:
            clone._initialise_classic({**settings, "dtype": clone.requested_dtype})
        except Exception as error:  # whatever the author's own __init__ raises
            error.add_note(
                "__init__ is run with tensors where hyperparameters change: declare ranges as type "
                "hints and compute with keras.ops."
            )
            raise


def cast(loss: AnyLoss, dtype: Any) -> AnyLoss:
    """The loss with its tensors, and its arrays of real numbers, as tensors of a dtype."""
    if is_traced(loss):
        loss = _with_operands(
            loss,
            {
                name: value if isinstance(value, keras.losses.Loss) else ops.cast(value, dtype)
                for name, value in _operands_of(loss).items()
            },
        )
    return _with_arrays_as_tensors(loss, dtype)


def _with_arrays_as_tensors(loss: AnyLoss, dtype: Any) -> AnyLoss:
    """Made anew for each call: a formula that changes a tensor in place changes no loss."""
    if not loss._arrays:
        return loss
    tensors = {name: backend.fresh(kept, dtype) for name, (kept, _) in loss._arrays.items()}
    clone = object.__new__(type(loss))
    clone.__dict__.update(vars(loss))
    clone.__dict__["_operands"] = {**loss._operands, **tensors}
    for name, (_, attributes) in loss._arrays.items():
        for attribute in attributes:
            clone.__dict__[attribute] = tensors[name]
    return clone


def arrays_of(loss: "Loss") -> Mapping[str, tuple[Any, tuple[str, ...]]]:
    """The arrays of real numbers that a loss has, each with the attributes that hold it.

    Found once, when the loss is made: `torch.compile` cannot ask a NumPy array what it is. Keras
    would look for layers in a dictionary, and never come back from a tensor in it.
    """
    found = {
        name: (backend.kept(value), tuple(n for n, held in vars(loss).items() if held is value))
        for name, value in loss._operands.items()
        if arrays.is_real(value)
    }
    return MappingProxyType(found)


def send(tensors: Any, loss: "Loss", current: Current) -> None:
    """Let predictions carry the current values of the hyperparameters of `loss`.

    They are sent to the losses inside of it as well, which may be metrics by themselves.
    """
    sent = _by_address(loss, current)
    for tensor in tree.flatten(tensors):
        carried = backend.attached(tensor, _CARRIED) or {}
        backend.attach(tensor, _CARRIED, {**carried, **sent})


def _by_address(
    loss: "Loss", current: Current, path: tuple[str, ...] = ()
) -> dict[_Address, dict[tuple[str, ...], Current]]:
    """What is sent to a loss and those inside of it; equal ones are told apart by their paths."""
    found: dict[_Address, dict[tuple[str, ...], Current]] = {}
    for name, inner in loss.hyperparameters.items():
        if isinstance(inner, keras.losses.Loss) and inner.changing:
            values = {each: current.values[f"{name}.{each}"] for each in inner.changing}
            sent = _by_address(inner, current._replace(values=values), (*path, name))
            for address, each in sent.items():
                found.setdefault(address, {}).update(each)
    if all(name in current.values for name in loss.changing):
        found.setdefault(_address(loss), {})[path] = current
    return found


def _the_one_meant(loss: "Loss", found: list[tuple[tuple[str, ...], Current]]) -> Current | None:
    """The one among equal losses that has the name of this one.

    Raises:
        ValueError: if several have it.
    """
    if len(found) > 1:
        found = [each for each in found if loss.name in each[0]]
        if len(found) != 1:
            raise ValueError(
                f"{loss!r} is there several times in the losses of this model, with values of its "
                "own each time, and as a metric it can only be told by its name: give it that of "
                f"the part that is meant, loss(name=...). `{loss.name}` is that of "
                f"{len(found) or 'none'}. (On JAX outputs do not tell them apart in `fit`: let the "
                "losses differ, if only in where a hyperparameter starts.)"
            )
    return found[0][1] if found else None


def _told_in_this_step(loss: "Loss", y_pred: Any) -> Current | None:
    """What the trained loss has left for the metrics of this step, whose y_pred carries nothing."""
    if backend.attached(tree.flatten(y_pred)[0], _CARRIED) is not None:
        return None
    told = [_by_address(relay.loss, Current(*relay.told())) for relay in relays()]
    here = [each for sent in told for each in sent.get(_address(loss), {}).items()]
    return _the_one_meant(loss, here)


def current(loss: AnyLoss, y_pred: Any) -> tuple[AnyLoss, Any]:
    """The loss with the values that the predictions carry, and whether they are valid.

    A loss of which nothing changes is returned as it is.

    Raises:
        ValueError: if they carry none, as the state of the loss is not in the model.
    """
    if not loss._changing:
        return loss, None
    name = next(iter(loss.changing))
    part, _, inner = name.partition(".")
    fixed = f"fix `{name}` in a new `{part}`" if inner else "fix it"
    advice = f"Without a model it has no value: there, and as a metric, {fixed}: loss({part}=...)."
    found = _told_in_this_step(loss, y_pred) or carried(loss, y_pred, f"value of `{name}`", advice)
    return traced(loss, {name: found.values[name] for name in loss.changing}), found.valid


def carried(loss: "Loss", y_pred: Any, what: str, advice: str) -> Current:
    """What the predictions carry for a loss.

    Args:
        loss: the loss, which has a state.
        y_pred: the predictions.
        what: what it needs, in words.
        advice: what to do where there is no model.

    Raises:
        ValueError: if they carry nothing, as the state of the loss is not in the model.
    """
    everything = backend.attached(tree.flatten(y_pred)[0], _CARRIED) or {}
    found = _the_one_meant(loss, list(everything.get(_address(loss), {}).items()))
    if found is None and backend.in_symbolic_scope():
        # Keras asks for shapes only, with predictions that come from no model.
        return Current({name: each.initial for name, each in loss.changing.items()}, None)
    if found is None:
        raise ValueError(_missing(loss, y_pred, what, advice))
    if not found.training_is_known:
        raise ValueError(
            f"{loss!r} follows the training steps, but its state was not told whether this is one: "
            "in the `call(self, inputs, training=False)` of a subclassed model (or in a loop of "
            "your own) write `self.state(outputs, training=training)`."
        )
    found.tell()
    return found


def _address(loss: "Loss") -> _Address:
    """The address of a loss, which it keeps when it is traced."""
    if "_address" not in loss.__dict__:
        values = (
            (name, _address(each) if isinstance(each, keras.losses.Loss) else hp.comparable(each))
            for name, each in loss.hyperparameters.items()
        )
        loss.__dict__["_address"] = _Address(type(loss), tuple(values), repr(loss))
    found: _Address = loss.__dict__["_address"]
    return found


def _missing(loss: "Loss", y_pred: Any, what: str, advice: str) -> str:
    """The error for predictions that carry nothing for a loss; the most likely cause leads."""
    first = tree.flatten(y_pred)[0]
    missing = f"{loss!r}: the predictions bring no {what}"
    if not ops.is_tensor(first):
        return f"{missing}: an array or a list carries none. {advice}"
    there = ", ".join(each.words for each in backend.attached(first, _CARRIED) or {})
    found = f"They come from the state of another loss, {there}. " if there else ""
    is_step = backend.metrics_get_copies() and not backend.is_concrete(first)
    return (
        f"{missing}: the state of this loss is not where they leave the model. {found}Put it "
        "there: Sequential([..., loss.state]), outputs = loss.state(outputs), or model = "
        f"lossmith.with_state(model, loss). {advice}"
        f"{_METRIC_ON_JAX if is_step and not there else ''}"
    )


_METRIC_ON_JAX = (
    " (If the state is there and this is a metric of `fit`: on JAX it gets the values only where "
    "the model is trained with the same loss, of which no matrix changes, or with one that is made "
    "of it. Elsewhere leave it out of compile(metrics=...), to which it may come back for "
    "`evaluate`, or give it with the value fixed.)"
)


def nan_unless(valid: Any, value: Any) -> Any:
    """`value`, or NaN with gradient 0 where the hyperparameters are not valid."""
    if valid is None:
        return value
    return ops.where(valid, value, ops.stop_gradient(ops.full_like(value, float("nan"))))
