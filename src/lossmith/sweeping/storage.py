"""A folder in which a sweep keeps the runs that have ended, and from which it goes on."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lossmith import files
from lossmith.sweeping.runs import Outcome, Run, Weights

_SETTINGS = "sweep.json"


class Memory:
    """Keeps the runs in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Outcome, Weights]] = {}

    def outcome(self, run: Run) -> Outcome | None:
        """How a run ended, `None` if it has not."""
        found = self._kept.get(run.address())
        return found and found[0]

    def weights(self, run: Run) -> Weights:
        """The weights of a run that has ended."""
        return self._kept[run.address()][1]

    def keep(self, run: Run, outcome: Outcome, weights: Weights) -> None:
        """Take a run that has ended."""
        self._kept[run.address()] = outcome, weights


class Folder:
    """Keeps the runs in a folder, a file for each, written whole or not at all.

    Raises:
        ValueError: if the folder holds something else, or a sweep with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._outcomes: dict[str, Outcome] = {}
        described = json.loads(json.dumps(settings))
        if (path / _SETTINGS).exists():
            _check_same(path, files.read_json(path / _SETTINGS), described)
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"sweep: {path} is there and holds no sweep; give a new folder.")
        else:
            path.mkdir(parents=True, exist_ok=True)
            files.write_text(path / _SETTINGS, json.dumps(described, indent=1))

    def outcome(self, run: Run) -> Outcome | None:
        """How a run ended, `None` if it has not."""
        address = run.address()
        if address not in self._outcomes and self._file(run).exists():
            self._outcomes[address] = Outcome.from_json(str(self._read(run)["outcome"]))
        return self._outcomes.get(address)

    def weights(self, run: Run) -> Weights:
        """The weights of a run that has ended."""
        found = self._read(run)
        return [found[f"w{number}"] for number in range(len(found) - 1)]

    def keep(self, run: Run, outcome: Outcome, weights: Weights) -> None:
        """Write a run that has ended."""
        arrays: dict[str, Any] = {f"w{number}": each for number, each in enumerate(weights)}
        arrays["outcome"] = np.array(outcome.to_json())
        with files.moved_into_place(self._file(run)) as temporary:
            np.savez(temporary, **arrays)
        self._outcomes[run.address()] = outcome

    def _file(self, run: Run) -> Path:
        return self._path / f"run-{run.address()}.npz"

    def _read(self, run: Run) -> dict[str, np.ndarray]:
        try:
            with np.load(self._file(run), allow_pickle=False) as found:
                return dict(found)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"sweep: {self._file(run)} is damaged ({error}); delete it, and it is trained anew."
            ) from error


def _check_same(path: Path, there: Any, wanted: Mapping[str, Any]) -> None:
    names = [name for name in wanted if not isinstance(there, dict) or there.get(name) !=
             wanted[name]]  # fmt: skip
    if names:
        raise ValueError(
            f"sweep: {path} holds a sweep that differs in {', '.join(names)}; give another folder. "
            "(Values of hyperparameters and seeds may be added to a sweep, nothing else.)"
        )
