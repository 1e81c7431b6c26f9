"""One candidate after the other through one compiled step: TensorFlow and PyTorch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.sweeping import models
from lossmith.sweeping.data import Data, Order
from lossmith.sweeping.grid import SweptLoss
from lossmith.sweeping.runs import Outcome, Progress, Run, Weights
from lossmith.sweeping.settings import Advance, Settings


def train(
    loss: Loss, names: Sequence[str], runs: Sequence[Run], settings: Settings, advance: Advance
) -> Iterator[tuple[Run, Outcome, Weights]]:
    """Train all runs with one model, whose variables are set back for each; yield each that ends.

    Args:
        loss: the loss, in which the hyperparameters called `names` are replaced.
        names: of those that differ between the runs.
        runs: the trainings.
        settings: of the sweep.
        advance: is told of every epoch.
    """
    swept = SweptLoss(loss)
    swept.tensors = {
        name: keras.Variable(_number(runs[0], name), trainable=False, name="swept")
        for name in names
    }
    model = models.make(settings, swept, runs[0].start_seed)
    starts = {runs[0].start_seed: models.start_of(model)}
    for run in runs:
        if run.start_seed not in starts:
            made = models.start_of(models.make(settings, swept, run.start_seed))
            models.check_shapes(starts[runs[0].start_seed], made, run.start_seed)
            starts[run.start_seed] = made
        # PyTorch draws dropout from its global generator, which is where `make_model` has left it.
        keras.utils.set_random_seed(run.start_seed)
        _set_back(model, starts[run.start_seed])
        for name, variable in swept.tensors.items():
            variable.assign(_number(run, name))
        yield run, *_fit(model, run, settings, advance)


def _number(run: Run, name: str) -> np.ndarray:
    """A value with all its digits: TensorFlow would make a float32 tensor of a number first."""
    return np.asarray(run.hyperparameters[name], keras.config.floatx())


def _set_back(model: Any, start: models.Start) -> None:
    models.set_weights(model, [*start.trainable, *start.others])
    for variable, value in zip(model.optimizer.variables, start.optimizer, strict=True):
        variable.assign(value)


def _fit(model: Any, run: Run, settings: Settings, advance: Advance) -> tuple[Outcome, Weights]:
    batches = Batches(settings.training, settings.order, run.seed, settings.batch_size)
    progress = Progress(settings.ranking, settings.epochs, settings.patience)
    follower = Follower(progress, batches, advance)
    model.fit(
        batches,
        epochs=settings.epochs,
        validation_data=settings.validation.arrays,
        validation_batch_size=settings.batch_size,
        shuffle=False,
        callbacks=[follower],
        verbose=0,
    )
    return progress.outcome(), follower.kept or models.weights_of(model)


class Batches(keras.utils.PyDataset):
    """The batches of the epoch that is told."""

    def __init__(self, data: Data, order: Order, seed: int, batch_size: int) -> None:
        super().__init__()
        self._data, self._order_of, self._seed, self._size = data, order, seed, batch_size
        self.set_epoch(0)

    def set_epoch(self, number: int) -> None:
        """Draw the order of an epoch."""
        self._order = self._order_of(self._seed, number)

    def __len__(self) -> int:
        return -(-self._data.size // self._size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """A batch."""
        return self._data.rows(self._order[index * self._size : (index + 1) * self._size])


class Follower(keras.callbacks.Callback):
    """Tells the batches of each epoch, follows the training, and keeps its best weights."""

    def __init__(self, progress: Progress, batches: Batches, advance: Advance) -> None:
        super().__init__()
        self._progress, self._batches, self._advance = progress, batches, advance
        self.kept: Weights | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Draw the batches."""
        self._batches.set_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights, or stop."""
        if self._progress.record(logs) and self._progress.keeps_best:
            self.kept = models.weights_of(self.model)
        self._advance(1, self._progress.best)
        if self._progress.status is not None:
            self.model.stop_training = True
