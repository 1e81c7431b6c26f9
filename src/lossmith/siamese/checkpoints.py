"""Checkpoints: a training after each epoch, on disk, so that it can go on from there."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from lossmith.core.backend import keras
from lossmith.files import moved_into_place, read_json, write_text
from lossmith.siamese.network import SiameseNetwork
from lossmith.siamese.saved_models import load_model


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        history: Figures per finished epoch by name.
        seconds: How long it took so far.
    """

    history: Mapping[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.history.get("loss", []))

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest validation AUC, counted from 1; 0 if there is none."""
        areas = self.history.get("val_auc", [])
        return areas.index(max(areas)) + 1 if areas else 0

    def after_epoch(self, figures: Mapping[str, float], seconds: float) -> Self:
        """The progress with one epoch more."""
        history = {name: [*self.history.get(name, []), v] for name, v in figures.items()}
        return type(self)(history, seconds)


class Checkpoints:
    """The last and the best epoch of a training, each in a folder of its own.

    A folder appears whole or not at all. It holds the network with the state of its optimizer and
    the progress up to there.

    Args:
        folder: Where the folders of the epochs are; made when the first one is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, network: SiameseNetwork, progress: Progress) -> None:
        """Saves the network after an epoch, and takes away those that are no longer needed."""
        self._folder.mkdir(exist_ok=True)
        with moved_into_place(self._path(progress.epochs)) as temporary:
            temporary.mkdir()
            network.save(temporary / "model.keras")
            write_text(temporary / "progress.json", json.dumps(asdict(progress)))
            states = [keras.ops.convert_to_numpy(v).tolist() for v in _random_states(network)]
            write_text(temporary / "random.json", json.dumps(states))
        for epoch in set(self._saved()) - {progress.epochs, progress.best_epoch}:
            shutil.rmtree(self._path(epoch))

    def progress(self) -> Progress:
        """How far the training had come when its last epoch was saved.

        Raises:
            ValueError: If the file that says so is damaged; the message names it.
        """
        saved = self._saved()
        if not saved:
            return Progress()
        path = self._path(max(saved)) / "progress.json"
        content = read_json(path)
        try:
            return Progress(dict(content["history"]), float(content["seconds"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not as a training wrote it: {error!r}.") from error

    def load(self, epoch: int) -> SiameseNetwork:
        """The network after an epoch, ready to be trained on.

        Raises:
            FileNotFoundError: If that epoch is not here.
            ValueError: If a file of it is damaged, or of an earlier lossmith that trained the
                encoder alone; the message names it.
        """
        path = self._path(epoch) / "model.keras"
        network = load_model(path)
        if not isinstance(network, SiameseNetwork):
            raise ValueError(
                f"{path} holds no SiameseNetwork but a {type(network).__name__}, as an earlier "
                "lossmith kept for losses of class ids. Its training had other batches and cannot "
                "go on here: start another run."
            )
        states = read_json(self._path(epoch) / "random.json")
        for variable, state in zip(_random_states(network), states, strict=True):
            variable.assign(state)
        return network

    def _saved(self) -> list[int]:
        epochs = (path.name.removeprefix("epoch-") for path in self._folder.glob("epoch-*"))
        return [int(epoch) for epoch in epochs if epoch.isdecimal()]

    def _path(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04d}"


def _random_states(network: SiameseNetwork) -> list[Any]:
    """Where dropout is in its sequences, which Keras does not save with the network."""
    return [v for v in network.non_trainable_variables if v.path.endswith("seed_generator_state")]
