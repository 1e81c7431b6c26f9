"""All candidates in one compiled program: JAX."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from lossmith.core import Loss
from lossmith.sweeping import models
from lossmith.sweeping.runs import Ended, Progress, Run, Watch, Weights
from lossmith.sweeping.settings import Settings
from lossmith.sweeping.trainers.jax_program import Program, Table


class Trainer:
    """Trains as many at a time as the memory limit allows.

    Args:
        loss: the loss, in which the hyperparameters called `names` are replaced.
        names: of those that differ between the runs.
        settings: of the sweep.
    """

    def __init__(self, loss: Loss, names: Sequence[str], settings: Settings) -> None:
        self._loss, self._names, self._settings = loss, names, settings
        self._program: Program | None = None

    def train(self, runs: Sequence[Run], watch: Watch) -> Iterator[Ended]:
        """Train every seed with every candidate; yield each when all of a program have ended.

        `watch` is told of every epoch.
        """
        if self._program is None:
            first = runs[0].start_seed
            self._program = Program(self._loss, self._names, self._settings, first)
        table = _by_seed(runs)
        size = _fit_memory(self._program, table, self._settings.memory_limit)
        done = set()
        for block in _blocks(table, *size):
            for ended in _train_block(self._program, block, self._settings, watch):
                address = ended[0].address()
                if address not in done:
                    done.add(address)
                    yield ended


def _by_seed(runs: Sequence[Run]) -> Table:
    table: dict[int, list[Run]] = {}
    for run in runs:
        table.setdefault(run.seed, []).append(run)
    return list(table.values())


def _fit_memory(program: Program, table: Table, limit: int) -> tuple[int, int]:
    """Compile the program for the largest block (seeds, candidates) that fits, at least one run."""
    seeds, candidates = len(table), len(table[0])
    while True:
        used = program.memory(seeds, candidates)
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


@jax.jit
def _choose(improved: Any, new: Any, old: Any) -> Any:
    def choose(new: Any, old: Any) -> Any:
        shape = improved.shape + (1,) * (new.ndim - improved.ndim)
        return jnp.where(improved.reshape(shape), new, old)

    return jax.tree.map(choose, new, old)


def _train_block(
    program: Program, block: Table, settings: Settings, watch: Watch
) -> Iterator[Ended]:
    progress = [
        [Progress(settings.ranking, settings.epochs, settings.patience) for _ in row]
        for row in block
    ]
    state, kept = program.start(block), None
    try:
        for number in range(settings.epochs):
            state, logs, val_logs = program.epoch(state, block, number)
            logs = {**logs, **{f"val_{name}": each for name, each in val_logs.items()}}
            improved = _record(progress, jax.tree.map(np.asarray, logs), block, watch)
            if settings.patience is not None:
                # Copied, since the next epoch takes the memory of its arguments.
                kept = _choose(improved, state[:2], state[:2] if kept is None else kept)
            if all(each.status is not None for row in progress for each in row):
                break
    except KeyboardInterrupt:
        if kept is not None:
            yield from _early(block, progress, jax.tree.map(models.as_number, kept))
        raise
    final = jax.tree.map(models.as_number, state if kept is None else (*kept, []))
    for place in np.ndindex(len(block), len(block[0])):
        run, outcome = _at(block, place), _at(progress, place).outcome()
        weights = program.weights(final, *place) if kept is None else _weights(final, place)
        yield run, outcome, weights


def _early(block: Table, progress: list[list[Progress]], kept: Any) -> Iterator[Ended]:
    """The runs of an interrupted block that had come to an end of their own."""
    for place in np.ndindex(len(block), len(block[0])):
        outcome = _at(progress, place).outcome()
        if outcome.status in ("stopped early", "diverged"):
            yield _at(block, place), outcome, _weights(kept, place)


def _weights(kept: Any, place: tuple[int, ...]) -> Weights:
    return [each[place] for each in (*kept[0], *kept[1])]


def _at(table: Any, place: tuple[int, ...]) -> Any:
    return table[place[0]][place[1]]


def _record(progress: list[list[Progress]], logs: Any, block: Table, watch: Watch) -> np.ndarray:
    """Tell every run that goes on of its epoch; return which of them improved."""
    improved = np.zeros((len(progress), len(progress[0])), bool)
    for place in np.ndindex(*improved.shape):
        run = _at(progress, place)
        if run.status is None:
            improved[place] = run.record({name: each[place] for name, each in logs.items()})
            watch(_at(block, place), run)
    return improved
