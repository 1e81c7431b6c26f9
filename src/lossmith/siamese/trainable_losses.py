"""Which losses train a Siamese network."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from lossmith.allpairs import CrossBatchMemory, TwoEncoderLoss
from lossmith.core import Loss, get, learned, registry
from lossmith.core.backend import keras
from lossmith.core.inputs import check_ids
from lossmith.core.wording import named
from lossmith.distances import Distance
from lossmith.losses.centres import CentreLoss

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
            f"{error} A name does not say it: train from Python with the loss itself, "
            "network.compile(optimizer, loss), or choose one of embeddings alone, such as nt_xent."
        ) from error
    if not isinstance(loss, Loss):
        raise ValueError(f"{name} is not one of the losses that `lossmith list` shows.")
    return loss


@dataclass(frozen=True)
class CentresToLearn:
    """A loss with class centres, before it is known how many classes there are.

    Called with hyperparameters it is one with these, as a loss is.

    Attributes:
        kind: The class of the loss.
        hyperparameters: Those that are not the centres and have been given.
    """

    kind: type[CentreLoss]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **hyperparameters: Any) -> Self:
        """The same with other hyperparameters.

        Raises:
            TypeError, ValueError: If they are not such as the loss takes, or its centres.
        """
        if "centres" in hyperparameters:
            raise ValueError(
                f"{self.kind.__name__} learns its centres here, one for each class: leave centres "
                "out."
            )
        changed = type(self)(self.kind, {**self.hyperparameters, **hyperparameters})
        changed.learned_for(1, 1)
        return changed

    def learned_for(self, classes: int, dimensions: int, seed: int | None = None) -> CentreLoss:
        """The loss, with a centre to learn for each class."""
        initializer = keras.initializers.GlorotUniform(seed)
        centres = learned(shape=(classes, dimensions), initializer=initializer)
        return self.kind(centres=centres, **self.hyperparameters)

    def learned_as_in(self, loss: Loss) -> CentreLoss | None:
        """The loss with the centres of another one, if that is of the same class."""
        if type(loss) is not self.kind:
            return None
        return self.kind(centres=loss.hyperparameters["centres"], **self.hyperparameters)


def loss_or_centres(name: str) -> Loss | CentresToLearn:
    """What `loss_named` gives, or for a loss with class centres what makes it for some classes.

    Raises:
        ValueError: As `loss_named` does.
    """
    kind = registry.class_named(name)
    if kind is not None and issubclass(kind, CentreLoss):
        return CentresToLearn(kind)
    return loss_named(name)


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
    if loss.targets == "class" and trained_on == "pairs":
        raise ValueError(
            f"{loss.default_name} is a loss of class ids, which pairs do not have: it needs "
            "batches of labelled items, or choose a loss of pair labels, such as contrastive."
        )
    if loss.targets == "pair" and trained_on == "items":
        raise ValueError(
            f"{loss.default_name} is a loss of pair labels, which batches of labelled items do "
            "not have: it needs the pairing balanced or lab."
        )


def checked_loss(loss: Any, distance: str, dimensions: int | None) -> Any:
    """The loss that a network is compiled with, by its name or as it is.

    Args:
        loss: What was given for a loss.
        distance: The name of the distance by which the network compares.
        dimensions: Those of the embeddings, if they are known.

    Raises:
        ValueError: If it compares what the network does not give, was given another distance, or
            has centres of other dimensions.
        TypeError: If it is a class.
    """
    if isinstance(loss, type):
        raise TypeError(
            f"SiameseNetwork.compile: loss is the class {loss.__name__}; write {loss.__name__}()."
        )
    if isinstance(loss, str):
        loss = loss_named(loss)
    if isinstance(loss, Loss) or is_from_keras(loss):
        check_loss(loss, trained_on="items" if is_of_class_ids(loss) else "pairs")
    if not is_of_class_ids(loss):
        check_distance(loss, distance)
    check_centres(loss, dimensions)
    return loss


def is_of_class_ids(loss: Any) -> bool:
    """Whether a loss compares class ids with embeddings, and is trained on items."""
    return isinstance(loss, Loss) and loss.targets == "class"


def check_labels(loss: Any, labels: np.ndarray) -> None:
    """Refuse labels that a loss does not take, or that Keras would make others of.

    Raises:
        ValueError: If there are some.
    """
    if is_of_class_ids(loss):
        check_ids(loss, labels)
    if isinstance(loss, Loss) and loss.checks_targets:
        loss.check_targets(labels)


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


def check_centres(loss: Any, dimensions: int | None, classes: int | None = None) -> None:
    """Refuse centres that do not fit the embeddings, or are fewer than the classes.

    Args:
        loss: A loss, which need not have centres.
        dimensions: Those of the embeddings, if they are known.
        classes: The number of classes, if it is known.

    Raises:
        ValueError: If they do not fit.
    """
    for each in _with_parts(loss):
        if not isinstance(each, CentreLoss):
            continue
        count, length = np.shape(each.centres)
        if dimensions not in (None, length):
            raise ValueError(
                f"{each!r}: the centres have {length} dimensions and the embeddings {dimensions}; "
                "the shape of the centres is (classes, dimensions)."
            )
        if classes is not None and count < classes:
            raise ValueError(f"{each!r} has {count} centres, and there are {classes} classes.")


def has_centres(loss: Any) -> bool:
    """Whether a loss, or one that it is made of, has class centres."""
    return any(isinstance(each, CentreLoss) for each in _with_parts(loss))


def takes_views(loss: Any) -> bool:
    """Whether a loss, or one that it is made of, compares two views of each thing."""
    return any(isinstance(each, TwoEncoderLoss) for each in _with_parts(loss))


def has_state(loss: Any) -> bool:
    """Whether a loss keeps something in the model that it trains."""
    return isinstance(loss, CrossBatchMemory) or bool(getattr(loss, "changing", None))


def margins_of(loss: Any) -> list[float]:
    """The margins in distance of a loss, and of those that it is made of."""
    return [margin for _, margin in _named_margins(loss)]


def check_margins(loss: Any, distance: Distance, unit_length: int | None) -> None:
    """Refuse a loss, or one that it is made of, with a margin that a distance can never reach.

    Args:
        loss: A loss.
        distance: By which the network compares.
        unit_length: The number of dimensions if the embeddings have length 1, else `None`.

    Raises:
        ValueError: If there is one.
    """
    for name, margin in _named_margins(loss):
        with named(name):
            distance.check_margin(margin, unit_length)


def _named_margins(loss: Any) -> Iterator[tuple[str, float]]:
    for each in _with_parts(loss):
        margin = None if _is_of_similarities(each) else getattr(each, "margin", None)
        if isinstance(margin, int | float):
            yield getattr(each, "name", type(each).__name__), margin


def _with_parts(loss: Any) -> Iterator[Any]:
    """A loss, and the losses that are hyperparameters of it, such as the parts of a sum."""
    yield loss
    if isinstance(loss, Loss):
        for value in loss.hyperparameters.values():
            if isinstance(value, Loss):
                yield from _with_parts(value)


def _is_of_similarities(loss: Any) -> bool:
    """Whether a loss compares by angles or products, which have other margins than distances."""
    measure = getattr(loss, "measure", None)
    return isinstance(loss, CentreLoss) or measure in ("cosine_similarity", "dot")


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


def refuse_accuracy(metric: Any) -> None:
    """Refuse a metric of Keras' that takes distances for probabilities.

    Raises:
        ValueError: If it is an accuracy.
    """
    if isinstance(metric, str):
        is_accuracy = metric.lower().replace("_", "") in ("accuracy", "acc", "binaryaccuracy")
    else:
        known = (keras.metrics.Accuracy, keras.metrics.BinaryAccuracy)
        is_accuracy = isinstance(metric, known) or metric is keras.metrics.binary_accuracy
    if is_accuracy:
        raise ValueError(
            f"SiameseNetwork: the metric {metric!r} takes the distances for probabilities, and is "
            "near 0 for a good network. The accuracy at a threshold comes from "
            "network.calibrate(validation_pairs) after training."
        )
