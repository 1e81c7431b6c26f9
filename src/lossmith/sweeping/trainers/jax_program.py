"""One epoch of many trainings as one compiled function of JAX.

A step is the model's own `train_step`, which is stateless on JAX, with the loss' hyperparameters
traced. It is scanned over an epoch and mapped over the candidates, which share the batches of a
seed, and over seeds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from lossmith.core import Loss
from lossmith.core.backend import keras
from lossmith.sweeping import models
from lossmith.sweeping.grid import SweptLoss
from lossmith.sweeping.runs import Run, Weights
from lossmith.sweeping.settings import Settings

Table = list[list[Run]]
"""Runs by seed and candidate."""
State = tuple[list[Any], list[Any], list[Any]]
"""Trainable variables, others, and those of the optimizer."""
Step = Callable[[Any, Any], tuple[Any, Any]]


class Program:
    """One epoch of a block of runs, with the validation after it, as one compiled function."""

    def __init__(self, loss: Loss, names: Sequence[str], settings: Settings, seed: int) -> None:
        self._names = names
        self._settings = settings
        self._swept = SweptLoss(loss)
        self.model = models.make(settings, loss, seed, self._swept)
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
        self._compiled: dict[tuple[int, int], Any] = {}

    def memory(self, seeds: int, candidates: int) -> int:
        """Compile for a block of this size; return the bytes of memory that it takes."""
        memory = self._for(seeds, candidates).memory_analysis()
        if memory is None:
            return 0
        return int(
            memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            + memory.temp_size_in_bytes
            - memory.alias_size_in_bytes
        )

    def _for(self, seeds: int, candidates: int) -> Any:
        if (seeds, candidates) not in self._compiled:
            self._compiled[seeds, candidates] = self._compile(seeds, candidates)
        return self._compiled[seeds, candidates]

    def _compile(self, seeds: int, candidates: int) -> Any:
        by_candidate = jax.vmap(self._epoch, in_axes=(0, 0, None, None))
        by_seed = jax.vmap(by_candidate, in_axes=(0, None, 0, None))
        first = next(iter(self._starts.values()))
        state = jax.tree.map(
            lambda array, dtype: jax.ShapeDtypeStruct((seeds, candidates, *array.shape), dtype),
            tuple(first[:3]),
            tuple(self._dtypes),
        )
        values = {name: jnp.zeros(candidates, keras.config.floatx()) for name in self._names}
        orders = jnp.zeros((seeds, self._settings.training.size), "int32")
        step = jax.jit(by_seed, donate_argnums=0)
        return step.lower(state, values, orders, self._data).compile()

    def start(self, block: Table) -> State:
        """The variables of all runs of a block before the first step."""
        for run in (run for row in block for run in row):
            if run.start_seed not in self._starts:
                other = models.make(self._settings, self._swept.loss, run.start_seed, self._swept)
                made = models.start_of(other)
                first = next(iter(self._starts.values()))
                models.check_alike(first, made, run.start_seed)
                self._starts[run.start_seed] = made
        starts = [[tuple(self._starts[run.start_seed][:3]) for run in row] for row in block]
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
        step = self._for(len(block), len(block[0]))
        return step(state, values, jnp.asarray(np.stack(orders), "int32"), self._data)

    def weights(self, state: State, seed: int, candidate: int) -> Weights:
        """The weights of one run as `fit` leaves them, at the end of its last epoch."""
        trainable, others, optimizer = ([each[seed, candidate] for each in part] for part in state)
        if not models.keeps_averages(self.model):
            return [*trainable, *others]
        models.set_back(self.model, models.Start(trainable, others, optimizer, None))
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        return models.weights_of(self.model)

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
