"""What a sweep returns: a table, a plot, and the models."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lossmith.core import Loss
from lossmith.sweeping import models
from lossmith.sweeping.grid import with_values
from lossmith.sweeping.runs import NOT_RUN, Outcome, Run
from lossmith.sweeping.settings import Settings
from lossmith.sweeping.storage import Folder, Memory

_UNRANKED = ("diverged", "not run")


@dataclass(frozen=True)
class Row:
    """One candidate, over all seeds."""

    hyperparameters: Mapping[str, Any]
    """The values of the candidate."""
    runs: tuple[tuple[Run, Outcome], ...]
    """Its trainings, one for each seed."""

    @property
    def metrics(self) -> list[float]:
        """The metric of each seed; those that diverged, or did not run, are left out."""
        return [each.metric for _, each in self.runs if each.status not in _UNRANKED]

    @property
    def metric(self) -> float:
        """The mean of the metric over the seeds."""
        return float(np.mean(self.metrics)) if self.metrics else math.nan

    @property
    def spread(self) -> float:
        """The standard deviation of the metric over the seeds; NaN if there is only one."""
        return float(np.std(self.metrics, ddof=1)) if len(self.metrics) > 1 else math.nan

    @property
    def epochs(self) -> float:
        """The mean number of epochs trained."""
        return float(np.mean([outcome.epochs for _, outcome in self.runs]))

    @property
    def status(self) -> str:
        """As of the trainings, with counts where they differ."""
        found = [outcome.status for _, outcome in self.runs]
        names = list(dict.fromkeys(found))
        if len(names) == 1:
            return names[0]
        return ", ".join(f"{found.count(name)} {name}" for name in names)

    @property
    def is_ranked(self) -> bool:
        """Whether all its trainings came to an end, so that it may be the best."""
        return all(outcome.status not in _UNRANKED for _, outcome in self.runs)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        count = f"{len(self.runs)} run{'s' if len(self.runs) > 1 else ''}"
        return f"Row({values}, metric={self.metric:.6g}, {count}, {self.status})"


class SweepResult:
    """The candidates of a sweep, compared. Made by `lossmith.sweep`; print it to see the table."""

    def __init__(
        self,
        loss: Loss,
        settings: Settings,
        rows: Sequence[Row],
        kept: Memory | Folder,
    ) -> None:
        self._loss, self._settings, self._kept = loss, settings, kept
        self.rows = tuple(rows)
        """The candidates in the order of the grid."""

    @property
    def metric_name(self) -> str:
        """What they are ranked by."""
        histories = [each.history for row in self.rows for _, each in row.runs if each.history]
        return self._settings.ranking.key_of_history(histories[0])

    @property
    def interrupted(self) -> bool:
        """Whether trainings are missing, since Ctrl-C ended the sweep."""
        return any(outcome is NOT_RUN for row in self.rows for _, outcome in row.runs)

    @property
    def best(self) -> Row:
        """The candidate with the best mean metric among those of which no training diverged.

        Raises:
            ValueError: if there is none.
        """
        ranked = [row for row in self.rows if row.is_ranked]
        if not ranked:
            raise ValueError(
                "sweep: no candidate is there to be the best: each has a training that diverged or "
                "did not run. Try a smaller learning rate, or other values."
            )
        choose: Callable[..., Row] = min if self._settings.ranking.mode == "min" else max
        return choose(ranked, key=lambda row: row.metric)

    @property
    def best_loss(self) -> Loss:
        """The loss with the hyperparameters of the best candidate."""
        return with_values(self._loss, self.best.hyperparameters)

    @cached_property
    def best_model(self) -> Any:
        """The model of the best candidate, from its best seed: see `model`."""
        return self.model(self.best)

    def model(self, row: Row) -> Any:
        """The model of a candidate, from the seed with the best metric, ready to use and to save.

        It is compiled with the loss at the hyperparameters of the candidate, with the metric, and
        with a fresh optimizer.

        Args:
            row: one of `rows`.

        Raises:
            TypeError: if it is none of them.
            ValueError: if none of its trainings came to an end.
        """
        if not isinstance(row, Row):
            raise TypeError(f"sweep: model() takes one of result.rows; got {row!r}.")
        choose: Callable[..., Any] = min if self._settings.ranking.mode == "min" else max
        ended = [each for each in row.runs if each[1].status not in _UNRANKED]
        if not ended:
            raise ValueError(
                f"sweep: there is no model of {dict(row.hyperparameters)}: {row.status}."
            )
        run, _ = choose(ended, key=lambda each: each[1].metric)
        loss = with_values(self._loss, run.hyperparameters)
        model = models.make(self._settings, loss, run.start_seed)
        models.set_weights(model, self._kept.weights(run))
        return model

    @property
    def table(self) -> list[dict[str, Any]]:
        """The candidates, the best first; `pandas.DataFrame(result.table)` takes it."""
        sign = 1 if self._settings.ranking.mode == "min" else -1
        order = sorted(
            self.rows, key=lambda row: (not row.is_ranked, sign * np.nan_to_num(row.metric, nan=0))
        )
        return [
            {
                **row.hyperparameters,
                self.metric_name: row.metric,
                "spread": row.spread,
                "epochs": row.epochs,
                "status": row.status,
            }
            for row in order
        ]

    def __str__(self) -> str:
        table = self.table
        header = list(table[0])
        lines = [header, *([_shown(value) for value in row.values()] for row in table)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        return "\n".join(
            "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
            for line in lines
        )

    __repr__ = __str__

    def plot(self, over: str | None = None) -> Any:
        """Draw the metric against a hyperparameter, a line for each combination of the others.

        Bars show the standard deviation over the seeds; what diverged or did not run is left out.

        Args:
            over: the hyperparameter; the first one if not given.

        It needs Matplotlib.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig(path)` saves it.

        Raises:
            ValueError: if that hyperparameter was not swept.
        """
        from lossmith.sweeping.figure import metric_against

        return metric_against(self, over)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
