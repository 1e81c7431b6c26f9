"""`AllPairsLoss`: a loss over all pairs of a batch, from the formula of one anchor."""

from typing import Any, ClassVar

from lossmith.allpairs import checks, engine, measures
from lossmith.allpairs.pairs import Pairs, Side
from lossmith.allpairs.row import Row
from lossmith.allpairs.sums import Sums, evaluate_sums
from lossmith.core import Loss, backend, evaluation, shapes, tracing
from lossmith.core.backend import keras

ops = keras.ops
_Items = tuple[Any, Any, Any]
_DERIVED = {
    "anchors": ("slope", "sums", "evaluate_pairs"),
    "slope": ("sums", "evaluate_pairs"),
    "prepare": ("sums", "evaluate_pairs"),
}
"""What a loss may have derived by hand from another of its methods."""
_ON_REFERENCES = (
    "This is of the references: y_true stands for reference_labels, y_pred for references, and "
    "sample_weight for reference_weight."
)


class AllPairsLoss(Loss, package="lossmith.allpairs"):
    """A loss over all pairs of a batch, in memory that grows with the batch and not its square.

    Write what an anchor costs, given its similarity to (or distance from) all its partners. It is
    called with a block of anchors: `block` has shape `(anchors, partners)`, and every reduction of
    `row.positives`, `row.negatives` and `row.others` (`sum`, `mean`, `max`, `min`, `logsumexp`,
    `count`, `any`) gives `(anchors,)`:

    >>> import lossmith as ls
    >>> from keras import ops
    >>> from lossmith.allpairs import AllPairsLoss
    >>> class Softplus(AllPairsLoss):
    ...     scale: ls.Positive = 8.0
    ...     def anchors(self, block, row):
    ...         worst = row.negatives.logsumexp(self.scale * block)
    ...         best = row.positives.logsumexp(-self.scale * block)
    ...         return ops.softplus(worst + best), row.positives.any() * row.negatives.any()
    >>> embeddings = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    >>> print(f"{Softplus()([0, 1, 0, 1], embeddings):.4f}")
    0.0007

    `anchors` returns values and counts, `(anchors,)` each; the loss is the sum of the values over
    the sum of the counts (or the sum of the values, with `averaged = False`). Derivatives are the
    backend's, block by block; use what is finite with them (`ops.relu`, `ops.softplus`).

    What is compared is declared: `measure` is `"cosine_similarity"` (the default) or `"dot"`, or a
    distance, `"euclidean"`, `"squared_euclidean"` or `"cosine"`, exact for near duplicates.
    `symmetric = True` says that an anchor costs (and counts) a sum over its partners, to which a
    pair gives as much from one side as from the other: large batches then visit every pair once,
    and `anchors` is called with some of the partners at a time. `prepare(pairs)` may compute from
    labels and weights what anchors then find in `row.given`.

    Shapes: y_true class ids `(N,)`, or which of L labels each item has, `(N, L)` of 0 and 1 (a
    label in common makes a positive pair); y_pred embeddings `(N, D)`, or V views of every item,
    `(N, V, D)`. Batchwise. A call refuses ids that the backend cannot hold; `fit` of Keras on JAX
    cuts them to int32 before the loss sees them: number large ones, `np.unique(ids,
    return_inverse=True)[1]`.

    Weights: an item of weight w counts w times as an anchor and as a partner, but is never its own
    partner; a pair weighs the product. Weight 0 takes an item out. There is no gradient in the
    weights, and there are no second derivatives: asking for them raises a `TypeError`.
    """

    targets = "class"
    batchwise = True
    measure: ClassVar[measures.Name] = "cosine_similarity"
    symmetric: ClassVar[bool] = False
    averaged: ClassVar[bool] = True
    _without_labels = " For views of items without labels it is np.arange(N): each its own class."
    _for_several_outputs = (
        "Views of an item are stacked: two are (N, 2, D), "
        "keras.ops.stack([first, second], axis=1). "
    )
    why_not_learned: ClassVar[str] = "its gradient is taken in the embeddings only"
    instead_of_learning: ClassVar[str] = (
        "Schedule it (lossmith.schedule), set it while the model trains (lossmith.adjustable), or "
        "sweep it."
    )

    def __init_subclass__(cls, package: str | None = None, **kwargs: Any) -> None:
        """Refuse what cannot be learned or measured, and register the loss.

        Raises:
            TypeError: if a hyperparameter is declared as learnable.
            ValueError: if `measure` is the name of none.
        """
        if cls.learnable:
            raise TypeError(
                f"{cls.__name__}: a loss over all pairs has no gradient in its hyperparameters: "
                "schedule or sweep them, and remove `learnable`."
            )
        if isinstance(measure := vars(cls).get("measure"), str):
            checks.check_measure(cls.__name__, measure)
        super().__init_subclass__(package, **kwargs)
        cls._forget_what_is_derived_from_what_it_replaces()

    @classmethod
    def _forget_what_is_derived_from_what_it_replaces(cls) -> None:
        """A slope and a way to evaluate, derived by hand, belong to one formula of an anchor."""
        bases = [base for base in cls.__mro__[1:] if base is not AllPairsLoss]
        for name, derived in _DERIVED.items():
            if name in vars(cls) and any(name in vars(base) for base in bases):
                for each in set(derived) - set(vars(cls)):
                    setattr(cls, each, getattr(AllPairsLoss, each))

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """What each anchor of a block costs, and how much it counts: `(anchors,)` each.

        Args:
            block: similarities or distances, `(anchors, partners)`.
            row: the groups of partners, and what `prepare` returned.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no anchors(self, block, row).")

    def costs(self, block: Any, row: Row) -> tuple[Any, Any]:
        """What `anchors` returns, looked at."""
        return checks.checked_costs(type(self).__name__, self.anchors(block, row), block)

    def slope(self, block: Any, row: Row, weights: Any) -> tuple[Any, Any, Any]:
        """The weighted sums of values and of counts, and the slope of the first `block.shape`."""

        def sums(block: Any) -> tuple[Any, Any]:
            values, counts = self.costs(block, row)
            return ops.sum(weights * values), ops.sum(weights * counts)

        return engine.driver.value_and_slope(sums, block)

    @property
    def has_slope(self) -> bool:
        """Whether the slope is derived by hand, and not the backend's derivative."""
        return type(self).slope is not AllPairsLoss.slope

    def sums(self) -> Sums | None:
        """The loss as sums over partners, by which large batches are computed; `None` without."""
        return None

    def prepare(self, pairs: Pairs) -> Any:
        """What anchors need to know of the whole batch; without a gradient."""
        return None

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The value over all pairs of a batch."""
        checks.check_items(self.name, y_true, y_pred, sample_weight)
        values = [self.value_of(each) for each in self.ways(y_true, y_pred, sample_weight)]
        return sum(values[1:], values[0]) / len(values)

    def ways(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Pairs, ...]:
        """The pairs of a batch; several, if the loss is the mean of as many ways to look at it."""
        return (Pairs(self.side(y_true, y_pred, sample_weight)),)

    def against(
        self,
        y_true: Any,
        y_pred: Any,
        references: Any,
        reference_labels: Any,
        sample_weight: Any = None,
        reference_weight: Any = None,
    ) -> Any:
        """The value of the anchors of a batch with other items as their partners.

        The references may be a memory of past batches; append the batch to it if its items are to
        meet each other, too. Rows have a gradient, and so have references. Of an empty memory the
        value is 0. Changing hyperparameters have the values that y_pred carries.

        Args:
            y_true: labels of the anchors.
            y_pred: embeddings of the anchors, `(N, D)`.
            references: embeddings of their partners, `(M, D)`.
            reference_labels: labels of the partners, as y_true.
            sample_weight: weights of the anchors, `(N,)`.
            reference_weight: weights of the partners, `(M,)`.

        >>> import lossmith as ls
        >>> loss = ls.losses.supervised_contrastive(temperature=0.5)
        >>> value = loss.against([0], [[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [0, 1])
        >>> print(f"{value:.4f}")
        0.1269
        """
        loss, valid = tracing.current(self, y_pred)
        rows, dtype = self._counted(y_true, y_pred, sample_weight)
        try:
            columns, _ = self._counted(reference_labels, references, reference_weight)
        except (TypeError, ValueError) as error:
            error.add_note(_ON_REFERENCES)
            raise
        checks.check_references(self.name, rows[:2], columns[:2])
        columns = _computed_as(rows, columns)
        pairs = Pairs(self.side(*rows), self.side(*columns))
        value = ops.cast(loss.value_of(pairs), dtype)
        return tracing.nan_unless(valid, value)

    def pairs(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Pairs, ...]:
        """The pairs of a batch as this loss compares them, one entry for each of its `ways`."""
        items, _ = self._counted(y_true, y_pred, sample_weight)
        return self.ways(*items)

    def align_classes(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Labels in the shape of the items of y_pred."""
        return shapes.align_items(self.name, y_true, y_pred)

    def evaluate_pairs(self, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
        """The value, and the gradients of both sides if they are wanted; what drivers call."""
        if engine.in_tiles(pairs) and not tracing.is_traced(self) and self.sums() is not None:
            return evaluate_sums(self, pairs, gradient)
        # Drivers know the loss as it was made, with arrays that are NumPy's.
        loss = tracing.cast(self, pairs.rows.vectors.dtype)
        return engine.evaluate(loss, pairs, gradient)

    def _initialise(self, values: dict[str, Any], settings: dict[str, Any]) -> None:
        super()._initialise(values, settings)
        checks.check_measure(self.name, self.measure)
        self.__dict__["number"] = engine.driver.enlist(self)

    def value_of(self, pairs: Pairs) -> Any:
        """The value of given pairs, differentiable in the vectors of both sides."""
        # Of nothing the value is 0, connected to the vectors: a gradient of 0 instead of none.
        if any(shapes.shape_of(each)[0] == 0 for each in pairs.vectors()):
            return sum(ops.sum(each[:0]) for each in pairs.vectors())
        return engine.driver.differentiable(self, pairs)

    def _counted(self, labels: Any, embeddings: Any, weights: Any) -> tuple[_Items, str]:
        """Labels, embeddings and weights as a call prepares them, and the dtype of its value."""
        mask = backend.mask_of(embeddings)
        batch, weighting = evaluation.counted(self, labels, embeddings, weights, mask)
        items = batch.y_true, batch.y_pred, None if weighting is None else weighting.weights
        checks.check_items(self.name, *items)
        return items, batch.dtype

    def side(self, labels: Any, embeddings: Any, weights: Any) -> Side:
        """Prepared items as one side of pairs: flat, and as the measure compares them."""
        if weights is not None:
            weights = _flat_weights(weights, embeddings)
        multiple = len(labels.shape) == len(embeddings.shape)
        size = ops.shape(labels)[-1:] if multiple else ()
        labels = ops.reshape(labels, (-1, *size))
        vectors = ops.reshape(embeddings, (-1, ops.shape(embeddings)[-1]))
        if multiple:
            labels = ops.cast(labels, vectors.dtype)
        return Side(measures.prepared(engine.driver, self.measure, vectors), labels, weights)

    def two_sides(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Side, Side]:
        """The first and the second views of all items."""
        shape = shapes.shape_of(y_pred)
        message = (
            f"{self.name}: y_pred has shape {shape}; it must hold two views of each item, "
            "(N, 2, D): stack the outputs of both encoders along axis 1."
        )
        if len(shape) != 3 or shape[1] not in (2, None):
            raise ValueError(message)
        if shape[1] is None:
            backend.check_shapes_equal(ops.shape(y_pred)[1:2], (2,), message)
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.stack([sample_weight, sample_weight], axis=1)
        weights = [None if sample_weight is None else sample_weight[:, view] for view in (0, 1)]
        first, second = (
            self.side(y_true[:, view], y_pred[:, view], weights[view]) for view in (0, 1)
        )
        return first, second


class TwoEncoderLoss(AllPairsLoss, package="lossmith.allpairs"):
    """A loss over the pairs of a first and a second view, as two encoders give them.

    Shapes: y_true as for `AllPairsLoss`; y_pred the outputs of both encoders, stacked: `(N, 2, D)`.

    The first views are anchors and the second views their partners; `both_ways = True` takes the
    mean of this and the same the other way round.
    """

    both_ways: ClassVar[bool] = False

    def ways(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Pairs, ...]:
        """The pairs of a first and a second view; and the other way round, if both are averaged."""
        first, second = self.two_sides(y_true, y_pred, sample_weight)
        one_way = (Pairs(first, second),)
        return (*one_way, Pairs(second, first)) if self.both_ways else one_way


def _computed_as(rows: _Items, columns: _Items) -> _Items:
    """Labels, embeddings and weights in the dtype in which those of the anchors are computed."""
    labels, *others = columns
    dtype = rows[1].dtype
    vectors, weights = (None if each is None else ops.cast(each, dtype) for each in others)
    return labels, vectors, weights


def _flat_weights(weights: Any, embeddings: Any) -> Any:
    if len(embeddings.shape) == 3 and len(weights.shape) == 1:
        weights = ops.repeat(weights, ops.shape(embeddings)[1])
    return ops.reshape(weights, (-1,))
