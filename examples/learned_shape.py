"""Learn how heavy the tails of the errors are, instead of searching a grid for it.

A line is fitted to data of which an unknown share is wrong. Barron's general loss has a shape,
`alpha`, that should be 2 for clean data and smaller the more of it is wrong. One training with
`alpha` and `scale` learned finds the shape that a grid search over nine trainings finds, and its
line is as good.

    python examples/learned_shape.py
    python examples/learned_shape.py --shares 0 0.1 0.5

The grid search compiles one training step for all nine: the shape is set by hand
(`lossmith.adjustable`), only the scale is learned, and the candidates are compared by their
likelihood of data that was not trained on.

Needs lossmith with one backend.

Reference: Barron, "A General and Adaptive Robust Loss Function", CVPR 2019.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lossmith as ls  # before keras, so that an installed backend is chosen

# isort: split
import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROWS = 400
STEPS = 300
SLOPE, INTERCEPT, NOISE = 2.0, 1.0, 0.3
GRID = np.linspace(0.0, 2.0, 9)
LIKELIHOOD = ls.losses.general_adaptive


@dataclass(frozen=True)
class Points:
    """Inputs and targets of a line, some of the targets wrong."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A line and the shape and scale of the errors around it."""

    alpha: float
    scale: float
    slope: float


def draw(share: float, seed: int) -> Points:
    """Draw points near the line; a share of the targets has errors ten times as large."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, size=(ROWS, 1))
    spread = np.where(rng.random(ROWS) < share, 10 * NOISE, NOISE)
    return Points(x, INTERCEPT + SLOPE * x[:, 0] + spread * rng.normal(size=ROWS))


def line(loss: ls.Loss) -> keras.Model:
    """A line, with the state of its loss."""
    dense = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense, loss.state])
    decay = keras.optimizers.schedules.CosineDecay(0.1, STEPS)
    model.compile(optimizer=keras.optimizers.Adam(decay), loss=loss)
    model.optimizer.build(model.trainable_variables)
    return model


def train(model: keras.Model, points: Points) -> None:
    """Take `STEPS` steps on all points at once."""
    x, y = np.tile(points.x, (STEPS, 1)), np.tile(points.y, STEPS)
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0)


def fit_of(model: keras.Model) -> Fit:
    """What a model has found."""
    current = ls.get_hyperparameters(model)
    return Fit(current["alpha"], current["scale"], float(model.get_weights()[0][0, 0]))


def learn(points: Points) -> Fit:
    """One training that learns the shape, the scale and the line."""
    model = line(LIKELIHOOD(alpha=ls.learned(1.0), scale=ls.learned(1.0)))
    train(model, points)
    return fit_of(model)


def search(points: Points, validation: Points) -> Fit:
    """One training for each shape of the grid; the one most likely to give the validation data."""
    model = line(LIKELIHOOD(alpha=ls.adjustable(1.0), scale=ls.learned(1.0)))
    start = model.get_weights(), [each.numpy() for each in model.optimizer.variables]
    found = []
    for alpha in GRID:
        model.set_weights(start[0])
        for variable, value in zip(model.optimizer.variables, start[1], strict=True):
            variable.assign(value)
        ls.set_hyperparameters(model, alpha=alpha)
        train(model, points)
        value = model.evaluate(validation.x, validation.y, batch_size=ROWS, verbose=0)
        found.append((value, fit_of(model)))
    return min(found, key=lambda pair: pair[0])[1]


def report(share: float) -> str:
    """One row of the table."""
    points = draw(share, seed=1)
    learned, searched = learn(points), search(points, draw(share, seed=2))
    squares = np.polyfit(points.x[:, 0], points.y, 1)[0]
    return (
        f"{share:5.0%} {learned.alpha:9.2f} {searched.alpha:8.2f} {learned.scale:9.2f}"
        f" {learned.slope:9.2f} {searched.slope:8.2f} {squares:8.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is learned and what the grid finds for each share of wrong targets."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.05, 0.2, 0.4])
    options = parser.parse_args(arguments)
    print("          shape alpha          scale          slope (true: 2.00)")
    print("wrong   learned     grid   learned   learned     grid  squares")
    for share in options.shares:
        print(report(share), flush=True)


if __name__ == "__main__":
    main()
