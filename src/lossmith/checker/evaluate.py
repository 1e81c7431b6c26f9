"""Runs a loss the way its user will, and turns whatever happens into an observation.

Every difference between the backends that the probes meet is dealt with here.
"""

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    text = " ".join(str(error).split())
    return Observation(np.full((), np.nan), None, f"{type(error).__name__}: {text[:300]}")


def as_keras_loss(loss: Any) -> Any:
    """Return `loss` as `Model.compile` makes it of what it is given."""
    from keras.src.losses.losses import LossFunctionWrapper

    resolved = keras.losses.get(loss)
    if isinstance(resolved, keras.losses.Loss):
        return resolved
    return LossFunctionWrapper(resolved, name=getattr(resolved, "__name__", "loss"))


class Evaluator:
    """Runs one loss on the current backend through the entry point that its user will use."""

    def __init__(self, loss: Any, entry: Entry = "compile") -> None:
        self.original = loss
        self.entry = entry
        self.backend: str = keras.backend.backend()
        self.loss = as_keras_loss(loss) if entry == "compile" or isinstance(loss, str) else loss
        self.not_compilable: str | None = None
        self._programs: dict[str, Callable[..., tuple[Any, Any]]] = {}
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
        return self._run("unreduced", self._unreduced, y_true, y_pred)

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
            except Exception:
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
                step = _compiled_step(self.backend, self._reduced, batches[0])
            except Exception as error:
                return [failed(error) for _ in batches]
            return [_attempt(step, batch) for batch in batches]

    def _traced(self, batch: tuple[Any, Any]) -> Observation:
        """Whether JAX can trace a batch; its value is that of the program, whatever the size."""
        import jax

        try:
            jax.eval_shape(self._reduced, *(_tensor(array) for array in batch))
        except Exception as error:
            return failed(error)
        return Observation(np.full((), np.nan), None)

    def runs(self, y_true: Any, y_pred: Any, weight: Any = None) -> Observation:
        """Whether the loss takes these inputs; traced only where that is cheaper than a run."""
        if self.backend != "jax" or self.not_compilable is not None:
            return self.reduced(y_true, y_pred, weight)
        arrays = (y_true, y_pred) if weight is None else (y_true, y_pred, weight)
        function = self._reduced if weight is None else self._weighted
        import jax

        with _quiet():
            try:
                jax.eval_shape(function, *(_tensor(array) for array in arrays))
            except Exception as error:
                return failed(error)
        return Observation(np.full((), np.nan), None)

    def _reduced(self, y_true: Any, y_pred: Any) -> Any:
        return self.loss(y_true, y_pred)

    def _weighted(self, y_true: Any, y_pred: Any, weight: Any) -> Any:
        return self.loss(y_true, y_pred, sample_weight=weight)

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
        with _quiet():
            if self._should_compile(shapes):
                try:
                    return _observe(self._program(name, function), arrays)
                except Exception as error:
                    self.not_compilable = failed(error).error
            try:
                return _observe(_with_gradient(self.backend, function), arrays)
            except Exception as error:
                return failed(error)

    def _should_compile(self, shapes: Any) -> bool:
        if self.not_compilable is not None or self.backend == "torch" or shapes[0] == "masked":
            return False
        return self.backend == "jax" or self._calls[shapes] > _WARM

    def _program(self, name: str, function: Any) -> Callable[..., tuple[Any, Any]]:
        if name not in self._programs:
            self._programs[name] = _compiled(self.backend, _with_gradient(self.backend, function))
        return self._programs[name]


def _observe(program: Callable[..., tuple[Any, Any]], arrays: tuple[Any, ...]) -> Observation:
    value, gradient = program(*(_tensor(array) for array in arrays))
    return Observation(
        _numpy(value).astype("float64"),
        None if gradient is None else _numpy(gradient).astype("float64"),
    )


def _attempt(step: Callable[..., Any], batch: tuple[Any, Any]) -> Observation:
    try:
        value = step(*(_tensor(array) for array in batch))
    except Exception as error:
        return failed(error)
    return Observation(_numpy(value).astype("float64"), None)


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


def _tensor(array: Any) -> Any:
    array = np.asarray(array)
    return keras.ops.convert_to_tensor(array, dtype=str(array.dtype))


def _numpy(tensor: Any) -> np.ndarray:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach()
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(tensor)))


def _with_gradient(backend: str, function: Any) -> Callable[..., tuple[Any, Any]]:
    """Make a program that returns the value of `function` and d(sum of it)/d(second argument)."""
    return {"jax": _jax_program, "tensorflow": _tensorflow_program, "torch": _torch_program}[
        backend
    ](function)


def _jax_program(function: Any) -> Callable[..., tuple[Any, Any]]:
    import jax
    import jax.numpy as jnp

    def total(y_pred: Any, y_true: Any, *more: Any) -> tuple[Any, Any]:
        value = jnp.asarray(function(y_true, y_pred, *more))
        return jnp.sum(value.astype("float32")), value

    def program(y_true: Any, y_pred: Any, *more: Any) -> tuple[Any, Any]:
        (_, value), gradient = jax.value_and_grad(total, has_aux=True)(y_pred, y_true, *more)
        return value, gradient

    return program


def _tensorflow_program(function: Any) -> Callable[..., tuple[Any, Any]]:
    import tensorflow as tf

    def program(y_true: Any, y_pred: Any, *more: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = tf.convert_to_tensor(function(y_true, y_pred, *more))
            total = tf.reduce_sum(tf.cast(value, "float32"))
        return value, tape.gradient(total, y_pred)

    return program


def _torch_program(function: Any) -> Callable[..., tuple[Any, Any]]:
    import torch

    def program(y_true: Any, y_pred: Any, *more: Any) -> tuple[Any, Any]:
        y_pred = y_pred.detach().clone().requires_grad_(True)
        value = torch.as_tensor(function(y_true, y_pred, *more))
        if not value.requires_grad:
            return value, None
        return value, torch.autograd.grad(value.float().sum(), y_pred, allow_unused=True)[0]

    return program


def _compiled(backend: str, program: Any) -> Any:
    if backend == "jax":
        import jax

        return jax.jit(program)
    import tensorflow as tf

    return tf.function(program, autograph=False)


def _compiled_step(backend: str, function: Any, batch: tuple[Any, Any]) -> Any:
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "torch":
        return function
    import tensorflow as tf

    signature = [
        tf.TensorSpec((None, *np.shape(array)[1:]), np.asarray(array).dtype) for array in batch
    ]
    return tf.function(function, input_signature=signature, autograph=False)
