"""What all trainings of a sweep have in common."""

import inspect
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.sweeping import data
from lossmith.sweeping.data import Batches, Data, Order
from lossmith.sweeping.ranking import Ranking, ranking


@dataclass(frozen=True)
class Settings:
    """The arguments of a sweep, checked."""

    make_model: Callable[[Loss], Any]
    optimizer: Any
    ranking: Ranking
    training: Data
    validation: Data
    order: Order
    epochs: int
    batch_size: int
    patience: int | None
    memory_limit: int

    def batches(self, seed: int) -> Batches:
        """The batches of a training, in the order of its first epoch."""
        return Batches(self.training, self.order, seed, self.batch_size)


def checked(
    make_model: Callable[..., Any],
    loss: Any,
    swept: Iterable[str],
    x: Any,
    y: Any,
    *,
    validation_data: Any,
    metric: Any,
    sample_weight: Any,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    optimizer: Any,
    mode: str | None,
    patience: int | None,
    memory_limit: int = 2**30,
) -> Settings:
    """Check the arguments that all trainings share.

    Raises:
        TypeError: if one is of another type.
        ValueError: if one is out of range, or the metric does not compare candidates.
    """
    training = data.data("x, y and sample_weight", x, y, sample_weight)
    return Settings(
        make_model=_maker(make_model, loss, swept),
        optimizer=optimizer,
        ranking=ranking(loss, swept, metric, mode),
        training=training,
        validation=data.validation(validation_data),
        order=data.order_of(training.size, shuffle),
        epochs=_count("epochs", epochs),
        batch_size=_count("batch_size", batch_size),
        patience=None if patience is None else _count("patience", patience),
        memory_limit=_count("memory_limit", memory_limit),
    )


def check_loss(loss: Any) -> None:
    """Refuse what has no hyperparameters.

    Raises:
        TypeError: if it is no loss of lossmith.
    """
    if not isinstance(loss, Loss):
        raise TypeError(
            f"sweep: loss must be one of lossmith, made by lossmith.loss; got {loss!r}."
        )


def _maker(make_model: Any, loss: Loss, swept: Iterable[str]) -> Callable[[Loss], Any]:
    """`make_model` as a function of the loss that the model is made for."""
    if not callable(make_model) or isinstance(make_model, keras.Model):
        raise TypeError(
            f"sweep: make_model must be a function that returns a new model each time; "
            f"got {make_model!r}."
        )
    if _takes_loss(make_model):
        return make_model
    changing = [f"`{name}`" for name in loss.changing if name not in swept]
    if changing:
        raise TypeError(
            f"sweep: {', '.join(changing)} of {loss.name} changes, and each candidate has a state "
            "of its own: write make_model with the loss as its argument, def make_model(loss), and "
            "put loss.state into the model that it returns."
        )
    return lambda loss: make_model()


def _takes_loss(make_model: Callable[..., Any]) -> bool:
    parameters = inspect.signature(make_model).parameters.values()
    return any(
        each.default is each.empty and each.kind in (each.POSITIONAL_ONLY,
                                                     each.POSITIONAL_OR_KEYWORD)
        for each in parameters
    )  # fmt: skip


def _count(name: str, given: Any) -> int:
    number = operator.index(given)
    if number < 1:
        raise ValueError(f"sweep: {name} must be 1 or greater; got {number}.")
    return number
