"""Runs a loss the way its user will, and turns whatever happens into an observation.

Every difference between the backends that the probes meet is dealt with here.
"""

import contextlib
import numbers
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lossmith.checker.programs import Program, compiled, compiled_step, with_gradient
from lossmith.checker.settings import Entry
from lossmith.core import Loss
from lossmith.core.backend import keras

_WARM = 12
"""Calls with one shape after which TensorFlow compiles: eager calls are slow, traces slower."""


@dataclass(frozen=True)
class Observation:
    """What one run of a loss gave: a value and its gradient, or the error it raised.

    `gradient` is that of the sum of `value` by y_pred; `None` if the backend has none.
    """

    value: np.ndarray
    gradient: np.ndarray | None
    error: str | None = None

    @property
    def ran(self) -> bool:
        """Whether the loss returned at all."""
        return self.error is None

    @property
    def scalar(self) -> float:
        """The mean of the values."""
        return float(np.mean(self.value)) if self.ran else float("nan")

    @property
    def finite(self) -> bool:
        """Whether the value and the gradient, where there is one, are finite."""
        return self.finite_value and self.finite_gradient

    @property
    def finite_value(self) -> bool:
        """Whether it ran and every value is finite."""
        return self.ran and bool(np.all(np.isfinite(self.value)))

    @property
    def finite_gradient(self) -> bool:
        """Whether no entry of the gradient is NaN or infinite."""
        return self.gradient is None or bool(np.all(np.isfinite(self.gradient)))

    @property
    def slopes(self) -> np.ndarray:
        """The gradient, zeros where there is none."""
        return np.zeros(1) if self.gradient is None else self.gradient


def failed(error: BaseException) -> Observation:
    """The observation of a loss that raised."""
    return Observation(np.full((), np.nan), None, words_of(error, 500))


def words_of(error: BaseException, most: int) -> str:
    """The kind of an error and what it says, on one line of at most so many characters."""
    try:
        text = str(error)
    except Exception as broken:  # the text of an error is anybody's code too
        text = f"its text cannot be read, {type(broken).__name__}"
    words = " ".join(printable(text).split())
    if len(words) > most:
        words = f"{words[:most].rpartition(' ')[0] or words[:most]} …"
    return f"{type(error).__name__}: {words}".removesuffix(": ")


def printable(text: str) -> str:
    """The text with what would steer a terminal, or cannot be written as UTF-8, spelt out."""
    return "".join(
        each if each.isprintable() or each.isspace() else ascii(each)[1:-1] for each in text
    )


def attempt(look: Callable[[], Observation]) -> Observation:
    """What is seen, or that the loss raised: it is anybody's code and may raise anything."""
    try:
        return look()
    except Exception as error:
        return failed(error)


def as_keras_loss(loss: Any) -> Any:
    """Return `loss` as `Model.compile` makes it of what it is given."""
    from keras.src.losses.losses import LossFunctionWrapper
    from keras.src.utils.naming import get_object_name

    resolved = keras.losses.get(loss)
    if isinstance(resolved, keras.losses.Loss):
        return resolved
    return LossFunctionWrapper(resolved, name=get_object_name(resolved))


class Evaluator:
    """Runs one loss on the current backend through the entry point that its user will use."""

    def __init__(self, loss: Any, entry: Entry = "compile") -> None:
        self.original = loss
        self.entry = entry
        self.backend: str = keras.backend.backend()
        self.loss = as_keras_loss(loss) if entry == "compile" or isinstance(loss, str) else loss
        self.not_compilable: str | None = None
        self.runs_with: dict[str, bool] = {}
        """Whether the loss runs with the inputs of a kind, for the kinds that were tried."""
        self._programs: dict[tuple[str, bool], Program] = {}
        self._first: Any = None
        self._calls: Counter[Any] = Counter()
        self._traces: dict[Any, str] = {}

    def reduced(self, y_true: Any, y_pred: Any, weight: Any = None) -> Observation:
        """The number that training minimises, and its gradient."""
        if weight is None:
            return self._run("reduced", self._reduced, y_true, y_pred)
        return self._run("weighted", self._weighted, y_true, y_pred, np.asarray(weight, "float32"))

    def masked(self, y_true: Any, y_pred: Any, mask: Any) -> Observation:
        """The number under a Keras mask on the prediction."""
        return self._run("masked", self._masked, y_true, y_pred, np.asarray(mask, bool))

    def unreduced(self, y_true: Any, y_pred: Any) -> Observation:
        """What the formula returns before Keras weighs and reduces it."""
        if self.backend == "jax" and self.reduced(y_true, y_pred).ran:
            values = self._beside_the_reduced(y_true, y_pred)
            if values is not None:
                return Observation(_numpy(values).astype("float64"), None)
        return self._run("unreduced", self._unreduced, y_true, y_pred)

    def _beside_the_reduced(self, y_true: Any, y_pred: Any) -> Any:
        """The values that the program of the reduced loss returns too, for the first shape only.

        Compiling a program for them alone takes longer than all that is computed; in the program
        of every shape they would make each of those slower to compile.
        """
        shapes = ("reduced", np.shape(y_true), np.shape(y_pred))
        if shapes != self._first or self.not_compilable is not None:
            return None
        program = self._program(shapes, self._reduced)
        with _quiet():
            return program(_tensor(y_true), _tensor(y_pred))[2]

    def rows(self, y_true: Any, y_pred: Any) -> Observation:
        """One value per row of a per-sample loss, and the gradient of each row's own value."""
        return self._run("rows", self._per_row, y_true, y_pred)

    def afresh(self, y_true: Any, y_pred: Any) -> float:
        """The number with all of the loss' Python run again, NaN if that raises.

        Where JAX traces the very program that it has compiled, that program is run.
        """
        arrays = _tensor(y_true), _tensor(y_pred)
        with _quiet():
            if self._traces_as_before(arrays):
                return self.reduced(y_true, y_pred).scalar
            try:
                return float(np.mean(_numpy(self._reduced(*arrays))))
            except Exception:  # a loss may run compiled and not eagerly
                return float("nan")

    def _traces_as_before(self, arrays: tuple[Any, ...]) -> bool:
        if self.backend != "jax" or self.not_compilable is not None:
            return False
        import jax

        shapes = tuple(np.shape(array) for array in arrays)
        try:
            traced = jax.make_jaxpr(lambda y, p: self._reduced(y, p))(*arrays)
            constants = [np.asarray(constant).tobytes() for constant in traced.consts]
        except Exception:  # a loss that keeps tensors of an earlier trace fails only here
            return False
        program = f"{traced.jaxpr} {constants}"
        return self._traces.setdefault(shapes, program) == program

    def compiled(self, *batches: tuple[Any, Any]) -> list[Observation]:
        """The number in a compiled step whose batch size is open, for each batch in turn."""
        with _quiet():
            if self.backend == "jax" and self.not_compilable is None:
                return [self.reduced(*batches[0]), *map(self._traced, batches[1:])]
            try:
                step = compiled_step(self.backend, self._reduced, batches[0])
            except Exception as error:  # PyTorch and TensorFlow may call the loss to compile it
                return [failed(error) for _ in batches]
            return [attempt(partial(_value, step, batch)) for batch in batches]

    def _traced(self, batch: tuple[Any, Any]) -> Observation:
        """Whether JAX can trace a batch; its value is that of the program, whatever the size."""
        return attempt(partial(_trace, self._reduced, batch))

    def runs(self, y_true: Any, y_pred: Any, weight: Any = None) -> Observation:
        """Whether the loss takes these inputs; traced only where that is cheaper than a run."""
        if self.backend != "jax" or self.not_compilable is not None:
            return self.reduced(y_true, y_pred, weight)
        arrays = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
        function = self._reduced if weight is None else self._weighted
        with _quiet():
            try:
                return _trace(function, arrays)
            except Exception as error:
                if not _is_of_tracing(error):
                    return failed(error)
        return self.reduced(y_true, y_pred, weight)

    def overwritten(self, y_true: Any, y_pred: Any) -> str:
        """Which of its arguments a loss writes into, by name; only PyTorch lets it."""
        if self.backend != "torch":
            return ""
        tensors = _tensor(y_true), _tensor(y_pred)
        with _quiet():
            attempt(lambda: Observation(_numpy(self._reduced(*tensors)), None))
        before = zip(("y_true", "y_pred"), (y_true, y_pred), tensors, strict=True)
        changed = (name for name, array, tensor in before
                   if not np.array_equal(array, _numpy(tensor), equal_nan=True))  # fmt: skip
        return next(changed, "")

    def returns(self, y_true: Any, y_pred: Any) -> str:
        """What a loss returns if that is no tensor, in words; else, or if it raises, nothing."""
        loss = self.original
        formula = loss.call if isinstance(loss, keras.losses.Loss) else loss
        try:
            value = formula(_tensor(y_true), _tensor(y_pred))
        except Exception:  # that a loss raises is another rule's business
            return ""
        return "" if _is_numeric(value) else printable(f"{value!r}"[:80])

    def _reduced(self, y_true: Any, y_pred: Any) -> Any:
        with self._scope():
            return self.loss(y_true, y_pred)

    def _weighted(self, y_true: Any, y_pred: Any, weight: Any) -> Any:
        with self._scope():
            return self.loss(y_true, y_pred, sample_weight=weight)

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        """The scope in which a compiled model calls its loss.

        Without it TensorFlow refuses names that it takes in a training step, `_huber` for one.
        """
        in_a_model = self.entry == "compile" and self.backend == "tensorflow"
        return keras.name_scope("compile_loss") if in_a_model else contextlib.nullcontext()

    def _masked(self, y_true: Any, y_pred: Any, mask: Any) -> Any:
        from keras.src.backend.common.masking import set_keras_mask

        if isinstance(self.loss, Loss):
            return self.loss(y_true, y_pred, mask=mask)
        set_keras_mask(y_pred, mask)
        return self.loss(y_true, y_pred)

    def _unreduced(self, y_true: Any, y_pred: Any) -> Any:
        loss = self.loss
        if isinstance(loss, Loss):
            return loss.values(y_true, y_pred)
        own_call = type(loss).__call__ is not keras.losses.Loss.__call__
        if not isinstance(loss, keras.losses.Loss) or own_call:
            return loss(y_true, y_pred)
        dtype = loss.dtype
        return loss.call(keras.ops.cast(y_true, dtype), keras.ops.cast(y_pred, dtype))

    def _per_row(self, y_true: Any, y_pred: Any) -> Any:
        values = self._unreduced(y_true, y_pred)
        return keras.ops.mean(values, axis=tuple(range(1, len(values.shape))))

    def _run(self, name: str, function: Any, y_true: Any, y_pred: Any, *more: Any) -> Observation:
        arrays = (y_true, y_pred, *more)
        shapes = (name, *(np.shape(array) for array in arrays))
        self._calls[shapes] += 1
        self._first = self._first or shapes
        with _quiet():
            if not self._should_compile(shapes):
                return self._eagerly(function, arrays)
            try:
                return _observe(self._program(shapes, function), arrays)
            except Exception as error:
                seen = self._eagerly(function, arrays)
                # What raises both ways does not fit these inputs, and may compile for others.
                self.not_compilable = failed(error).error if seen.ran else None
                return seen

    def _eagerly(self, function: Any, arrays: tuple[Any, ...]) -> Observation:
        return attempt(lambda: _observe(with_gradient(self.backend, function), arrays))

    def _should_compile(self, shapes: Any) -> bool:
        if self.not_compilable is not None or self.backend == "torch" or shapes[0] == "masked":
            return False
        return self.backend == "jax" or self._calls[shapes] > _WARM

    def _program(self, shapes: tuple[Any, ...], function: Any) -> Program:
        key = (shapes[0], shapes == self._first)
        if key not in self._programs:
            beside = self._unreduced if key == ("reduced", True) else None
            program = with_gradient(self.backend, function, beside)
            self._programs[key] = compiled(self.backend, program)
        return self._programs[key]


def _observe(program: Program, arrays: tuple[Any, ...]) -> Observation:
    value, gradient, *_ = program(*(_tensor(array) for array in arrays))
    return Observation(
        _numpy(value).astype("float64"),
        None if gradient is None else _numpy(gradient).astype("float64"),
    )


def _value(step: Callable[..., Any], batch: tuple[Any, Any]) -> Observation:
    value = step(*(_tensor(array) for array in batch))
    return Observation(_numpy(value).astype("float64"), None)


def _trace(function: Callable[..., Any], arrays: tuple[Any, ...]) -> Observation:
    """That JAX can trace a function of arrays; nothing is computed."""
    import jax

    jax.eval_shape(function, *(_tensor(array) for array in arrays))
    return Observation(np.full((), np.nan), None)


def _is_of_tracing(error: BaseException | None) -> bool:
    """Whether JAX raised for a value that no trace knows, be it inside another error."""
    import jax

    if error is None:
        return False
    of_jax = (jax.errors.JAXTypeError, jax.errors.JAXIndexError)
    return isinstance(error, of_jax) or _is_of_tracing(error.__cause__ or error.__context__)


@contextlib.contextmanager
def fast_start() -> Iterator[None]:
    """Trade the speed of each step for that of the first one, which is most of the work here.

    JAX compiles without optimising; PyTorch keeps arrays this small on one thread.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        before = jax.config.values["jax_disable_most_optimizations"]
        jax.config.update("jax_disable_most_optimizations", True)
        try:
            yield
        finally:
            jax.config.update("jax_disable_most_optimizations", before)
    elif backend == "torch":
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
    else:
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _is_numeric(value: Any) -> bool:
    """Whether Keras may read numbers from what a loss returned."""
    if isinstance(value, str | bytes | dict | list | tuple):
        return False
    return isinstance(value, numbers.Number) or hasattr(value, "shape")


def _tensor(array: Any) -> Any:
    array = np.array(array)  # PyTorch shares the memory, and a loss may write into it
    return keras.ops.convert_to_tensor(array, dtype=str(array.dtype))


def _numpy(tensor: Any) -> np.ndarray:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach()
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(tensor)))
