"""How alike two embeddings are, from the matrix product of a block of them.

A distance from the product, `|a|^2 + |b|^2 - 2 a b`, loses its digits where it is small against
the norms. Distances do not change when all vectors move together, so the mean is taken off first;
pairs that are near even then are `near`, and have their difference computed.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from lossmith.core.backend import bounded, keras

ops = keras.ops
Name = Literal["dot", "cosine_similarity", "euclidean", "squared_euclidean", "cosine"]
_PRODUCTS = ("dot", "cosine_similarity")
_FEATURES = 8
NEAR = 1 / 256
"""Squared distances below this share of the squared norms have their difference computed."""


class Table(NamedTuple):
    """One side of the pairs, ready for products: a column for each item."""

    exact: Any
    """The vectors, of which differences are taken: `(d, n)`."""
    about_mean: Any = None
    """`b, 1, |b|^2` of the vectors about their mean, `(d + 2, n)`; `None` for products."""

    @property
    def norms(self) -> Any:
        """The squared norms of the vectors about their mean; for distances only."""
        return self.about_mean[..., -1, :]

    def as_row(self) -> Any:
        """`-2 a, |a|^2, 1`, whose product with a column is a squared distance; or the vectors."""
        if self.about_mean is None:
            return self.exact
        vectors, ones, norms = self.about_mean[:-2], self.about_mean[-2:-1], self.about_mean[-1:]
        return ops.concatenate([-2.0 * vectors, norms, ones], axis=0)

    def as_column(self) -> Any:
        """`b, 1, |b|^2`; or the vectors."""
        return self.exact if self.about_mean is None else self.about_mean

    def gradient(self, pulls: Any) -> Any:
        """The gradient of the items, from the products of their partners' columns and W.

        It is `sum_j W_ij (a_i - b_j)` for distances, and `sum_j W_ij b_j` for products.
        """
        if self.about_mean is None:
            return pulls
        return pulls[..., -2:-1, :] * self.about_mean[..., :-2, :] - pulls[..., :-2, :]

    def map(self, function: Callable[[Any], Any]) -> "Table":
        """The table with a function applied to every array; items lie along the last axis."""
        return Table(*(None if each is None else function(each) for each in self))


def is_distance(measure: Name) -> bool:
    """Whether pairs can be near."""
    return measure not in _PRODUCTS


def prepared(driver: Any, measure: Name, vectors: Any) -> Any:
    """The vectors that are compared in the place of embeddings; differentiable."""
    if measure not in ("cosine_similarity", "cosine"):
        return vectors
    unit, exists = driver.directions(vectors)
    if measure == "cosine_similarity":
        return unit
    # 1 - cos is half the squared distance of unit vectors; one more coordinate puts a zero vector
    # at distance 1 from all others.
    return ops.concatenate([unit, (1.0 - exists)[:, None]], axis=1)


def tables(measure: Name, rows: Any, columns: Any | None) -> tuple[Table, Table]:
    """Both sides, of vectors `(d, n)`, ready for products."""
    if not is_distance(measure):
        first = Table(rows)
        return first, first if columns is None else Table(columns)
    mean = ops.mean(rows if columns is None else columns, axis=1, keepdims=True)
    first = _about(mean, rows)
    return first, first if columns is None else _about(mean, columns)


def _about(mean: Any, vectors: Any) -> Table:
    moved = vectors - mean
    norms = ops.sum(ops.square(moved), axis=0, keepdims=True)
    return Table(vectors, ops.concatenate([moved, ops.ones_like(norms), norms], axis=0))


def as_pulls(gradient: Any) -> Any:
    """The products from which `Table.gradient` makes this gradient of a distance."""
    return ops.pad(-gradient, [(0, 2), (0, 0)])


def from_product(measure: Name, product: Any) -> Any:
    """The distances of a block, from the product of its rows and columns."""
    return _from_squared(measure, ops.relu(product))


def are_near(product: Any, rows: Any, columns: Any) -> Any:
    """Which distances are too small against the norms to be taken from a product.

    Args:
        product: the squared distances of rows and columns, as their product gives them.
        rows: squared norms of the rows.
        columns: squared norms of the columns.
    """
    return product <= (NEAR * rows)[:, None] + (NEAR * columns)[None, :]


def may_be_near(closest: Any, rows: Any, columns: Any) -> Any:
    """Whether some pair may be near, from the smallest squared distance of each row."""
    return ops.any(closest <= NEAR * (rows + ops.amax(columns)))


def _from_squared(measure: Name, squared: Any) -> Any:
    if measure == "cosine":
        return 0.5 * squared
    return ops.sqrt(squared) if measure == "euclidean" else squared


def exact(measure: Name, difference: Any) -> Any:
    """The distance, from differences over the first axis."""
    return _from_squared(measure, ops.sum(ops.square(difference), axis=0))


def exact_all(driver: Any, measure: Name, rows: Any, columns: Any) -> Any:
    """The distances of all pairs of `(d, n)`, from their differences: some features at a time."""
    features = ops.shape(rows)[0]
    # Where their number is open it cannot be known how many are left over.
    together, rest = (_FEATURES, features % _FEATURES) if isinstance(features, int) else (1, 0)
    whole = features // together

    def add(total: Any, k: Any) -> Any:
        a, b = ops.take(rows, k, axis=0), ops.take(columns, k, axis=0)
        return total + ops.square(a[:, None] - b[None, :])

    def body(i: Any, total: Any) -> Any:
        for each in range(together):
            total = add(total, i * together + each)
        return total

    total = driver.loop(whole, body, ops.zeros_like(rows[0, :, None] - columns[0, None, :]))
    for each in range(rest):
        total = add(total, whole * together + each)
    return _from_squared(measure, total)


def pull(measure: Name, slope: Any, block: Any) -> Any:
    """W, with which the gradient of a row is `sum_j W_ij (a_i - b_j)`; for products `W_ij b_j`."""
    if measure == "squared_euclidean":
        return 2.0 * slope
    if measure == "euclidean":
        # Vectors at distance 0 have a difference of 0, which meets a finite number here.
        return slope / bounded(block, 1e-30)
    return slope
