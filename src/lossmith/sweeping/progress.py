"""Shows how far a sweep is."""

from lossmith.core.backend import keras
from lossmith.sweeping.ranking import Ranking
from lossmith.sweeping.runs import Progress, Run


class Display:
    """A progress bar over the epochs of all trainings, with the best metric so far."""

    def __init__(self, epochs: int, ranking: Ranking, verbose: int) -> None:
        self._ranking, self._verbose = ranking, verbose
        self._bar = keras.utils.Progbar(epochs, unit_name="epoch", stateful_metrics=["best"])
        self._done = 0
        self._best: float | None = None

    def watch(self, run: Run, progress: Progress) -> None:
        """Show that an epoch of a training is done."""
        best = progress.best
        self._done += 1
        if best is not None and self._ranking.better(best, self._best):
            self._best = best
        if self._verbose:
            shown = [] if self._best is None else [("best", self._best)]
            self._bar.update(self._done, shown, finalize=False)

    def finish(self) -> None:
        """End the line."""
        if self._verbose and self._done:
            self._bar.update(self._done, finalize=True)
