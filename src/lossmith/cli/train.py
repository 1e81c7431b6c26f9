"""`lossmith train`."""

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from lossmith.cli import results
from lossmith.cli.data import RunConfig, describe, load_images, split
from lossmith.cli.messages import INTERRUPTED, err, note, out, print_report
from lossmith.cli.progress import Display, stopped_by_ctrl_c
from lossmith.core import Loss, get
from lossmith.core.backend import keras
from lossmith.datasets import Split
from lossmith.siamese.figures import VerificationReport
from lossmith.siamese.runs import RunFolder
from lossmith.siamese.settings import Preset, TrainingSettings, settings_for
from lossmith.siamese.training import LabelledItems, NoEpochError, Training, train


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; what was left out is `None` or not there."""

    source: str
    out: Path
    preset: Preset
    given: Mapping[str, Any]
    loss: str | None
    hyperparameters: Mapping[str, Any]
    image_size: tuple[int, int] | None

    def settings(self, default_loss: Loss) -> dict[str, Any]:
        """The settings that were asked for.

        Args:
            default_loss: What hyperparameters are for when no loss is named.

        Raises:
            ValueError: If there is no such loss, or a hyperparameter does not fit it.
        """
        if self.loss is None and not self.hyperparameters:
            return dict(self.given)
        loss = default_loss if self.loss is None else get(self.loss)
        if not isinstance(loss, Loss):
            raise ValueError(f"{self.loss} is not one of the losses that `lossmith list` shows.")
        try:
            return {**self.given, "loss": loss(**self.hyperparameters)}
        except TypeError as error:
            raise ValueError(str(error)) from error


def start(request: Request) -> None:
    """Trains a network from the start into a new run folder."""
    data = load_images(request.source, request.image_size)
    given = request.settings(settings_for(len(data), request.preset).loss)
    # Which items are held out does not depend on how many are left, but the rest does.
    parts = split(data, settings_for(len(data), request.preset, **given))
    settings = settings_for(len(parts.train), request.preset, **given)
    config = {
        "lossmith": sys.modules["lossmith"].__version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "data": describe(request.source, data),
        "settings": settings.to_dict(),
    }
    run = RunFolder.create(request.out, config)
    _train(run, settings, parts)


def resume(request: Request) -> None:
    """Goes on with the training in a run folder, with the settings it was started with.

    Raises:
        ValueError: If the data or an option differ from those of the start.
    """
    run = RunFolder.open(request.out)
    config = RunConfig.of(run)
    settings = config.settings
    described = settings.to_dict()
    for name, value in request.settings(settings.loss).items():
        if getattr(settings, name) != value:
            raise ValueError(
                f"The training in {run.path} was started with {name} {described[name]!r}; it goes "
                "on with the same settings only. Leave the option out, or start another run."
            )
    stored = config.image_format
    is_folder = Path(request.source).is_dir()
    size = (stored.height, stored.width) if is_folder else request.image_size
    data = load_images(request.source, size)
    if describe(request.source, data) != config.data:
        raise ValueError(
            f"These are not the data that the training in {run.path} was started with "
            f"({config.data['source']}, {config.data['images']} images)."
        )
    _train(run, settings, split(data, settings))


def _train(run: RunFolder, settings: TrainingSettings, parts: Split) -> None:
    out.print(
        f"{len(parts.train):,} images to train on, {len(parts.validation):,} to choose the "
        f"threshold on, {len(parts.test):,} to test ({parts.train.image_format}, "
        f"{len(parts.train.class_names)} classes)."
    )
    try:
        with stopped_by_ctrl_c() as interruption, closing(Display(settings.epochs)) as display:
            training = train(
                settings,
                LabelledItems(parts.train.images, parts.train.labels),
                LabelledItems(parts.validation.images, parts.validation.labels),
                run.checkpoints,
                callbacks=[interruption, display],
            )
    except NoEpochError as error:
        err.print(
            f"Interrupted before the first epoch was complete. To start again:\n"
            f"  lossmith train DATA --out {run.path} --resume"
        )
        raise typer.Exit(INTERRUPTED) from error
    figures = _finish(run, settings, parts, training)
    _conclude(run, training, figures)


def _finish(
    run: RunFolder, settings: TrainingSettings, parts: Split, training: Training
) -> VerificationReport:
    """Chooses the threshold on the validation pairs and takes the figures of the test pairs."""
    network = training.network
    kind: results.TestPairs = "lab" if settings.pairing == "lab" else "balanced"
    validation = results.evaluate(network, parts.validation, "balanced", settings.seed).report()
    network.threshold = validation.best.threshold.value
    test = results.evaluate(network, parts.test, kind, settings.seed)
    figures = test.report()
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
        **_figures_of_pair_loss(settings, test),
    }
    history = dict(training.progress.history)
    run.save_results(network, history, metrics)
    results.write_html(
        run.report,
        test,
        figures,
        title=f"Same or different: {Path(run.config()['data']['source']).name}",
        config=run.config(),
        history=history,
        margin=settings.margin,
        notes=_notes(training),
        overwrite=True,
    )
    return figures


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


def _conclude(run: RunFolder, training: Training, figures: VerificationReport) -> None:
    for text in _notes(training):
        note(text)
    out.print(f"Trained in {training.progress.seconds:.0f} s. On images that were not trained on:")
    print_report(figures)
    out.print(f"Model, figures and report are in {run.path} (report.html).")
    if training.ending == "interrupted":
        err.print(f"To go on: lossmith train DATA --out {run.path} --resume")
        raise typer.Exit(INTERRUPTED)


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """`name=value` texts as a dictionary; values are read as JSON if they are, else as words.

    Raises:
        ValueError: If one has no name or no `=`.
    """
    parsed = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"Write a hyperparameter as name=value. Received: {text!r}.")
        try:
            parsed[name] = json.loads(value)
        except ValueError:
            parsed[name] = value
    return parsed
