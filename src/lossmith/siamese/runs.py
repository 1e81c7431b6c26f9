"""Run folders: everything that a training leaves behind, in one place."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from lossmith.files import moved_into_place, read_json, write_text
from lossmith.siamese.network import SiameseNetwork
from lossmith.siamese.saved_models import load_model

_CONFIG = "config.json"


class RunFolder:
    """The folder of one training.

    It holds `config.json` from the start, `checkpoints/` while the training goes on, and in the
    end `model.keras` (a `SiameseNetwork` with its threshold), `history.json`, `metrics.json` and
    `report.html`. Each of them appears whole or not at all.

    Use `create` for a new one and `open` for one that is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Makes the folder, and those above it, with its configuration in it.

        Args:
            path: Where it is to be: nothing, or an empty folder.
            config: What the training is made with, as JSON can hold it.

        Raises:
            FileExistsError: If something is there already.
            NotADirectoryError: If it would be inside a file.
        """
        cls.check_free(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with moved_into_place(path) as temporary:
            temporary.mkdir()
            write_text(temporary / _CONFIG, _as_json(config))
            if path.exists():
                path.rmdir()
        return cls(path)

    @classmethod
    def check_free(cls, path: Path) -> None:
        """Refuses a path where `create` could make no run folder.

        Raises:
            FileExistsError: If something is there already.
            NotADirectoryError: If it would be inside a file.
        """
        for place in (path, *path.parents):
            if place.exists() and not place.is_dir():
                kind = FileExistsError if place == path else NotADirectoryError
                raise kind(f"{place} is a file, and a run needs a folder. Choose another path.")
        if not path.exists() or not any(path.iterdir()):
            return
        advice = "Choose another folder for the run"
        if (path / _CONFIG).is_file() and not cls(path).is_complete:
            advice += f", or go on with the training in it: {cls(path).resume_command}"
        raise FileExistsError(f"{path} exists and is not empty. {advice}.")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Gives the run folder at `path`.

        Raises:
            FileNotFoundError: If there is none.
        """
        if not (path / _CONFIG).is_file():
            raise FileNotFoundError(
                f"{path} is no run folder: it has no config.json. `lossmith train` makes one."
            )
        return cls(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other process from training in this folder meanwhile.

        The operating system lets go when the process ends, however it ends. On Windows nothing is
        held.

        Raises:
            BlockingIOError: If another process holds it.
        """
        with (self.path / _CONFIG).open("rb") as file:
            if sys.platform != "win32":
                import fcntl

                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BlockingIOError(
                        f"Another process is training in {self.path}. Wait until it has ended, or "
                        "end it; then go on with --resume."
                    ) from None
            yield

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The file of the network."""
        return self.path / "model.keras"

    @property
    def gallery(self) -> Path:
        """The file of the embedded images that `lossmith search` looks through."""
        return self.path / "gallery.npz"

    @property
    def report(self) -> Path:
        """The file of the report."""
        return self.path / "report.html"

    @property
    def is_complete(self) -> bool:
        """Whether the training came to its end, by itself, and left all its results."""
        metrics = self.path / "metrics.json"
        if not all(path.is_file() for path in (self.model, metrics, self.report)):
            return False
        return self._read(metrics.name).get("ending") != "interrupted"

    def config(self) -> dict[str, Any]:
        """What the training was made with.

        Raises:
            ValueError: If the file is not the JSON object that it should be.
        """
        return self._read(_CONFIG)

    @property
    def resume_command(self) -> str:
        """What to type to go on with the training."""
        data = self.config().get("data")
        source = data.get("source", "DATA") if isinstance(data, dict) else "DATA"
        return shlex.join(["lossmith", "train", source, "--out", str(self.path), "--resume"])

    def history(self) -> dict[str, Any]:
        """The figures of each epoch; empty before the training has come to an end."""
        return self._read("history.json") if (self.path / "history.json").is_file() else {}

    def load_network(self) -> SiameseNetwork:
        """The trained network with its threshold; nothing but registered classes is loaded.

        Raises:
            FileNotFoundError: If the training has not come to an end.
            ValueError: If the file is broken, or holds anything but a network with a threshold.
        """
        if not self.model.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no trained network yet. Go on with the training: "
                f"{self.resume_command}"
            )
        network = load_model(self.model, compile=False)
        if not isinstance(network, SiameseNetwork) or network.threshold is None:
            raise ValueError(f"{self.model} is not a SiameseNetwork with a threshold.")
        return network

    def save_results(
        self, network: SiameseNetwork, history: Mapping[str, Any], metrics: Mapping[str, Any]
    ) -> None:
        """Saves the network, the figures of the epochs and those of the evaluation."""
        with moved_into_place(self.model) as temporary:
            network.save(temporary)
        write_text(self.path / "history.json", _as_json(history))
        write_text(self.path / "metrics.json", _as_json(metrics))

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError(f"{path} should hold a JSON object, not a {type(content).__name__}.")
        return content


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
