"""All candidates in one compiled program: JAX.

A step is the model's own `train_step`, which is stateless on JAX, with the loss' hyperparameters
traced. It is scanned over an epoch and mapped over the candidates, which share the batches of a
seed, and over seeds.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.sweeping import models
from lossmith.sweeping.grid import SweptLoss
from lossmith.sweeping.runs import Outcome, Progress, Run, Weights
from lossmith.sweeping.settings import Advance, Settings

Table = list[list[Run]]
"""Runs by seed and candidate."""
State = tuple[list[Any], list[Any], list[Any]]
"""Trainable variables, others, and those of the optimizer."""
Step = Callable[[Any, Any], tuple[Any, Any]]


def train(
    loss: Loss, names: Sequence[str], runs: Sequence[Run], settings: Settings, advance: Advance
) -> Iterator[tuple[Run, Outcome, Weights]]:
    """Train all runs, as many at a time as the memory limit allows; yield each when all have ended.

    Args:
        loss: the loss, in which the hyperparameters called `names` are replaced.
        names: of those that differ between the runs.
        runs: every seed with every candidate.
        settings: of the sweep.
        advance: is told of every epoch.
    """
    table = _by_seed(runs)
    program = Program(loss, names, settings, runs[0].start_seed)
    size = _fit_memory(program, table, settings.memory_limit)
    done = set()
    for block in _blocks(table, *size):
        for run, outcome, weights in _train_block(program, block, settings, advance):
            if run.address() not in done:
                done.add(run.address())
                yield run, outcome, weights


def _by_seed(runs: Sequence[Run]) -> Table:
    table: dict[int, list[Run]] = {}
    for run in runs:
        table.setdefault(run.seed, []).append(run)
    return list(table.values())


def _fit_memory(program: "Program", table: Table, limit: int) -> tuple[int, int]:
    """Compile the program for the largest block (seeds, candidates) that fits, at least one run."""
    seeds, candidates = len(table), len(table[0])
    while True:
        used = program.compile(seeds, candidates)
        if used <= limit or seeds * candidates == 1:
            return seeds, candidates
        runs = max(1, min(seeds * candidates - 1, int(seeds * candidates * limit / used)))
        candidates = _even(len(table[0]), min(candidates, runs))
        seeds = _even(len(table), max(1, min(seeds, runs // candidates)))


def _even(length: int, longest: int) -> int:
    """The length of equal parts that are no longer than `longest`."""
    return math.ceil(length / math.ceil(length / longest))


def _blocks(table: Table, seeds: int, candidates: int) -> Iterator[Table]:
    """Cut the table into blocks of one size, so that one program serves all.

    The last ones are moved back where they would stick out, so that some runs are in two.
    """
    for row in _cuts(len(table), seeds):
        for column in _cuts(len(table[0]), candidates):
            yield [each[column] for each in table[row]]


def _cuts(length: int, size: int) -> list[slice]:
    starts = [min(start, length - size) for start in range(0, length, size)]
    return [slice(start, start + size) for start in starts]


class Program:
    """One epoch of a block of runs, with the validation after it, as one compiled function."""

    def __init__(self, loss: Loss, names: Sequence[str], settings: Settings, seed: int) -> None:
        self._names = names
        self._settings = settings
        self._swept = SweptLoss(loss)
        self.model = models.make(settings, self._swept, seed)
        self._starts = {seed: models.start_of(self.model)}
        self._dtypes = [
            [keras.backend.standardize_dtype(each.dtype) for each in variables]
            for variables in (
                self.model.trainable_variables,
                self.model.non_trainable_variables,
                self.model.optimizer.variables,
            )
        ]
        self._metrics = [keras.ops.convert_to_numpy(each) for each in self.model.metrics_variables]
        self._data = jax.tree.map(
            jnp.asarray, (settings.training.arrays, settings.validation.arrays)
        )
        self._compiled: Any = None

    def compile(self, seeds: int, candidates: int) -> int:
        """Compile for a block of this size; return the bytes of memory that it takes."""
        by_candidate = jax.vmap(self._epoch, in_axes=(0, 0, None, None))
        by_seed = jax.vmap(by_candidate, in_axes=(0, None, 0, None))
        first = next(iter(self._starts.values()))
        state = jax.tree.map(
            lambda array, dtype: jax.ShapeDtypeStruct((seeds, candidates, *array.shape), dtype),
            tuple(first),
            tuple(self._dtypes),
        )
        values = {name: jnp.zeros(candidates, keras.config.floatx()) for name in self._names}
        orders = jnp.zeros((seeds, self._settings.training.size), "int32")
        lowered = jax.jit(by_seed, donate_argnums=0).lower(state, values, orders, self._data)
        self._compiled = lowered.compile()
        memory = self._compiled.memory_analysis()
        if memory is None:
            return 0
        return int(
            memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            + memory.temp_size_in_bytes
            - memory.alias_size_in_bytes
        )

    def start(self, block: Table) -> State:
        """The variables of all runs of a block before the first step."""
        for run in (run for row in block for run in row):
            if run.start_seed not in self._starts:
                made = models.start_of(models.make(self._settings, self._swept, run.start_seed))
                first = next(iter(self._starts.values()))
                models.check_shapes(first, made, run.start_seed)
                self._starts[run.start_seed] = made
        starts = [[tuple(self._starts[run.start_seed]) for run in row] for row in block]
        rows = [jax.tree.map(lambda *each: np.stack(each), *row) for row in starts]
        return jax.tree.map(
            lambda dtype, *each: jnp.asarray(np.stack(each), dtype), tuple(self._dtypes), *rows
        )

    def epoch(self, state: State, block: Table, number: int) -> tuple[State, Any, Any]:
        """Train one epoch and validate; return the variables and the logs of both."""
        dtype = keras.config.floatx()
        values = {
            name: jnp.asarray([run.hyperparameters[name] for run in block[0]], dtype)
            for name in self._names
        }
        orders = [self._settings.order(row[0].seed, number) for row in block]
        return self._compiled(state, values, jnp.asarray(np.stack(orders), "int32"), self._data)

    def _epoch(self, state: State, values: Any, order: Any, data: Any) -> tuple[State, Any, Any]:
        self._swept.tensors = values
        try:
            return self._trained(state, order, data)
        finally:
            self._swept.tensors = {}

    def _trained(self, state: State, order: Any, data: Any) -> tuple[State, Any, Any]:
        training, validation = data
        trained, logs = self._through(
            self.model.train_step, (*state, self._metrics), order, training
        )
        trainable, others, optimizer, _ = trained
        order = jnp.arange(self._settings.validation.size)
        validated, val_logs = self._through(
            self.model.test_step, (trainable, others, self._metrics), order, validation
        )
        return (trainable, validated[1], optimizer), logs, val_logs

    def _through(self, step: Step, state: Any, order: Any, data: Any) -> tuple[Any, Any]:
        """Take a step for each batch; the logs of the last are those of the epoch."""
        size = self._settings.batch_size
        full = len(order) // size

        def on_batch(state: Any, rows: Any) -> tuple[Any, Any]:
            batch = keras.tree.map_structure(lambda array: array[rows], data)
            logs, state = step(state, batch)
            return tuple(list(each) for each in state), logs

        logs: Any = None
        state = jax.tree.map(jnp.asarray, tuple(list(each) for each in state))
        if full:
            batches = order[: full * size].reshape(full, size)
            state, every = jax.lax.scan(on_batch, state, batches)
            logs = jax.tree.map(lambda values: values[-1], every)
        if len(order) > full * size:
            state, logs = on_batch(state, order[full * size :])
        return state, logs


@jax.jit
def _choose(improved: Any, new: Any, old: Any) -> Any:
    def choose(new: Any, old: Any) -> Any:
        shape = improved.shape + (1,) * (new.ndim - improved.ndim)
        return jnp.where(improved.reshape(shape), new, old)

    return jax.tree.map(choose, new, old)


def _train_block(
    program: Program, block: Table, settings: Settings, advance: Advance
) -> Iterator[tuple[Run, Outcome, Weights]]:
    state = program.start(block)
    progress = [
        [Progress(settings.ranking, settings.epochs, settings.patience) for _ in row]
        for row in block
    ]
    kept: Any = None
    for number in range(settings.epochs):
        state, logs, val_logs = program.epoch(state, block, number)
        logs = {**logs, **{f"val_{name}": each for name, each in val_logs.items()}}
        improved, going = _record(progress, jax.tree.map(np.asarray, logs))
        if settings.patience is not None:
            # Copied, since the next epoch takes the memory of its arguments.
            kept = _choose(improved, state[:2], state[:2] if kept is None else kept)
        every = [each for row in progress for each in row]
        for each in np.flatnonzero(going):
            advance(1, every[each].best)
        if all(each.status is not None for each in every):
            break
    variables = jax.tree.map(np.asarray, state[:2] if kept is None else kept)
    for seed, row in enumerate(block):
        for candidate, run in enumerate(row):
            weights = [each[seed, candidate] for each in (*variables[0], *variables[1])]
            yield run, progress[seed][candidate].outcome(), weights


def _record(progress: list[list[Progress]], logs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Tell every run that goes on of its epoch; return which of them improved and which went on."""
    shape = len(progress), len(progress[0])
    improved, going = np.zeros(shape, bool), np.zeros(shape, bool)
    for place in np.ndindex(*shape):
        run = progress[place[0]][place[1]]
        if run.status is None:
            going[place] = True
            improved[place] = run.record({name: each[place] for name, each in logs.items()})
    return improved, going
