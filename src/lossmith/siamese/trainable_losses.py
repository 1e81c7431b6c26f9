"""Which losses train a Siamese network."""

import inspect
from typing import Any, Literal

from lossmith.core import Loss, get

TrainedOn = Literal["pairs", "items"]


def loss_named(name: str) -> Loss:
    """The loss of lossmith, or of a user, that a name stands for.

    Raises:
        ValueError: If there is none, or only one of Keras'.
    """
    loss = get(name)
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
        ValueError: If the loss compares values, or the other of the two.
    """
    if not isinstance(loss, Loss) or loss.targets == "value":
        raise ValueError(
            "A Siamese network is trained with a loss of pair labels or class ids, such as "
            f"contrastive or supervised_contrastive. Received: {loss!r}.{_advice(loss)}"
        )
    if loss.targets == "class" and trained_on == "pairs":
        raise ValueError(
            f"{loss.default_name} is a loss of class ids, which pairs do not have. Train the "
            "encoder by itself with it, on batches of labelled items (the pairing batch), or "
            "choose a loss of pair labels, such as contrastive."
        )
    if loss.targets == "pair" and trained_on == "items":
        raise ValueError(
            f"{loss.default_name} is a loss of pair labels, which batches of labelled items do "
            "not have: it needs the pairing balanced or lab."
        )


def is_from_keras(loss: Any) -> bool:
    """Whether a loss is one of Keras' own, all of which compare values."""
    kind = loss if inspect.isfunction(loss) else type(loss)
    return str(kind.__module__).partition(".")[0] == "keras"


def _advice(loss: Any) -> str:
    if isinstance(loss, Loss) and not type(loss).__module__.startswith("lossmith."):
        return ' If its y_true are pair labels, declare it with targets="pair".'
    return ""
