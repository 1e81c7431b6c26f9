"""`lossmith train`."""

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

import lossmith
from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.datasets import LabelledImages, Split, is_folder
from lossmith.siamese.batches import batch_shape
from lossmith.siamese.checkpoints import Checkpoints
from lossmith.siamese.figures import VerificationReport
from lossmith.siamese.retrieval import RetrievalReport
from lossmith.siamese.runs import RunFolder
from lossmith.siamese.settings import Preset, TrainingSettings, settings_for
from lossmith.siamese.trainable_losses import (
    CentresToLearn,
    loss_or_centres,
    own_distance,
    takes_views,
)
from lossmith.siamese.training import (
    LabelledItems,
    NoEpochError,
    ReadingError,
    Training,
    train,
)
from lossmith_cli import results
from lossmith_cli.data import RunConfig, check_readable, describe, load_images, split
from lossmith_cli.messages import busy_with, err, note, out
from lossmith_cli.progress import Display, stopped_by_ctrl_c
from lossmith_cli.start_up import INTERRUPTED

_FEW_IMAGES = 100
_ON_DEFAULT_LOSS = (
    " That is the loss where none is named: name the one that has it, such as --loss contrastive "
    "for a margin."
)


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; what was left out is `None` or not there."""

    source: str
    out: Path
    preset: Preset | None
    given: Mapping[str, Any]
    loss: str | None
    hyperparameters: Mapping[str, Any]
    image_size: tuple[int, int] | None

    def settings(self, default_loss: Loss) -> dict[str, Any]:
        """The settings that were asked for, as `settings_for` takes them.

        Args:
            default_loss: What hyperparameters are for when no loss is named.

        Raises:
            ValueError: If there is no such loss, or a hyperparameter does not fit it.
        """
        if self.loss is None and not self.hyperparameters:
            return dict(self.given)
        loss = default_loss if self.loss is None else _loss_named(self.loss)
        hyperparameters = dict(self.hyperparameters)
        if own_distance(loss) and "distance" in self.given:
            hyperparameters["distance"] = self.given["distance"]
        try:
            return {**self.given, "loss": loss(**hyperparameters)}
        except TypeError as error:
            advice = _ON_DEFAULT_LOSS if self.loss is None else ""
            raise ValueError(f"{error}{advice}") from error


def _loss_named(name: str) -> Loss | CentresToLearn:
    place, colon, own = name.rpartition(":")
    if colon:
        module = place.removesuffix(".py").replace("/", ".")
        raise ValueError(
            f"--loss takes a name that `lossmith list` shows; got {name!r}. Train with a loss of "
            f"your own from Python: `from {module} import {own}`, then network.compile('adam', "
            f"{own}) and network.fit(lossmith.siamese.LabelPairs(x, labels)) with one of pair "
            "labels, or network.fit(lossmith.siamese.ClassBatches(x, labels)) with one of class "
            "ids."
        )
    try:
        return loss_or_centres(name)
    except ValueError as error:
        if isinstance(error.__cause__, TypeError):  # it is known, and lacks a value
            raise
        raise ValueError(
            f"{error} This command imports none: train with such a loss from Python."
        ) from error


def start(request: Request) -> None:
    """Trains a network from the start into a new run folder.

    Raises:
        FileExistsError: If there is something in the place of the run folder.
        ValueError: If data and settings do not fit each other.
    """
    RunFolder.check_free(request.out)
    preset = request.preset or "default"
    given = request.settings(settings_for(1, preset).loss)
    # Refuses what no images make right, and says which are held out; the rest depends on them.
    before_reading = settings_for(1, preset, **given)
    data = load_images(request.source, request.image_size)
    parts = split(data, before_reading)
    classes = len(np.unique(parts.train.labels))
    settings = settings_for(len(parts.train), preset, classes=classes, **given)
    check_readable(data)
    config = {
        "lossmith": lossmith.__version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "data": describe(request.source, data),
        "preset": preset,
        "settings": settings.to_dict(),
    }
    run = RunFolder.create(request.out, config)
    with run.held():
        _train(run, settings, parts, data.notes)


def resume(request: Request) -> None:
    """Goes on with the training in a run folder, with the settings it was started with.

    Raises:
        ValueError: If the data or an option differ from those of the start.
        BlockingIOError: If another process is training in the folder.
    """
    run = RunFolder.open(request.out)
    with run.held():
        _go_on(run, request)


def _go_on(run: RunFolder, request: Request) -> None:
    config = RunConfig.of(run)
    settings = config.settings
    described = settings.to_dict()
    if request.preset not in (None, config.preset):
        raise _other_setting(run, "preset", config.preset)
    for name, value in request.settings(settings.loss).items():
        if isinstance(value, CentresToLearn):
            value = value.learned_as_in(settings.loss)
        if getattr(settings, name) != value:
            raise _other_setting(run, name, described[name])
    stored = (config.image_format.height, config.image_format.width)
    if request.image_size not in (None, stored):
        raise _other_setting(run, "image_size", f"{stored[0]} x {stored[1]}")
    size = stored if is_folder(request.source) else request.image_size
    data = load_images(request.source, size)
    if difference := config.difference_of(data):
        raise ValueError(
            f"These are not the data that the training in {run.path} was started with "
            f"({config.data['source']}): {difference}. Which images are held out depends on all of "
            "them, so it goes on with the same ones only; to train on others, start another run."
        )
    if run.is_complete:
        out.print(
            f"The training in {run.path} has come to its end; there is nothing to go on with. Its "
            "figures are in metrics.json and report.html. To train for longer, start another run."
        )
        return
    _train(run, settings, split(data, settings), data.notes)


def _other_setting(run: RunFolder, name: str, value: Any) -> ValueError:
    return ValueError(
        f"The training in {run.path} was started with {name} {value!r}; it goes on with the same "
        "settings only. Leave the option out, or start another run."
    )


def _train(
    run: RunFolder, settings: TrainingSettings, parts: Split, data_notes: tuple[str, ...]
) -> None:
    out.print(
        f"{len(parts.train):,} images to train on, {len(parts.validation):,} to choose the "
        f"threshold on, {len(parts.test):,} to test ({parts.train.image_format}, "
        f"{len(parts.train.class_names)} classes)."
    )
    for text in _on_validation_loss(settings, parts):
        note(text)
    try:
        training = _fit(run, settings, parts)
        with busy_with("Measuring on images that were not trained on"):
            figures, retrieval = _finish(run, settings, parts, training, data_notes)
    except ReadingError as error:
        raise ValueError(
            f"{error} Complete epochs are kept. With the images as they were, go on with: "
            f"{run.resume_command}"
        ) from error
    except NoEpochError as error:
        err.print(
            "Interrupted before the first epoch was complete: no network was saved. "
            f"To start again with the same settings: {run.resume_command}"
        )
        raise typer.Exit(INTERRUPTED) from error
    except KeyboardInterrupt as interrupt:
        err.print(f"Interrupted. To go on from the last complete epoch: {run.resume_command}")
        raise typer.Exit(INTERRUPTED) from interrupt
    _conclude(run, training, figures, retrieval)


def _fit(run: RunFolder, settings: TrainingSettings, parts: Split) -> Training:
    is_going_on = Checkpoints(run.checkpoints).progress().epochs > 0
    with (
        stopped_by_ctrl_c(is_going_on) as interruption,
        closing(Display(settings.epochs)) as display,
    ):
        return train(
            settings,
            LabelledItems(parts.train.images, parts.train.labels),
            LabelledItems(parts.validation.images, parts.validation.labels),
            run.checkpoints,
            callbacks=[interruption, display],
        )


def _finish(
    run: RunFolder,
    settings: TrainingSettings,
    parts: Split,
    training: Training,
    data_notes: tuple[str, ...],
) -> tuple[VerificationReport, RetrievalReport]:
    """Chooses the threshold on the validation pairs and takes the figures of the test images."""
    network = training.network
    kind = results.test_pairs_of(settings)
    validation = results.evaluate(network, parts.validation, "balanced", settings.seed).report()
    network.threshold = validation.best.threshold.value
    test = results.evaluate(network, parts.test, kind, settings.seed)
    figures, retrieval = test.report(), test.retrieval()
    metrics = {
        "ending": training.ending,
        "epochs": training.progress.epochs,
        "kept_epoch": training.kept_epoch,
        "training_seconds": training.progress.seconds,
        "threshold": network.threshold,
        "test_images": len(parts.test),
        "test_pairs": kind,
        "test": figures.to_dict(),
        "validation": validation.to_dict(),
        "retrieval": retrieval.to_dict(),
        **_figures_of_pair_loss(settings, test),
    }
    history = dict(training.progress.history)
    run.save_results(network, history, metrics)
    results.write_html(
        run.report,
        test,
        figures,
        retrieval,
        title=f"Same or different: {Path(run.config()['data']['source']).name}",
        config=run.config(),
        history=history,
        margin=settings.margin,
        notes=(
            *_notes(training),
            *_on_threshold(parts, validation),
            *_on_validation_loss(settings, parts),
            *data_notes,
        ),
        overwrite=True,
    )
    return figures, retrieval


def _figures_of_pair_loss(settings: TrainingSettings, test: results.Evaluation) -> dict[str, float]:
    """The loss of the test pairs, and the accuracy half-way to the margin as the lab takes it."""
    if settings.loss.targets != "pair":
        return {}
    found = {"test_loss": float(settings.loss(test.same, test.distances))}
    if settings.margin is not None:
        called_same = test.distances < settings.margin / 2
        found["test_accuracy_at_half_margin"] = float((called_same == (test.same == 1)).mean())
    return found


def _notes(training: Training) -> tuple[str, ...]:
    done = training.progress.epochs
    if training.ending == "interrupted":
        return (f"The training was interrupted after epoch {done}.",)
    if training.ending == "early_stopping":
        return (
            f"The training ended after epoch {done}, since validation had not become better since "
            f"epoch {training.kept_epoch}, whose weights are used.",
        )
    return ()


def _on_threshold(parts: Split, validation: VerificationReport) -> tuple[str, ...]:
    if len(parts.validation) >= _FEW_IMAGES:
        return ()
    threshold = validation.best.threshold
    return (
        f"The threshold was chosen on {len(parts.validation)} images only: with others it could "
        f"have been anything from {threshold.low:.4f} to {threshold.high:.4f}.",
    )


def _on_validation_loss(settings: TrainingSettings, parts: Split) -> tuple[str, ...]:
    """A loss over all pairs of a batch is another figure where the batch is smaller."""
    if settings.pairing != "batch":
        return ()
    batch, held_out = (
        math.prod(batch_shape(_sizes(part), settings.batch_size, paired=takes_views(settings.loss)))
        for part in (parts.train, parts.validation)
    )
    if held_out >= batch:
        return ()
    return (
        f"Training and validation loss cannot be compared: one is over all pairs of {batch} "
        f"images, the other of {held_out}, as many as a batch of those for validation has.",
    )


def _sizes(part: LabelledImages) -> npt.NDArray[np.int64]:
    """The number of images of each class that has some."""
    return np.unique(part.labels, return_counts=True)[1].astype(np.int64)


def _conclude(
    run: RunFolder, training: Training, figures: VerificationReport, retrieval: RetrievalReport
) -> None:
    for text in _notes(training):
        note(text)
    out.print(f"Trained in {training.progress.seconds:.0f} s. On images that were not trained on:")
    results.print_report(figures, retrieval)
    out.print(f"Model, figures and report are in {run.path} (report.html).")
    if training.ending == "interrupted":
        err.print(f"To go on: {run.resume_command}")
        raise typer.Exit(INTERRUPTED)
