"""`CrossBatchMemory`: a loss over all pairs whose batch also meets the batches before it."""

from dataclasses import dataclass
from typing import Annotated, Any

import annotated_types as at
import numpy as np

from lossmith.allpairs import checks, engine
from lossmith.allpairs.base import AllPairsLoss, TwoEncoderLoss
from lossmith.allpairs.pairs import Pairs, Side, Surrounded
from lossmith.core import Loss, backend, evaluation, shapes, tracing
from lossmith.core.backend import keras
from lossmith.core.state import LossState

ops = keras.ops


class CrossBatchMemory(Loss, package="lossmith.allpairs"):
    """A loss over all pairs of a batch together with the items of the batches before it.

    Every item of the batch is an anchor; its partners are the others of the batch and the last
    `size` items that the model was trained on. What is remembered is a constant: only the batch
    has a gradient. While nothing is remembered this is `loss` itself.

    It gives small batches many partners, at the price of comparing with embeddings of weights that
    have changed since. Embeddings change quickly at first, so a `warm_up` helps; with a large
    learning rate, or a memory of several epochs, what is remembered says little.

    The memory is a part of the model (`loss.state`), is saved with it, and follows the training
    steps alone: in `evaluate` the value is that of `loss` on the batch. One call of the loss per
    training step reads it and remembers the batch; the loss cannot also be a metric.

    >>> import keras
    >>> import numpy as np
    >>> import lossmith as ls
    >>> loss = ls.losses.CrossBatchMemory(loss=ls.losses.supervised_contrastive, size=256)
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), loss.state])
    >>> model.compile("sgd", loss)
    >>> _ = model.fit(np.eye(3)[:2], np.array([0, 0]), verbose=0)
    >>> model.layers[-1].remembered()
    2

    Weights: an item is remembered with its weight, and a pair weighs the product of the two; one
    of weight 0 takes its place in the memory and is no partner.

    Shapes: those of `loss`; V views of an item are V items to remember. Batchwise.

    Args:
        loss: a loss over all pairs of a batch with itself.
        size: how many items are remembered, 1 or more; the oldest give way.
        warm_up: the training steps in which items are remembered, but are no partners yet.
        labels: L, if y_true are labels `(N, L)` of 0 and 1; `None` for class ids.

    Raises:
        TypeError: if the loss is between two encoders.
        ValueError: if the state of the loss is not in the model, or labels are not as told.

    Relations: `loss.against` has other items alone as partners. The value is that of
    pytorch-metric-learning's CrossBatchMemory with a `memory_size` of `size` and a batch; there the
    batch is held constant where it is a partner. The paper's code adds the value within the batch
    and that against the memory.

    Reference: Wang, Zhang, Huang and Scott, "Cross-Batch Memory for Embedding Learning", CVPR 2020.
    """

    targets = "class"
    batchwise = True
    why_not_learned = AllPairsLoss.why_not_learned
    _without_labels = AllPairsLoss._without_labels
    _for_several_outputs = AllPairsLoss._for_several_outputs
    loss: AllPairsLoss
    size: Annotated[int, at.Ge(1)] = 1024
    warm_up: Annotated[int, at.Ge(0)] = 0
    labels: Annotated[int, at.Ge(1)] | None = None

    def __post_init__(self) -> None:
        """Refuse two encoders, and get a number as every loss that the engine evaluates."""
        if isinstance(self.loss, TwoEncoderLoss) or type(self.loss).call is not AllPairsLoss.call:
            raise TypeError(
                f"CrossBatchMemory takes a loss over all pairs of a batch with itself, such as "
                f"lossmith.losses.nt_xent; got {self.loss!r}."
            )
        self.__dict__["number"] = engine.driver.enlist(self)

    @property
    def state(self) -> "MemoryState":
        """A new layer that keeps the memory, and what changes in `loss`; see `Loss.state`."""
        return MemoryState(self)

    def align_classes(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Labels in the shape of the items of y_pred, and as the memory can hold them."""
        y_true, y_pred = shapes.align_items(self.name, y_true, y_pred)
        multiple = len(y_true.shape) == len(y_pred.shape)
        if multiple != (self.labels is not None) or (
            multiple and not shapes.may_equal(y_true.shape[-1:], (self.labels,))
        ):
            wanted = "class ids (N,)" if self.labels is None else f"labels (N, {self.labels})"
            raise ValueError(
                f"{self.name}: this memory holds {wanted}; got y_true of shape "
                f"{tuple(y_true.shape)}. Say it with labels=: None for ids, L for labels (N, L)."
            )
        return y_true, y_pred

    def _compute(self, *inputs: Any) -> Any:
        advice = "As a metric, and without a model, use the loss inside."
        memory = tracing.carried(self, inputs[1], "memory", advice).memory
        if memory is None and not backend.in_symbolic_scope():
            raise ValueError(
                f"{self.name}: what keeps it in the model has no memory. Put the state of the "
                "CrossBatchMemory itself there, after that of a loss it is a part of."
            )
        clone = object.__new__(type(self))
        clone.__dict__.update(vars(self), _memory=memory)
        return evaluation.compute(clone, *inputs)

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The value of a batch and what is remembered; the batch is remembered then."""
        checks.check_items(self.name, y_true, y_pred, sample_weight)
        rows = self.loss.side(y_true, y_pred, sample_weight)
        memory: Memory | None = self.__dict__["_memory"]
        if memory is None or not memory.training:
            return self.loss.value_of(Pairs(rows))
        past = memory.read(y_pred.dtype)
        columns = self.loss.side(past.labels, past.vectors, past.weights)
        rows = rows._replace(labels=ops.cast(rows.labels, columns.labels.dtype))
        value = engine.driver.differentiable(self, Pairs(rows, columns))
        memory.remember(rows._replace(vectors=ops.reshape(y_pred, (-1, ops.shape(y_pred)[-1]))))
        return value

    def evaluate_pairs(self, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
        """The value, and the gradients of batch and memory if they are wanted."""
        rows = pairs.rows
        together = Surrounded(rows, _joined(rows, pairs.partners))
        loss = tracing.cast(self.loss, rows.vectors.dtype)
        value, gradients = engine.evaluate(loss, together, gradient)
        if not gradient:
            return value, ()
        of_rows, of_columns = gradients
        count = ops.shape(rows.vectors)[0]
        return value, (of_rows + of_columns[:count], of_columns[count:])


@dataclass
class Memory:
    """The memory of a model, for one call of the loss."""

    state: "MemoryState"
    training: bool
    usable: Any
    """1, or 0 during the warm-up."""
    is_used: bool = False

    def read(self, dtype: Any) -> Side:
        """What is remembered; places that are empty, or not to be used yet, have weight 0."""
        embeddings, labels, weights = map(ops.convert_to_tensor, self.state.contents())
        return Side(ops.cast(embeddings, dtype), labels, ops.cast(weights * self.usable, dtype))

    def remember(self, items: Side) -> None:
        """Put items in the place of the oldest.

        Raises:
            RuntimeError: if these predictions have been remembered already.
        """
        if self.is_used:
            raise RuntimeError(
                "These predictions are remembered already: a CrossBatchMemory is called once in a "
                "training step, and cannot also be a metric. Use the loss inside of it for that."
            )
        self.is_used = True
        self.state.remember(items)


@keras.saving.register_keras_serializable("lossmith")
class MemoryState(LossState):
    """Keeps the memory of a `CrossBatchMemory` in a model, beside what changes in its loss.

    As `LossState` it returns its inputs as they are. Made by `loss.state`.
    """

    @staticmethod
    def check(loss: Any) -> None:
        """Refuse a loss without a memory."""
        if not isinstance(loss, CrossBatchMemory):
            raise TypeError(f"A MemoryState belongs to a CrossBatchMemory; got {loss!r}.")

    def build(self, input_shape: Any = None) -> None:
        """Make the memory, empty."""
        super().build(input_shape)
        size, labels = self.loss.size, self.loss.labels
        self._embeddings = self._add("embeddings", (size, input_shape[-1]), self.variable_dtype)
        if labels is None:
            ids = ops.convert_to_tensor(np.zeros((), "int64"))  # int32 where there are no others
            self._labels = self._add("labels", (size,), keras.backend.standardize_dtype(ids.dtype))
        else:
            self._labels = self._add("labels", (size, labels), self.variable_dtype)
        self._weights = self._add("weights", (size,), self.variable_dtype)
        self._position = self._add("position", (), "int32")
        self.step_counter()

    def _add(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    def memory(self, training: bool | None, steps: Any) -> Memory:
        """The memory, before the step of which these are the predictions."""
        usable = steps >= self.loss.warm_up
        return Memory(self, bool(training), ops.cast(usable, self.variable_dtype))

    def contents(self) -> tuple[Any, Any, Any]:
        """The variables of embeddings, labels and weights."""
        return self._embeddings, self._labels, self._weights

    def remembered(self) -> int:
        """The number of items in the memory that are partners."""
        return int(ops.count_nonzero(ops.convert_to_tensor(self._weights)))

    def remember(self, items: Side) -> None:
        """Put items in the place of the oldest."""
        weights = items.weights
        if weights is None:
            weights = ops.ones_like(items.vectors[:, 0])
        size = self.loss.size
        position = ops.convert_to_tensor(self._position)
        for variable, new in zip(
            self.contents(), (items.vectors, items.labels, weights), strict=True
        ):
            new = ops.stop_gradient(ops.cast(new[-size:], variable.dtype))
            places = (position + ops.arange(ops.shape(new)[0], dtype="int32")) % size
            current = ops.convert_to_tensor(variable)
            variable.assign(ops.scatter_update(current, places[:, None], new))
        kept = ops.minimum(ops.shape(items.vectors)[0], size)
        self._position.assign((position + kept) % size)


def _joined(rows: Side, memory: Side) -> Side:
    weights = ops.ones_like(rows.vectors[:, 0]) if rows.weights is None else rows.weights
    parts = (rows._replace(weights=weights), memory)
    return Side(*(ops.concatenate(each) for each in zip(*parts, strict=True)))
