"""Time `lossmith.sweep` against one `model.fit` for each value, in the same run.

    KERAS_BACKEND=jax python benchmarks/sweep.py
    KERAS_BACKEND=jax python benchmarks/sweep.py --net large --values 4 16 --epochs 5

Both train the same models over the same data and validate after each epoch. "fit" makes, compiles
and trains a model for each value; "sweep" trains all of them. Times are whole, compile time
included. What a compile costs is told apart: the time with all epochs less that with one epoch is
that of `epochs - 1` epochs without compiling, and the rest of the time with one epoch, less one
such epoch, is what making and compiling take.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import _measure

_BACKENDS = {"jax": "jax", "tensorflow": "tensorflow-cpu", "torch": "torch"}


@dataclass(frozen=True)
class Net:
    """A multi-layer perceptron and how it is trained."""

    units: int
    batch_size: int
    rows: int


NETS = {"small": Net(32, 64, 2048), "large": Net(128, 256, 8192)}


@dataclass(frozen=True)
class Times:
    """Seconds for all epochs, and for the first one alone."""

    whole: float
    one_epoch: float

    def compile_time(self, epochs: int) -> float:
        """What the first epoch takes more than the others: making and compiling."""
        per_epoch = (self.whole - self.one_epoch) / max(1, epochs - 1)
        return max(0.0, self.one_epoch - per_epoch)


def timed(train: Callable[[int], object], epochs: int) -> Times:
    """Time a training with all epochs and with one, each from nothing."""
    found = []
    for number in (epochs, 1):
        start = time.perf_counter()
        train(number)
        found.append(time.perf_counter() - start)
    return Times(*found)


def compare(net: Net, thresholds: Sequence[float], epochs: int) -> tuple[Times, Times]:
    """Time a sweep, and one `fit` for each value."""
    import lossmith as ls  # isort: skip
    import keras
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(net.rows, 16)).astype("float32")
    y = np.sin(x.sum(axis=1)).astype("float32")
    validation = x[: net.rows // 8], y[: net.rows // 8]

    def make_model() -> keras.Model:
        hidden = [keras.layers.Dense(net.units, activation="relu") for _ in range(2)]
        model = keras.Sequential([keras.Input((16,)), *hidden, keras.layers.Dense(1)])
        model.compile("adam")
        return model

    def sweep(epochs: int) -> None:
        ls.sweep(
            make_model, ls.losses.huber, {"threshold": thresholds}, x, y,
            validation_data=validation, metric="mae", epochs=epochs, batch_size=net.batch_size,
            verbose=0,
        )  # fmt: skip

    def fits(epochs: int) -> None:
        for threshold in thresholds:
            keras.utils.set_random_seed(0)
            model = make_model()
            loss = ls.losses.huber(threshold=threshold)
            model.compile("adam", loss, weighted_metrics=["mae"])
            model.fit(
                x, y, validation_data=validation, epochs=epochs, batch_size=net.batch_size,
                validation_batch_size=net.batch_size, verbose=0,
            )  # fmt: skip

    return timed(sweep, epochs), timed(fits, epochs)


def row(name: str, count: int, sweep: Times, fits: Times, epochs: int) -> list[str]:
    """One line of the table."""
    compiling = [times.compile_time(epochs) for times in (sweep, fits)]
    trained = [times.whole - each for times, each in zip((sweep, fits), compiling, strict=True)]
    return [
        name,
        str(count),
        f"{sweep.whole:.2f}",
        f"{fits.whole:.2f}",
        f"{fits.whole / sweep.whole:.1f}",
        f"{compiling[0]:.2f}",
        f"{compiling[1]:.2f}",
        f"{trained[1] / trained[0]:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--net", choices=NETS, nargs="+", default=list(NETS))
    parser.add_argument("--values", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    _measure.pin_to(options.cores)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    backend = os.environ["KERAS_BACKEND"]
    compare(NETS["small"], [1.0], 1)  # what is done once in a process is not counted
    rows = []
    for name in options.net:
        for count in options.values:
            thresholds = [0.05 * 1.1**number for number in range(count)]
            pair = compare(NETS[name], thresholds, options.epochs)
            rows.append(row(name, count, *pair, options.epochs))
            print(" | ".join(rows[-1]), flush=True)
    header = [
        "net", "values", "sweep, s", "fit, s", "fit / sweep", "sweep: compile, s",
        "fit: compile, s", "fit / sweep without compiling",
    ]  # fmt: skip
    print(_measure.markdown(header, rows))
    packages = ["keras", _BACKENDS[backend], "numpy"]
    print(f"\n{_measure.environment(packages, options.cores)}; wall time; {options.epochs} epochs")


if __name__ == "__main__":
    main()
