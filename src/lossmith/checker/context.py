"""What every probe is given: the loss, its inputs, the declarations and the facts found so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lossmith.checker.evaluate import Evaluator, Observation
from lossmith.checker.report import Evidence, Severity
from lossmith.checker.settings import Settings
from lossmith.checker.targets import ROWS, Case, Problem
from lossmith.core import Loss


def close(first: Any, second: Any, tolerance: float = 1e-4) -> bool:
    """Whether two numbers or arrays agree to the rounding of float32, NaN being equal to NaN."""
    first, second = np.asarray(first), np.asarray(second)
    scale = 1e-6 + np.max(np.abs(np.concatenate([first.ravel(), second.ravel(), [0.0]])))
    if not np.isfinite(scale):
        scale = 1.0
    return bool(np.allclose(first, second, rtol=0, atol=tolerance * scale, equal_nan=True))


@dataclass
class Context:
    """One loss under one kind of target on the current backend."""

    evaluator: Evaluator
    problem: Problem
    settings: Settings
    certain: bool = True
    """Whether the kind of target was given, and not inferred."""
    memo: dict[str, Any] = field(default_factory=dict, repr=False)
    """What one probe found out and another needs."""
    _seen: dict[int, Observation] = field(default_factory=dict, repr=False)

    @property
    def backend(self) -> str:
        """The name of the current backend."""
        return self.evaluator.backend

    @property
    def directed(self) -> Severity:
        """The severity of a wrong direction: an error where the kind of target was given."""
        return "error" if self.certain else "warning"

    def at(self, case: Case) -> Observation:
        """The reduced loss on a case of the battery."""
        if id(case) not in self._seen:
            self._seen[id(case)] = self.evaluator.reduced(case.y_true, case.y_pred)
        return self._seen[id(case)]

    @property
    def random(self) -> Observation:
        """The reduced loss on the random batch."""
        return self.at(self.problem.cases[0])

    @cached_property
    def unreduced(self) -> Observation:
        """What the formula returns on the random batch."""
        return self.evaluator.unreduced(self.problem.y_true, self.problem.y_pred)

    @cached_property
    def reduction(self) -> str:
        """How the loss object reduces; a plain function under compile is averaged."""
        return getattr(self.evaluator.loss, "reduction", None) or "none"

    @property
    def scalar(self) -> bool:
        """Whether the formula returns one number for the batch."""
        return self.unreduced.ran and self.unreduced.value.ndim == 0

    @property
    def declared_batchwise(self) -> bool:
        """Whether the author says that the loss is a property of the batch."""
        loss = self.evaluator.loss
        declared = self.settings.batchwise
        return isinstance(loss, Loss) and loss.batchwise if declared is None else declared

    @cached_property
    def one_row_values(self) -> np.ndarray:
        """The reduced loss of each row of the random batch alone."""
        y, p = self.problem.y_true, self.problem.y_pred
        return np.asarray(
            [self.evaluator.reduced(y[i : i + 1], p[i : i + 1]).scalar for i in range(len(p))]
        )

    @cached_property
    def rowwise(self) -> bool:
        """Whether the formula returns a value per sample that depends on that sample alone."""
        seen = self.unreduced
        if not seen.ran or seen.value.ndim == 0 or seen.value.shape[0] != len(self.problem.y_pred):
            return False
        per_row = seen.value.reshape(len(seen.value), -1).mean(axis=1)
        alone = self.one_row_values
        if self.reduction == "sum":
            alone = alone / max(1, seen.value[0].size)
        known = np.isfinite(per_row) & np.isfinite(alone)
        return bool(known.any()) and close(per_row[known], alone[known])

    @cached_property
    def averages_rows(self) -> bool:
        """Whether one number is returned that is the mean of what each row would give alone."""
        return self.scalar and close(self.unreduced.scalar, self.one_row_values.mean())

    @cached_property
    def averages_steps(self) -> bool:
        """Whether one number is returned that is the mean over what counts in the whole batch.

        A row counts for as many steps, or entries, as get a gradient: neither padding nor what is
        not known does.
        """
        slopes = self.random.slopes
        if not self.scalar or slopes.shape != self.problem.y_pred.shape:
            return False
        entries = (slopes != 0).reshape(len(slopes), -1)
        steps = np.any(slopes != 0, axis=-1).reshape(len(slopes), -1)
        counts = [each.sum(axis=1) for each in (steps, entries)]
        return any(
            count.any()
            and close(self.random.scalar, np.average(self.one_row_values, weights=count))
            for count in counts
        )

    def per_row(self, y_true: np.ndarray, y_pred: np.ndarray) -> Observation:
        """Many independent rows at once (one value and gradient each), of a rowwise loss.

        The number of rows is filled up to a few fixed sizes: a new shape costs a compilation.
        """
        count = len(y_pred)
        size = next(size for size in (1024, 4096, 16384) if size >= count)
        filler = np.zeros(size - count, dtype=int)
        index = np.concatenate([np.arange(count), filler])
        seen = self.evaluator.rows(y_true[index], y_pred[index])
        if not seen.ran or seen.value.ndim == 0:
            return seen
        gradient = None if seen.gradient is None else seen.gradient[:count]
        return Observation(seen.value[:count], gradient)

    def batches(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Observation]:
        """The reduced loss of several batches, each on its own."""
        return [self.evaluator.reduced(y, p) for y, p in pairs]

    def along(self, start: np.ndarray, end: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Values `(steps, rows)` on the way from predictions `start` to `end`.

        A loss that is not rowwise has one column: its value for the whole batch.
        """
        y = self.problem.y_true
        points = [((1 - t) * start + t * end).astype("float32") for t in steps]
        if self.rowwise:
            repeated = np.concatenate([y] * len(points))
            seen = self.per_row(repeated, np.concatenate(points))
            return seen.value.reshape(len(points), len(y))
        return np.asarray([[seen.scalar] for seen in self.batches([(y, p) for p in points])])

    def smallest(self, case: Case, fails: Any) -> Evidence:
        """The evidence of a failing case: a single row of it if that fails as well."""
        seen = self.at(case)
        y, p, note = case.y_true, case.y_pred, case.name
        for row in self._suspects(seen, len(p)) if len(p) == ROWS else ():
            alone = self.evaluator.reduced(y[row : row + 1], p[row : row + 1])
            if fails(alone):
                y, p, seen = y[row : row + 1], p[row : row + 1], alone
                break
        return self.evidence(y, p, seen, note)

    @staticmethod
    def _suspects(seen: Observation, rows: int) -> list[int]:
        if seen.gradient is None or seen.gradient.ndim == 0 or len(seen.gradient) != rows:
            return [0]
        bad = ~np.isfinite(seen.gradient.reshape(rows, -1)).all(axis=1)
        return [int(np.argmax(bad))]

    def evidence(
        self, y: Any, p: Any, seen: Observation | None = None, note: str = "", mode: str = ""
    ) -> Evidence:
        """Evidence on this backend; long inputs are left to the note."""
        small = np.size(p) <= 64
        how = mode or ("eager" if self.backend == "torch" else "compiled")
        if not mode and self.evaluator.not_compilable is not None:
            how = "eager"
        value = gradient = None
        if seen is not None and seen.ran:
            value = seen.value if seen.value.size <= 64 else seen.scalar
            gradient = seen.gradient
        if seen is not None and not seen.ran:
            note = f"{note}: {seen.error}".removeprefix(": ")
        if not small and gradient is not None:
            gradient = None
        return Evidence(
            self.backend, how, y if small else None, p if small else None, value, gradient, note
        )
