"""One candidate after the other through one compiled step: TensorFlow and PyTorch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.sweeping import models
from lossmith.sweeping.data import Batches
from lossmith.sweeping.grid import SweptLoss
from lossmith.sweeping.runs import Ended, Progress, Run, Watch, Weights
from lossmith.sweeping.settings import Settings


class Trainer:
    """Trains with one model, whose variables are set back for each training.

    Args:
        loss: the loss, in which the hyperparameters called `names` are replaced.
        names: of those that differ between the runs.
        settings: of the sweep.
    """

    def __init__(self, loss: Loss, names: Sequence[str], settings: Settings) -> None:
        self._settings = settings
        self._swept = SweptLoss(loss)
        dtype = keras.config.floatx()
        self._swept.tensors = {
            name: keras.Variable(1.0, dtype=dtype, trainable=False, name="swept") for name in names
        }
        self._starts: dict[int, models.Start] = {}
        self._model: Any = None

    def train(self, runs: Sequence[Run], watch: Watch) -> Iterator[Ended]:
        """Train all runs; yield each that ends, and tell `watch` of every epoch."""
        for run in runs:
            start = self._start_of(run.start_seed)
            models.set_back(self._model, start)
            for name, variable in self._swept.tensors.items():
                # With all its digits: TensorFlow would make a float32 tensor of a number first.
                variable.assign(np.asarray(run.hyperparameters[name], keras.config.floatx()))
            yield run, *self._fit(run, watch)

    def _start_of(self, seed: int) -> models.Start:
        if seed not in self._starts:
            made = models.make(self._settings, self._swept.loss, seed, self._swept)
            start = models.start_of(made)
            if self._model is None:
                self._model = made
            else:
                models.check_alike(next(iter(self._starts.values())), start, seed)
            self._starts[seed] = start
        return self._starts[seed]

    def _fit(self, run: Run, watch: Watch) -> Any:
        settings = self._settings
        batches = settings.batches(run.seed)
        progress = Progress(settings.ranking, settings.epochs, settings.patience)
        follower = Follower(run, progress, batches, watch)
        self._model.fit(
            batches,
            epochs=settings.epochs,
            validation_data=settings.validation.arrays,
            validation_batch_size=settings.batch_size,
            shuffle=False,
            callbacks=[follower],
            verbose=0,
        )
        return progress.outcome(), follower.kept or models.weights_of(self._model)


class Follower(keras.callbacks.Callback):
    """Tells the batches of each epoch, follows the training, and keeps its best weights."""

    def __init__(self, run: Run, progress: Progress, batches: Batches, watch: Watch) -> None:
        super().__init__()
        self._run, self._progress, self._batches, self._watch = run, progress, batches, watch
        self.kept: Weights | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Draw the batches."""
        self._batches.set_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights, or stop."""
        if self._progress.record(logs) and self._progress.keeps_best:
            self.kept = models.weights_of(self.model)
        self._watch(self._run, self._progress)
        if self._progress.status is not None:
            self.model.stop_training = True
