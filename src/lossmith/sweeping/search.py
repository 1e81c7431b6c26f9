"""Search with Optuna, for more hyperparameters than a grid can hold."""

import os
import threading
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from lossmith.core import Loss, backend
from lossmith.sweeping import grid, models
from lossmith.sweeping.runs import Ended, Progress, Run
from lossmith.sweeping.settings import check_loss, checked


class Objective:
    """What an Optuna study optimises: a metric after training with hyperparameters of a loss.

    Each trial is a training as `sweep` makes it, whose values Optuna suggests. The metric is
    reported after each epoch, so that the study's pruner can end trials that do not promise
    anything. All trials of a process share one compiled step, so that those of several threads
    (`n_jobs`) wait for each other. A training that diverges is pruned.

    Args:
        make_model: as in `sweep`.
        loss: a loss of lossmith.
        space: for each hyperparameter that is searched, an `optuna.distributions` one:
            `FloatDistribution(0.1, 10.0, log=True)`, `IntDistribution`,
            `CategoricalDistribution`. `base.threshold` is that of a loss `base`.
        x: inputs, as in `sweep`.
        y: targets.
        validation_data: as in `sweep`.
        metric: what is optimised, as in `sweep`: never the searched loss itself.
        sample_weight: weights of the samples in training.
        epochs: of each training.
        batch_size: of training and validation.
        shuffle: whether each epoch has an order of its own.
        seed: of the first weights and of the order of the samples, the same for all trials.
        optimizer: as in `sweep`.
        mode: `"min"` or `"max"` where the metric does not say which is better.
        patience: as in `sweep`.

    Raises:
        ImportError: if Optuna is not installed.
        TypeError: for an unknown hyperparameter, or what is no distribution.
        ValueError: for an empty space, bounds out of range, or a metric that is not comparable.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import lossmith as ls
    >>> from lossmith.sweeping import Objective, open_study
    >>> from optuna.distributions import FloatDistribution
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> def make_model():
    ...     model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    ...     model.compile("sgd")
    ...     return model
    >>> objective = Objective(
    ...     make_model, ls.losses.huber, {"threshold": FloatDistribution(0.1, 10.0, log=True)},
    ...     x, 2 * x[:, 0], validation_data=(x, 2 * x[:, 0]), metric="mae", epochs=2,
    ... )
    >>> objective.direction
    'minimize'
    """

    def __init__(
        self,
        make_model: Callable[..., Any],
        loss: Loss,
        space: Mapping[str, Any],
        x: Any,
        y: Any,
        *,
        validation_data: Any,
        metric: Any,
        sample_weight: Any = None,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        optimizer: Any = None,
        mode: str | None = None,
        patience: int | None = None,
    ) -> None:
        check_loss(loss)
        self._loss = loss
        self._suggest = _suggestions(loss, space)
        self._settings = checked(
            make_model, loss, space, x, y, validation_data=validation_data, metric=metric,
            sample_weight=sample_weight, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
            optimizer=optimizer, mode=mode, patience=patience,
        )  # fmt: skip
        self._seed = seed
        self._trainers: dict[Any, Any] = {}
        self._one_at_a_time = threading.RLock()

    @property
    def direction(self) -> str:
        """What `optuna.create_study` has to be told."""
        return "minimize" if self._settings.ranking.mode == "min" else "maximize"

    def __call__(self, trial: Any) -> float:
        """Train with what the trial suggests; return the metric on the validation data.

        Raises:
            optuna.TrialPruned: if the pruner ends the trial, or the training diverges.
        """
        optuna = _optuna()

        def watch(run: Run, progress: Progress) -> None:
            if progress.status == "diverged":
                raise optuna.TrialPruned(f"diverged in epoch {progress.epochs}")
            trial.report(progress.metric, progress.epochs - 1)
            if progress.status is None and trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {progress.epochs}")

        _, outcome, _ = self._train(trial, watch)
        return outcome.metric

    def model(self, params: Mapping[str, Any]) -> Any:
        """Train again with the values of a trial, as `study.best_params`; return the model.

        It is compiled with the loss at these values, ready to use and to save.

        Raises:
            ValueError: if a value is missing, or the training diverges.
        """
        trial = _optuna().trial.FixedTrial(dict(params))
        with self._one_at_a_time:
            run, outcome, weights = self._train(trial, lambda run, progress: None)
            if outcome.status == "diverged":
                raise ValueError(f"sweep: the training with {dict(params)} diverges.")
            loss = grid.with_values(self._loss, run.hyperparameters)
            model = models.make(self._settings, loss, run.start_seed)
            models.set_weights(model, weights)
        return model

    def _train(self, trial: Any, watch: Callable[[Run, Progress], None]) -> Ended:
        values = {name: suggest(trial) for name, suggest in self._suggest.items()}
        ((program, _),) = grid.programs(self._loss, [values])
        names = tuple(grid.split(self._loss, values)[0])
        run = Run(values, self._seed, self._seed)
        with self._one_at_a_time:
            if (program, names) not in self._trainers:
                trainer = backend.choose("lossmith.sweeping.trainers").Trainer
                self._trainers[program, names] = trainer(program, names, self._settings)
            (ended,) = self._trainers[program, names].train([run], watch)
        found: Ended = ended
        return found


def open_study(storage: Any, name: str, objective: Objective, **settings: Any) -> Any:
    """Open an Optuna study that many workers share, or make it.

    Workers are processes, on one machine or on many, that open the study by the same storage and
    name and call `study.optimize(objective, n_trials=...)`. One that is killed costs its trial
    only: in a database another worker takes the trial up again after a minute or two; in a journal
    file it stays "running", and nobody waits for it.

    Args:
        storage: the path of a journal file (on a network file system too), the URL of a database
            (`"sqlite:///study.db"`), or a storage of Optuna.
        name: of the study in the storage.
        objective: says whether the metric is minimised or maximised.
        **settings: others of `optuna.create_study`, as `sampler` and `pruner`.

    Returns:
        The `optuna.Study`.

    Raises:
        ImportError: if Optuna is not installed.
    """
    return _optuna().create_study(
        study_name=name,
        storage=_storage(storage),
        direction=objective.direction,
        load_if_exists=True,
        **settings,
    )


def _storage(given: Any) -> Any:
    optuna = _optuna()
    storages = optuna.storages
    if isinstance(given, str) and "://" in given:
        with warnings.catch_warnings():
            # Optuna's heartbeat is marked as experimental, and whoever calls has not chosen it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            retry = storages.RetryHeartbeatStaleTrialCallback(max_retry=3)
            return storages.RDBStorage(
                given, heartbeat_interval=30, heartbeat_stale_trial_callback=retry
            )
    if isinstance(given, str | os.PathLike):
        return storages.JournalStorage(storages.journal.JournalFileBackend(os.fspath(given)))
    return given


def _suggestions(loss: Loss, space: Any) -> dict[str, Callable[[Any], Any]]:
    """For each hyperparameter a function that asks a trial for a value."""
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            "sweep: nothing to search; give a distribution for one hyperparameter or more, as in "
            f"{{'threshold': FloatDistribution(0.1, 10.0, log=True)}}; got {space!r}."
        )
    return {name: _suggestion(loss, name, given) for name, given in space.items()}


def _suggestion(loss: Loss, name: str, given: Any) -> Callable[[Any], Any]:
    kinds = _optuna().distributions
    if isinstance(given, kinds.CategoricalDistribution):
        method, arguments, ends = "categorical", {"choices": given.choices}, given.choices
    elif isinstance(given, kinds.FloatDistribution | kinds.IntDistribution):
        method = "float" if isinstance(given, kinds.FloatDistribution) else "int"
        arguments = {each: getattr(given, each) for each in ("low", "high", "step", "log")}
        ends = given.low, given.high
    else:
        raise TypeError(
            f"sweep: `{name}` takes a distribution of Optuna, such as "
            f"optuna.distributions.FloatDistribution(0.1, 10.0, log=True); got {given!r}."
        )
    for each in ends:
        grid.bound(loss, name, each)
    return lambda trial: getattr(trial, f"suggest_{method}")(name, **arguments)


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "Search needs Optuna, which is not installed: pip install 'lossmith[tune]'."
        ) from error
    return optuna
