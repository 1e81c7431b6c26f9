"""Robust regression: Huber's loss against least squares on five classic tables.

Each table is fitted twice with the same one-layer Keras model, once with the mean squared error
(ordinary least squares, OLS) and once with lossmith's Huber loss, whose threshold is 1.345 times
the scale of the residuals that statsmodels' ``RLM`` finds. Both fits are set beside the ones of
statsmodels. Where it is known which rows of a table are wrong, the fit without them shows whether
Huber helps: it does when the response is wrong (phones, stackloss), and it does not when the
wrong rows lie far away in the predictors and pull the fit onto themselves (starsCYG, hbk).

    python examples/robust_regression.py
    python examples/robust_regression.py --data phones starsCYG --out lines.png

Needs lossmith with one backend, statsmodels and matplotlib. The tables and their sources are in
``examples/data``.

Reference: P. J. Huber (1964), Robust Estimation of a Location Parameter, Annals of Mathematical
Statistics 35, 73-101.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lossmith as ls  # before keras, so that an installed backend is chosen

# isort: split
import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

HERE = Path(__file__).parent
TUNING = 1.345  # 95 % of the efficiency of least squares when the errors are normal
STEPS = 100

WRONG_ROWS = {  # numbered from 1, as in the literature
    "phones": range(15, 21),  # 1964-1969, recorded in another unit
    "stackloss": (1, 3, 4, 21),  # the rows that most robust analyses agree on
    "engel": (),
    "starsCYG": (11, 20, 30, 34),  # red giants among main-sequence stars
    "hbk": range(1, 11),  # planted
}


@dataclass(frozen=True)
class Table:
    """A regression table: the last column is the response, the others are the predictors."""

    name: str
    columns: list[str]
    x: Vector
    y: Vector
    wrong: NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """Coefficients (intercept first) by statsmodels and by a Keras model with a lossmith loss."""

    reference: Vector
    ours: Vector


@dataclass(frozen=True)
class Comparison:
    """Both fits of one table, and what Huber's fit thinks of each row."""

    table: Table
    scale: float
    ols: Fit
    huber: Fit
    weights: Vector


def read_table(name: str) -> Table:
    """Read ``examples/data/NAME.csv``."""
    lines = (HERE / "data" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    header, *rows = (line for line in lines if not line.startswith("#"))
    data = np.loadtxt(rows, delimiter=",")
    wrong = np.isin(np.arange(1, len(data) + 1), list(WRONG_ROWS[name]))
    return Table(name, header.split(","), data[:, :-1], data[:, -1], wrong)


def predict(coefficients: Vector, x: Vector) -> Vector:
    """Return intercept + x @ slopes."""
    return coefficients[0] + x @ coefficients[1:]


def least_squares(x: Vector, y: Vector) -> Vector:
    """Return the coefficients (intercept first) of ordinary least squares."""
    import statsmodels.api as sm

    return np.asarray(sm.OLS(y, sm.add_constant(x)).fit().params)


def robust_reference(x: Vector, y: Vector) -> tuple[Vector, float]:
    """Return statsmodels' Huber coefficients and its scale (MAD / 0.6745 of the residuals)."""
    import statsmodels.api as sm

    norm = sm.robust.norms.HuberT(t=TUNING)
    result = sm.RLM(y, sm.add_constant(x), M=norm).fit(tol=1e-10, maxiter=500)
    return np.asarray(result.params), float(result.scale)


def fit_line(x: Vector, y: Vector, loss: keras.losses.Loss, learning_rate: float) -> Vector:
    """Minimise `loss` over the coefficients of a linear model; return them, intercept first.

    The predictors are centred and made orthonormal first (QR). A second derivative of the loss of
    at most 1 / `learning_rate` then makes each full-batch step of plain gradient descent one that
    cannot overshoot. For Huber's loss and a rate of 1 this is the method of modified residuals
    (Huber and Dutter 1974); for the squared error and a rate of 1/2 the first step is exact.
    """
    n = len(x)
    centre = x.mean(axis=0)
    q, r = np.linalg.qr(x - centre)
    inputs = q * np.sqrt(n)
    layer = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((x.shape[1],)), layer])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), loss=loss)
    # One epoch over the table repeated STEPS times: as many full batches, one call.
    repeated = np.tile(inputs, (STEPS, 1)), np.tile(y, STEPS)
    model.fit(*repeated, batch_size=n, shuffle=False, verbose=0)
    kernel, bias = (np.asarray(weight, dtype="float64") for weight in layer.get_weights())
    slopes = np.sqrt(n) * np.linalg.solve(r, kernel[:, 0])
    return np.concatenate([bias - centre @ slopes, slopes])


def compare(table: Table) -> Comparison:
    """Fit one table by OLS and by Huber, each with statsmodels and with Keras and lossmith."""
    x, y = table.x, table.y
    robust, scale = robust_reference(x, y)
    threshold = TUNING * scale
    squared_error = ls.losses.mean_squared_error
    ols = Fit(least_squares(x, y), fit_line(x, y, squared_error, learning_rate=0.5))
    huber_loss = ls.losses.huber(threshold=threshold)
    huber = Fit(robust, fit_line(x, y, huber_loss, learning_rate=1.0))
    residuals = np.abs(y - predict(huber.ours, x))
    weights = threshold / np.maximum(residuals, threshold)
    return Comparison(table, scale, ols, huber, weights)


def distance_to(target: Vector, fit: Vector, x: Vector) -> float:
    """Return the root mean square difference of two fits' predictions at `x`."""
    return float(np.sqrt(np.mean((predict(fit, x) - predict(target, x)) ** 2)))


def leverages(x: Vector) -> Vector:
    """Return the diagonal of the hat matrix: how far each row pulls its own prediction."""
    design = np.column_stack([np.ones(len(x)), x])
    return np.einsum("ij,ji->i", design, np.linalg.pinv(design))


def row_list(numbers: Sequence[int], weights: Vector, most: int = 12) -> str:
    """Return "15 (0.13), 16 (0.13), ...": the rows of least weight, numbered from 1."""
    lightest = sorted(sorted(numbers, key=lambda row: weights[row])[:most])
    text = ", ".join(f"{row + 1} ({weights[row]:.2f})" for row in lightest)
    left = len(numbers) - len(lightest)
    return f"{text} and {left} more" if left else text


def verdict(result: Comparison) -> str:
    """Say whether Huber came closer than OLS to the fit without the rows known to be wrong."""
    table = result.table
    if not table.wrong.any():
        return "No row is known to be wrong: which fit is better cannot be told from these figures."
    good = table.x[~table.wrong]
    without = least_squares(good, table.y[~table.wrong])
    from_ols = distance_to(without, result.ols.ours, good)
    from_huber = distance_to(without, result.huber.ours, good)
    lines = [
        f"OLS without the {table.wrong.sum()} wrong rows: {format_row(without).strip()}",
        f"RMS distance to it at the other rows: OLS {from_ols:.3f}, Huber {from_huber:.3f}",
    ]
    if from_huber < 0.9 * from_ols:
        lines.append(f"=> Huber helps: {1 - from_huber / from_ols:.0%} closer.")
    else:
        leverage = leverages(table.x)
        lines.append(
            "=> Huber does not help: the wrong rows keep a mean weight of "
            f"{result.weights[table.wrong].mean():.2f}.\n"
            "   Far out in the predictors, they pull the fit onto themselves and leave small "
            "residuals\n   (their mean leverage is "
            f"{leverage[table.wrong].mean():.3f}, that of all rows {leverage.mean():.3f})."
        )
    return "\n".join(lines)


def format_row(values: Vector) -> str:
    """Return coefficients in columns of equal width."""
    return " ".join(f"{value:12.4f}" for value in values)


def report(result: Comparison) -> str:
    """Return the figures of one table as text."""
    table = result.table
    *predictors, response = table.columns
    names = " ".join(f"{name:>12}" for name in ["(intercept)", *predictors])
    lightened = [int(row) for row in np.flatnonzero(result.weights < 0.999)]
    threshold = TUNING * result.scale
    return "\n".join(
        [
            f"{table.name}: {response} ~ {' + '.join(predictors)}, {len(table.y)} rows, "
            f"threshold {threshold:.4f} = {TUNING} x scale {result.scale:.4f}",
            f"{'':18}{names}",
            f"OLS   statsmodels {format_row(result.ols.reference)}",
            f"      lossmith    {format_row(result.ols.ours)}",
            f"Huber statsmodels {format_row(result.huber.reference)}",
            f"      lossmith    {format_row(result.huber.ours)}",
            f"Down-weighted rows (weight): {row_list(lightened, result.weights)}",
            verdict(result),
        ]
    )


def draw_lines(axes: Axes, result: Comparison) -> None:
    """Draw the two lines, and the points in the colour of their weight."""
    table = result.table
    ends = np.array([[table.x.min()], [table.x.max()]])
    fits = [("OLS", result.ols.ours, "C3", "-"), ("Huber", result.huber.ours, "C0", "-")]
    if table.wrong.any():
        good = least_squares(table.x[~table.wrong], table.y[~table.wrong])
        fits.append(("OLS without the wrong rows", good, "0.4", "--"))
    for label, fit, colour, style in fits:
        axes.plot(ends[:, 0], predict(fit, ends), style, color=colour, label=label, zorder=1)
    draw_points(axes, result, table.x[:, 0], table.y)
    span = np.ptp(table.y)
    axes.set_ylim(table.y.min() - 0.15 * span, table.y.max() + 0.15 * span)
    axes.set(xlabel=table.columns[0], ylabel=table.columns[-1])


def draw_residuals(axes: Axes, result: Comparison) -> None:
    """Draw Huber's residuals row by row; outside the band a row loses weight."""
    table = result.table
    residuals = (table.y - predict(result.huber.ours, table.x)) / result.scale
    axes.axhspan(-TUNING, TUNING, color="0.92", zorder=0, label=f"within {TUNING} scales")
    draw_points(axes, result, np.arange(1, len(table.y) + 1), residuals)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="row", ylabel=f"Huber residual of {table.columns[-1]} / scale")


def draw_points(axes: Axes, result: Comparison, across: Any, up: Any) -> None:
    """Scatter the rows, darker for less weight, the rows known to be wrong ringed."""
    wrong = result.table.wrong
    points = axes.scatter(
        across, up, c=result.weights, cmap="viridis", vmin=0, vmax=1, edgecolors="0.3", zorder=2
    )
    if wrong.any():
        ring = {"s": 90, "facecolors": "none", "edgecolors": "C3", "label": "known to be wrong"}
        axes.scatter(across[wrong], up[wrong], zorder=3, **ring)
    axes.figure.colorbar(points, ax=axes, label="weight in Huber's fit")


def draw(results: Sequence[Comparison], file: Any) -> None:
    """Write one panel per table to `file` as PNG."""
    from matplotlib.figure import Figure

    columns = min(len(results), 3)
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(6.4 * columns, 4.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for result, axes in zip(results, panels, strict=False):
        (draw_lines if result.table.x.shape[1] == 1 else draw_residuals)(axes, result)
        axes.set_title(result.table.name)
        axes.legend(fontsize="small")
    for axes in panels:
        axes.set_visible(False)
    figure.savefig(file, format="png", dpi=120)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line and refuse to write over an existing picture."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=[*WRONG_ROWS], default=[*WRONG_ROWS])
    default = Path("runs", "robust_regression.png")
    parser.add_argument("--out", type=Path, default=default, help="the picture (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    options = parser.parse_args(arguments)
    if options.out.exists() and not options.overwrite:
        parser.error(f"{options.out} exists: give another --out, or --overwrite to replace it")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print and draw the tables named on the command line."""
    options = parse_arguments(arguments)
    results = []
    for name in options.data:
        results.append(compare(read_table(name)))
        print(report(results[-1]), end="\n\n")
        sys.stdout.flush()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(options.out.name + ".part")
    draw(results, partial)
    partial.replace(options.out)
    print(f"Lines, points and weights: {options.out}")


if __name__ == "__main__":
    main()
