"""Keras metrics of all pairs of a batch, by the same blocks as the losses."""

from typing import Any, Literal, get_args

from lossmith.allpairs import engine, measures
from lossmith.allpairs.base import AllPairsLoss, TwoEncoderLoss
from lossmith.allpairs.row import Group, Row
from lossmith.core import tracing
from lossmith.core.backend import keras
from lossmith.core.reduction import divide_or_zero

ops = keras.ops
Distance = Literal["euclidean", "squared_euclidean", "cosine"]
Compared = Literal["items", "views"]


class _Ratio(keras.metrics.Metric):
    """A sum over batches, divided by another."""

    def __init__(self, name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def _add(self, total: Any, count: Any) -> None:
        self.total.assign_add(ops.cast(total, self.dtype))
        self.count.assign_add(ops.cast(count, self.dtype))

    def result(self) -> Any:
        """The ratio; 0 before anything was counted."""
        return divide_or_zero(ops.convert_to_tensor(self.total), ops.convert_to_tensor(self.count))


@keras.saving.register_keras_serializable("lossmith")
class ActivePairs(_Ratio):
    """The number of pairs of a batch from which a loss learns, averaged over the batches.

    A pair of an anchor and a partner is active if the loss changes with its distance: if the slope
    that the anchor's value has in it is not 0, and the distance, if it is one, neither. A pair is
    counted once for each of its items that looks upon the other as a partner, and weighs the
    product of the weights. If it falls towards 0, the loss has nothing left to learn from such
    batches.

    Args:
        loss: any loss over all pairs of a batch; of one between two encoders the pairs of a first
            and a second view are counted, from both sides if it goes both ways.
        name: the name shown in logs.
        dtype: of the count.

    Raises:
        TypeError: if the loss is no such loss.

    >>> import lossmith as ls
    >>> metric = ls.allpairs.ActivePairs(ls.losses.all_pairs_contrastive(margin=1.0))
    >>> metric.update_state([0, 0, 1], [[0.0, 0.0], [0.0, 0.5], [3.0, 0.0]])
    >>> print(f"{metric.result():.0f}")
    2
    """

    def __init__(self, loss: Any, name: str | None = "active_pairs", dtype: Any = None) -> None:
        if not isinstance(loss, AllPairsLoss) or type(loss).call is not AllPairsLoss.call:
            raise TypeError(
                "ActivePairs needs a loss over all pairs of a batch, such as "
                f"lossmith.losses.all_pairs_contrastive; got {loss!r}."
            )
        super().__init__(name, dtype)
        self.loss = loss

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the active pairs of a batch."""
        loss, valid = tracing.current(self.loss, y_pred)
        ways = loss.pairs(y_true, _embeddings(y_pred, self.dtype), sample_weight)
        loss = tracing.cast(loss, ways[0].rows.vectors.dtype)

        def active(measured: Any, row: Row) -> tuple[Any]:
            block = measured()
            slope = loss.slope(block, row, ops.ones_like(block[:, 0]))[2]
            learns = ops.not_equal(slope, 0)
            if measures.is_distance(loss.measure):
                learns = ops.logical_and(learns, block > 0)
            return (row.others.where(learns).count(),)

        counts = [engine.total(loss, pairs, active, 1, loss.prepare(pairs))[0] for pairs in ways]
        self._add(tracing.nan_unless(valid, sum(counts)), 1.0)

    def get_config(self) -> dict[str, Any]:
        """The loss, with the name and dtype."""
        config = super().get_config()
        return {**config, "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ActivePairs":
        """Make the metric that `get_config` described."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


class _BetweenItems(AllPairsLoss, package="lossmith.allpairs"):
    """What prepares the items of a batch for a distance."""

    symmetric = True
    distance: Distance = "euclidean"

    @property
    def measure(self) -> Distance:  # type: ignore[override]
        """What the engine compares by: the distance."""
        return self.distance


class _BetweenViews(_BetweenItems, TwoEncoderLoss, package="lossmith.allpairs"):
    """What prepares two views for a distance."""


_KINDS: dict[Compared, type[_BetweenItems]] = {"items": _BetweenItems, "views": _BetweenViews}


class _MeanDistance(_Ratio):
    """The mean distance of some pairs."""

    def __init__(
        self, distance: Distance, name: str | None, dtype: Any, compared: Compared
    ) -> None:
        super().__init__(name, dtype)
        self._check_choice("distance", distance, get_args(Distance))
        self._check_choice("compared", compared, get_args(Compared))
        self.distance, self.compared = distance, compared
        self._measuring = _KINDS[compared](distance=distance, name=self.name)

    def _check_choice(self, what: str, given: Any, choices: tuple[str, ...]) -> None:
        if given not in choices:
            *names, last = map(repr, choices)
            raise ValueError(
                f"{type(self).__name__}: {what} must be {', '.join(names)} or {last}; "
                f"got {given!r}."
            )

    def _of(self, row: Row) -> Group:
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the distances of a batch."""
        (pairs,) = self._measuring.pairs(y_true, _embeddings(y_pred, self.dtype), sample_weight)

        def sums(measured: Any, row: Row) -> tuple[Any, Any]:
            return self._of(row).sum(measured()), self._of(row).count()

        total = engine.total(self._measuring, pairs, sums, 2)
        self._add(total[0], total[1])

    def get_config(self) -> dict[str, Any]:
        """The distance and what it is between, with the name and dtype."""
        return {**super().get_config(), "distance": self.distance, "compared": self.compared}


@keras.saving.register_keras_serializable("lossmith")
class MeanPositiveDistance(_MeanDistance):
    """The mean distance of the pairs of a class, over all batches.

    Args:
        distance: `"euclidean"`, `"squared_euclidean"` or `"cosine"`.
        name: the name shown in logs.
        dtype: of the mean.
        compared: `"items"` of a batch with one another, views of one item included, or the first
            and the second `"views"`, as the losses between two encoders do.

    >>> import lossmith as ls
    >>> metric = ls.allpairs.MeanPositiveDistance()
    >>> metric.update_state([0, 0, 1], [[0.0, 0.0], [0.0, 0.5], [3.0, 0.0]])
    >>> print(f"{metric.result():.2f}")
    0.50
    """

    def __init__(
        self,
        distance: Distance = "euclidean",
        name: str | None = "mean_positive_distance",
        dtype: Any = None,
        compared: Compared = "items",
    ) -> None:
        super().__init__(distance, name, dtype, compared)

    def _of(self, row: Row) -> Group:
        return row.positives


@keras.saving.register_keras_serializable("lossmith")
class MeanNegativeDistance(_MeanDistance):
    """The mean distance of the pairs of different classes, over all batches.

    Args:
        distance: `"euclidean"`, `"squared_euclidean"` or `"cosine"`.
        name: the name shown in logs.
        dtype: of the mean.
        compared: `"items"` of a batch with one another, views of one item included, or the first
            and the second `"views"`, as the losses between two encoders do.

    >>> import lossmith as ls
    >>> metric = ls.allpairs.MeanNegativeDistance()
    >>> metric.update_state([0, 0, 1], [[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])
    >>> print(f"{metric.result():.2f}")
    4.00
    """

    def __init__(
        self,
        distance: Distance = "euclidean",
        name: str | None = "mean_negative_distance",
        dtype: Any = None,
        compared: Compared = "items",
    ) -> None:
        super().__init__(distance, name, dtype, compared)

    def _of(self, row: Row) -> Group:
        return row.negatives


def _embeddings(y_pred: Any, dtype: Any) -> Any:
    return ops.stop_gradient(ops.cast(ops.convert_to_tensor(y_pred), dtype))
