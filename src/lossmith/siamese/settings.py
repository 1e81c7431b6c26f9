"""What a training of a Siamese network is made with, and sensible values for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from lossmith import distances
from lossmith.core import Loss, get
from lossmith.losses import contrastive, supervised_contrastive
from lossmith.siamese.encoders import LAB_DIMENSIONS
from lossmith.siamese.trainable_losses import (
    CentresToLearn,
    check_centres,
    check_label_of_same,
    check_loss,
    check_margins,
    margins_of,
    own_distance,
    own_distances,
)

EncoderName = Literal["default", "lab"]
Pairing = Literal["batch", "balanced", "lab"]
Optimizer = Literal["adam", "rmsprop"]
Schedule = Literal["cosine", "constant"]
Preset = Literal["default", "lab"]

_CHOICES = {
    "encoder": EncoderName,
    "pairing": Pairing,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "distance": distances.Name,
}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that a training is made with, beside the data.

    Attributes:
        encoder: `"default"` (convolutional, embeddings of length 1) or `"lab"` (three dense
            layers).
        embedding_size: Dimensions of the default encoder's embedding; the lab's has 128.
        distance: The name of a distance of `lossmith.distances`.
        loss: A loss of class ids and embeddings (`targets="class"`), or of pair labels and
            distances (`targets="pair"`).
        pairing: How a step gets its items: `"batch"` (`ClassBatches`, for a loss of class ids),
            `"balanced"` (`LabelPairs`) or `"lab"` (`lab_pairs`).
        optimizer: `"adam"` or `"rmsprop"`.
        schedule: Of the learning rate: `"cosine"` (a short rise, then a fall to 0) or `"constant"`.
        learning_rate: The largest learning rate.
        epochs: Times that the training items are gone through; `ClassBatches` says how much of a
            very large class that is.
        batch_size: Items, or pairs, of a step.
        patience: Epochs without a better validation AUC after which training ends; the weights of
            the best epoch are kept. 0 trains to the end and keeps the last weights.
        validation_share: Share of the items that is held out to choose the threshold on.
        test_share: Share of the items that is held out for the figures, where the data have no
            test part of their own.
        seed: Of initial weights, batches, pairs and the split of the data.

    Raises:
        ValueError: If a value is outside its range, loss and pairing do not fit each other, the
            loss compares by another distance, or the distance can never reach the loss' margin.
    """

    encoder: EncoderName
    embedding_size: int
    distance: distances.Name
    loss: Loss
    pairing: Pairing
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    epochs: int
    batch_size: int
    patience: int
    validation_share: float
    test_share: float
    seed: int

    def __post_init__(self) -> None:
        """Refuses values outside their ranges."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(choices))}. "
                    f"Received: {getattr(self, name)!r}."
                )
        least = {"embedding_size": 1, "epochs": 1, "batch_size": 2, "patience": 0, "seed": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < smallest:
                raise ValueError(f"{name} must be an integer >= {smallest}. Received: {value!r}.")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0. Received: {self.learning_rate}.")
        for name in ("validation_share", "test_share"):
            if not 0 < getattr(self, name) < 0.5:
                raise ValueError(f"{name} must lie in (0, 0.5). Received: {getattr(self, name)}.")
        self._check_loss()

    @property
    def margin(self) -> float | None:
        """The margin in distance of the loss, if it has one."""
        return next(iter(margins_of(self.loss)), None)

    @property
    def dimensions(self) -> int:
        """The number of dimensions of an embedding."""
        return LAB_DIMENSIONS if self.encoder == "lab" else self.embedding_size

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        described = {field.name: getattr(self, field.name) for field in fields(self)}
        loss = {"class_name": type(self.loss).__name__, "config": self.loss.get_config()}
        return {**described, "loss": loss}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Self:
        """The settings that `to_dict` described.

        Raises:
            ValueError: If an entry is missing, unknown or out of its range.
        """
        names = {field.name for field in fields(cls)}
        if described.keys() != names:
            wrong = sorted(described.keys() ^ names)
            raise ValueError(f"Settings have other entries than expected: see {', '.join(wrong)}.")
        return cls(**{**described, "loss": get(described["loss"])})

    def _check_loss(self) -> None:
        check_loss(self.loss, trained_on="items" if self.pairing == "batch" else "pairs")
        check_label_of_same(self.loss)
        check_centres(self.loss, self.dimensions)
        for own in own_distances(self.loss):
            if own != self.distance:
                raise ValueError(
                    f"{self.loss!r} compares by the distance {own}, and the network by "
                    f"{self.distance}: let both be the same."
                )
        unit_length = self.embedding_size if self.encoder == "default" else None
        check_margins(self.loss, distances.get(self.distance), unit_length)


def settings_for(
    items: int, preset: Preset = "default", *, classes: int = 1, **given: Any
) -> TrainingSettings:
    """Sensible settings for a number of training items, with some of them given.

    The preset `"default"` is made for the best network in a given time: small data get more epochs
    and smaller batches. A loss of pair labels gets balanced pairs in place of class-labelled
    batches, and the distance is that of the loss, if it has one of its own. The preset `"lab"` is
    the course's: its network, its pairs and its optimizer.

    Args:
        items: The number of training items.
        preset: `"default"` or `"lab"`.
        classes: The number of classes of the training items, if the loss is to learn a centre for
            each.
        **given: Attributes of `TrainingSettings` that are to have these values; `loss` may be
            `CentresToLearn`.

    Returns:
        The settings.

    Raises:
        ValueError: If the preset is unknown or a value is out of its range.

    Example:
        >>> small, large = settings_for(4_000), settings_for(54_000)
        >>> small.epochs, small.batch_size, large.epochs, large.batch_size
        (20, 128, 5, 256)
        >>> settings_for(60_000, "lab").optimizer
        'rmsprop'
    """
    if preset not in get_args(Preset):
        raise ValueError(
            f"preset must be one of {', '.join(get_args(Preset))}. Received: {preset!r}."
        )
    if isinstance(given.get("loss"), CentresToLearn):
        others = settings_for(items, preset, **{**given, "loss": supervised_contrastive})
        loss = given["loss"].learned_for(classes, others.dimensions, others.seed)
        return replace(others, loss=loss)
    values = dict(_LAB) if preset == "lab" else _for_size(items)
    loss = given.get("loss", values["loss"])
    if isinstance(loss, Loss) and loss.targets != values["loss"].targets:
        values |= _FOR_PAIRS if loss.targets == "pair" else {"pairing": "batch"}
    values["distance"] = own_distance(loss) or values["distance"]
    return TrainingSettings(**values | given)


_COMMON: dict[str, Any] = {
    "embedding_size": 64,
    "distance": "euclidean",
    "test_share": 0.2,
    "seed": 0,
}

_LAB: dict[str, Any] = _COMMON | {
    "encoder": "lab",
    "loss": contrastive,
    "pairing": "lab",
    "optimizer": "rmsprop",
    "schedule": "constant",
    "learning_rate": 1e-3,
    "epochs": 20,
    "batch_size": 128,
    "patience": 0,
    # Few, since the lab trains on all items and chooses no threshold.
    "validation_share": 0.02,
}

# A pair is two items, and a smaller learning rate keeps these losses from collapsing early on.
_FOR_PAIRS: dict[str, Any] = {"pairing": "balanced", "learning_rate": 1e-3}


def _for_size(items: int) -> dict[str, Any]:
    # Half-way between equal epochs and equal steps for all sizes; measured on 4 and 54 thousand
    # items, where more epochs gained little.
    epochs = min(max(round(1250 / math.sqrt(max(items, 1))), 5), 100)
    return _COMMON | {
        "encoder": "default",
        "loss": supervised_contrastive,
        "pairing": "batch",
        "optimizer": "adam",
        "schedule": "cosine",
        "learning_rate": 4e-3,
        "epochs": epochs,
        "batch_size": 256 if items >= 20_000 else 128,
        # Short trainings whose rate falls to 0 end best; before that, the figures only jump about.
        "patience": 0,
        "validation_share": 0.1,
    }
