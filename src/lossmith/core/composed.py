"""Losses made of losses: weighted, summed, weighed by their uncertainty."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from lossmith.core import backend, declaration, evaluation
from lossmith.core import hyperparameters as hp
from lossmith.core.backend import keras
from lossmith.core.base import Loss
from lossmith.core.hyperparameters import Hyperparameter, NonNegative, Positive
from lossmith.core.learning import learned
from lossmith.core.ranges import real_arm
from lossmith.core.settings import SETTINGS

ops = keras.ops
_PACKAGE = "lossmith.core"
_SHARED = ("targets", "reduction", "requested_dtype")


class Weighted(Loss, package=_PACKAGE):
    """`weight * loss`: every value of a loss times a number; written `0.7 * loss`.

    Reduction, dtype, and what weights and masks of samples mean are those of the loss.

    Args:
        loss: any loss.
        weight: 0 or greater; may be scheduled, set by hand and swept. It cannot be learned, as 0
            would always win: `lossmith.uncertainty_weighted` is the form that can.

    >>> import lossmith as ls
    >>> 0.5 * ls.losses.huber
    0.5 * Huber(threshold=1.0)
    """

    instead_of_learning: ClassVar[str] = (
        "A weight that is learned needs the normalising term of an uncertainty: "
        "lossmith.uncertainty_weighted(loss)."
    )
    loss: Loss
    weight: NonNegative = 1.0

    def __post_init__(self) -> None:
        """Take over what the loss says of its inputs."""
        self.__dict__.update(_taken_over(self.loss))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values per sample."""
        return self.values(y_true, y_pred)

    def _compute(self, *inputs: Any) -> Any:
        value = evaluation.evaluate(self.loss, *inputs)
        return backend.like(self.weight, value) * value

    def _with(self, changes: dict[str, Any]) -> "Weighted":
        """The dtype is that in which the loss is computed."""
        if "dtype" in changes:
            changes = {"loss": self.loss(dtype=changes["dtype"]), **changes}
        return super()._with(changes)

    def __repr__(self) -> str:
        return _with_settings(self._product(), {**self._own_name(), **_reduction_and_dtype(self)})

    def _text(self) -> str:
        """As a part of a sum, which has its reduction and dtype."""
        return _with_settings(self._product(), self._own_name())

    def _product(self) -> str:
        loss = self.hyperparameters["loss"](dtype=None)
        return f"{self.hyperparameters['weight']!r} * {loss!r}"

    def _own_name(self) -> dict[str, Any]:
        return {} if self.name == self.hyperparameters["loss"].name else {"name": self.name}


class Sum(Loss, package=_PACKAGE):
    """The sum of weighted losses of the same y_true and y_pred; written `0.7 * a + 0.3 * b`.

    Its value is the weighted sum of the values of its parts, each called with the same targets,
    predictions, sample weights and mask. All parts have one reduction, which is that of the sum: a
    per-sample part is reduced as its name says, a batchwise part is the one number that it is.
    Unreduced, a batchwise part adds its number to the value of each sample.

    The parts are hyperparameters named after them (`huber`, a second one `huber_2`), so that
    `huber.weight` and `huber.loss.threshold` can change, and `loss.parts` are the losses without
    their weights: `compile(loss=total, metrics=total.parts)` logs them. A part bears the name of
    its loss, which `loss(name="near")` chooses; it has no dot.

    Raises:
        TypeError: if a part bears a name that means something else, or one with a dot.
        ValueError: if parts differ in reduction, dtype, or in what their targets are.

    >>> import lossmith as ls
    >>> total = 0.7 * ls.losses.huber + 0.3 * ls.losses.log_cosh
    >>> total
    0.7 * Huber(threshold=1.0) + 0.3 * LogCosh()
    >>> print(f"{total([0.0], [2.0]):.4f}")
    1.4475
    """

    @classmethod
    def _bind(
        cls, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every keyword but the settings is a part."""
        settings: dict[str, Any] = {key: kwargs.pop(key) for key in SETTINGS if key in kwargs}
        _refuse_names(kwargs)
        if len(kwargs) < 2 or args:
            raise TypeError("A sum has two parts or more: write 0.7 * first + 0.3 * second.")
        declared = {name: Hyperparameter(name, Weighted) for name in kwargs}
        parts = {name: _as_part(part) for name, part in kwargs.items()}
        return hp.bind_all("Sum", declared, parts), settings

    def __post_init__(self) -> None:
        """Take over what the parts say of their inputs, in which they have to agree."""
        first, *others = self.hyperparameters.values()
        if first.reduction != self.reduction:
            raise ValueError(
                f"The reduction of a sum is that of its parts; {first!r} has {first.reduction!r} "
                f"and the sum {self.reduction!r}: write total(reduction={self.reduction!r})."
            )
        for other in others:
            for setting in _SHARED:
                mine, its = getattr(first, setting), getattr(other, setting)
                if mine != its:
                    raise ValueError(
                        f"The parts of a sum must have one {setting}; {first!r} has {mine!r} and "
                        f"{other!r} has {its!r}." + _ADVICE.get(setting, "")
                    )
        self.__dict__.update(_taken_over(first))
        self.__dict__["batchwise"] = any(each.batchwise for each in self.hyperparameters.values())

    @property
    def parts(self) -> list[Loss]:
        """The losses without their weights, learned ones included, under the names of the parts.

        They are meant for `metrics=total.parts`, or `weighted_metrics=total.parts` where samples
        have weights. Where the sum is a mean, a per-sample part is unreduced, so that Keras shows
        the mean over the samples of an epoch, whatever the batches; of a batchwise part it shows
        the mean over the batches.

        Where a hyperparameter of a part itself changes, each step is measured with its value at
        that step. On JAX the model has to be trained with the sum for that, or with another that
        has the part in it, and the same part must not be in the losses of two outputs.
        """
        return [
            _without_weights(part)(name=name, reduction=_of_metric(part, self.reduction))
            for name, part in self.hyperparameters.items()
        ]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values per sample."""
        return self.values(y_true, y_pred)

    def _compute(self, *inputs: Any) -> Any:
        first, *others = self._operands.values()
        value = evaluation.evaluate(first, *inputs)
        for other in others:
            value = value + evaluation.evaluate(other, *inputs)
        return value

    def _with(self, changes: dict[str, Any]) -> "Sum":
        """The sum with other parts, or under another name, reduction or dtype."""
        for name in changes:
            if name not in (*self.hyperparameters, *SETTINGS):
                advice = hp.advice_on(name, self.hyperparameters)
                raise TypeError(f"{self.name}: no part `{name}`. {advice}")
        shared = {key: changes[key] for key in ("reduction", "dtype") if key in changes}
        parts = {name: part(**shared) for name, part in self.hyperparameters.items()}
        return Sum(**{**self._explicit(), **parts, **changes})

    def __repr__(self) -> str:
        parts = self.hyperparameters.values()
        own = {} if self.name == self.default_name else {"name": self.name}
        text = " + ".join(part._text() for part in parts)
        return _with_settings(text, {**own, **_reduction_and_dtype(self)})


_ADVICE = {
    "reduction": " Give all of them the same, as in loss(reduction='sum').",
    "targets": " Losses of other targets belong to another output of the model: "
    "compile(loss={'output': loss, ...}).",
}


class UncertaintyWeighted(Loss, package=_PACKAGE):
    """`loss / (2 scale^2) + log(scale)`: a loss weighed by a scale that can be learned.

    The second term is the price of a large scale, so that minimising over the scale finds
    `scale^2 = mean(loss)`, and the loss counts by how far it can be brought down. With half the
    squared error of several outputs this is the likelihood of normal errors of unknown size.

    Args:
        loss: a loss that gives values per sample, of 0 or greater.
        scale: greater than 0. May be learned.

    Raises:
        ValueError: for a loss that is a property of the batch, or a negative log-likelihood.

    Reference: Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for
    Scene Geometry and Semantics", CVPR 2018.
    """

    learnable = ("scale",)
    loss: Loss
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        """Take over what the loss says of its inputs."""
        if self.loss.batchwise:
            raise ValueError(
                f"uncertainty_weighted takes a loss with a value per sample; {self.loss!r} is a "
                "property of the batch."
            )
        if _may_be_negative(self.loss):
            raise ValueError(
                f"uncertainty_weighted takes a loss of 0 or greater; {self.loss!r} is a negative "
                "log-likelihood, below 0 for small errors, and has a scale that can be learned "
                "itself."
            )
        taken = _taken_over(self.loss)
        self.__dict__.update({key: taken[key] for key in ("targets", "graded")})

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The weighted values and the price of the scale."""
        values = self.loss.values(y_true, y_pred)
        scale = backend.like(self.scale, values)
        return 0.5 * values / ops.square(scale) + ops.log(scale)


def uncertainty_weighted(loss: Loss, scale: Any = None) -> UncertaintyWeighted:
    """Weigh a loss by its uncertainty, learned with the model.

    Add several to train on several aims at once without choosing their weights, or give one to
    each output of a model.

    Args:
        loss: a loss that gives values per sample, of 0 or greater.
        scale: the scale; `lossmith.learned(1.0)` if not given.

    Returns:
        The loss `loss / (2 scale^2) + log(scale)`, under the name of `loss`.

    Example:
    >>> import lossmith as ls
    >>> ls.uncertainty_weighted(ls.losses.huber)
    UncertaintyWeighted(loss=Huber(threshold=1.0), scale=learned(1.0), name='huber')
    """
    chosen = learned(1.0) if scale is None else scale
    settings: dict[str, Any] = {"name": loss.name, "dtype": loss.requested_dtype}
    return UncertaintyWeighted(loss=loss, scale=chosen, reduction=loss.reduction, **settings)


def weighted(loss: Any, weight: Any) -> Any:
    """`weight * loss`; a number multiplies numbers that are there."""
    if isinstance(loss, Sum):
        parts = {name: weighted(part, weight) for name, part in loss.hyperparameters.items()}
        return Sum(**{**loss._explicit(), **parts})
    number = isinstance(weight, int | float)
    if isinstance(loss, Weighted) and number and isinstance(loss.hyperparameters["weight"], float):
        return loss(weight=loss.weight * weight)
    settings = {"reduction": loss.reduction, "dtype": loss.requested_dtype, "name": loss.name}
    return Weighted(loss=loss(reduction="mean"), weight=weight, **settings)


def total(first: Any, second: Any) -> Sum:
    """`first + second`, of losses or sums of losses."""
    parts: dict[str, Any] = {}
    for each in (first, second):
        inner = each.hyperparameters.values() if isinstance(each, Sum) else [each]
        for part in inner:
            part = _as_part(part)
            parts[_free_name(part.name, parts)] = part
    _refuse_names(parts)
    shared = next(iter(parts.values()))
    return Sum(**parts, reduction=shared.reduction, dtype=shared.requested_dtype)


def _refuse_names(names: Iterable[str]) -> None:
    """Refuse parts whose names mean something else, or read as a part of a part."""
    declaration.refuse_names("A sum", names, Loss)
    for name in names:
        if "." in name:
            raise TypeError(
                f"A sum: `{name}` cannot be the name of a part, since a dot leads to a "
                "hyperparameter inside of one. Give the loss another name: "
                f"loss(name={name.replace('.', '_')!r})."
            )


def _as_part(loss: Any) -> Weighted:
    """A loss with its weight, 1 if it has none."""
    bound = Hyperparameter("part", Loss).bind("A sum", loss)
    return bound if isinstance(bound, Weighted) else weighted(bound, 1.0)


def _may_be_negative(loss: Loss) -> bool:
    """Whether a loss, or one inside of it, is a likelihood: one that can learn a real number."""
    return any(real_arm(loss.declared[name].kind) for name in loss.learnable) or any(
        _may_be_negative(inner)
        for inner in loss.hyperparameters.values()
        if isinstance(inner, Loss)
    )


def _without_weights(loss: Loss) -> Loss:
    if isinstance(loss, Weighted | UncertaintyWeighted):
        return _without_weights(loss.hyperparameters["loss"])
    return loss


def _of_metric(part: Loss, reduction: str) -> str:
    """Keras averages the values of samples rightly, and the means of unequal batches not."""
    is_mean = reduction in ("sum_over_batch_size", "mean_with_sample_weight")
    return "none" if is_mean and not part.batchwise else reduction


def _reduction_and_dtype(loss: Loss) -> dict[str, Any]:
    shown = {} if loss.reduction == "sum_over_batch_size" else {"reduction": loss.reduction}
    return shown if loss.requested_dtype is None else {**shown, "dtype": loss.requested_dtype}


def _with_settings(text: str, shown: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    return f"({text})({settings})" if shown else text


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    if name not in taken:
        return name
    numbered = (f"{name}_{number}" for number in itertools.count(2))
    return next(each for each in numbered if each not in taken)


def _taken_over(loss: Loss) -> dict[str, Any]:
    return {
        "targets": loss.targets,
        "batchwise": loss.batchwise,
        "takes_weights": loss.takes_weights,
        "graded": loss.graded,
    }
