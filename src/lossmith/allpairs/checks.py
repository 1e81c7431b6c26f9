"""What a loss over all pairs refuses, with what was expected, what came and what to do."""

from typing import Any, get_args

import numpy as np

from lossmith.allpairs import measures
from lossmith.core import backend, shapes
from lossmith.core.backend import keras

ops = keras.ops
_SHOWN = 5


def check_measure(owner: str, measure: Any) -> None:
    """Refuse what is no measure.

    Raises:
        ValueError: naming those that there are.
    """
    known = get_args(measures.Name)
    if measure not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(f"{owner}: `measure` must be one of {names}; got {measure!r}.")


def check_items(loss: str, labels: Any, embeddings: Any, weights: Any) -> None:
    """Refuse weights and labels of items that mean nothing, where they can be seen.

    Args:
        loss: which was given them.
        labels: class ids, or labels `(..., L)`, as formulas see them.
        embeddings: the embeddings of the items.
        weights: their weights, `None` if there are none.

    Raises:
        ValueError: for weights below 0, and labels that are neither 0 nor 1.
    """
    if weights is not None:
        _check_weights(loss, weights)
    if len(labels.shape) == len(embeddings.shape):
        _check_labels(loss, labels)


def _check_weights(loss: str, weights: Any) -> None:
    if not backend.is_concrete(weights):
        return
    seen = np.asarray(ops.convert_to_numpy(weights))
    if np.any(seen < 0):
        raise ValueError(
            f"{loss}: weights must be 0 or more; got {seen[seen < 0].min():g} in weights of "
            f"{_told(weights)}. An item of weight w counts w times as an anchor and as a partner; "
            "weight 0 takes it out."
        )


def _check_labels(loss: str, labels: Any) -> None:
    if not backend.is_concrete(labels):
        return
    seen = np.asarray(ops.convert_to_numpy(labels))
    wrong = [str(each) for each in np.unique(seen[(seen != 0) & (seen != 1)])]
    if wrong:
        shown = [*wrong[:_SHOWN], "..."] if len(wrong) > _SHOWN else wrong
        raise ValueError(
            f"{loss}: labels (N, L) are 0 or 1 for each of L = {seen.shape[-1]} labels; got "
            f"{', '.join(shown)} in labels of {_told(labels)}. Class ids go as (N,), one for each "
            "item; several labels of an item as (N, L) of 0 and 1."
        )


def check_references(loss: str, rows: tuple[Any, Any], columns: tuple[Any, Any]) -> None:
    """Refuse references that cannot be partners of the anchors: others than their kind.

    Args:
        loss: whose anchors they are.
        rows: labels and embeddings of the anchors, as formulas see them.
        columns: labels and embeddings of the references.

    Raises:
        ValueError: if they have other numbers of features, or other kinds of labels.
    """
    features = [shapes.shape_of(embeddings)[-1:] for _, embeddings in (rows, columns)]
    if not shapes.may_equal(*features):
        raise ValueError(
            f"{loss}: the references must have as many features as y_pred; got references of "
            f"{_told(columns[1])} and y_pred of {_told(rows[1])}. Compare outputs of one "
            "model, or of models whose outputs are equally long."
        )
    kinds = [
        shapes.shape_of(labels)[len(vectors.shape) - 1 :] for labels, vectors in (rows, columns)
    ]
    if not shapes.may_equal(*kinds):
        raise ValueError(
            f"{loss}: reference_labels must be of the kind of y_true, class ids (N,) or the same L "
            f"labels (N, L); got {_labels(kinds[1])} for references and {_labels(kinds[0])} in "
            "y_true."
        )


def _labels(kind: shapes.Shape) -> str:
    return f"{kind[0]} labels" if kind else "class ids"


def checked_costs(owner: str, found: Any, block: Any) -> tuple[Any, Any]:
    """What the formula of an anchor returned, if it is values and counts, `(anchors,)` each.

    Only shapes are looked at, which takes no time in a compiled step.

    Raises:
        ValueError: saying what came.
    """
    wanted = shapes.shape_of(block)[:1]
    if isinstance(found, tuple | list) and len(found) == 2:
        values, counts = map(_shape, found)
        if shapes.may_equal(values, wanted) and shapes.may_equal(counts or wanted, wanted):
            return found[0], found[1]
    raise ValueError(
        f"{owner}: `anchors` must return two tensors (anchors,): values and "
        f"counts, here of shape {wanted} each; got {_told(found)}. Reduce over the partners, "
        "axis 1: row.positives.sum(block), row.positives.count()."
    )


def _shape(given: Any) -> shapes.Shape:
    return shapes.shape_of(given) if hasattr(given, "shape") else ()


def _told(given: Any) -> str:
    """What came: shape and dtype, of all parts of a structure."""
    if isinstance(given, tuple | list):
        return f"a {type(given).__name__} of {len(given)}: {'; '.join(map(_told, given))}"
    if not hasattr(given, "shape"):
        return repr(given)
    return f"shape {shapes.shape_of(given)}, {keras.backend.standardize_dtype(given.dtype)}"
