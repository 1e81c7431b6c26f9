from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import lossmith as ls
from lossmith.core import registry
from lossmith.siamese.batches import ClassBatches
from lossmith.siamese.checkpoints import Checkpoints, Progress
from lossmith.siamese.settings import TrainingSettings, settings_for
from lossmith.siamese.trainable_losses import loss_or_centres
from lossmith.siamese.training import LabelledItems, NoEpochError, ReadingError, Training, train


class StopInEpoch(keras.callbacks.Callback):
    """Stops in the middle of an epoch, as Ctrl-C does."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._stop_in = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._epoch == self._stop_in and batch == 1:
            self.model.stop_training = True


def digits(start: int, stop: int) -> LabelledItems:
    images, labels = load_digits(return_X_y=True)
    scaled = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    return LabelledItems(scaled[start:stop], labels[start:stop])


def trained(settings: TrainingSettings, folder: Path, *callbacks: Any) -> Training:
    return train(settings, digits(0, 400), digits(400, 500), folder, callbacks)


def assert_same_weights(first: Training, second: Training) -> None:
    # The order in which a backend sums may differ from one process or step to the next.
    for a, b in zip(first.network.get_weights(), second.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def small(**given: Any) -> TrainingSettings:
    return settings_for(400, batch_size=64, **{"epochs": 3, **given})


def test_a_network_learns_to_tell_digits_apart(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: seen.append(dict(logs)))
    training = trained(small(epochs=8), tmp_path, watch)
    history = training.progress.history
    assert training.ending == "finished"
    assert training.kept_epoch == training.progress.epochs == 8
    assert history["val_auc"][-1] > 0.97
    assert history["loss"][-1] < history["loss"][0]
    assert [row["val_auc"] for row in seen] == history["val_auc"]
    assert training.network.threshold is None


FAMILY = [name for name, cls in registry.catalogue().items() if cls.targets != "value"]


@pytest.mark.parametrize("name", FAMILY)
def test_every_loss_of_the_catalogue_trains(name: str, tmp_path: Path) -> None:
    settings = small(loss=loss_or_centres(name), classes=10)
    training = trained(settings, tmp_path)
    history = training.progress.history
    assert history["val_auc"][-1] > 0.8
    assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.parametrize("name", ["supervised_contrastive", "cosface", "contrastive"])
def test_no_step_has_to_make_variables(name: str, tmp_path: Path) -> None:
    """It would be traced twice on TensorFlow, which takes longer than a small training."""
    found: list[list[str]] = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            found.append([each.path for each in self.model.optimizer.variables])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            found.append([each.path for each in self.model.optimizer.variables])

    trained(small(loss=loss_or_centres(name), classes=10, epochs=1), tmp_path, Watch())
    assert len(found) > 2
    assert len(found[0]) > 2
    assert all(each == found[0] for each in found)


def test_the_validation_loss_is_that_of_the_centres(tmp_path: Path) -> None:
    """Of held-out items that lack the first class, so that their ids begin later."""
    settings = small(loss=loss_or_centres("cosface"), classes=10, epochs=2)
    items, labels = digits(400, 500)
    kept = labels > 0
    held_out = LabelledItems(items[kept], labels[kept])
    training = train(settings, digits(0, 400), held_out, tmp_path)
    network = Checkpoints(tmp_path).load(2)
    assert network.loss_state is not None
    embeddings = network.embed(held_out.items)
    loss = ls.losses.CosFace(centres=ls.get_hyperparameters(network)["centres"])
    chosen = ClassBatches(embeddings, held_out.labels, settings.batch_size).indices
    values = [float(loss(held_out.labels[i], embeddings[i])) for i in chosen]
    assert training.progress.history["val_loss"][-1] == pytest.approx(np.mean(values), rel=1e-3)


def test_classes_without_a_centre_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 9 centres, and there are 10 classes"):
        trained(small(loss=loss_or_centres("arcface"), classes=9), tmp_path)
    items, labels = digits(0, 400)
    few = LabelledItems(items[labels < 9], labels[labels < 9])
    settings = small(loss=loss_or_centres("arcface"), classes=9)
    with pytest.raises(ValueError, match=r"not trained on\. Received: 9\."):
        train(settings, few, digits(400, 500), tmp_path)


def test_validation_figures_are_those_of_the_kept_network(tmp_path: Path) -> None:
    settings = small(loss=ls.losses.contrastive)
    training = trained(settings, tmp_path)
    validation = digits(400, 500)
    pairs, same = ls.siamese.balanced_pairs(validation.labels, settings.seed)
    distances = training.network.distance(*(validation.items[side] for side in pairs.T))
    closer = distances[same == 1][:, None] < distances[same == 0]
    losses = np.where(same == 1, distances**2, np.maximum(1 - distances, 0) ** 2)
    history = training.progress.history
    assert history["val_auc"][-1] == pytest.approx(closer.mean(), abs=1e-3)
    assert history["val_loss"][-1] == pytest.approx(losses.mean(), rel=1e-4)
    best = max(np.mean((distances < t) == (same == 1)) for t in [*distances, np.inf])
    assert history["val_accuracy"][-1] == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="class-labelled batches"),
        pytest.param({"loss": loss_or_centres("arcface"), "classes": 10}, id="class centres"),
        pytest.param({"loss": ls.losses.contrastive, "epochs": 2}, id="balanced pairs"),
        pytest.param({"preset": "lab", "epochs": 2}, id="the lab's pairs, with dropout"),
    ],
)
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    given: dict[str, Any], tmp_path: Path
) -> None:
    settings = small(**given)
    whole = trained(settings, tmp_path / "whole")
    broken = trained(settings, tmp_path / "broken", StopInEpoch(settings.epochs))
    assert broken.ending == "interrupted"
    assert broken.progress.epochs == settings.epochs - 1
    resumed = trained(settings, tmp_path / "broken")
    assert resumed.ending == "finished"
    assert resumed.progress.seconds > broken.progress.seconds
    for name, values in whole.progress.history.items():
        np.testing.assert_allclose(resumed.progress.history[name], values, rtol=1e-3, atol=0.02)
    assert_same_weights(whole, resumed)


def test_a_finished_training_is_not_trained_on(tmp_path: Path) -> None:
    first = trained(small(), tmp_path)
    again = trained(small(), tmp_path)
    assert again.progress == first.progress
    assert_same_weights(first, again)


def test_a_checkpoint_of_an_encoder_alone_is_refused(tmp_path: Path) -> None:
    """As they were kept for losses of class ids before the network trained with these itself."""
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    encoder.compile("adam", ls.losses.supervised_contrastive)
    Checkpoints(tmp_path).save(encoder, Progress({"loss": [0.5], "val_auc": [0.75]}, 2.5))
    with pytest.raises(ValueError, match=r"model\.keras holds no SiameseNetwork.*another run"):
        trained(small(), tmp_path)


def test_nothing_is_kept_of_an_incomplete_first_epoch(tmp_path: Path) -> None:
    with pytest.raises(NoEpochError, match="first epoch"):
        trained(small(), tmp_path, StopInEpoch(1))
    assert list(tmp_path.iterdir()) == []


def test_training_ends_early_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    # With so small a rate nothing gets better after the first epoch.
    settings = small(preset="lab", learning_rate=1e-30, epochs=9, patience=2)
    training = trained(settings, tmp_path)
    assert training.ending == "early_stopping"
    assert training.progress.epochs == 3
    assert training.kept_epoch == 1


def test_only_the_last_and_the_best_checkpoint_stay(tmp_path: Path) -> None:
    training = trained(small(epochs=4), tmp_path)
    kept = {4, training.progress.best_epoch}
    assert {path.name for path in tmp_path.iterdir()} == {f"epoch-{n:04d}" for n in kept}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = keras.Model.save

    def fail_in_the_second_epoch(model: Any, path: Path) -> None:
        write(model, path)
        if list(tmp_path.glob("epoch-*")):
            raise OSError("No space left on device")

    monkeypatch.setattr(keras.Model, "save", fail_in_the_second_epoch)
    with pytest.raises(OSError, match="No space left"):
        trained(small(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001"]
    monkeypatch.undo()
    assert trained(small(), tmp_path).progress.epochs == 3


class Reader:
    """Items of which one cannot be read any more from some epoch on."""

    def __init__(self, items: np.ndarray, damaged_in: str | None) -> None:
        self._items = items
        self._damaged_in = damaged_in
        self.part = ""

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        if self.part == self._damaged_in and 77 in indices:
            raise ValueError("The image 77.png cannot be decoded.")
        return self._items[indices]


def test_an_item_that_cannot_be_read_is_told_of_and_nothing_is_lost(tmp_path: Path) -> None:
    settings = small(epochs=2, loss=ls.losses.contrastive)
    items, labels = digits(0, 400)
    reader = Reader(items, "second")
    later = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _: setattr(reader, "part", ["first", "second"][epoch])
    )
    with pytest.raises(ReadingError, match=r"^The image 77\.png cannot be decoded\.$"):
        train(settings, LabelledItems(reader, labels), digits(400, 500), tmp_path, [later])
    readable = Reader(items, None)
    training = train(settings, LabelledItems(readable, labels), digits(400, 500), tmp_path)
    assert training.ending == "finished"
    assert len(training.progress.history["loss"]) == 2


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    items, labels = digits(0, 400)
    items[:50] = np.nan  # spoils every weight in the first epoch
    with pytest.raises(ValueError, match=r"has diverged.*smaller learning rate"):
        train(small(), LabelledItems(items, labels), digits(400, 500), tmp_path)
