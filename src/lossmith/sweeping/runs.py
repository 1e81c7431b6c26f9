"""One training of a sweep: what it is, how it goes, how it ended."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lossmith.core.hyperparameters import to_config
from lossmith.sweeping.ranking import Ranking

Weights = list[np.ndarray]


@dataclass(frozen=True)
class Run:
    """One training: a combination of hyperparameters and a seed."""

    hyperparameters: Mapping[str, Any]
    """The values of the candidate."""
    seed: int
    """The order of the batches: `numpy.random.default_rng([seed, epoch]).permutation(n)`."""
    start_seed: int
    """`keras.utils.set_random_seed(start_seed)` before `make_model()` gives its first weights."""

    def address(self) -> str:
        """A name for a file: equal exactly for equal runs."""
        text = json.dumps([_plain(self.hyperparameters), self.seed, self.start_seed])
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def _plain(values: Mapping[str, Any]) -> list[list[str]]:
    return sorted([name, _exact(value)] for name, value in values.items())


def _exact(value: Any) -> str:
    """A value in words that differ where the values do; `repr` shortens arrays."""
    config = to_config(value)
    return repr(value) if config is value else json.dumps(config, sort_keys=True)


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    status: str
    """`"finished"`, `"stopped early"`, `"diverged"` or, after Ctrl-C, `"not run"`."""
    metric: float = math.nan
    """The metric on the validation data, of the last epoch or, with `patience`, the best."""
    epochs: int = 0
    """How many were trained."""
    history: Mapping[str, list[float]] = field(default_factory=dict)
    """The values of each epoch, as in the `history` of `fit`."""

    def to_json(self) -> str:
        """The outcome as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


Ended = tuple[Run, Outcome, Weights]
"""A training that has ended: what it was, how it ended, and its weights."""
NOT_RUN = Outcome("not run")


class Progress:
    """Follows one training: its history, its best epoch, and whether it goes on."""

    def __init__(self, ranking: Ranking, epochs: int, patience: int | None) -> None:
        self._ranking, self._epochs, self._patience = ranking, epochs, patience
        self._history: dict[str, list[float]] = {}
        self._best: float | None = None
        self._waited = 0
        self.status: str | None = None
        self.metric = math.nan
        """As of the last epoch."""

    def record(self, logs: Mapping[str, Any]) -> bool:
        """Take the logs of one more epoch; return whether its weights are the ones to keep."""
        for name, value in logs.items():
            self._history.setdefault(name, []).append(float(value))
        self.metric = value = float(logs[f"val_{self._ranking.key_of_history(logs)}"])
        if not (math.isfinite(value) and math.isfinite(float(logs["loss"]))):
            self.status = "diverged"
            return False
        improved = self._patience is None or self._ranking.better(value, self._best)
        if improved:
            self._best, self._waited = value, 0
        else:
            self._waited += 1
        if self.epochs == self._epochs:
            self.status = "finished"
        elif self._patience is not None and self._waited >= self._patience:
            self.status = "stopped early"
        return improved

    @property
    def epochs(self) -> int:
        """How many have been recorded."""
        return len(self._history.get("loss", ()))

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch are wanted, and not those of the last."""
        return self._patience is not None

    @property
    def best(self) -> float | None:
        """The metric of the weights to keep."""
        return self._best

    def outcome(self) -> Outcome:
        """How it ended."""
        diverged = self.status == "diverged" or self._best is None
        metric = math.nan if diverged or self._best is None else self._best
        return Outcome(self.status or "not run", metric, self.epochs, self._history)


Watch = Callable[[Run, Progress], None]
"""Is told of a training after each of its epochs."""
