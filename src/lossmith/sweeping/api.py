"""`lossmith.sweep`."""

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lossmith.core import Loss, backend
from lossmith.core.backend import keras
from lossmith.sweeping import grid, models
from lossmith.sweeping.progress import Display
from lossmith.sweeping.result import Row, SweepResult
from lossmith.sweeping.runs import NOT_RUN, Run
from lossmith.sweeping.settings import Settings, check_loss, checked
from lossmith.sweeping.storage import Folder, Memory


def sweep(
    make_model: Callable[..., Any],
    loss: Loss,
    values: Mapping[str, Iterable[Any]],
    x: Any,
    y: Any,
    *,
    validation_data: Any,
    metric: Any,
    sample_weight: Any = None,
    epochs: int = 1,
    batch_size: int = 32,
    shuffle: bool = True,
    seeds: Iterable[int] = (0,),
    same_start: bool = True,
    optimizer: Any = None,
    mode: str | None = None,
    patience: int | None = None,
    memory_limit: int = 2**30,
    folder: Any = None,
    verbose: int = 1,
) -> SweepResult:
    """Train a model for every combination of a loss' hyperparameters, and compare them.

    Each candidate gives the numbers that `fit` would give, from the same start over the same
    batches. On JAX all of them are one compiled program, which trains many at a time; on TensorFlow
    and PyTorch one compiled step serves all, one after the other.

    A training is determined by two seeds, which `result.rows[...].runs` tell: its model is what
    `make_model()` returns after `keras.utils.set_random_seed(start_seed)`, and in epoch `e` (from
    0) it takes the samples in the order `numpy.random.default_rng([seed, e]).permutation(n)`, a
    last shorter batch included. Keras' random seed is therefore another after a sweep.

    What is no real number (a word, an integer, a flag) can be swept as well: it is built into the
    step, so that each such value compiles one. A formula that decides by `if` on a real number
    cannot be compiled for many values, and needs `keras.ops.where`.

    Args:
        make_model: returns a new model of the same shape each time: any Keras model with one
            output, its own `train_step` included. It is called without arguments, or with the loss
            if it takes one: where other hyperparameters of the loss change or are learned, it puts
            `loss.state` into the model.
        loss: a loss of lossmith.
        values: a list for each hyperparameter that is swept; `base.threshold` is that of a loss
            `base`. All combinations are trained.
        x: inputs: an array, or a list or dictionary of arrays. Floating ones become `floatx`.
        y: targets.
        validation_data: `(x, y)` or `(x, y, sample_weight)`, by which candidates are compared.
        metric: what they are ranked by, the same for all: whatever `compile` takes as a weighted
            metric, or a loss with fixed hyperparameters, `loss(threshold=1.0)`. `"loss"` where only
            hyperparameters of a likelihood are swept, whose values are comparable.
        sample_weight: weights of the samples in training.
        epochs: of each training.
        batch_size: of training and validation.
        shuffle: whether each epoch has an order of its own.
        seeds: one or more; each candidate is trained with each of them. The spread over seeds tells
            which differences mean something.
        same_start: whether, for a seed, all candidates start from the same weights, as paired
            comparisons should; otherwise each starts from its own.
        optimizer: any of Keras, by name or as an object; of each training its own copy. By default
            the one that `make_model` compiles its model with.
        mode: `"min"` or `"max"` where the metric does not say which is better.
        patience: stop a training when the metric has not improved for so many epochs, and keep the
            weights of its best epoch; by default all epochs are trained and the last one counts.
        memory_limit: bytes that the compiled program may take on JAX; as many candidates are
            trained at a time as fit (at least one).
        folder: where trainings that have ended are kept. The same call goes on from there, and
            values and seeds may have been added; the backend, the model and its optimizer have to
            be the same, for which one more model is made. On JAX the trainings of one program end
            together.
        verbose: 0 shows nothing, 1 the progress.

    Returns:
        A `SweepResult`: `print(result)` shows the table, `result.best`, `result.best_model` and
        `result.best_loss` are the best candidate, `result.plot()` a figure. The weights of all
        trainings are kept, in memory or in `folder`. After Ctrl-C, the result of what has ended.

    Raises:
        TypeError: for an unknown hyperparameter, or data that are no arrays.
        ValueError: for an empty grid, a value out of range, models that differ in shape, a metric
            whose values are not comparable, or a folder of another sweep.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import lossmith as ls
    >>> x = np.linspace(-1, 1, 96)[:, None]
    >>> y = 2 * x[:, 0] + np.where(np.arange(96) % 4 == 0, 8.0, 0.0)  # a quarter is wrong
    >>> def make_model():
    ...     model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    ...     model.compile(keras.optimizers.SGD(0.2))
    ...     return model
    >>> result = ls.sweep(
    ...     make_model, ls.losses.huber, {"threshold": [0.5, 100.0]}, x, y,
    ...     validation_data=(x[:32], 2 * x[:32, 0]), metric="mae", epochs=20, verbose=0,
    ... )
    >>> dict(result.best.hyperparameters)
    {'threshold': 0.5}
    >>> result.best_model.loss
    Huber(threshold=0.5)
    """
    check_loss(loss)
    candidates = grid.combinations(loss, values)
    settings = checked(
        make_model, loss, values, x, y, validation_data=validation_data, metric=metric,
        sample_weight=sample_weight, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
        optimizer=optimizer, mode=mode, patience=patience, memory_limit=memory_limit,
    )  # fmt: skip
    runs = _runs(candidates, _seeds(seeds), same_start)
    kept = Memory() if folder is None else Folder(Path(folder), _described(loss, settings, shuffle))
    missing = sum(kept.outcome(run) is None for row in runs for run in row)
    display = Display(missing * epochs, settings.ranking, verbose)
    try:
        _train(loss, settings, runs, kept, display)
    except KeyboardInterrupt:
        _refuse_empty(runs, kept)
    display.finish()
    rows = [
        Row(each, tuple((run, kept.outcome(run) or NOT_RUN) for run in row))
        for each, row in zip(candidates, runs, strict=True)
    ]
    return SweepResult(loss, settings, rows, kept)


def _refuse_empty(runs: Sequence[Sequence[Run]], kept: Memory | Folder) -> None:
    """Go on after Ctrl-C with what has ended, if anything has.

    Raises:
        KeyboardInterrupt: if nothing has.
    """
    ended = sum(kept.outcome(run) is not None for row in runs for run in row)
    if not ended:
        raise KeyboardInterrupt
    warnings.warn(
        f"sweep: interrupted; {ended} of {sum(map(len, runs))} trainings have ended and are kept.",
        RuntimeWarning,
        stacklevel=3,
    )


def _train(
    loss: Loss,
    settings: Settings,
    runs: Sequence[Sequence[Run]],
    kept: Memory | Folder,
    display: Display,
) -> None:
    trainer = backend.choose("lossmith.sweeping.trainers").Trainer
    for program, numbers in grid.programs(loss, [row[0].hyperparameters for row in runs]):
        pending = _pending([runs[number] for number in numbers], kept)
        if not pending:
            continue
        names = list(grid.split(loss, dict(pending[0].hyperparameters))[0])
        for run, outcome, weights in trainer(program, names, settings).train(
            pending, display.watch
        ):
            if kept.outcome(run) is None:
                kept.keep(run, outcome, weights)


def _pending(rows: Sequence[Sequence[Run]], kept: Memory | Folder) -> list[Run]:
    """Every candidate that has not ended with every seed that has not, as one table of runs."""
    open_runs = [run for row in rows for run in row if kept.outcome(run) is None]
    seeds = {run.seed for run in open_runs}
    wanted = [row for row in rows if any(kept.outcome(run) is None for run in row)]
    return [run for row in wanted for run in row if run.seed in seeds]


def _runs(
    candidates: Sequence[grid.Values], seeds: Sequence[int], same_start: bool
) -> list[list[Run]]:
    return [
        [Run(values, seed, seed if same_start else _own_seed(values, seed)) for seed in seeds]
        for values in candidates
    ]


def _own_seed(values: grid.Values, seed: int) -> int:
    return int(Run(values, seed, seed).address()[:7], 16)


def _seeds(given: Any) -> list[int]:
    if not np.iterable(given) or isinstance(given, str):
        raise TypeError(f"sweep: seeds takes one or more integers, as range(3); got {given!r}.")
    seeds = [operator.index(each) for each in given]
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError(f"sweep: seeds must be one or more different integers >= 0; got {seeds}.")
    return seeds


def _described(loss: Loss, settings: Settings, shuffle: bool) -> dict[str, Any]:
    """What has to be the same for a sweep to go on from a folder."""
    model = models.make(settings, loss, seed=0)
    return {
        "loss": keras.saving.serialize_keras_object(loss),
        "backend": keras.backend.backend(),
        "the model": models.described(model),
        "optimizer": models.described_optimizer(model),
        "metric": settings.ranking.describe(),
        "mode": settings.ranking.mode,
        "x and y": settings.training.checksum(),
        "validation_data": settings.validation.checksum(),
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "patience": settings.patience,
        "shuffle": shuffle,
    }
