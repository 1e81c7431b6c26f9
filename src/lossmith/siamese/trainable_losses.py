"""Which losses train a Siamese network."""

import inspect
from collections.abc import Iterator
from typing import Any, Literal

from lossmith.allpairs import TwoEncoderLoss
from lossmith.core import Loss, get

TrainedOn = Literal["pairs", "items"]


_WANTED = {
    "pairs": "pairs with a loss of pair labels, such as contrastive",
    "items": "labelled items with a loss of class ids, such as supervised_contrastive, or on pairs "
    "with a loss of pair labels, such as contrastive",
}


def loss_named(name: str) -> Loss:
    """The loss of lossmith, or of a user, that a name stands for.

    Raises:
        ValueError: If there is none, only one of Keras', or one that is nothing without a value for
            a hyperparameter, such as the centres of its classes.
    """
    try:
        loss = get(name)
    except TypeError as error:
        raise ValueError(
            f"{error} That cannot be said here: train a model of your own with this loss "
            "(docs/hyperparameters.md), or choose one of embeddings alone, such as nt_xent."
        ) from error
    if not isinstance(loss, Loss):
        raise ValueError(f"{name} is not one of the losses that `lossmith list` shows.")
    return loss


def check_loss(loss: Any, trained_on: TrainedOn) -> None:
    """Refuse a loss that does not compare what a Siamese network gives.

    Args:
        loss: A loss.
        trained_on: `"pairs"` with their labels and distances, or `"items"` with their class ids
            and embeddings.

    Raises:
        ValueError: If the loss compares values, or the other of the two, or is not reduced to the
            one number that training needs.
    """
    if not isinstance(loss, Loss) or loss.targets == "value":
        raise ValueError(
            f"A Siamese network is trained on {_WANTED[trained_on]}. Received: {loss!r}."
            f"{_advice(loss)}"
        )
    if loss.reduction == "none":
        raise ValueError(
            f"{loss!r} gives a value per item, and training needs one number: leave "
            "reduction='none' out."
        )
    if isinstance(loss, TwoEncoderLoss):
        raise ValueError(
            f"{loss.default_name} compares the outputs of two encoders, and a Siamese network has "
            "one: choose a loss of one embedding per item, such as nt_xent."
        )
    if loss.targets == "class" and trained_on == "pairs":
        raise ValueError(
            f"{loss.default_name} is a loss of class ids, which pairs do not have. Train the "
            "encoder by itself with it, encoder.compile(loss=...) and encoder.fit(x, labels), or "
            "choose a loss of pair labels, such as contrastive."
        )
    if loss.targets == "pair" and trained_on == "items":
        raise ValueError(
            f"{loss.default_name} is a loss of pair labels, which batches of labelled items do "
            "not have: it needs the pairing balanced or lab."
        )


def check_label_of_same(loss: Any) -> None:
    """Refuse a loss that takes 0 for same where the pairs are lossmith's, labelled 1 for same.

    Raises:
        ValueError: If the loss, or one that it is made of, would pull different pairs together.
    """
    for each in _with_parts(loss):
        if getattr(each, "same", 1) == 0:
            raise ValueError(
                f"{each!r} takes the label 0 for same pairs, and the pairs of lossmith's data sets "
                "have label 1 for same: it would pull the different ones together. Leave same=0 "
                "out."
            )


def check_distance(loss: Any, distance: str) -> None:
    """Refuse a loss that was given another distance than the one whose values it gets.

    Raises:
        ValueError: If the loss, or one that it is made of, has a distance that is neither that of
            the network nor its default.
    """
    for each in _with_parts(loss):
        declared = each.declared.get("distance") if isinstance(each, Loss) else None
        if declared and each.hyperparameters["distance"] not in (declared.default, distance):
            raise ValueError(
                f"{each!r} would not use its distance, since the network measures by {distance}: "
                f"write SiameseNetwork(encoder, distance={each.hyperparameters['distance']!r}), or "
                "leave the distance of the loss out."
            )


def margins_of(loss: Any) -> list[float]:
    """The margins of a loss, and of those that it is made of."""
    margins = (getattr(each, "margin", None) for each in _with_parts(loss))
    return [margin for margin in margins if isinstance(margin, int | float)]


def _with_parts(loss: Any) -> Iterator[Any]:
    """A loss, and the losses that are hyperparameters of it, such as the parts of a sum."""
    yield loss
    if isinstance(loss, Loss):
        for value in loss.hyperparameters.values():
            if isinstance(value, Loss):
                yield from _with_parts(value)


def own_distance(loss: Any) -> Any:
    """The distance by which a loss itself compares embeddings, `None` if it has no choice of it."""
    return next(iter(own_distances(loss)), None)


def own_distances(loss: Any) -> list[Any]:
    """The distances by which a loss, and those that it is made of, compare embeddings."""
    losses = (each for each in _with_parts(loss) if isinstance(each, Loss))
    found = (each.hyperparameters.get("distance") for each in losses)
    return [distance for distance in found if distance is not None]


def is_from_keras(loss: Any) -> bool:
    """Whether a loss is one of Keras' own, all of which compare values."""
    kind = loss if inspect.isfunction(loss) else type(loss)
    return str(kind.__module__).partition(".")[0] == "keras"


def _advice(loss: Any) -> str:
    if isinstance(loss, Loss) and not type(loss).__module__.startswith("lossmith."):
        return ' If its y_true are pair labels, declare it with targets="pair".'
    return ""
