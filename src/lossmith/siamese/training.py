"""Training a Siamese network on labelled items, with checkpoints from which it can go on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.core.backend import keras
from lossmith.siamese.batches import ClassBatches
from lossmith.siamese.checkpoints import Checkpoints, Progress
from lossmith.siamese.distance_counts import DistanceCounts
from lossmith.siamese.encoders import default_encoder, lab_encoder
from lossmith.siamese.evaluation import embed_items, pair_distances
from lossmith.siamese.network import SiameseNetwork
from lossmith.siamese.pair_sampling import balanced_pairs, lab_pairs
from lossmith.siamese.pairs import Items, LabelPairs, ReadyPairs
from lossmith.siamese.settings import TrainingSettings
from lossmith.siamese.trainable_losses import check_centres, has_centres, takes_views

Ending = Literal["finished", "early_stopping", "interrupted"]


class LabelledItems(NamedTuple):
    """Items and the class of each.

    Attributes:
        items: N items: an array `(N, ...)`, or any object with `len` that gives an array for an
            array of indices, such as a reader of image files.
        labels: `(N,)`, the class of each item.
    """

    items: Items
    labels: npt.NDArray[Any]


@dataclass(frozen=True)
class Training:
    """What a training has led to.

    Attributes:
        network: The network with the weights of `kept_epoch`, not calibrated yet.
        progress: The figures of all finished epochs and the time they took.
        kept_epoch: The epoch whose weights the network has, counted from 1.
        ending: Whether all epochs were done, validation had stopped to get better, or a callback
            stopped it before.
    """

    network: SiameseNetwork
    progress: Progress
    kept_epoch: int
    ending: Ending


class NoEpochError(RuntimeError):
    """A training was stopped before its first epoch was complete, so there is no network."""


class ReadingError(ValueError):
    """An item could not be read in the middle of a training; the message is that of the reader."""


def train(
    settings: TrainingSettings,
    training: LabelledItems,
    validation: LabelledItems,
    checkpoints: Path,
    callbacks: Sequence[Any] = (),
) -> Training:
    """Trains a network, or goes on from the last checkpoint.

    After each epoch the validation items are embedded and their balanced pairs give `val_loss`,
    `val_auc` and `val_accuracy` (at the best threshold). A loss of class ids is over all pairs of a
    batch of `ClassBatches`, in `val_loss` as in training; where there are fewer validation items
    than a batch takes, the two cannot be compared. What a loss learns, such as class centres, is
    in the checkpoints and not in the network that comes out. A training that was interrupted and
    goes on has the batches, and on a deterministic backend the weights, that it would have had
    without the interruption; of an epoch that is not complete nothing is kept.

    Args:
        settings: What to train with; see `settings_for`.
        training: The items to train on.
        validation: Other items, with two or more of some class.
        checkpoints: The folder of the checkpoints; made if it is not there. If it has some, they
            must come from a training with the same settings and data.
        callbacks: Keras callbacks. They see the figures above in `logs`, and in `seconds` what the
            epoch adds to the time of the training; one that sets `model.stop_training` ends it.

    Returns:
        The network and how it came about.

    Raises:
        ReadingError: If items cannot be read when they are needed; complete epochs are kept.
        NoEpochError: If a callback ended the training before the first epoch was complete.
        ValueError: If settings and items do not fit, such as a margin that is out of reach, or
            fewer class centres than classes.
    """
    store = Checkpoints(checkpoints)
    progress = store.progress()
    if _ending(progress, settings) == "interrupted":
        progress = _fit(settings, training, validation, store, callbacks)
    if progress.epochs == 0:
        raise NoEpochError("The training was stopped before its first epoch was complete.")
    kept_epoch = progress.best_epoch if settings.patience else progress.epochs
    trained = store.load(kept_epoch)
    return Training(
        network=SiameseNetwork(trained.encoder, settings.distance),
        progress=progress,
        kept_epoch=kept_epoch,
        ending=_ending(progress, settings),
    )


def _ending(progress: Progress, settings: TrainingSettings) -> Ending:
    if progress.epochs >= settings.epochs:
        return "finished"
    if settings.patience and progress.epochs - progress.best_epoch >= settings.patience:
        return "early_stopping"
    return "interrupted"


def _fit(
    settings: TrainingSettings,
    training: LabelledItems,
    validation: LabelledItems,
    store: Checkpoints,
    callbacks: Sequence[Any],
) -> Progress:
    progress = store.progress()
    watched = [_WatchedItems(part.items) for part in (training, validation)]
    training, validation = map(LabelledItems, watched, (training.labels, validation.labels))
    class_ids = _class_ids(settings, training.labels, validation.labels)
    batches = _batches(settings, training, progress.epochs)
    if progress.epochs:
        network = store.load(progress.epochs)
    else:
        shape = tuple(training.items[np.arange(1)].shape[1:])
        network = _new_network(settings, shape, len(batches))
    held_out = _Validation(settings, validation, class_ids)
    keeper = _EpochKeeper(settings, held_out, store, len(batches))
    try:
        network.fit(
            batches,
            initial_epoch=progress.epochs,
            epochs=settings.epochs,
            # The data sets are in random order already, one that can be gone on with.
            shuffle=False,
            verbose=0,
            callbacks=[keeper, *callbacks],
        )
    except Exception:
        # TensorFlow makes an error of its own of it, with the traceback for a message.
        for items in watched:
            if items.error is not None:
                raise ReadingError(str(items.error)) from items.error
        raise
    return keeper.progress


def _class_ids(settings: TrainingSettings, trained: Any, held_out: Any) -> dict[Any, int]:
    """The ids of the classes that are trained on, and after them of those that are held out only.

    Raises:
        ValueError: If a class has no centre, where the loss has centres.
    """
    names, others = np.unique(trained), np.setdiff1d(held_out, trained)
    check_centres(settings.loss, settings.dimensions, len(names))
    if others.size and has_centres(settings.loss):
        raise ValueError(
            f"{settings.loss!r} learns no centre for validation items of a class that is not "
            f"trained on. Received: {others.tolist()[0]!r}."
        )
    return {name: number for number, name in enumerate([*names.tolist(), *others.tolist()])}


class _WatchedItems:
    """Items as they are, and the error with which they could not be read."""

    def __init__(self, items: Items) -> None:
        self.error: Exception | None = None
        self.dtype = getattr(items, "dtype", None)
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, indices: Any) -> Any:
        try:
            return self._items[indices]
        except Exception as error:
            self.error = error
            raise


def _batches(settings: TrainingSettings, training: LabelledItems, epoch: int) -> Any:
    items, labels = training
    common: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "initial_epoch": epoch,
    }
    if settings.pairing == "batch":
        return ClassBatches(items, labels, paired=takes_views(settings.loss), **common)
    if settings.pairing == "balanced":
        return LabelPairs(items, labels, **common)
    return ReadyPairs(items, *lab_pairs(labels, settings.seed), shuffle=True, **common)


def _new_network(
    settings: TrainingSettings, input_shape: tuple[int, ...], steps: int
) -> SiameseNetwork:
    if settings.encoder == "lab":
        encoder = lab_encoder(input_shape, settings.seed)
    else:
        encoder = default_encoder(input_shape, settings.embedding_size, settings.seed)  # type: ignore[arg-type]
    network = SiameseNetwork(encoder, settings.distance)
    network.compile(optimizer=_optimizer(settings, steps), loss=settings.loss)
    # TensorFlow traces a step twice that makes the variables of its optimizer.
    network.optimizer.build(network.trainable_variables)
    return network


def _optimizer(settings: TrainingSettings, steps: int) -> Any:
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        total = steps * settings.epochs
        rise = total // 10
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=settings.learning_rate / 20,
            decay_steps=max(1, total - rise),
            warmup_target=settings.learning_rate,
            warmup_steps=rise,
        )
    kind = keras.optimizers.Adam if settings.optimizer == "adam" else keras.optimizers.RMSprop
    return kind(rate)


@dataclass
class _Validation:
    """The figures of the validation items under the network as it is."""

    settings: TrainingSettings
    items: LabelledItems
    class_ids: Mapping[Any, int]
    pairs: npt.NDArray[np.int64] = field(init=False)
    same: npt.NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self.pairs, self.same = balanced_pairs(self.items.labels, self.settings.seed)

    def figures(self, network: SiameseNetwork) -> dict[str, float]:
        embeddings = embed_items(network.encoder, self.items.items)
        if not np.isfinite(embeddings).all():
            raise ValueError(
                "The training has diverged: the embeddings of the validation items are no longer "
                "finite. Start another with a smaller learning rate."
            )
        distances = pair_distances(embeddings, self.pairs, self.settings.distance)
        counts = DistanceCounts.from_distances(distances, self.same)
        false_accepts, true_accepts = counts.rates_at(counts.best_threshold())
        same_share = counts.same_pairs / len(self.same)
        return {
            "val_loss": self._loss(network, embeddings, distances),
            "val_auc": counts.auc(),
            "val_accuracy": same_share * true_accepts + (1 - same_share) * (1 - false_accepts),
        }

    def _loss(self, network: SiameseNetwork, embeddings: Any, distances: Any) -> float:
        loss = self.settings.loss
        if loss.targets == "pair":
            return float(loss(self.same, distances))
        labels = self.items.labels
        ids = np.array([self.class_ids[name] for name in np.unique(labels).tolist()], np.int32)
        batches = ClassBatches(
            embeddings, labels, self.settings.batch_size, paired=takes_views(loss)
        )
        values = []
        for number in range(len(batches)):
            vectors, classes = batches[number]
            outputs = keras.ops.convert_to_tensor(vectors)
            if network.loss_state is not None:
                outputs = network.loss_state(outputs, training=False)
            values.append(float(loss(ids[classes], outputs)))
        return float(np.mean(values))


class _EpochKeeper(keras.callbacks.Callback):
    """Validates and saves after each complete epoch, and stops when nothing gets better."""

    def __init__(
        self, settings: TrainingSettings, validation: _Validation, store: Checkpoints, steps: int
    ) -> None:
        super().__init__()
        self.progress = store.progress()
        self._settings = settings
        self._validation = validation
        self._store = store
        self._steps = steps
        self._steps_done = 0
        self._started = time.perf_counter() - self.progress.seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._steps_done = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._steps_done += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._steps_done < self._steps:
            return
        logs |= self._validation.figures(self.model)
        elapsed, before = time.perf_counter() - self._started, self.progress.seconds
        self.progress = self.progress.after_epoch(logs, elapsed)
        logs["seconds"] = elapsed - before
        self._store.save(self.model, self.progress)
        if _ending(self.progress, self._settings) != "interrupted":
            self.model.stop_training = True
