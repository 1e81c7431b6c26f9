"""What can be seen of a training while it runs, and how it is interrupted."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lossmith.core.backend import keras
from lossmith_cli.messages import err, out


class Display(keras.callbacks.Callback):
    """A bar for the steps of the epoch, and a line for each epoch that is done."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        self._task = self._bar.add_task("")

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar; in a log, where there is none, says what the first line waits for."""
        self._bar.start()
        if not out.is_terminal:
            out.print("The first epoch compiles the training step, which takes a while.")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the bar back."""
        self._bar.reset(
            self._task,
            total=self.params["steps"],
            description=f"epoch {epoch + 1}/{self._epochs}",
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar on."""
        self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the line, unless the epoch was broken off."""
        if "val_auc" not in logs:
            return
        out.print(
            f"epoch {epoch + 1:2d}/{self._epochs}  loss {logs['loss']:.4f} | validation loss "
            f"{logs['val_loss']:.4f} accuracy {logs['val_accuracy']:.4f} AUC {logs['val_auc']:.4f}"
            f" | {logs['seconds']:.1f} s",
        )

    def close(self) -> None:
        """Takes the bar away; also when training ended with an error."""
        self._bar.stop()


class Interruption(keras.callbacks.Callback):
    """Ends a training after the current step once it is asked to."""

    def __init__(self, anything_saved: bool) -> None:
        super().__init__()
        self._requested = False
        self._anything_saved = anything_saved

    def request(self) -> None:
        """Asks for the end, and says what is kept."""
        self._requested = True
        kept = "complete epochs are kept" if self._anything_saved else "no epoch is complete yet"
        err.print(f"Stopping after this step; {kept}. Ctrl-C again stops at once.")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes that the epochs before this one are saved."""
        self._anything_saved |= epoch > 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the training if that was asked for."""
        if self._requested:
            self.model.stop_training = True


@contextmanager
def stopped_by_ctrl_c(anything_saved: bool) -> Iterator[Interruption]:
    """A callback that the first Ctrl-C triggers; a second one interrupts at once.

    Args:
        anything_saved: Whether epochs of an earlier run are kept already.
    """
    interruption = Interruption(anything_saved)
    previous = signal.getsignal(signal.SIGINT)

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interruption.request()

    signal.signal(signal.SIGINT, stop)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, previous)
