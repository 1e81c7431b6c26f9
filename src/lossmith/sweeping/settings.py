"""What all trainings of a sweep have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lossmith.sweeping.data import Data, Order
from lossmith.sweeping.ranking import Ranking


@dataclass(frozen=True)
class Settings:
    """The arguments of a sweep, checked."""

    make_model: Callable[[], Any]
    optimizer: Any
    ranking: Ranking
    training: Data
    validation: Data
    order: Order
    epochs: int
    batch_size: int
    patience: int | None
    memory_limit: int


Advance = Callable[[int, float | None], None]
"""Tells that some epochs of trainings are done, and the best metric among them."""
