"""`Loss`: the one kind of thing a loss is."""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform, overload

import numpy as np

from lossmith.core import declaration, evaluation, reduction, registry, saveable, shapes, tracing
from lossmith.core import hyperparameters as hp
from lossmith.core.arithmetic import Arithmetic
from lossmith.core.backend import keras
from lossmith.core.changing import Changing
from lossmith.core.declaration import NOT_GIVEN
from lossmith.core.hyperparameters import Hyperparameter
from lossmith.core.immutable import Immutable
from lossmith.core.settings import SETTINGS, accepted_settings, check_dtype, checked_settings
from lossmith.core.shapes import Targets
from lossmith.core.state import LossState

_SHOWN_NAME = "_shown_name"


class LossType(type(keras.losses.Loss)):  # type: ignore[misc]
    """Makes a loss: hyperparameters are bound before `__init__`, and the loss is sealed after."""

    if not TYPE_CHECKING:

        def __call__(cls, *args, **kwargs):
            """Validate what was given, run `__init__`, and make the loss immutable."""
            declaration.refuse_lookup_by_keras(cls, sys._getframe(1).f_code)
            values, settings = cls._bind(args, kwargs)
            loss = cls.__new__(cls)
            loss._initialise(values, settings)
            return loss

    @property
    def __signature__(cls) -> inspect.Signature:
        """What `help` and editors show: the hyperparameters, then name, reduction and dtype."""
        return cls._signature or declaration.field_signature(cls.declared)


if TYPE_CHECKING:

    @dataclass_transform(kw_only_default=True)
    class _KerasLoss:
        """Keras is not typed; this is what a type checker has to know of its losses.

        Annotated fields of a subclass are its keyword arguments.
        """

        _arrays: Mapping[str, Any]
        _changing: Mapping[str, Changing]
        _dtype: str
        _hyperparameters: Mapping[str, Any]
        _operands: Mapping[str, Any]
        _requested_dtype: str | None
        _as_one_node: evaluation.Node | None

        def __init__(self, name: str, reduction: str, dtype: Any) -> None: ...

        call: Callable[..., Any]

else:
    _KerasLoss = keras.losses.Loss


class Loss(Arithmetic, Immutable, _KerasLoss, metaclass=LossType):
    """A loss whose hyperparameters are declared, checked, saved and compared.

    Subclass it in either style. Annotated fields are the hyperparameters:

    >>> import lossmith as ls
    >>> from keras import ops
    >>> class Asymmetric(ls.Loss):
    ...     late: ls.Positive = 3.0
    ...     def call(self, y_true, y_pred):
    ...         error = y_true - y_pred
    ...         return ops.where(error > 0, self.late * ops.square(error), ops.square(error))
    >>> Asymmetric(late=5.0)
    Asymmetric(late=5.0)
    >>> float(Asymmetric()([1.0], [0.0]))
    3.0

    or the classic way, hyperparameters to `__init__` and tensors to `call`:

    >>> class MyHuber(ls.Loss):
    ...     def __init__(self, threshold=1):
    ...         super().__init__()
    ...         self.threshold = threshold
    ...     def call(self, y_true, y_pred):
    ...         error = y_true - y_pred
    ...         linear = self.threshold * (ops.abs(error) - 0.5 * self.threshold)
    ...         return ops.where(ops.abs(error) <= self.threshold, 0.5 * ops.square(error), linear)
    >>> MyHuber(2.0)(reduction="sum")
    MyHuber(threshold=2.0, reduction='sum')

    `call` returns a value per entry (averaged over the last axis) or per sample; a class with
    `batchwise = True` returns one number, and takes `sample_weight=None` if weights mean something
    for it. `targets` says what y_true is: `"value"` (same shape as y_pred), `"class"` (integer ids)
    or `"pair"` (0/1 labels of a distance or a pair of embeddings).

    As a metric, `metrics=[loss(reduction="none")]` is the mean over all samples of an epoch. Under
    another reduction Keras averages the batches, a short last one counting as much as the others,
    and `tf.distribute` divides by the number of replicas, as for a loss of Keras.

    Args:
        name: the name shown in logs; the class name in snake case if not given. Not part of `==`.
        reduction: `"sum_over_batch_size"` (`"mean"`), `"sum"`, `"mean_with_sample_weight"` or
            `"none"`.
        dtype: the dtype of the value. By default that of `y_pred`, float32 for half precision;
            half precision is always computed in float32.
        **hyperparameters: the declared ones, by keyword.

    Raises:
        TypeError: for an unknown or missing hyperparameter, or one of the wrong type.
        ValueError: for one outside its range.
    """

    targets: ClassVar[Targets] = "value"
    batchwise: ClassVar[bool] = False
    aliases: ClassVar[tuple[str, ...]] = ()
    learnable: ClassVar[tuple[str, ...]] = ()
    by_entry: ClassVar[bool] = False
    """Whether each entry has a value of its own, so that `(N,)` need not become a column."""
    graded = False
    """Whether pair labels may lie between 0 and 1."""
    _without_labels: ClassVar[str] = ""
    _for_several_outputs: ClassVar[str] = ""
    """What to do where y_true is None, and where y_pred is several tensors."""

    if TYPE_CHECKING:
        name: str = "loss"
        reduction: str = "sum_over_batch_size"
        dtype: Any = None

    default_name: ClassVar[str] = "loss"
    declared: ClassVar[Mapping[str, Hyperparameter]] = MappingProxyType({})
    takes_weights: ClassVar[bool] = False
    checks_targets: ClassVar[bool] = False
    _signature: ClassVar[inspect.Signature | None] = None

    def __init_subclass__(cls, package: str | None = None, **kwargs: Any) -> None:
        """Read the declaration of a new loss and register it under `package>name`."""
        super().__init_subclass__(**kwargs)
        cls.default_name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_",
                                  cls.__name__).lower()  # fmt: skip
        declaration.check_targets_kind(cls)
        saveable.check_methods(cls)
        declaration.check_call(cls)
        cls._signature = declaration.classic_signature(cls, Loss)
        cls.declared = MappingProxyType(declaration.hyperparameters_of(cls, Loss))
        cls.takes_weights = "sample_weight" in inspect.signature(cls.call).parameters
        cls.checks_targets = cls.targets == "pair" or cls.check_targets is not Loss.check_targets
        registry.register(
            cls, package or registry.package_of(cls.__module__), declaration.public_name(cls)
        )

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
        **fields: Any,
    ) -> None:
        for field in fields:
            if not any(field in vars(each).get("declared", ()) for each in type(self).__mro__):
                raise TypeError(f"{type(self).__name__}: no hyperparameter `{field}`.")
        self.__dict__.update(fields)
        check_dtype(name or self.default_name, dtype)
        super().__init__(name or self.default_name, reduction or "none", dtype)
        self.__dict__["_requested_dtype"] = None if dtype is None else self._dtype

    @classmethod
    def _bind(
        cls, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        owner = declaration.public_name(cls)
        if "call" not in vars(cls) and cls.call is keras.losses.Loss.call:
            raise TypeError(f"{owner} has no formula: define call(self, y_true, y_pred).")
        if cls._signature is not None:
            kwargs = declaration.bind_classic(owner, cls._signature, args, kwargs)
        elif args:
            raise declaration.positional_error(owner, args, cls.declared)
        given = {key: kwargs.pop(key) for key in SETTINGS if key in kwargs}
        return declaration.bind(cls, owner, kwargs), checked_settings(owner, given)

    def _initialise(self, values: dict[str, Any], settings: dict[str, Any]) -> None:
        self.__dict__["_hyperparameters"] = MappingProxyType(values)
        self.__dict__["_operands"] = {name: hp.as_operand(value) for name, value in values.items()}
        self.__dict__["_changing"] = tracing.changing_in(values)
        if self._signature is None:
            self.__init__(**settings)  # type: ignore[misc]
            self.__dict__.update(self._operands)
        else:
            self._initialise_classic(settings)
        self.__dict__["reduction"] = reduction.canonical(self.name, self.reduction)
        self.__post_init__()
        declaration.refuse_variables(self)
        found = {"_arrays": tracing.arrays_of(self), "_as_one_node": evaluation.as_one_node(self)}
        self.__dict__.update(found, _sealed=True)

    def _initialise_classic(self, settings: dict[str, Any]) -> None:
        accepted = accepted_settings(self._signature, settings)
        self.__init__(**self._operands, **accepted)  # type: ignore[misc]
        given = {
            "name": self.__dict__.get("name"),
            "reduction": self.__dict__.get("reduction", "sum_over_batch_size"),
            "dtype": self.__dict__.get("_requested_dtype"),
        }
        Loss.__init__(self, **{**given, **settings})

    def __post_init__(self) -> None:
        """Check what involves several hyperparameters; called once they are all bound."""

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """The hyperparameters of this loss and their values, read-only."""
        return self._hyperparameters

    @property
    def changing(self) -> Mapping[str, Changing]:
        """The hyperparameters that change while a model trains, by their dotted names."""
        return MappingProxyType(self._changing)

    @property
    def state(self) -> Any:
        """A new layer (each time, so that no models share one) that keeps what changes.

        It returns the predictions as they are, and goes where they leave the model:
        `keras.Sequential([..., loss.state])`, `outputs = loss.state(outputs)`, or
        `self.state = loss.state` in the `__init__` of a subclassed model and
        `self.state(outputs, training=training)` in its `call`.

        Where all hyperparameters are fixed it keeps nothing, so that code for a loss that changes
        serves one that does not.
        """
        return LossState(self)

    @property
    def requested_dtype(self) -> str | None:
        """The dtype that was asked for, `None` if the predictions decide."""
        return self._requested_dtype

    @overload
    def __call__(
        self,
        *,
        name: str | None = ...,
        reduction: str | None = ...,
        dtype: Any = ...,
        **hyperparameters: Any,
    ) -> Self: ...

    @overload
    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = ..., *, mask: Any = ...
    ) -> Any: ...

    def __call__(
        self,
        y_true: Any = NOT_GIVEN,
        y_pred: Any = NOT_GIVEN,
        sample_weight: Any = None,
        *,
        mask: Any = None,
        **changes: Any,
    ) -> Any:
        """Return the reduced value of two tensors, or this loss with other hyperparameters.

        Called with tensors, `loss(y_true, y_pred, sample_weight=None, mask=None)` is the value
        under the loss' reduction. Called with keywords only, `loss(threshold=2.0)` is a new loss of
        the same class, and `loss()` the loss itself.

        Raises:
            TypeError: if the two are mixed, or a hyperparameter (or two bare numbers) by position.
            ValueError: if shapes or labels do not fit, or a hyperparameter is out of range.
        """
        if y_true is NOT_GIVEN and y_pred is NOT_GIVEN:
            if sample_weight is not None or mask is not None:
                raise TypeError(f"{self.name}: weights and masks need y_true and y_pred.")
            return self._with(changes) if changes else self
        declaration.check_given(self.name, y_true, y_pred, self.declared, changes)
        return evaluation.evaluate(self, y_true, y_pred, sample_weight, mask, self.reduction)

    def values(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, mask: Any = None
    ) -> Any:
        """Return the formula's values per sample, weighted and masked but not reduced.

        Args:
            y_true: targets, on any backend tensor or NumPy array.
            y_pred: predictions.
            sample_weight: `None`, a scalar, or weights `(N,)`, `(N, 1)` or per time step `(N, T)`.
            mask: `None`, or booleans of the same shapes; entries under `False` give 0.

        Returns:
            A tensor of the batch shape: `(N,)` for inputs `(N,)`, `(N, 1)` and `(N, D)`; a scalar
            for a batchwise loss.

        Raises:
            ValueError: if the shapes do not fit; nothing is broadcast by accident.

        >>> import lossmith as ls
        >>> [float(v) for v in ls.losses.huber.values([[0.0], [0.0]], [[0.5], [3.0]])]
        [0.125, 2.5]
        """
        return evaluation.evaluate(self, y_true, y_pred, sample_weight, mask, "none")

    def check_targets(self, y_true: np.ndarray) -> None:
        """Refuse targets outside the formula's domain; called where their values can be seen.

        Class ids are not checked unless you override it: y_pred may hold scores or embeddings.

        Raises:
            ValueError: if `targets="pair"` and a label is neither 0 nor 1 (or, with graded labels,
                outside of [0, 1]).
        """
        fits = (y_true >= 0) & (y_true <= 1) if self.graded else (y_true == 0) | (y_true == 1)
        if not np.all(fits):
            wanted = "between 0 and 1" if self.graded else "0 or 1"
            raise ValueError(
                f"{self.name}: pair labels must be {wanted}; got {y_true[~fits].flat[0]:g}. "
                f"(The labels come first: {self.name}(y_true, y_pred).)"
            )

    def align_classes(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Check class ids against scores or embeddings, for a loss with `targets="class"`.

        Raises:
            TypeError: if the ids are not integers.
            ValueError: if the shapes do not fit.
        """
        return shapes.align_classes(self.name, y_true, y_pred)

    def _compute(self, *inputs: Any) -> Any:
        return evaluation.compute(self, *inputs)

    def _with(self, changes: dict[str, Any]) -> Self:
        return type(self)(**{**self._explicit(), **changes})

    def _explicit(self) -> dict[str, Any]:
        """The keyword arguments that make this loss."""
        settings = {"name": self.name, "reduction": self.reduction, "dtype": self.requested_dtype}
        return {**self._hyperparameters, **settings}

    def get_config(self) -> dict[str, Any]:
        """The hyperparameters, name, reduction and dtype, as JSON can hold them.

        `name` is the registered name: where Keras does not know the class of a loss in an `.h5`
        file it looks for a loss of that name, and would find its own `huber` for anybody's.
        """
        config = {name: hp.to_config(value) for name, value in self._explicit().items()}
        config["name"] = registry.registered_name(type(self))
        return config if self.name == self.default_name else {**config, _SHOWN_NAME: self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the loss that `get_config` described."""
        given = {name: hp.from_config(value) for name, value in config.items()}
        if ">" in str(given.get("name")):
            given["name"] = given.pop(_SHOWN_NAME, None)
        return cls(**given)

    @functools.cached_property
    def _key(self) -> tuple[Any, ...]:
        values = {**self._explicit(), "name": None}
        return tuple((name, hp.comparable(value)) for name, value in sorted(values.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return type(self) is type(other) and self._key == other._key

    def __hash__(self) -> int:
        return hash((type(self), self._key))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (declaration.reference(type(self)), self.get_config())

    def __repr__(self) -> str:
        shown = {**self._hyperparameters}
        if self.name != self.default_name:
            shown["name"] = self.name
        if self.reduction != "sum_over_batch_size":
            shown["reduction"] = self.reduction
        if self.requested_dtype is not None:
            shown["dtype"] = self.requested_dtype
        arguments = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{declaration.public_name(type(self))}({arguments})"


def _restore(reference: type[Loss] | str, config: dict[str, Any]) -> Loss:
    cls = registry.find(reference) if isinstance(reference, str) else reference
    return cls.from_config(config)  # type: ignore[attr-defined]
