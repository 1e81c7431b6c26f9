"""The items of a batch and the pairs they form: rows that are anchors, columns they meet."""

from typing import Any, NamedTuple, Self

from lossmith.core.backend import keras

ops = keras.ops


class Side(NamedTuple):
    """Items on one side of the pairs."""

    vectors: Any
    """Embeddings `(n, d)`."""
    labels: Any
    """Class ids `(n,)`, or which of L labels each item has `(n, L)`."""
    weights: Any = None
    """Weights `(n,)`; `None` if every item counts once."""


class Pairs(NamedTuple):
    """All pairs of rows and columns; of a batch with itself if there are no columns."""

    rows: Side
    columns: Side | None = None

    @classmethod
    def of(
        cls,
        rows: Any,
        columns: Any,
        row_labels: Any,
        row_weights: Any,
        column_labels: Any,
        column_weights: Any,
    ) -> Self:
        """The pairs of plain tensors."""
        others = None if columns is None else Side(columns, column_labels, column_weights)
        return cls(Side(rows, row_labels, row_weights), others)

    @property
    def begin_with_rows(self) -> bool:
        """Whether the rows are the first of the columns, so that none may meet itself."""
        return self.columns is None

    @property
    def partners(self) -> Side:
        """The items that the rows meet."""
        return self.rows if self.columns is None else self.columns

    def vectors(self) -> tuple[Any, ...]:
        """The embeddings that have a gradient."""
        sides = (self.rows,) if self.columns is None else (self.rows, self.columns)
        return tuple(side.vectors for side in sides)

    def data(self) -> tuple[Any, ...]:
        """Labels and weights of both sides."""
        columns = Side(None, None) if self.columns is None else self.columns
        return self.rows.labels, self.rows.weights, columns.labels, columns.weights

    def with_vectors(self, vectors: tuple[Any, ...]) -> "Pairs":
        """The same pairs of other embeddings."""
        rows = self.rows._replace(vectors=vectors[0])
        if self.columns is None:
            return Pairs(rows)
        return Pairs(rows, self.columns._replace(vectors=vectors[1]))

    def without_vectors(self) -> "Pairs":
        """Only labels and weights."""
        return self.with_vectors((None, None))


class Surrounded(Pairs):
    """The pairs of rows with columns that begin with the same rows."""

    __slots__ = ()

    @property
    def begin_with_rows(self) -> bool:
        """They do."""
        return True
