"""Time `lossmith.sweep` against one `model.fit` for each value, in the same run.

    KERAS_BACKEND=jax python benchmarks/sweep.py
    KERAS_BACKEND=jax python benchmarks/sweep.py --net large --values 4 16 --epochs 5

Both train the same models over the same data and validate after each epoch. "fit" makes, compiles
and trains a model for each value; "sweep" trains all of them. Times are whole, compile time
included. What making and compiling cost is told apart: the time to the end of the first epoch (for
a sweep, that of another one with one epoch), less the mean time of the others.
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


def seconds(train: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    train()
    return time.perf_counter() - start


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

    def fit(threshold: float) -> Times:
        start, ends = time.perf_counter(), []
        keras.utils.set_random_seed(0)
        model = make_model()
        model.compile("adam", ls.losses.huber(threshold=threshold), weighted_metrics=["mae"])
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
        )
        model.fit(
            x, y, validation_data=validation, epochs=epochs, batch_size=net.batch_size,
            validation_batch_size=net.batch_size, callbacks=[clock], verbose=0,
        )  # fmt: skip
        return Times(time.perf_counter() - start, ends[0] - start)

    swept = Times(seconds(lambda: sweep(epochs)), seconds(lambda: sweep(1)))
    each = [fit(threshold) for threshold in thresholds]
    return swept, Times(sum(one.whole for one in each), sum(one.one_epoch for one in each))


def row(name: str, count: int, sweep: Times, fits: Times, epochs: int) -> list[str]:
    """One line of the table."""
    compiling = [times.compile_time(epochs) for times in (sweep, fits)]
    return [
        name,
        str(count),
        f"{sweep.whole:.2f}",
        f"{fits.whole:.2f}",
        f"{fits.whole / sweep.whole:.1f}",
        f"{compiling[0]:.2f}",
        f"{compiling[1]:.2f}",
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
    rows = []
    for name in options.net:
        compare(NETS[name], [1.0], 1)  # what is done once for shapes in a process is not counted
        for count in options.values:
            thresholds = [0.05 * 1.1**number for number in range(count)]
            pair = compare(NETS[name], thresholds, options.epochs)
            rows.append(row(name, count, *pair, options.epochs))
            print(" | ".join(rows[-1]), flush=True)
    header = [
        "net", "values", "sweep, s", "fit, s", "fit / sweep", "sweep: compile, s",
        "fit: compile, s",
    ]  # fmt: skip
    print(_measure.markdown(header, rows))
    packages = ["keras", _BACKENDS[backend], "numpy"]
    print(f"\n{_measure.environment(packages, options.cores)}; wall time; {options.epochs} epochs")


if __name__ == "__main__":
    main()
